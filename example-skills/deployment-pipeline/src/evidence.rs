//! From objects to causes: which pods belong to a workload, and what they and its conditions say.

use skills_sdk::kinds::Kind as _;
use skills_sdk::kinds::{Condition, Deployment, Event, Meta, Pod, ReplicaSet};
use skills_sdk::prelude::*;

use crate::cause::{Cause, Kind, brief};
use crate::pods;
use crate::workload::Rollout;

/// What was read of the namespaces that a question is about.
pub(crate) struct Evidence {
    pub(crate) replica_sets: Vec<ReplicaSet>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) events: Vec<Event>,
    pub(crate) now_unix_ms: u64,
}

/// A cause, and how many pods show it.
pub(crate) struct Found {
    pub(crate) cause: Cause,
    pub(crate) pods: Vec<String>,
}

impl Evidence {
    /// The revisions of a deployment, the newest first.
    pub(crate) fn revisions<'a>(&'a self, rollout: &Rollout) -> Vec<&'a ReplicaSet> {
        let mut own: Vec<&ReplicaSet> = Vec::new();
        for set in self.replica_sets.iter().filter(|set| belongs(&set.metadata, Deployment::KIND, &rollout.meta)) {
            let place = own.partition_point(|other| other.revision() >= set.revision());
            own.insert(place, set);
        }
        own
    }

    /// The pods of a workload, those of the newest revision first.
    pub(crate) fn pods<'a>(&'a self, rollout: &Rollout) -> Vec<&'a Pod> {
        if rollout.kind != WorkloadKind::Deployment {
            return self.pods.iter().filter(|pod| belongs(&pod.metadata, rollout.object_kind(), &rollout.meta)).collect();
        }
        let revisions = self.revisions(rollout);
        revisions.iter().flat_map(|set| self.pods.iter().filter(|pod| belongs(&pod.metadata, ReplicaSet::KIND, &set.metadata))).collect()
    }

    /// What happened to an object, the latest last.
    pub(crate) fn events<'a>(&'a self, of: &Meta) -> Vec<&'a Event> {
        in_order(self.events.iter().filter(|event| is_about(event, of)))
    }

    /// Why the rollout is not done: what explains most comes first. Empty if it is done, or only needs time.
    pub(crate) fn causes(&self, rollout: &Rollout) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        if rollout.is_done() {
            return found;
        }
        if rollout.paused {
            add(&mut found, Cause::new(Kind::Paused, "the rollout is paused"), None);
        }
        if let Some(cause) = self.creation(rollout) {
            add(&mut found, cause, None);
        }
        for pod in self.pods(rollout) {
            if pods::may_be_well(pod) {
                continue;
            }
            if let Some(cause) = pods::cause(pod, &rollout.template, &self.events(&pod.metadata), self.now_unix_ms) {
                add(&mut found, cause, Some(&pod.metadata.name));
            }
        }
        if let Some(late) = rollout.condition("Progressing", "False")
            && late.reason.as_deref() == Some("ProgressDeadlineExceeded")
        {
            let line = brief(late.message.as_deref().unwrap_or("no progress within the deadline"), 240);
            add(&mut found, Cause::new(Kind::ProgressDeadline, line), None);
        }
        found
    }

    /// Pods that the controller cannot even create.
    fn creation(&self, rollout: &Rollout) -> Option<Cause> {
        let refused = |conditions: &[Condition]| {
            let failure = Condition::find(conditions, "ReplicaFailure").filter(|failure| failure.is_true());
            failure.and_then(|failure| failure.message.clone())
        };
        let revisions = self.revisions(rollout);
        let told = refused(&rollout.conditions).or_else(|| revisions.iter().find_map(|set| refused(&set.status.conditions)));
        // Stateful and daemon sets have no such condition, only the event.
        let message = told.or_else(|| {
            let events = self.events(&rollout.meta);
            let failed = events.iter().rev().find(|event| event.is_warning() && event.reason.as_deref() == Some("FailedCreate"));
            failed.and_then(|event| event.message.clone())
        })?;
        let kind = if message.contains("exceeded quota") { Kind::QuotaExceeded } else { Kind::PodsRefused };
        Some(Cause::new(kind, brief(&message, 400)))
    }
}

/// Adds a cause at its place, or a pod to a cause that is known.
fn add(found: &mut Vec<Found>, cause: Cause, pod: Option<&String>) {
    let pods = pod.into_iter().cloned();
    let place = found.partition_point(|known| known.cause.kind < cause.kind);
    match found.get_mut(place).filter(|known| known.cause.kind == cause.kind) {
        Some(known) => known.pods.extend(pods),
        None => found.insert(place, Found { cause, pods: pods.collect() }),
    }
}

/// Events by time, the latest last.
///
/// By insertion, since they come nearly in order, and since the sort of the standard library takes 5 KB of WebAssembly for each type.
pub(crate) fn in_order<'a>(events: impl Iterator<Item = &'a Event>) -> Vec<&'a Event> {
    let mut ordered: Vec<&Event> = Vec::new();
    for event in events {
        let later = ordered.iter().rev().take_while(|other| other.last_seen() > event.last_seen()).count();
        ordered.insert(ordered.len() - later, event);
    }
    ordered
}

/// Whether the controller of an object is this one: by uid, or by kind and name where the host's projection keeps no uid of owners.
pub(crate) fn belongs(object: &Meta, kind: &str, owner: &Meta) -> bool {
    let Some(controller) = object.controller().filter(|_| object.namespace == owner.namespace) else { return false };
    match &owner.uid {
        Some(uid) if !controller.uid.is_empty() => controller.uid == *uid,
        Some(_) | None => controller.kind == kind && controller.name == owner.name,
    }
}

/// Whether an event is about this very object: an earlier one of the same name is another.
pub(crate) fn is_about(event: &Event, meta: &Meta) -> bool {
    let about = &event.involved_object;
    match (&about.uid, &meta.uid) {
        (Some(of), Some(uid)) => of == uid,
        _ => about.name.as_deref() == Some(&meta.name) && event.metadata.namespace == meta.namespace,
    }
}
