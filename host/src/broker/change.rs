//! What each verb writes: pure, the same for every executor. One effect is one request; the host owns every key and value in it.

use infraagent_guard::call::{Effect, Sync};
use infraagent_sandbox::broker::CallError;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::object;

/// Who writes, and when: goes into what a restart leaves behind, so that a lost outcome can be resolved by looking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark<'a> {
    /// Uid of the run.
    pub(crate) run: &'a str,
    /// The entry of the record.
    pub(crate) seq: u32,
    /// The time.
    pub(crate) now: Timestamp,
}

/// On the pod template of a restarted workload: `<run uid>/<entry>`.
pub(crate) const RESTARTED_BY: &str = "infraagent.io/restarted-by";
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The JSON merge patch of a verb that patches. None for evict, delete and rollback (their requests have no patch of this form) and beyond the cluster.
pub(crate) fn merge_patch(effect: &Effect, mark: &Mark<'_>) -> Option<Value> {
    // An absent flag and `false` are the same: `null` removes it.
    let flag = |set: bool| if set { json!(true) } else { Value::Null };
    match effect {
        Effect::Restart(_) => {
            let by = format!("{}/{}", mark.run, mark.seq);
            let annotations = json!({RESTARTED_AT: mark.now.to_string(), RESTARTED_BY: by});
            Some(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}))
        }
        Effect::Scale(scale) => Some(json!({"spec": {"replicas": scale.replicas}})),
        Effect::Pause(_, _, paused) => Some(json!({"spec": {"paused": flag(*paused)}})),
        Effect::Cordon(_, unschedulable) => Some(json!({"spec": {"unschedulable": flag(*unschedulable)}})),
        Effect::RequestSync(sync, _, _) => {
            let (key, value) = match sync {
                Sync::FluxKustomization | Sync::FluxHelmRelease => ("reconcile.fluxcd.io/requestedAt", mark.now.to_string()),
                Sync::ArgoApplication => ("argocd.argoproj.io/refresh", "normal".to_owned()),
                Sync::ExternalSecret => ("force-sync", mark.now.as_second().to_string()),
            };
            Some(json!({"metadata": {"annotations": {key: value}}}))
        }
        Effect::Evict(..) | Effect::Delete(_) | Effect::Rollback(..) | Effect::Http(_) | Effect::Mcp(_) => None,
    }
}

/// What makes no sense on the object as it is.
pub(crate) fn refuse(effect: &Effect, live: &Value) -> Result<(), CallError> {
    let paused = live.pointer("/spec/paused").and_then(Value::as_bool) == Some(true);
    let rolls = matches!(effect, Effect::Restart(_) | Effect::Rollback(..));
    if rolls && paused {
        return Err(CallError::Invalid(format!("deployment `{}` is paused: resume it first", object::name(live))));
    }
    Ok(())
}

/// When it makes sense to ask for an eviction again.
const EVICTION_RETRY_MS: u32 = 10_000;

/// A disruption budget stands in the way of an eviction.
pub(crate) fn disruption_budget(pod: &str) -> CallError {
    CallError::Unavailable {
        message: format!("a disruption budget allows no eviction of pod `{pod}` now"),
        retry_after_ms: Some(EVICTION_RETRY_MS),
    }
}

/// More budgets than the Eviction API can weigh: nothing was done.
pub(crate) fn too_many_budgets(pod: &str) -> CallError {
    CallError::Unavailable {
        message: format!("pod `{pod}` has more than one disruption budget, which the Eviction API does not support"),
        retry_after_ms: None,
    }
}

/// On a Deployment and its replica sets: the number of the revision.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
/// On what belongs to a replica set: which template it has.
pub(crate) const HASH: &str = "pod-template-hash";

/// The revision that an object is annotated with.
pub(crate) fn revision(value: &Value) -> u64 {
    object::annotation(value, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The template without the label that the controller adds.
pub(crate) fn template(value: &Value) -> Value {
    let mut template = value.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    if let Some(metadata) = template.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
    template
}

/// Applies a JSON merge patch (RFC 7386).
pub(crate) fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    if let Some(fields) = into.as_object_mut() {
        for (key, value) in patch {
            if value.is_null() {
                fields.remove(key);
            } else {
                merge(fields.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_follows_the_standard() {
        for (original, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [1]}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
            (json!({}), json!({"a": {"bb": {"c": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut value = original;
            merge(&mut value, &patch);
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn every_sync_has_the_annotation_of_its_tool_and_no_other() {
        let mark = Mark { run: "r", seq: 1, now: Timestamp::UNIX_EPOCH };
        let (namespace, name) =
            (infraagent_guard::name::Namespace::parse("n").unwrap(), infraagent_guard::name::ObjectName::parse("x").unwrap());
        for sync in Sync::ALL {
            let patch = merge_patch(&Effect::RequestSync(*sync, namespace.clone(), name.clone()), &mark).unwrap();
            let annotations = patch["metadata"]["annotations"].as_object().unwrap();
            assert_eq!((patch.as_object().unwrap().len(), annotations.len()), (1, 1));
            let key = annotations.keys().next().unwrap();
            assert!(["reconcile.fluxcd.io/requestedAt", "argocd.argoproj.io/refresh", "force-sync"].contains(&key.as_str()), "{key}");
        }
    }
}
