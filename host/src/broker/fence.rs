//! Whether this process may still change anything for a run.
//!
//! A replica holds its runs by a Lease. Once it cannot be sure any more that the Lease is its own, another replica may close its runs, so nothing may begin that
//! could still happen after that. The fence is asked twice for a change: before its intent is written, and before it is sent.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::clock::Clock;

/// Whether a change may begin.
#[derive(Debug, Clone)]
pub enum Fence {
    /// Nobody else can take this run over: it belongs to this process alone.
    Open,
    /// The run is held by a Lease.
    Leased(Arc<Tenure>),
}

/// Why no change may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// The Lease may no longer be held when the change is done.
    #[error("this replica could not renew its Lease in time, so it changes nothing: another one may hold the run by now")]
    Expired,
    /// The process is about to end.
    #[error("this replica is shutting down and begins no more changes")]
    Stopping,
}

/// How long this process may begin changes. Renewed by whoever renews the Lease.
pub struct Tenure {
    clock: Clock,
    /// Milliseconds of [`Clock::elapsed`] until which a change may begin.
    until: AtomicU64,
    stopping: AtomicBool,
}

impl Fence {
    /// An error if no change may begin now.
    pub fn check(&self) -> Result<(), Fenced> {
        match self {
            Self::Open => Ok(()),
            Self::Leased(tenure) => tenure.check(),
        }
    }
}

impl Tenure {
    /// Nothing may begin before the first renewal.
    pub fn new(clock: Clock) -> Self {
        Self { clock, until: AtomicU64::new(0), stopping: AtomicBool::new(false) }
    }

    /// The Lease was renewed. `asked`: [`Clock::elapsed`] just before the request was sent; `good_for`: the Lease's duration less the time that an effect may take.
    pub fn renewed(&self, asked: Duration, good_for: Duration) {
        let until = u64::try_from((asked + good_for).as_millis()).unwrap_or(u64::MAX);
        self.until.fetch_max(until, Ordering::SeqCst);
    }

    /// Nothing may begin any more, for good.
    pub fn lost(&self) {
        self.until.store(0, Ordering::SeqCst);
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// From now on nothing begins.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// An error if no change may begin now.
    pub fn check(&self) -> Result<(), Fenced> {
        if self.stopping.load(Ordering::SeqCst) {
            return Err(Fenced::Stopping);
        }
        let now = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now < self.until.load(Ordering::SeqCst) { Ok(()) } else { Err(Fenced::Expired) }
    }
}

impl fmt::Debug for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenure").field("until", &self.until).field("stopping", &self.stopping).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;

    #[test]
    fn a_change_begins_only_while_the_lease_is_certainly_held() {
        let manual = Manual::default();
        let tenure = Arc::new(Tenure::new(Clock::manual(&manual)));
        let fence = Fence::Leased(Arc::clone(&tenure));
        assert_eq!(fence.check(), Err(Fenced::Expired), "nothing was renewed yet");
        manual.advance(Duration::from_secs(5));
        tenure.renewed(Duration::from_secs(4), Duration::from_secs(20));
        assert_eq!(fence.check(), Ok(()));
        manual.advance(Duration::from_millis(18_999));
        assert_eq!(fence.check(), Ok(()));
        manual.advance(Duration::from_millis(1));
        assert_eq!(fence.check(), Err(Fenced::Expired), "counted from before the request, not from its answer");
    }

    #[test]
    fn the_wall_clock_says_nothing_about_a_lease() {
        let manual = Manual::default();
        let tenure = Tenure::new(Clock::manual(&manual));
        tenure.renewed(Duration::ZERO, Duration::from_secs(20));
        manual.jump(jiff::SignedDuration::from_hours(1));
        assert_eq!(tenure.check(), Ok(()));
        manual.jump(jiff::SignedDuration::from_hours(-2));
        assert_eq!(tenure.check(), Ok(()));
    }

    #[test]
    fn after_the_order_to_stop_nothing_begins_even_if_the_lease_is_renewed() {
        let manual = Manual::default();
        let tenure = Tenure::new(Clock::manual(&manual));
        tenure.stop();
        tenure.renewed(Duration::ZERO, Duration::from_secs(20));
        assert_eq!(tenure.check(), Err(Fenced::Stopping));
    }

    #[test]
    fn an_older_renewal_that_is_answered_late_does_not_shorten_a_newer_one() {
        let manual = Manual::default();
        let tenure = Tenure::new(Clock::manual(&manual));
        tenure.renewed(Duration::from_secs(10), Duration::from_secs(20));
        tenure.renewed(Duration::from_secs(1), Duration::from_secs(20));
        manual.advance(Duration::from_secs(25));
        assert_eq!(tenure.check(), Ok(()));
    }
}
