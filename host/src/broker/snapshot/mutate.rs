//! Changes for a skill: one permit, one write, with what was observed as its precondition; then the cluster comes to rest.

use infraagent_guard::{
    call::{Effect, Mutation},
    name::GroupResource,
    permit::{Observed, Permit},
};
use infraagent_sandbox::broker::{CallError, Receipt};
use serde_json::{Value, json};

use super::{
    Snapshot, collect, evict, pods,
    read::find,
    sets,
    store::{Key, Store, set, show},
};
use crate::broker::{
    change::{self, Mark},
    object,
};

impl Snapshot {
    /// Executes a permitted mutation. `seq` is the entry of its intent.
    pub(super) fn change(&self, permit: &Permit<Mutation>, seq: u32) -> Result<Receipt, CallError> {
        self.check_scope(permit.scope())?;
        let effect = &permit.call().effect;
        let key = match target(effect) {
            Ok(key) => key,
            Err(beyond) => {
                return Err(CallError::Unavailable {
                    message: format!("{beyond} cannot be reached: this run works on a snapshot of a cluster, without a network"),
                    retry_after_ms: None,
                });
            }
        };
        let mut store = self.store();
        let mark = Mark { run: &self.scope.run, seq, now: store.now() };
        let Some(observed) = permit.observed() else {
            return Err(CallError::Conflict(format!("`{}` was not observed when the call was decided", show(&key))));
        };
        apply(&mut store, effect, &key, observed, &mark)
    }
}

/// The write and what follows from it.
pub(super) fn apply(store: &mut Store, effect: &Effect, key: &Key, observed: &Observed, mark: &Mark<'_>) -> Result<Receipt, CallError> {
    let live = find(store, key)?.clone();
    if object::uid(&live) != observed.uid.as_str() || object::resource_version(&live) != observed.resource_version.as_str() {
        return Err(CallError::Conflict(format!("`{}` has changed since it was looked at: read it again", show(key))));
    }
    change::refuse(effect, &live)?;
    let touched = lineage(store, &live);
    let changed = match effect {
        Effect::Restart(_) | Effect::Scale(_) | Effect::Pause(..) | Effect::Cordon(..) | Effect::RequestSync(..) => {
            let patch = change::merge_patch(effect, mark).unwrap_or_default();
            let changed = store.update(key, |value| change::merge(value, &patch));
            if let Effect::Cordon(_, unschedulable) = effect {
                taint(store, key, *unschedulable);
            }
            changed
        }
        Effect::Rollback(_, _, revision) => roll_back(store, key, &live, *revision)?,
        Effect::Evict(..) => {
            evict::allowed(store, key, &live)?;
            collect::delete(store, key);
            true
        }
        Effect::Delete(_) => {
            delete_claims_with(store, key, &live);
            collect::delete(store, key);
            true
        }
        Effect::Http(_) | Effect::Mcp(_) => false,
    };
    if changed {
        collect::settle(store, &touched);
    }
    // What goes has no version any more, even where a finalizer still holds it.
    let stays = !matches!(effect, Effect::Evict(..) | Effect::Delete(_));
    let now = store.get(key).filter(|now| stays && object::uid(now) == object::uid(&live));
    let resource_version = now.map(|now| object::resource_version(now).to_owned());
    Ok(Receipt { audit_seq: mark.seq, changed, resource_version })
}

