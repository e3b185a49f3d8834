//! The export of records.
//!
//! | metric | labels | counted |
//! |---|---|---|
//! | `infraagent_export_items_total` | kind | by the leader, when the receiver has taken an entry or a head |
//! | `infraagent_export_failures_total` | | by the leader, when something could not be exported and is tried again |
//! | `infraagent_export_waiting_runs` | | by the leader: runs that may have something new for the receiver |

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::{Error, Metrics, registered};
use crate::audit::export::Kind;

pub(super) struct OfExport {
    items: IntCounterVec,
    failures: IntCounter,
    waiting: IntGauge,
}

impl OfExport {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            items: registered(
                registry,
                IntCounterVec::new(
                    Opts::new("infraagent_export_items_total", "Entries and heads that the receiver has taken."),
                    &["kind"],
                )?,
            )?,
            failures: registered(
                registry,
                IntCounter::new("infraagent_export_failures_total", "How often records could not be exported, and were tried again.")?,
            )?,
            waiting: registered(
                registry,
                IntGauge::new("infraagent_export_waiting_runs", "Runs that may have something new for the receiver.")?,
            )?,
        })
    }
}

impl Metrics {
    /// The receiver has taken an item.
    pub fn exported(&self, kind: Kind) {
        self.0.export.items.with_label_values(&[kind.as_str()]).inc();
    }

    /// Something could not be exported.
    pub fn export_failed(&self) {
        self.0.export.failures.inc();
    }

    /// So many runs may have something new.
    pub fn export_waits(&self, runs: usize) {
        self.0.export.waiting.set(i64::try_from(runs).unwrap_or(i64::MAX));
    }
}
