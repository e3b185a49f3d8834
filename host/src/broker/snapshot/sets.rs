//! Stateful sets and daemon sets: pods that keep their names and claims, and pods that belong to nodes.

use infraagent_guard::name::GroupResource;
use serde_json::{Value, json};

use super::{
    pods::{self, Model},
    rollout::word,
    store::{Key, Store, digest, set},
};
use crate::broker::object;

const REVISION: &str = "controller-revision-hash";

fn hash(workload: &Value) -> String {
    let template = workload.pointer("/spec/template").cloned().unwrap_or_default();
    format!("{}-{}", object::name(workload), word(&digest(&[&template.to_string()]), 10))
}

/// The revision that pods should have. A loaded set has the one of its status until its template changes.
fn wanted_revision(store: &Store, workload: &Value) -> String {
    let known = object::text(workload, "/status/updateRevision");
    if known.is_empty() || store.is_changed(object::uid(workload)) { hash(workload) } else { known.to_owned() }
}

fn is_current(pod: &Value, revision: &str) -> bool {
    // A pod of a hand-written snapshot has no such label: it is as its set was loaded.
    object::label(pod, REVISION).is_none_or(|label| label == revision)
}

/// Whether the pods have to follow the template. A hand-written pod without a revision follows once its template has changed.
fn is_stale(store: &Store, workload: &Value, pod: &Value, revision: &str) -> bool {
    if object::label(pod, REVISION).is_none() { store.is_changed(object::uid(workload)) } else { !is_current(pod, revision) }
}

/// Brings a StatefulSet to rest: surplus pods go from the highest ordinal (their claims too, if the set says so), then pods follow the template from the highest
/// ordinal until one does not become ready.
pub(super) fn stateful(store: &mut Store, key: &Key) {
    let Some(workload) = store.get(key).cloned() else { return };
    let start = object::number(&workload, "/spec/ordinals/start").unwrap_or(0);
    let wanted = object::number(&workload, "/spec/replicas").unwrap_or(1);
    let revision = wanted_revision(store, &workload);
    let model = Model::of(store, object::uid(&workload));
    let pod_key = |ordinal: i64| Key {
        kind: GroupResource::new("", "pods").unwrap_or_else(|_| key.kind.clone()),
        namespace: key.namespace.clone(),
        name: format!("{}-{ordinal}", key.name),
    };
    let ordinal = |key: &Key| key.name.rsplit_once('-').and_then(|(_, n)| n.parse::<i64>().ok());
    let mut surplus: Vec<Key> = pods::owned(store, "", "pods", object::uid(&workload)).into_iter().map(|(key, _)| key).collect();
    surplus.retain(|key| ordinal(key).is_none_or(|n| n < start || n >= start + wanted));
    surplus.sort_by_key(|key| std::cmp::Reverse(ordinal(key)));
    for pod in surplus {
        store.delete(&pod);
        if object::text(&workload, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled") == "Delete" {
            for claim in claims_of(&workload, &pod) {
                super::collect::delete(store, &claim);
            }
        }
    }
    let mut rolling = object::text(&workload, "/spec/updateStrategy/type") != "OnDelete";
    for n in (start..start + wanted).rev() {
        let pod = pod_key(n);
        if rolling && store.get(&pod).is_some_and(|found| is_stale(store, &workload, found, &revision)) {
            store.delete(&pod);
        }
        if store.get(&pod).is_none() {
            create_stateful_pod(store, &workload, &pod, &revision, &model.clone().after_restart(&workload));
        }
        let current = |pod: &Value| !is_stale(store, &workload, pod, &revision);
        rolling &= store.get(&pod).is_none_or(|pod| !current(pod) || pods::is_ready(pod));
    }
    report_stateful(store, key, &revision);
}

fn create_stateful_pod(store: &mut Store, workload: &Value, pod: &Key, revision: &str, model: &Model) {
    let mut template = workload.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    let mut volumes = object::items(&template, "/spec/volumes").to_vec();
    for (claim, template) in claims_of(workload, pod).into_iter().zip(object::items(workload, "/spec/volumeClaimTemplates")) {
        volumes.push(json!({"name": object::name(template), "persistentVolumeClaim": {"claimName": claim.name}}));
        pods::claim(store, claim, template, None);
    }
    if !volumes.is_empty() {
        set(&mut template, "spec", "volumes", json!(volumes));
    }
    let index = pod.name.rsplit_once('-').map_or("", |(_, n)| n);
    let labels = [(REVISION, revision), ("statefulset.kubernetes.io/pod-name", pod.name.as_str()), ("apps.kubernetes.io/pod-index", index)];
    pods::create(store, workload, &template, &pod.name, &labels, model);
}

