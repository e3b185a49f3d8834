//! From objects to causes: which pods belong to a workload, and what they and its conditions say.

use skills_sdk::prelude::*;

use crate::cause::{Cause, Kind, brief, contains};
use crate::pods;
use crate::view::{View, views};
use crate::workload::{self, Rollout};

/// What was read of the namespaces that a question is about.
pub(crate) struct Evidence {
    pub(crate) replica_sets: Vec<Value>,
    pub(crate) pods: Vec<Value>,
    pub(crate) events: Vec<Value>,
    pub(crate) now_unix_ms: u64,
}

/// A cause, and the pods that show it.
pub(crate) struct Found {
    pub(crate) cause: Cause,
    pub(crate) pods: Vec<String>,
}

impl Evidence {
    /// The revisions of a deployment, the newest first.
    pub(crate) fn revisions(&self, rollout: &Rollout) -> Vec<View<'_>> {
        revisions(&self.replica_sets, rollout)
    }

    /// The pods of a workload, those of the newest revision first.
    pub(crate) fn pods(&self, rollout: &Rollout) -> Vec<View<'_>> {
        let of = |owner: View<'_>, kind: &str| views(&self.pods).into_iter().filter(|pod| belongs(*pod, kind, owner)).collect::<Vec<_>>();
        if rollout.kind != WorkloadKind::Deployment {
            return of(rollout.view(), rollout.object_kind());
        }
        let mut pods = Vec::new();
        for set in self.revisions(rollout) {
            pods.append(&mut of(set, "ReplicaSet"));
        }
        pods
    }

    /// What happened, the latest last, as far as it matters.
    ///
    /// By insertion, since events come nearly in order, and since the sort of the standard library is 5 KB of WebAssembly.
    pub(crate) fn events(&self, matters: &dyn Fn(View<'_>) -> bool) -> Vec<View<'_>> {
        let mut ordered: Vec<View<'_>> = Vec::new();
        for event in self.events.iter().map(View).filter(|event| matters(*event)) {
            let later = ordered.iter().rev().take_while(|other| last_seen(**other) > last_seen(event)).count();
            ordered.insert(ordered.len() - later, event);
        }
        ordered
    }

    /// Why the rollout is not done: what explains most comes first. Empty if it is done, or only needs time.
    pub(crate) fn causes(&self, rollout: &Rollout) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        if rollout.is_done() {
            return found;
        }
        if rollout.is_paused() {
            add(&mut found, Cause::new(Kind::Paused, "the rollout is paused"), None);
        }
        if let Some(cause) = self.creation(rollout) {
            add(&mut found, cause, None);
        }
        let template = rollout.view().at("/spec/template/spec");
        for pod in self.pods(rollout).into_iter().filter(|pod| !pods::may_be_well(*pod)) {
            let events = self.events(&|event| is_about(event, pod));
            if let Some(cause) = pods::cause(pod, template, &events, self.now_unix_ms) {
                add(&mut found, cause, Some(pod.name()));
            }
        }
        if let Some(late) = rollout.view().condition("/status/conditions", "Progressing", "False")
            && late.text("/reason") == "ProgressDeadlineExceeded"
        {
            add(&mut found, Cause::new(Kind::ProgressDeadline, brief(late.text("/message"), 240)), None);
        }
        found
    }

    /// Pods that the controller cannot even create.
    fn creation(&self, rollout: &Rollout) -> Option<Cause> {
        let refused = |object: View<'_>| {
            object.condition("/status/conditions", "ReplicaFailure", "True").map(|failure| failure.text("/message").to_owned())
        };
        let told = refused(rollout.view()).or_else(|| self.revisions(rollout).into_iter().find_map(refused));
        // Stateful and daemon sets have no such condition, only the event.
        let message = told.or_else(|| {
            let failed = self.events(&|event| event.text("/reason") == "FailedCreate" && is_about(event, rollout.view()));
            failed.last().map(|event| event.text("/message").to_owned())
        })?;
        let kind = if contains(&message, "exceeded quota") { Kind::QuotaExceeded } else { Kind::PodsRefused };
        Some(Cause::new(kind, brief(&message, 400)))
    }
}

/// Adds a cause at its place, or a pod to a cause that is known.
fn add(found: &mut Vec<Found>, cause: Cause, pod: Option<&str>) {
    let pods = pod.map(str::to_owned);
    let place = found.iter().take_while(|known| known.cause.kind < cause.kind).count();
    match found.get_mut(place).filter(|known| known.cause.kind == cause.kind) {
        Some(known) => known.pods.extend(pods),
        None => found.insert(place, Found { cause, pods: pods.into_iter().collect() }),
    }
}

/// The replica sets of a deployment, the newest revision first.
pub(crate) fn revisions<'a>(sets: &'a [Value], rollout: &Rollout) -> Vec<View<'a>> {
    let mut own: Vec<View<'a>> = Vec::new();
    for set in views(sets) {
        if rollout.kind == WorkloadKind::Deployment && belongs(set, rollout.object_kind(), rollout.view()) {
            let place = own.iter().take_while(|other| revision(**other) >= revision(set)).count();
            own.insert(place, set);
        }
    }
    own
}

/// The revision that a deployment or a replica set stands for.
pub(crate) fn revision(object: View<'_>) -> Option<u64> {
    workload::revision(object).parse().ok()
}

/// Whether the controller of an object is this one: by uid, or by kind and name where the host's projection keeps no uid of owners.
fn belongs(object: View<'_>, kind: &str, owner: View<'_>) -> bool {
    let Some(controller) = object.controller() else { return false };
    if object.text("/metadata/namespace") != owner.text("/metadata/namespace") {
        return false;
    }
    match (controller.text("/uid"), owner.text("/metadata/uid")) {
        ("", _) | (_, "") => controller.text("/kind") == kind && controller.text("/name") == owner.name(),
        (of, uid) => of == uid,
    }
}

/// Whether an event is about this very object: an earlier one of the same name is another.
pub(crate) fn is_about(event: View<'_>, object: View<'_>) -> bool {
    let about = event.at("/involvedObject");
    match (about.text("/uid"), object.text("/metadata/uid")) {
        ("", _) | (_, "") => {
            about.text("/name") == object.name() && event.text("/metadata/namespace") == object.text("/metadata/namespace")
        }
        (of, uid) => of == uid,
    }
}

/// When an event was seen last, by the best of its several clocks.
pub(crate) fn last_seen(event: View<'_>) -> &str {
    let clocks = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    clocks.into_iter().map(|clock| event.text(clock)).find(|time| !time.is_empty()).unwrap_or_default()
}
