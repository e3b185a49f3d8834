//! Changes that cannot be undone, of what holds no data.

use serde::Deserialize;

use crate::{
    Error, Output,
    bindings::infraagent::skill::kubernetes_destructive_mutation::{self as wit, Disposable, Victim},
    changed,
    word::words,
};

words! {
    disposable = Disposable {
        "pods" => Pod,
        "jobs.batch" => Job,
        "cronjobs.batch" => CronJob,
        "replicasets.apps" => ReplicaSet,
        "deployments.apps" => Deployment,
        "statefulsets.apps" => StatefulSet,
        "daemonsets.apps" => DaemonSet,
        "services" => Service,
        "ingresses.networking.k8s.io" => Ingress,
        "horizontalpodautoscalers.autoscaling" => HorizontalPodAutoscaler,
    }
}

/// What is deleted, exactly as it was looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delete {
    #[serde(deserialize_with = "disposable")]
    kind: Disposable,
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
    grace_seconds: Option<u32>,
    reason: String,
}

/// A Deployment that goes back to an earlier revision.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    namespace: String,
    name: String,
    to_revision: u64,
    reason: String,
}

/// `kubernetes-destructive-mutation.delete`
pub fn delete(action: &str, arguments: Delete) -> Result<Output, Error> {
    let Delete { kind, namespace, name, uid, resource_version, grace_seconds, reason } = arguments;
    let summary = format!("deleted {name} in {namespace}");
    changed(&wit::delete(action, &Victim { kind, namespace, name, uid, resource_version }, grace_seconds, &reason)?, summary)
}

/// `kubernetes-destructive-mutation.rollback`
pub fn rollback(action: &str, arguments: Rollback) -> Result<Output, Error> {
    let Rollback { namespace, name, to_revision, reason } = arguments;
    let receipt = wit::rollback(action, &namespace, &name, to_revision, &reason)?;
    changed(&receipt, format!("rolled {name} in {namespace} back to revision {to_revision}"))
}
