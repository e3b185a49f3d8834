//! Time on the processor that one guest takes.
//!
//! A guest runs inside of the polls of one future. A *slice* is a part of a poll in which it runs: it begins and ends on one thread, and ends where the broker
//! begins to work. Each slice is charged; nothing else is.
//!
//! The thread's own clock says exactly what a slice took, whatever else the machine does, but asking it is a system call, and as dear as a whole host call;
//! asking for the time of day is not. So, with [`GRAIN`] for the difference that does not matter:
//!
//! * A slice that is over within a grain is charged what it took on the wall. A thread cannot compute longer than that.
//! * A longer one is charged what the thread's clock says at its end, minus what it said at a moment before its beginning, but at most a grain before. Each
//!   thread keeps such a moment, of whatever guest, and takes a new one when the last has become too old: one system call per grain at most.
//!
//! What follows, for each slice: it is charged no less than it computed, and at most a grain more. So however many slices a guest cuts its work into, and however
//! few of them a tick meets, their sum is no less than what it computed; it pays neither for its neighbours on the thread nor for a machine that is busy or
//! stands still; and since a slice never compares the clocks of two threads, it does not matter which threads poll it.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// What may be charged too much for one slice, in nanoseconds: a hundredth of a tick.
const GRAIN: u64 = 100_000;

/// No guest runs at the moment.
const IDLE: u64 = u64::MAX;

/// What a guest took so far, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Processor {
    /// Charged for the slices that are over.
    spent: AtomicU64,
    /// When the running slice began, or [`IDLE`].
    since: AtomicU64,
    /// What its thread had computed by then, less a grain at most.
    before: AtomicU64,
}

impl Processor {
    pub(crate) fn new() -> Self {
        Self { spent: AtomicU64::new(0), since: AtomicU64::new(IDLE), before: AtomicU64::new(0) }
    }

    /// The guest's time. Asked while it runs, it must be asked on the guest's own thread, which host functions are on.
    pub(crate) fn spent(&self) -> Duration {
        let running = match self.since.load(Ordering::Acquire) {
            IDLE => 0,
            since => self.slice(since),
        };
        Duration::from_nanos(self.spent.load(Ordering::Acquire).saturating_add(running))
    }

    /// Counts what a future takes: a guest.
    pub(crate) async fn count<F: Future>(&self, guest: F) -> F::Output {
        let mut guest = pin!(guest);
        poll_fn(|context| {
            self.start();
            let polled = guest.as_mut().poll(context);
            self.stop();
            polled
        })
        .await
    }

    /// Leaves out what a future takes: the broker, which works on behalf of a guest that is being counted.
    pub(crate) async fn leave_out<F: Future>(&self, other: F) -> F::Output {
        let mut other = pin!(other);
        poll_fn(|context| {
            let counted = self.stop();
            let polled = other.as_mut().poll(context);
            if counted {
                self.start();
            }
            polled
        })
        .await
    }

    fn start(&self) {
        let Moment { wall, computed } = Moment::recent();
        self.before.store(computed, Ordering::Release);
        self.since.store(wall, Ordering::Release);
    }

    /// True if it was running.
    fn stop(&self) -> bool {
        let since = self.since.swap(IDLE, Ordering::AcqRel);
        if since == IDLE {
            return false;
        }
        self.spent.fetch_add(self.slice(since), Ordering::AcqRel);
        true
    }

    /// What the slice that began then is charged so far.
    fn slice(&self, since: u64) -> u64 {
        let wall = now(ClockId::Monotonic).saturating_sub(since);
        if wall < GRAIN {
            return wall;
        }
        Moment::exact().computed.saturating_sub(self.before.load(Ordering::Acquire)).min(wall)
    }
}

/// A moment of one thread.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// On the wall.
    wall: u64,
    /// What the thread had computed by then, at least.
    computed: u64,
}

thread_local! {
    /// When this thread's clock was last asked.
    static ASKED: Cell<Moment> = const { Cell::new(Moment { wall: 0, computed: 0 }) };
}

impl Moment {
    /// Now; the thread had computed as much as is said here, or up to a grain more.
    // INVARIANT: what asks for a thread's own variables is never inlined: a guest's stack may go on on another thread after any suspension, and the compiler
    // may keep the address of such a variable for as long as one function runs.
    #[inline(never)]
    fn recent() -> Self {
        let asked = ASKED.get();
        let wall = now(ClockId::Monotonic);
        if wall.saturating_sub(asked.wall) < GRAIN { Self { wall, computed: asked.computed } } else { Self::exact() }
    }

