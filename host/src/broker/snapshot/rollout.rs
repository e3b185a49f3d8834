//! Deployments and their replica sets: one step from the spec to where a rollout ends, or to where it gets stuck.

use infraagent_guard::name::GroupResource;
use serde_json::{Value, json};

use super::{
    pods::{self, Model},
    store::{Key, Store, digest, set},
};
use crate::broker::{
    change::{HASH, REVISION, revision, template},
    object,
};

/// Brings a Deployment to rest.
pub(super) fn deployment(store: &mut Store, key: &Key) {
    let Some(deployment) = store.get(key).cloned() else { return };
    let wanted = count(&deployment);
    let paused = deployment.pointer("/spec/paused").and_then(Value::as_bool) == Some(true);
    let mut sets = pods::owned(store, "apps", "replicasets", object::uid(&deployment));
    let newest = sets.iter().max_by_key(|(_, set)| revision(set)).cloned();
    let current = sets.iter().find(|(_, set)| template(set) == template(&deployment)).map(|(key, _)| key.clone());
    // The current set, what its pods look like, and what the pods look like that are still to come.
    let (current, before, model) = match (current, newest) {
        // Held back: only the number of pods follows.
        (None, Some((newest, set))) if paused => {
            let model = Model::of(store, object::uid(&set));
            (newest, model.clone(), model)
        }
        (None, newest) => {
            let model = newest.map(|(_, set)| Model::of(store, object::uid(&set))).unwrap_or_default().after_restart(&deployment);
            (create_set(store, key, &deployment), model.clone(), model)
        }
        (Some(current), _) => {
            let before = store.get(&current).map(|set| Model::of(store, object::uid(set))).unwrap_or_default();
            (current, before.clone(), before.after_restart(&deployment))
        }
    };
    if !paused {
        number_revision(store, key, &current);
    }
    sets = pods::owned(store, "apps", "replicasets", object::uid(&deployment));
    let ready: i64 = sets.iter().filter(|(k, _)| *k != current).map(|(_, set)| ready_pods(store, set)).sum();
    let (mut keep, new) = shares(&deployment, wanted, ready, before.is_healthy());
    resize(store, &current, new, &model);
    // What works is kept longest, the newest revision first.
    let mut old: Vec<(Key, Value)> = sets.into_iter().filter(|(k, _)| *k != current).collect();
    old.sort_by_key(|(_, set)| std::cmp::Reverse(revision(set)));
    for (key, set) in old {
        let share = ready_pods(store, &set).min(keep);
        keep -= share;
        resize(store, &key, share, &Model::default());
    }
    trim(store, &deployment, &current);
    report(store, key, &current);
}

fn count(workload: &Value) -> i64 {
    object::number(workload, "/spec/replicas").unwrap_or(1)
}

fn ready_pods(store: &Store, set: &Value) -> i64 {
    let ready = pods::owned(store, "", "pods", object::uid(set)).iter().filter(|(_, pod)| pods::is_ready(pod)).count();
    i64::try_from(ready).unwrap_or(i64::MAX)
}

/// How many ready pods of old revisions stay, and how many new ones there are. New pods that do not become ready stop a rolling update at its bounds.
fn shares(deployment: &Value, wanted: i64, old_ready: i64, healthy: bool) -> (i64, i64) {
    if healthy || object::text(deployment, "/spec/strategy/type") == "Recreate" {
        return (0, wanted);
    }
    let bound = |field: &str, up: bool| {
        let value = deployment.pointer(&format!("/spec/strategy/rollingUpdate/{field}"));
        portion(value.unwrap_or(&json!("25%")), wanted, up)
    };
    let (surge, mut unavailable) = (bound("maxSurge", true), bound("maxUnavailable", false));
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    let keep = old_ready.min((wanted - unavailable).max(0));
    (keep, (wanted + surge - keep).clamp(0, wanted))
}