/// Where the target is; beyond the cluster, what it is.
fn target(effect: &Effect) -> Result<Key, String> {
    let key = |(group, resource): (&str, &str), namespace: &str, name: &str| {
        let kind = GroupResource::new(group, resource).map_err(|invalid| invalid.to_string())?;
        Ok(Key { kind, namespace: namespace.to_owned(), name: name.to_owned() })
    };
    match effect {
        Effect::Restart(target) => key(target.kind.group_resource(), target.namespace.as_str(), target.name.as_str()),
        Effect::Scale(scale) => key(scale.kind.group_resource(), scale.namespace.as_str(), scale.name.as_str()),
        Effect::Pause(namespace, name, _) | Effect::Rollback(namespace, name, _) => {
            key(("apps", "deployments"), namespace.as_str(), name.as_str())
        }
        Effect::Evict(namespace, name, _) => key(("", "pods"), namespace.as_str(), name.as_str()),
        Effect::Cordon(name, _) => key(("", "nodes"), "", name.as_str()),
        Effect::RequestSync(sync, namespace, name) => key(sync.group_resource(), namespace.as_str(), name.as_str()),
        Effect::Delete(victim) => key(victim.kind.group_resource(), victim.namespace.as_str(), victim.name.as_str()),
        Effect::Http(call) => Err(format!("endpoint `{}`", call.request.endpoint)),
        Effect::Mcp(call) => Err(format!("MCP server `{}`", call.server)),
    }
}

/// The object and its controllers: whose pods may have to follow.
fn lineage(store: &Store, value: &Value) -> Vec<String> {
    let mut uids = vec![object::uid(value).to_owned()];
    let mut current = Some(value);
    while let Some((_, above)) = current.and_then(|c| object::owners(c).find(|o| o.controller)).and_then(|o| store.by_uid(o.uid)) {
        if uids.iter().any(|uid| uid == object::uid(above)) {
            break;
        }
        uids.push(object::uid(above).to_owned());
        current = Some(above);
    }
    uids
}

/// Copies the template of the replica set with that revision.
fn roll_back(store: &mut Store, key: &Key, live: &Value, revision: u64) -> Result<bool, CallError> {
    let sets = pods::owned(store, "apps", "replicasets", object::uid(live));
    let Some((_, set_)) = sets.into_iter().find(|(_, set)| change::revision(set) == revision) else {
        return Err(CallError::NotFound(format!("`{}` has no revision {revision}", show(key))));
    };
    let template = change::template(&set_);
    Ok(store.update(key, |deployment| {
        if change::template(deployment) != template {
            set(deployment, "spec", "template", template);
        }
    }))
}

/// The node controller marks a cordoned node for the scheduler.
fn taint(store: &mut Store, key: &Key, unschedulable: bool) {
    const KEY: &str = "node.kubernetes.io/unschedulable";
    store.update(key, |node| {
        let mut taints = object::items(node, "/spec/taints").to_vec();
        taints.retain(|taint| object::text(taint, "/key") != KEY);
        if unschedulable {
            taints.push(json!({"key": KEY, "effect": "NoSchedule"}));
        }
        if !taints.is_empty() || node.pointer("/spec/taints").is_some() {
            set(node, "spec", "taints", json!(taints));
        }
    });
}

/// A StatefulSet with `whenDeleted: Delete` owns its claims: they go with it.
fn delete_claims_with(store: &mut Store, key: &Key, live: &Value) {
    if !key.kind.is("apps", "statefulsets") || object::text(live, "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted") != "Delete" {
        return;
    }
    for (pod, _) in pods::owned(store, "", "pods", object::uid(live)) {
        for claim in sets::claims_of(live, &pod) {
            collect::delete(store, &claim);
        }
    }
}

#[cfg(test)]
impl Snapshot {
    /// The write without a permit: what the guard stands in the way of.
    pub(crate) fn force(&self, effect: &Effect) {
        let key = target(effect).unwrap();
        let mut store = self.store();
        let live = store.get(&key).unwrap();
        let observed = Observed {
            uid: infraagent_guard::name::Uid::parse(object::uid(live)).unwrap(),
            resource_version: infraagent_guard::name::ResourceVersion::parse(object::resource_version(live)).unwrap(),
        };
        let mark = Mark { run: &self.scope.run, seq: 0, now: store.now() };
        assert!(apply(&mut store, effect, &key, &observed, &mark).unwrap().changed);
    }
}