    /// Now, by the thread's own clock.
    #[inline(never)]
    fn exact() -> Self {
        let computed = now(ClockId::ThreadCPUTime);
        let moment = Self { wall: now(ClockId::Monotonic), computed };
        ASKED.set(moment);
        moment
    }
}

fn now(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
#[expect(clippy::expect_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use std::{
        future::{Ready, ready},
        task::{Context, Poll, Waker},
        thread,
    };

    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn compute(nanos: u64) {
        let until = now(ClockId::ThreadCPUTime) + nanos;
        while now(ClockId::ThreadCPUTime) < until {}
    }

    /// Polls a future to its end.
    fn run<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
        }
    }

    /// Works once, then is ready.
    fn once(work: impl Fn()) -> impl Future<Output = ()> {
        poll_fn(move |_| {
            work();
            Poll::Ready(())
        })
    }

    fn spent(processor: &Processor) -> u64 {
        u64::try_from(processor.spent().as_nanos()).expect("short")
    }

    #[test]
    fn a_slice_is_charged_what_it_computed_and_at_most_a_grain_more() {
        for nanos in [0, GRAIN / 10, GRAIN * 2, 20 * MILLISECOND] {
            let processor = Processor::new();
            let before = now(ClockId::ThreadCPUTime);
            run(processor.count(once(|| compute(nanos))));
            let took = now(ClockId::ThreadCPUTime) - before;
            let spent = spent(&processor);
            assert!(nanos <= spent && spent <= took + GRAIN, "{nanos}: {spent} of {took}");
        }
    }

    #[test]
    fn a_thread_that_stands_still_is_not_charged() {
        let processor = Processor::new();
        run(processor.count(once(|| thread::sleep(Duration::from_millis(50)))));
        assert!(spent(&processor) < 5 * MILLISECOND, "{:?}", processor.spent());
    }

    #[test]
    fn many_slices_that_are_short_add_up() {
        let processor = Processor::new();
        for _ in 0..1000 {
            run(processor.count(once(|| compute(GRAIN / 5))));
        }
        assert!(spent(&processor) >= 1000 * (GRAIN / 5), "{:?}", processor.spent());
    }

    #[test]
    fn a_neighbour_on_the_thread_pays_for_itself() {
        let (processor, neighbour) = (Processor::new(), Processor::new());
        for _ in 0..10 {
            run(processor.count(ready(())));
            run(neighbour.count(once(|| compute(2 * MILLISECOND))));
        }
        assert!(spent(&processor) <= 10 * GRAIN, "{:?}", processor.spent());
        assert!(spent(&neighbour) >= 20 * MILLISECOND);
    }

    #[test]
    fn the_broker_is_left_out_and_what_comes_before_and_after_it_is_not() {
        let processor = Processor::new();
        let whole = async {
            compute(3 * MILLISECOND);
            processor.leave_out(once(|| compute(40 * MILLISECOND))).await;
            compute(3 * MILLISECOND);
        };
        run(processor.count(whole));
        let spent = spent(&processor);
        assert!((6 * MILLISECOND..30 * MILLISECOND).contains(&spent), "{spent}");
        // Nothing runs, so nothing is left out or begun.
        run(processor.leave_out::<Ready<()>>(ready(())));
        assert_eq!(processor.since.load(Ordering::Acquire), IDLE);
    }

    #[test]
    fn each_poll_may_be_on_another_thread() {
        let processor = Processor::new();
        let mut polls = 0;
        let guest = poll_fn(|_| {
            compute(MILLISECOND);
            polls += 1;
            if polls == 20 { Poll::Ready(()) } else { Poll::Pending }
        });
        let mut counted = Box::pin(processor.count(guest));
        // A thread's clock begins at nothing; the one before it had computed more.
        compute(5 * MILLISECOND);
        while thread::scope(|scope| {
            let polled = scope.spawn(|| counted.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            polled.join().expect("no panic").is_pending()
        }) {}
        drop(counted);
        assert!(spent(&processor) >= 20 * MILLISECOND, "{:?}", processor.spent());
    }
}
