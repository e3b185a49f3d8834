//! Rounds that take turns.

use std::{hint::black_box, time::Instant};

pub(crate) use crate::common::sample::Sample;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds in which everybody has a turn.
    pub(crate) rounds: usize,
    /// Calls of one turn, each timed.
    pub(crate) calls: usize,
}

impl Plan {
    /// So many rounds of so many calls, or a tenth of the rounds.
    pub(crate) fn new(quick: bool, rounds: usize, calls: usize) -> Self {
        Self { rounds: if quick { rounds.div_ceil(10) } else { rounds }, calls }
    }
}

/// Microseconds of each call of `one` and of `other`, which take turns; every second round the other one begins. One round before that is thrown away.
pub(crate) async fn interleaved<A, B>(plan: Plan, mut one: impl AsyncFnMut() -> A, mut other: impl AsyncFnMut() -> B) -> (Sample, Sample) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    turn(plan.calls, &mut one, &mut Vec::new()).await;
    turn(plan.calls, &mut other, &mut Vec::new()).await;
    for round in 0..plan.rounds {
        if round % 2 == 0 {
            turn(plan.calls, &mut one, &mut ones).await;
            turn(plan.calls, &mut other, &mut others).await;
        } else {
            turn(plan.calls, &mut other, &mut others).await;
            turn(plan.calls, &mut one, &mut ones).await;
        }
    }
    (Sample::of(ones), Sample::of(others))
}

async fn turn<T>(calls: usize, work: &mut impl AsyncFnMut() -> T, samples: &mut Vec<f64>) {
    for _ in 0..calls {
        let started = Instant::now();
        black_box(work().await);
        samples.push(micros(started));
    }
}

/// Microseconds since then.
pub(crate) fn micros(started: Instant) -> f64 {
    started.elapsed().as_nanos() as f64 / 1000.0
}

/// Milliseconds since then.
pub(crate) fn millis(started: Instant) -> f64 {
    micros(started) / 1000.0
}
