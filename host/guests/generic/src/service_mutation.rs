//! Changes that can be undone.

use serde::Deserialize;

use crate::{
    Error, Output,
    bindings::infraagent::skill::kubernetes_service_mutation::{self as wit, Sync, Target, Workload},
    changed,
    word::words,
};

words! {
    workload = Workload { "deployments.apps" => Deployment, "statefulsets.apps" => StatefulSet, "daemonsets.apps" => DaemonSet }
}

words! {
    scalable = Workload { "deployments.apps" => Deployment, "statefulsets.apps" => StatefulSet }
}

words! {
    sync = Sync {
        "kustomizations.kustomize.toolkit.fluxcd.io" => FluxKustomization,
        "helmreleases.helm.toolkit.fluxcd.io" => FluxHelmRelease,
        "applications.argoproj.io" => ArgoApplication,
        "externalsecrets.external-secrets.io" => ExternalSecret,
    }
}

/// A workload to restart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restart {
    #[serde(deserialize_with = "workload")]
    kind: Workload,
    namespace: String,
    name: String,
    reason: String,
}

/// A workload to scale.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    #[serde(deserialize_with = "scalable")]
    kind: Workload,
    namespace: String,
    name: String,
    replicas: u32,
    reason: String,
}

/// A rollout to pause or resume.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pause {
    namespace: String,
    name: String,
    paused: bool,
    reason: String,
}

/// A pod to evict.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evict {
    namespace: String,
    name: String,
    uid: String,
    reason: String,
}

/// A node to close or open for new pods.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cordon {
    name: String,
    unschedulable: bool,
    reason: String,
}

/// A GitOps object to look at again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestSync {
    #[serde(deserialize_with = "sync")]
    kind: Sync,
    namespace: String,
    name: String,
    reason: String,
}

/// `kubernetes-service-mutation.restart`
pub fn restart(action: &str, arguments: Restart) -> Result<Output, Error> {
    let Restart { kind, namespace, name, reason } = arguments;
    let summary = format!("restarted {name} in {namespace}");
    changed(&wit::restart(action, &Target { kind, namespace, name }, &reason)?, summary)
}

/// `kubernetes-service-mutation.scale`
pub fn scale(action: &str, arguments: Scale) -> Result<Output, Error> {
    let Scale { kind, namespace, name, replicas, reason } = arguments;
    let summary = format!("scaled {name} in {namespace} to {replicas}");
    changed(&wit::scale(action, &Target { kind, namespace, name }, replicas, &reason)?, summary)
}

/// `kubernetes-service-mutation.pause`
pub fn pause(action: &str, arguments: Pause) -> Result<Output, Error> {
    let Pause { namespace, name, paused, reason } = arguments;
    let receipt = wit::pause(action, &namespace, &name, paused, &reason)?;
    changed(&receipt, format!("{} the rollout of {name} in {namespace}", if paused { "paused" } else { "resumed" }))
}

/// `kubernetes-service-mutation.evict`
pub fn evict(action: &str, arguments: Evict) -> Result<Output, Error> {
    let Evict { namespace, name, uid, reason } = arguments;
    changed(&wit::evict(action, &namespace, &name, &uid, &reason)?, format!("evicted {name} in {namespace}"))
}

/// `kubernetes-service-mutation.cordon`
pub fn cordon(action: &str, arguments: Cordon) -> Result<Output, Error> {
    let Cordon { name, unschedulable, reason } = arguments;
    let receipt = wit::cordon(action, &name, unschedulable, &reason)?;
    changed(&receipt, format!("{} {name}", if unschedulable { "cordoned" } else { "uncordoned" }))
}

/// `kubernetes-service-mutation.request-sync`
pub fn request_sync(action: &str, arguments: RequestSync) -> Result<Output, Error> {
    let RequestSync { kind, namespace, name, reason } = arguments;
    changed(&wit::request_sync(action, kind, &namespace, &name, &reason)?, format!("asked for a sync of {name} in {namespace}"))
}
