//! What an administrator sets: how long things take, and how many there may be.

use std::time::Duration;

use super::{Hourly, Retention};

/// What an administrator sets.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What this replica is called in Leases and Events.
    pub identity: String,
    /// Only agents of these namespaces; empty: all.
    pub namespaces: Vec<String>,
    /// Most runs at a time in the whole cluster.
    pub max_concurrent: usize,
    /// Most runs that may begin per hour.
    pub hourly: Hourly,
    /// How long records stay.
    pub retention: Retention,
    /// How long a retry waits, doubled with every attempt.
    pub retry_pause: Duration,
    /// How long things take.
    pub timings: Timings,
}

impl Settings {
    /// Whether agents of this namespace are looked after.
    pub fn watches(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|watched| watched == namespace)
    }
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// How long a Lease is good for after its renewal.
    pub lease: Duration,
    /// The longest that one effect may take; less than [`Self::lease`].
    pub effect: Duration,
    /// How long the end of the process waits for runs.
    pub drain: Duration,
}

/// Timings that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unworkable {
    /// There would be no moment in which a change could begin.
    #[error(
        "--effect-timeout must be at most half of --lease-duration: a change begins only if it ends before the Lease does, and the Lease is renewed every third of its duration"
    )]
    Effect,
    /// Too short to be measured.
    #[error("--lease-duration must be at least 1s")]
    Lease,
}

impl Timings {
    /// Checks that they fit together.
    pub fn new(lease: Duration, effect: Duration, drain: Duration) -> Result<Self, Unworkable> {
        if lease < Duration::from_secs(1) {
            return Err(Unworkable::Lease);
        }
        if effect.is_zero() || effect * 2 > lease {
            return Err(Unworkable::Effect);
        }
        Ok(Self { lease, effect, drain })
    }

    /// Between two renewals.
    pub fn renewal(&self) -> Duration {
        self.lease / 3
    }

    /// How long after a renewal a change may begin.
    pub fn good_for(&self) -> Duration {
        self.lease.saturating_sub(self.effect)
    }

    /// How long a Lease must have been silent until nothing of its holder can happen any more.
    pub fn silence(&self) -> Duration {
        self.lease + self.effect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_can_begin_between_two_renewals_and_is_over_before_anybody_takes_the_run() {
        let second = Duration::from_secs;
        assert_eq!(Timings::new(second(30), second(16), second(30)), Err(Unworkable::Effect));
        assert_eq!(Timings::new(second(30), Duration::ZERO, second(30)), Err(Unworkable::Effect));
        assert_eq!(Timings::new(Duration::from_millis(900), second(1), second(30)), Err(Unworkable::Lease));
        for (lease, effect) in [(30, 10), (2, 1), (15, 7)] {
            let timings = Timings::new(second(lease), second(effect), second(30)).unwrap();
            assert!(timings.good_for() > timings.renewal(), "{timings:?}");
            assert!(timings.good_for() + timings.effect <= timings.lease && timings.lease < timings.silence(), "{timings:?}");
        }
    }
}
