//! The two clocks that the operator lives by, behind one type: what time it is, which can jump, and how much time has passed, which cannot.
//!
//! Leases, fences and waits are measured by the second (CLOCK_BOOTTIME: it goes on while the machine sleeps). Only what people see, and schedules, use the first.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

/// What time it is, and how much has passed.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Manual),
    Shifted(Shift),
}

impl Clock {
    /// The machine's clocks.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Clocks that somebody turns by hand: for tests.
    pub fn manual(manual: &Manual) -> Self {
        Self(Source::Manual(manual.clone()))
    }

    /// The machine's clocks, the first one set to another time: for tests.
    pub fn shifted(shift: &Shift) -> Self {
        Self(Source::Shifted(shift.clone()))
    }

    /// What time it is. Can jump, both ways.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(manual) => manual.read().0,
            Source::Shifted(Shift(by)) => {
                let by = SignedDuration::from_secs(by.load(Ordering::SeqCst));
                Timestamp::now().saturating_add(by).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Time since some moment in the past. Never goes back, and goes on while the machine sleeps.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System | Source::Shifted(_) => {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
            }
            Source::Manual(manual) => manual.read().1,
        }
    }
}

/// By how much a wall clock is wrong.
#[derive(Debug, Clone, Default)]
pub struct Shift(Arc<AtomicI64>);

impl Shift {
    /// It is wrong by so much from now on.
    pub fn set(&self, by: SignedDuration) {
        self.0.store(by.as_secs(), Ordering::SeqCst);
    }
}

/// Clocks that are turned by hand.
#[derive(Debug, Clone, Default)]
pub struct Manual(Arc<Mutex<(Timestamp, Duration)>>);

impl Manual {
    /// Time passes, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        time.1 += by;
        time.0 = time.0.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX);
    }

    /// Somebody sets the wall clock.
    pub fn jump(&self, by: SignedDuration) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        time.0 = time.0.saturating_add(by).unwrap_or(Timestamp::MAX);
    }

    fn read(&self) -> (Timestamp, Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_goes_on() {
        let clock = Clock::system();
        let (before, now) = (clock.elapsed(), clock.now());
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.elapsed() > before && clock.now() > now);
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_no_time_that_passed() {
        let manual = Manual::default();
        let clock = Clock::manual(&manual);
        manual.advance(Duration::from_secs(10));
        manual.jump(SignedDuration::from_hours(1));
        assert_eq!((clock.now().as_second(), clock.elapsed().as_secs()), (3610, 10));
        manual.jump(SignedDuration::from_hours(-2));
        assert_eq!((clock.now().as_second(), clock.elapsed().as_secs()), (-3590, 10));
    }
}