/// A number, or a percentage of `whole`.
pub(super) fn portion(value: &Value, whole: i64, up: bool) -> i64 {
    match value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|percent| percent.parse::<i64>().ok()) {
        Some(percent) => {
            let exact = whole.saturating_mul(percent);
            if up { exact.saturating_add(99) / 100 } else { exact / 100 }
        }
        None => value.as_i64().unwrap_or(0),
    }
}

fn create_set(store: &mut Store, key: &Key, deployment: &Value) -> Key {
    let template = template(deployment);
    let hash = word(&digest(&[object::uid(deployment), &template.to_string()]), 10);
    let kind = GroupResource::new("apps", "replicasets").unwrap_or_else(|_| key.kind.clone());
    let set_key = Key { kind, namespace: key.namespace.clone(), name: format!("{}-{hash}", key.name) };
    let with_hash = |value: Option<&Value>| {
        let mut labels = value.cloned().unwrap_or_else(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(HASH.to_owned(), json!(hash));
        }
        labels
    };
    let labels = with_hash(template.pointer("/metadata/labels"));
    let mut of_set = template.clone();
    set(&mut of_set, "metadata", "labels", labels.clone());
    let match_labels = with_hash(deployment.pointer("/spec/selector/matchLabels"));
    store.create(
        set_key.clone(),
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": set_key.name, "namespace": set_key.namespace, "labels": labels, "annotations": {},
                "ownerReferences": pods::controlled_by(deployment),
            },
            "spec": {"replicas": 0, "selector": {"matchLabels": match_labels}, "template": of_set},
            "status": {"replicas": 0},
        }),
    );
    set_key
}

/// The current set has the highest revision, and its Deployment says so.
fn number_revision(store: &mut Store, key: &Key, current: &Key) {
    let Some(uid) = store.get(key).map(|d| object::uid(d).to_owned()) else { return };
    let sets = pods::owned(store, "apps", "replicasets", &uid);
    let others = sets.iter().filter(|(k, _)| k != current).map(|(_, set)| revision(set)).max().unwrap_or(0);
    let own = sets.iter().find(|(k, _)| k == current).map_or(0, |(_, set)| revision(set));
    let number = if own > others { own } else { others.saturating_add(1) };
    for key in [current, key] {
        store.update(key, |value| annotate(value, REVISION, &number.to_string()));
    }
}

pub(super) fn annotate(value: &mut Value, key: &str, to: &str) {
    let mut annotations = value.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(key.to_owned(), json!(to));
    }
    set(value, "metadata", "annotations", annotations);
}

/// Sets a replica set's size and lets it follow.
fn resize(store: &mut Store, key: &Key, replicas: i64, model: &Model) {
    store.update(key, |set_| set(set_, "spec", "replicas", json!(replicas)));
    replica_set(store, key, model);
}

/// Brings the pods of a replica set to their number: what is not ready goes first.
pub(super) fn replica_set(store: &mut Store, key: &Key, model: &Model) {
    let Some(set_) = store.get(key).cloned() else { return };
    let wanted = usize::try_from(count(&set_)).unwrap_or(0);
    let mut mine: Vec<(Key, Value)> =
        pods::owned(store, "", "pods", object::uid(&set_)).into_iter().filter(|(_, p)| pods::is_active(p)).collect();
    mine.sort_by_key(|(key, pod)| (!pods::is_ready(pod), key.name.clone()));
    for (key, _) in mine.iter().skip(wanted) {
        store.delete(key);
    }
    let template = set_.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    let mut salt = 0u32;
    let mut missing = wanted.saturating_sub(mine.len());
    while missing > 0 {
        let name = format!("{}-{}", key.name, word(&digest(&[object::uid(&set_), &salt.to_string()]), 5));
        let pod = Key { kind: GroupResource::new("", "pods").unwrap_or_else(|_| key.kind.clone()), namespace: key.namespace.clone(), name };
        salt = salt.saturating_add(1);
        // A name is used once, also after its pod has gone.
        if !store.was_used(&pod) {
            pods::create(store, &set_, &template, &pod.name, &[], model);
            missing -= 1;
        }
    }
    let now: Vec<Value> =
        pods::owned(store, "", "pods", object::uid(&set_)).into_iter().map(|(_, pod)| pod).filter(pods::is_active).collect();
    let ready = now.iter().filter(|pod| pods::is_ready(pod)).count();
    store.update(key, |value| {
        let generation = object::number(value, "/metadata/generation").unwrap_or(1);
        set(value, "status", "observedGeneration", json!(generation));
        set(value, "status", "replicas", json!(now.len()));
        set(value, "status", "fullyLabeledReplicas", json!(now.len()));
        set(value, "status", "readyReplicas", json!(ready));
        set(value, "status", "availableReplicas", json!(ready));
    });
}