/// The claims that belong to a pod of a StatefulSet by name, in the order of the templates.
pub(super) fn claims_of(workload: &Value, pod: &Key) -> Vec<Key> {
    let Ok(kind) = GroupResource::new("", "persistentvolumeclaims") else { return Vec::new() };
    let templates = object::items(workload, "/spec/volumeClaimTemplates");
    let claim =
        |template| Key { kind: kind.clone(), namespace: pod.namespace.clone(), name: format!("{}-{}", object::name(template), pod.name) };
    templates.iter().map(claim).collect()
}

fn report_stateful(store: &mut Store, key: &Key, revision: &str) {
    let Some(workload) = store.get(key).cloned() else { return };
    let now: Vec<Value> = pods::owned(store, "", "pods", object::uid(&workload)).into_iter().map(|(_, pod)| pod).collect();
    let ready = now.iter().filter(|pod| pods::is_ready(pod)).count();
    let updated = now.iter().filter(|pod| !is_stale(store, &workload, pod, revision)).count();
    let old = object::text(&workload, "/status/currentRevision").to_owned();
    let current = if updated == now.len() || old.is_empty() { revision.to_owned() } else { old };
    store.update(key, |value| {
        let generation = object::number(value, "/metadata/generation").unwrap_or(1);
        let currents = if current == revision { updated } else { now.len().saturating_sub(updated) };
        for (field, to) in [
            ("observedGeneration", json!(generation)),
            ("replicas", json!(now.len())),
            ("readyReplicas", json!(ready)),
            ("availableReplicas", json!(ready)),
            ("updatedReplicas", json!(updated)),
            ("currentReplicas", json!(currents)),
            ("updateRevision", json!(revision)),
            ("currentRevision", json!(current)),
        ] {
            set(value, "status", field, to);
        }
    });
}

/// Brings a DaemonSet to rest: each of its nodes keeps one pod; pods follow the template one by one until one does not become ready.
pub(super) fn daemon(store: &mut Store, key: &Key) {
    let Some(workload) = store.get(key).cloned() else { return };
    let revision = hash(&workload);
    let model = Model::of(store, object::uid(&workload));
    let template = workload.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    let desired = object::number(&workload, "/status/desiredNumberScheduled").and_then(|n| usize::try_from(n).ok());
    let before = pods::owned(store, "", "pods", object::uid(&workload));
    let mut replace: Vec<Option<String>> = Vec::new();
    let on_delete = object::text(&workload, "/spec/updateStrategy/type") == "OnDelete";
    let (stale, current): (Vec<_>, Vec<_>) = before.iter().partition(|(_, pod)| is_stale(store, &workload, pod, &revision));
    let stuck = current.iter().any(|(_, pod)| !pods::is_ready(pod));
    let at_once = if on_delete || stuck {
        0
    } else if model.clone().after_restart(&workload).is_healthy() {
        stale.len()
    } else {
        1
    };
    for (pod, value) in stale.into_iter().take(at_once) {
        store.delete(pod);
        replace.push(Some(object::text(value, "/spec/nodeName").to_owned()));
    }
    let lost = desired.map_or(0, |desired| desired.saturating_sub(before.len()));
    let node = store.last_pod_of(object::uid(&workload)).map(|pod| object::text(pod, "/spec/nodeName").to_owned());
    replace.extend((0..lost).map(|_| node.clone()));
    let mut salt = 0u32;
    for node in replace {
        let mut next = model.clone().after_restart(&workload);
        if let (Some(node), Some(pod)) = (&node, next.pod.as_mut()) {
            set(pod, "spec", "nodeName", json!(node));
        }
        loop {
            let name = format!("{}-{}", key.name, word(&digest(&[object::uid(&workload), &revision, &salt.to_string()]), 5));
            salt = salt.saturating_add(1);
            let pod =
                Key { kind: GroupResource::new("", "pods").unwrap_or_else(|_| key.kind.clone()), namespace: key.namespace.clone(), name };
            if !store.was_used(&pod) {
                pods::create(store, &workload, &template, &pod.name, &[(REVISION, &revision)], &next);
                if let Some(node) = node.filter(|node| !node.is_empty()) {
                    store.update(&pod, |pod| set(pod, "spec", "nodeName", json!(node)));
                }
                break;
            }
        }
    }
    let now: Vec<Value> = pods::owned(store, "", "pods", object::uid(&workload)).into_iter().map(|(_, pod)| pod).collect();
    let ready = now.iter().filter(|pod| pods::is_ready(pod)).count();
    let updated = now.iter().filter(|pod| !is_stale(store, &workload, pod, &revision)).count();
    store.update(key, |value| {
        let generation = object::number(value, "/metadata/generation").unwrap_or(1);
        for (field, to) in [
            ("observedGeneration", json!(generation)),
            ("desiredNumberScheduled", json!(desired.unwrap_or(now.len()))),
            ("currentNumberScheduled", json!(now.len())),
            ("updatedNumberScheduled", json!(updated)),
            ("numberReady", json!(ready)),
            ("numberAvailable", json!(ready)),
            ("numberUnavailable", json!(desired.unwrap_or(now.len()).saturating_sub(ready))),
        ] {
            set(value, "status", field, to);
        }
    });
}
