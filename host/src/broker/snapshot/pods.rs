//! Pods that a controller makes: from a template, and as healthy as the pods before them.
//!
//! A new pod copies the health of the newest template's pods. The annotation [`AFTER_RESTART`] on a workload of a snapshot says otherwise: `healthy` (a restart cures
//! it) or `unchanged` (the default).

use std::collections::BTreeMap;

use infraagent_guard::name::GroupResource;
use serde_json::{Value, json};

use super::store::{Key, Store, set};
use crate::broker::object;

/// Only in snapshots.
pub(super) const AFTER_RESTART: &str = "snapshot.infraagent.io/after-restart";

/// What the pods of a controller look like, for those to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// A pod to take after; none: healthy.
    pub(super) pod: Option<Value>,
}

impl Model {
    /// From the pods of a controller: one that is not ready tells more than one that is. Without any, the last that went.
    pub(super) fn of(store: &Store, controller: &str) -> Self {
        let pods = owned(store, "", "pods", controller);
        let bad = pods.iter().find(|(_, pod)| !is_ready(pod));
        let pod = bad.or(pods.first()).map(|(_, pod)| pod.clone()).or_else(|| store.last_pod_of(controller).cloned());
        Self { pod }
    }

    /// As a restart of this workload leaves it.
    pub(super) fn after_restart(self, workload: &Value) -> Self {
        if object::annotation(workload, AFTER_RESTART) == Some("healthy") { Self { pod: None } } else { self }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.pod.as_ref().is_none_or(is_ready)
    }
}

/// Objects of a kind that have this uid among their owners, sorted by name.
pub(super) fn owned(store: &Store, group: &str, resource: &str, uid: &str) -> Vec<(Key, Value)> {
    let Ok(kind) = GroupResource::new(group, resource) else { return Vec::new() };
    let mine = store.list(&kind, None).filter(|(_, value)| object::is_owned_by(value, uid));
    mine.map(|(key, value)| (key.clone(), value.clone())).collect()
}

pub(super) fn is_ready(pod: &Value) -> bool {
    !object::is_terminating(pod) && object::condition(pod, "Ready")
}

/// Runs, or will: neither over nor ending.
pub(super) fn is_active(pod: &Value) -> bool {
    !object::is_terminating(pod) && !matches!(object::text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// A reference to the controller.
pub(super) fn controlled_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": object::text(owner, "/apiVersion"), "kind": object::kind(owner), "name": object::name(owner), "uid": object::uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    }])
}

/// Makes a pod from a template.
pub(super) fn create(store: &mut Store, owner: &Value, template: &Value, name: &str, extra_labels: &[(&str, &str)], model: &Model) {
    let Ok(kind) = GroupResource::new("", "pods") else { return };
    let namespace = object::namespace(owner).to_owned();
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}});
    for part in ["labels", "annotations"] {
        if let Some(values) = template.pointer("/metadata").and_then(|m| m.get(part)) {
            set(&mut pod, "metadata", part, values.clone());
        }
    }
    set(&mut pod, "metadata", "ownerReferences", controlled_by(owner));
    if let Some(labels) =
        pod.pointer_mut("/metadata").and_then(Value::as_object_mut).map(|m| m.entry("labels").or_insert_with(|| json!({})))
        && let Some(labels) = labels.as_object_mut()
    {
        labels.extend(extra_labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    }
    let mut spec = template.get("spec").cloned().unwrap_or_else(|| json!({}));
    if let (Some(node), Some(spec)) = (node_for(store, model), spec.as_object_mut()) {
        spec.insert("nodeName".to_owned(), json!(node));
    }
    let status = status(&spec, model, &store.now().to_string());
    if let Some(pod) = pod.as_object_mut() {
        pod.insert("spec".to_owned(), spec);
        pod.insert("status".to_owned(), status);
    }
    let key = Key { kind, namespace, name: name.to_owned() };
    if store.create(key.clone(), pod) {
        if let Some(like) = model.pod.as_ref().filter(|like| !is_ready(like)) {
            let like = object::name(like).to_owned();
            store.logs_like(&key, &like);
        }
        ephemeral_claims(store, &key);
    }
}

/// Where the model ran, else the first node that takes pods. A model that found no node leaves the new pod without one.
fn node_for(store: &Store, model: &Model) -> Option<String> {
    if let Some(pod) = &model.pod {
        return Some(object::text(pod, "/spec/nodeName").to_owned()).filter(|node| !node.is_empty());
    }
    let kind = GroupResource::new("", "nodes").ok()?;
    let open = |node: &Value| node.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true);
    store.list(&kind, None).find(|(_, node)| open(node)).map(|(key, _)| key.name.clone())
}

fn status(spec: &Value, model: &Model, now: &str) -> Value {
    if let Some(pod) = model.pod.as_ref().filter(|_| !model.is_healthy()) {
        let mut status = pod.get("status").cloned().unwrap_or_else(|| json!({"phase": "Pending"}));
        if let Some(status) = status.as_object_mut() {
            status.remove("podIP");
            status.remove("podIPs");
        }
        return status;
    }
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let containers: Vec<Value> = object::items(spec, "/containers")
        .iter()
        .map(|container| {
            json!({
                "name": object::text(container, "/name"), "image": object::text(container, "/image"), "ready": true, "started": true, "restartCount": 0,
                "state": {"running": {"startedAt": now}}, "lastState": {},
            })
        })
        .collect();
    json!({
        "phase": "Running", "startTime": now, "containerStatuses": containers,
        "conditions": [condition("PodScheduled"), condition("Initialized"), condition("ContainersReady"), condition("Ready")],
    })
}

/// A generic ephemeral volume is a claim that belongs to its pod.
fn ephemeral_claims(store: &mut Store, key: &Key) {
    let (Some(pod), Ok(kind)) = (store.get(key).cloned(), GroupResource::new("", "persistentvolumeclaims")) else { return };
    for volume in object::items(&pod, "/spec/volumes") {
        let Some(template) = volume.pointer("/ephemeral/volumeClaimTemplate") else { continue };
        let name = format!("{}-{}", key.name, object::text(volume, "/name"));
        claim(store, Key { kind: kind.clone(), namespace: key.namespace.clone(), name }, template, Some(&pod));
    }
}

/// Makes a claim from a template.
pub(super) fn claim(store: &mut Store, key: Key, template: &Value, owner: Option<&Value>) {
    let mut metadata = json!({"name": key.name, "namespace": key.namespace, "finalizers": ["kubernetes.io/pvc-protection"]});
    if let (Some(owner), Some(metadata)) = (owner, metadata.as_object_mut()) {
        metadata.insert("ownerReferences".to_owned(), controlled_by(owner));
    }
    let spec = template.get("spec").cloned().unwrap_or_else(|| json!({}));
    store.create(
        key,
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec, "status": {"phase": "Bound"}}),
    );
}

/// Pods of a controller that have all these labels.
pub(super) fn matches(labels: Option<&Value>, pod: &Value) -> bool {
    let wanted: BTreeMap<&str, &str> = labels
        .and_then(Value::as_object)
        .map(|m| m.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_str()?))).collect())
        .unwrap_or_default();
    wanted.iter().all(|(key, value)| object::label(pod, key) == Some(value))
}
