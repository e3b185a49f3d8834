//! How long runs have waited, whatever happens to the wall clock meanwhile.
//!
//! A run whose creation this leader saw has waited since then, by the clock that cannot jump. Of one that was there before only the time of its creation is known,
//! so its wait begins with what the wall clock says at that moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use infraagent_api::AgentRun;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::assign::created;

/// Since when runs have been waiting.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<String, Since>>);

#[derive(Debug, Clone, Copy)]
struct Since {
    /// When it was first looked at.
    seen: Duration,
    /// How long it had waited by then.
    before: Duration,
}

impl Waiting {
    /// These runs were there when this leader began.
    pub(super) fn new(found: &[Arc<AgentRun>], now: Timestamp, elapsed: Duration) -> Self {
        let since = |run: &Arc<AgentRun>| {
            let before = Duration::try_from(now.duration_since(created(run))).unwrap_or_default();
            Some((run.uid()?, Since { seen: elapsed, before }))
        };
        Self(Mutex::new(found.iter().filter_map(since).collect()))
    }

    /// How long this run has waited.
    pub(super) fn waited(&self, run: &AgentRun, elapsed: Duration) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = all.entry(run.uid().unwrap_or_default()).or_insert(Since { seen: elapsed, before: Duration::ZERO });
        since.before + elapsed.saturating_sub(since.seen)
    }

    /// Nothing else waits any more.
    pub(super) fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn run(uid: &str, second: i64) -> Arc<AgentRun> {
        let created = Timestamp::from_second(second).unwrap().to_string();
        let spec = json!({ "agentRef": "a", "environmentRef": "e", "trigger": "manual" });
        let metadata = json!({ "name": uid, "uid": uid, "creationTimestamp": created });
        Arc::new(
            serde_json::from_value(
                json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": metadata, "spec": spec }),
            )
            .unwrap(),
        )
    }

    #[test]
    fn what_was_there_before_has_waited_before() {
        let (old, ahead) = (run("old", 1000), run("ahead", 5000));
        let waiting = Waiting::new(&[Arc::clone(&old), Arc::clone(&ahead)], Timestamp::from_second(1500).unwrap(), SECOND * 10);
        assert_eq!(waiting.waited(&old, SECOND * 12), SECOND * 502);
        assert_eq!(waiting.waited(&ahead, SECOND * 12), SECOND * 2, "a clock that is behind makes nobody wait for longer");
    }

    #[test]
    fn what_came_later_is_measured_by_the_clock_that_cannot_jump() {
        let waiting = Waiting::new(&[], Timestamp::from_second(0).unwrap(), SECOND);
        // By the wall clock of this machine it was created hours ago, or will be.
        for (uid, second) in [("past", -7200), ("future", 7200)] {
            let run = run(uid, second);
            assert_eq!(waiting.waited(&run, SECOND * 5), Duration::ZERO);
            assert_eq!(waiting.waited(&run, SECOND * 9), SECOND * 4);
        }
        waiting.forget("past");
        assert_eq!(waiting.waited(&run("past", 0), SECOND * 20), Duration::ZERO);
    }
}
