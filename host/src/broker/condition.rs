//! What `wait` waits for, read from an object. The same for every executor.

use infraagent_guard::call::Condition;
use serde_json::Value;

use super::object;

/// Whether `object` (none: it does not exist) is as wished. The error says which kinds have that condition.
pub(crate) fn reached(condition: Condition, object: Option<&Value>) -> Result<bool, String> {
    let Some(object) = object else { return Ok(condition == Condition::Gone) };
    let kind = object::kind(object);
    match condition {
        Condition::Gone => Ok(false),
        Condition::Ready => Ok(ready(kind, object)),
        Condition::RolledOut => {
            rolled_out(kind, object).ok_or_else(|| format!("`{kind}` has no rollout: wait for `ready`, `completed` or `gone`"))
        }
        Condition::Completed => match kind {
            "Job" => Ok(object::condition(object, "Complete")),
            "Pod" => Ok(object::text(object, "/status/phase") == "Succeeded"),
            _ => Err(format!("`{kind}` does not complete: only jobs and pods do")),
        },
    }
}

fn observed(object: &Value) -> bool {
    let generation = object::number(object, "/metadata/generation");
    generation.is_none_or(|generation| object::number(object, "/status/observedGeneration").is_some_and(|seen| seen >= generation))
}

fn status(object: &Value, field: &str) -> i64 {
    object::number(object, &format!("/status/{field}")).unwrap_or(0)
}

fn ready(kind: &str, object: &Value) -> bool {
    let wanted = object::number(object, "/spec/replicas").unwrap_or(1);
    match kind {
        "Deployment" => observed(object) && status(object, "availableReplicas") >= wanted,
        "ReplicaSet" | "StatefulSet" => observed(object) && status(object, "readyReplicas") >= wanted,
        "DaemonSet" => observed(object) && status(object, "numberReady") >= status(object, "desiredNumberScheduled"),
        _ => object::condition(object, "Ready"),
    }
}

fn rolled_out(kind: &str, object: &Value) -> Option<bool> {
    let wanted = object::number(object, "/spec/replicas").unwrap_or(1);
    let done = match kind {
        "Deployment" => {
            status(object, "updatedReplicas") >= wanted
                && status(object, "availableReplicas") >= wanted
                && status(object, "replicas") <= status(object, "updatedReplicas")
        }
        "StatefulSet" => status(object, "updatedReplicas") >= wanted && status(object, "readyReplicas") >= wanted,
        "DaemonSet" => {
            let desired = status(object, "desiredNumberScheduled");
            status(object, "updatedNumberScheduled") >= desired && status(object, "numberReady") >= desired
        }
        _ => return None,
    };
    Some(done && observed(object))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_ends_when_the_newest_revision_is_everywhere() {
        let deployment = |observed: i64, updated: i64, replicas: i64, available: i64| {
            json!({
                "kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2},
                "status": {"observedGeneration": observed, "updatedReplicas": updated, "replicas": replicas, "availableReplicas": available},
            })
        };
        for (object, expected) in [
            (deployment(2, 2, 2, 2), true),
            (deployment(1, 2, 2, 2), false),
            (deployment(2, 1, 2, 2), false),
            (deployment(2, 2, 3, 2), false),
            (deployment(2, 2, 2, 1), false),
        ] {
            assert_eq!(reached(Condition::RolledOut, Some(&object)), Ok(expected), "{object}");
        }
    }

    #[test]
    fn what_a_kind_does_not_have_cannot_be_waited_for() {
        let service = json!({"kind": "Service"});
        assert!(reached(Condition::RolledOut, Some(&service)).is_err());
        assert!(reached(Condition::Completed, Some(&service)).is_err());
        assert_eq!(reached(Condition::Gone, Some(&service)), Ok(false));
        assert_eq!(reached(Condition::Gone, None), Ok(true));
        assert_eq!(reached(Condition::Ready, None), Ok(false));
    }
}