/// The oldest empty revisions beyond the limit go.
fn trim(store: &mut Store, deployment: &Value, current: &Key) {
    let limit = usize::try_from(object::number(deployment, "/spec/revisionHistoryLimit").unwrap_or(10)).unwrap_or(0);
    let mut old: Vec<(Key, Value)> = pods::owned(store, "apps", "replicasets", object::uid(deployment));
    old.retain(|(key, set)| key != current && count(set) == 0);
    old.sort_by_key(|(_, set)| revision(set));
    let surplus = old.len().saturating_sub(limit);
    for (key, _) in old.iter().take(surplus) {
        store.delete(key);
    }
}

fn report(store: &mut Store, key: &Key, current: &Key) {
    let Some(deployment) = store.get(key).cloned() else { return };
    let sum = |field: &str, only: Option<&Key>| -> i64 {
        let sets = pods::owned(store, "apps", "replicasets", object::uid(&deployment));
        sets.iter()
            .filter(|(k, _)| only.is_none_or(|only| k == only))
            .filter_map(|(_, set)| object::number(set, &format!("/status/{field}")))
            .sum()
    };
    let wanted = count(&deployment);
    let (replicas, updated) = (sum("replicas", None), sum("replicas", Some(current)));
    let (ready, updated_ready) = (sum("readyReplicas", None), sum("readyReplicas", Some(current)));
    let max_unavailable = deployment.pointer("/spec/strategy/rollingUpdate/maxUnavailable").cloned().unwrap_or_else(|| json!("25%"));
    let available = ready >= wanted - portion(&max_unavailable, wanted, false);
    let complete = updated == wanted && updated_ready == wanted && replicas == wanted;
    let now = store.now().to_string();
    let condition = |kind: &str, holds: bool, reason: &str| {
        let status = if holds { "True" } else { "False" };
        let same = object::items(&deployment, "/status/conditions")
            .iter()
            .find(|c| object::text(c, "/type") == kind && object::text(c, "/status") == status);
        let since = same.map_or(now.as_str(), |c| object::text(c, "/lastTransitionTime")).to_owned();
        json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": since, "lastUpdateTime": now})
    };
    let conditions = json!([
        condition("Available", available, if available { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" }),
        condition("Progressing", true, if complete { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" }),
    ]);
    store.update(key, |value| {
        let generation = object::number(value, "/metadata/generation").unwrap_or(1);
        set(value, "status", "observedGeneration", json!(generation));
        for (field, number) in [
            ("replicas", replicas),
            ("updatedReplicas", updated),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("unavailableReplicas", (wanted.max(replicas) - ready).max(0)),
        ] {
            set(value, "status", field, json!(number));
        }
        set(value, "status", "conditions", conditions);
    });
}

/// Letters and digits as Kubernetes picks them for generated names, from a digest.
pub(super) fn word(hex: &str, length: usize) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let bytes = hex.as_bytes().chunks(2).take(length);
    let number = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| usize::from_str_radix(pair, 16).ok()).unwrap_or(0);
    bytes.filter_map(|pair| ALPHABET.get(number(pair) % ALPHABET.len())).map(|byte| char::from(*byte)).collect()
}
