//! Holds the records of runs against the API server's own account of what was asked of it. The two know nothing of each other but the id of an intent, `<uid of the
//! run>/<number of the entry>`, which every changing request carries.

use std::collections::BTreeMap;

use infraagent_api::{AgentRun, run::ActionStatus};
use infraagent_tests::AuditEvent;
use kube::ResourceExt as _;

use crate::lab::{Lab, actions, ending, has_ended, phase};

/// What was counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) runs: usize,
    pub(crate) failed_runs: usize,
    pub(crate) executed: usize,
    pub(crate) failed: usize,
    pub(crate) unknown: usize,
    /// Of the unknown ones, those that happened.
    pub(crate) happened: usize,
}

/// Checks every run of the lab. All must be over.
///
/// # Panics
///
/// If a run is not over, if anything happened that is not recorded, twice, or otherwise than it is recorded.
pub(crate) async fn check(lab: &Lab<'_>) -> Tally {
    let runs = lab.all_runs().await;
    let open: Vec<_> = runs.iter().filter(|run| !has_ended(run)).map(|run| (run.name_any(), phase(run))).collect();
    assert!(open.is_empty(), "runs that did not end: {open:?}");
    compare(&runs, &changes(lab).await)
}

/// How many runs ended for which reason.
pub(crate) async fn endings(lab: &Lab<'_>) -> BTreeMap<String, usize> {
    let mut endings = BTreeMap::new();
    for run in lab.all_runs().await {
        let (phase, reason) = ending(&run);
        *endings.entry(format!("{phase} {reason}")).or_default() += 1;
    }
    endings
}

/// The changing requests of agents of this lab, by the id of their intent: the statuses they were answered with.
async fn changes(lab: &Lab<'_>) -> BTreeMap<String, Vec<u16>> {
    let account = format!("system:serviceaccount:{}:{}", lab.namespace, crate::lab::ACCOUNT);
    let is_change = |event: &AuditEvent| {
        let by_agent = event.impersonated_user.as_ref().is_some_and(|user| user.username == account);
        // The API server also notes the impersonation as such.
        by_agent && event.is_mutation() && event.verb != "impersonate" && !event.request_uri.contains("dryRun")
    };
    let mut changes = BTreeMap::<String, Vec<u16>>::new();
    for event in lab.plane.audit_events().await.iter().filter(|event| is_change(event)) {
        let intent = event.intent().unwrap_or_else(|| panic!("a change without an intent: {event:?}"));
        changes.entry(intent.to_owned()).or_default().push(event.code());
    }
    changes
}

fn compare(runs: &[AgentRun], changes: &BTreeMap<String, Vec<u16>>) -> Tally {
    let mut tally = Tally { runs: runs.len(), ..Tally::default() };
    let mut intents = BTreeMap::new();
    for run in runs {
        tally.failed_runs += usize::from(phase(run) == infraagent_api::run::RunPhase::Failed);
        for entry in actions(run) {
            intents.insert(format!("{}/{}", run.uid().unwrap(), entry.seq), (run, entry));
        }
    }
    for (intent, codes) in changes {
        assert!(intents.contains_key(intent), "{intent} happened and stands in no record: {codes:?}");
        assert_eq!(codes.len(), 1, "{intent} was sent more than once: {codes:?}");
    }
    for (intent, (run, entry)) in &intents {
        let shown = || format!("{} {intent}: {entry:?}", run.name_any());
        let codes = changes.get(intent).map_or(&[] as &[u16], Vec::as_slice);
        let success = codes.iter().any(|code| (200..300).contains(code));
        // If who asked is killed before it has its answer, the API server notes that it gave none (504), whether it wrote or not.
        let nobody_knows = codes.iter().any(|code| *code == 0 || *code >= 500);
        // The one proof that is looked for in the cluster itself.
        let marked = entry.result.as_deref().is_some_and(|result| result.starts_with("its mark is on "));
        // What never was decided to be sent has no version of its target.
        let permitted = entry.object_version.is_some();
        match entry.status {
            ActionStatus::Executed if permitted => {
                assert!(success || (nobody_knows && marked), "it is recorded and did not happen: {} {codes:?}", shown());
                tally.executed += 1;
            }
            ActionStatus::Failed if permitted => {
                assert!(!success && !nobody_knows, "it is recorded as failed and may have happened: {} {codes:?}", shown());
                tally.failed += 1;
            }
            ActionStatus::Unknown if permitted => {
                tally.unknown += 1;
                tally.happened += usize::from(success);
            }
            ActionStatus::Intended => panic!("a run is over and nobody says what became of {}", shown()),
            ActionStatus::Blocked | ActionStatus::Skipped | ActionStatus::Executed | ActionStatus::Failed | ActionStatus::Unknown => {
                assert!(codes.is_empty(), "it was not to happen, and was sent: {} {codes:?}", shown());
            }
        }
    }
    tally
}
