//! What an agent may read of its own product: names, phases, times, usage and counts. Never what a run said or found, so that no run instructs a later one.

use serde_json::{Value, json};

use super::keep;
use crate::broker::object;

const META: [&str; 7] = [
    "apiVersion",
    "kind",
    "metadata/name",
    "metadata/namespace",
    "metadata/uid",
    "metadata/creationTimestamp",
    "metadata/deletionTimestamp",
];

/// The fixed projection. Kinds other than agents and runs keep their name only.
pub(super) fn fixed(value: &Value) -> Value {
    let paths: &[&str] = match object::kind(value) {
        "InfraAgent" => &[
            "status/phase",
            "status/lastRunTime",
            "status/nextRunTime",
            "status/lastRunName",
            "status/runCount",
            "status/consecutiveFailures",
        ],
        "AgentRun" => &[
            "spec/agentRef",
            "status/phase",
            "status/startTime",
            "status/completionTime",
            "status/sequence",
            "status/usage",
            "status/guardrails/checksPerformed",
            "status/guardrails/actionsBlocked",
            "status/guardrails/escalationsTriggered",
        ],
        _ => &["metadata/name"],
    };
    let all: Vec<&str> = META.iter().chain(paths).copied().collect();
    let mut fixed = keep(value, &all);
    if object::kind(value) == "AgentRun"
        && let Some(status) =
            fixed.as_object_mut().map(|run| run.entry("status").or_insert_with(|| json!({}))).and_then(Value::as_object_mut)
    {
        status.insert("actionCount".to_owned(), json!(object::items(value, "/status/actions").len()));
        for severity in ["critical", "warning", "info"] {
            let count = object::items(value, "/status/findings").iter().filter(|f| object::text(f, "/severity") == severity).count();
            status.insert(format!("{severity}Findings"), json!(count));
        }
    }
    fixed
}
