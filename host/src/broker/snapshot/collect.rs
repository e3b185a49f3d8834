//! What goes with what is gone: garbage collection by owner, claims and their volumes, and the controllers of what was touched.
//!
//! Only what was touched is brought to rest: a snapshot may be partial, and a set whose pods nobody exported must not grow them because of another one's change.

use infraagent_guard::name::GroupResource;
use serde_json::{Value, json};

use super::{
    pods::{self, Model},
    rollout, sets,
    store::{Key, Store, set},
};
use crate::broker::object;

/// A write is followed by at most so many rounds. Each ends when nothing moves.
const ROUNDS: usize = 32;

/// Lets the cluster come to rest after a write to objects with these uids.
pub(super) fn settle(store: &mut Store, touched: &[String]) {
    for _ in 0..ROUNDS {
        let before = store.version();
        garbage(store);
        release_claims(store);
        for uid in touched {
            let Some((key, _)) = store.by_uid(uid).map(|(key, value)| (key.clone(), value.clone())) else { continue };
            match (key.kind.group(), key.kind.resource()) {
                ("apps", "deployments") => rollout::deployment(store, &key),
                ("apps", "statefulsets") => sets::stateful(store, &key),
                ("apps", "daemonsets") => sets::daemon(store, &key),
                ("apps", "replicasets") => {
                    let model = Model::of(store, uid);
                    rollout::replica_set(store, &key, &model);
                }
                _ => {}
            }
        }
        if store.version() == before {
            return;
        }
    }
}

/// Objects that had owners, of which one is gone and none is left.
fn garbage(store: &mut Store) {
    loop {
        let doomed: Vec<Key> = store
            .iter()
            .filter(|(_, value)| !object::is_terminating(value))
            .filter(|(_, value)| {
                let mut owners = object::owners(value).peekable();
                owners.peek().is_some()
                    && object::owners(value).any(|o| store.is_gone(o.uid))
                    && !object::owners(value).any(|o| store.exists(o.uid))
            })
            .map(|(key, _)| key.clone())
            .collect();
        if doomed.is_empty() {
            return;
        }
        for key in &doomed {
            delete(store, key);
        }
    }
}

/// Deletes as the cluster would: a claim in use only once its last pod is gone, a pod of a job without waiting for the job's bookkeeping.
pub(super) fn delete(store: &mut Store, key: &Key) {
    if key.kind.is("", "persistentvolumeclaims") {
        if users(store, key) > 0 {
            let now = store.now().to_string();
            store.update(key, |claim| set(claim, "metadata", "deletionTimestamp", json!(now)));
        } else {
            remove_claim(store, key);
        }
        return;
    }
    if key.kind.is("", "pods") {
        store.update(key, |pod| without_finalizer(pod, "batch.kubernetes.io/job-tracking"));
    }
    store.delete(key);
}

fn without_finalizer(value: &mut Value, name: &str) {
    if let Some(finalizers) = value.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|finalizer| finalizer.as_str() != Some(name));
    }
}

/// Pods that keep a claim.
fn users(store: &Store, claim: &Key) -> usize {
    let Ok(kind) = GroupResource::new("", "pods") else { return 0 };
    let uses = |pod: &Value| {
        object::items(pod, "/spec/volumes").iter().any(|volume| {
            let generic =
                volume.get("ephemeral").is_some() && format!("{}-{}", object::name(pod), object::text(volume, "/name")) == claim.name;
            generic || object::text(volume, "/persistentVolumeClaim/claimName") == claim.name
        })
    };
    store.list(&kind, Some(&claim.namespace)).filter(|(_, pod)| pods::is_active(pod) && uses(pod)).count()
}

/// Claims that were only waiting for their last pod.
fn release_claims(store: &mut Store) {
    let Ok(kind) = GroupResource::new("", "persistentvolumeclaims") else { return };
    let waiting: Vec<Key> =
        store.list(&kind, None).filter(|(_, claim)| object::is_terminating(claim)).map(|(key, _)| key.clone()).collect();
    for key in waiting {
        if users(store, &key) == 0 {
            remove_claim(store, &key);
        }
    }
}

/// The claim goes, and by its reclaim policy the volume: this is where data is lost.
fn remove_claim(store: &mut Store, key: &Key) {
    store.update(key, |claim| without_finalizer(claim, "kubernetes.io/pvc-protection"));
    let Some(uid) = store.get(key).map(|claim| object::uid(claim).to_owned()) else { return };
    store.delete(key);
    if store.get(key).is_some() {
        return;
    }
    let Ok(kind) = GroupResource::new("", "persistentvolumes") else { return };
    let volumes: Vec<(Key, Value)> = store.list(&kind, None).map(|(key, value)| (key.clone(), value.clone())).collect();
    for (volume, value) in volumes {
        let same = object::text(&value, "/spec/claimRef/uid") == uid
            || (object::text(&value, "/spec/claimRef/uid").is_empty()
                && object::text(&value, "/spec/claimRef/name") == key.name
                && object::text(&value, "/spec/claimRef/namespace") == key.namespace);
        if same && object::text(&value, "/spec/persistentVolumeReclaimPolicy") == "Delete" {
            store.remove(&volume);
        } else if same {
            store.update(&volume, |volume| set(volume, "status", "phase", json!("Released")));
        }
    }
}
