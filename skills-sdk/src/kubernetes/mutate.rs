//! Tiers service-mutation and destructive-mutation. There is no verb for claims, volumes, namespaces, secrets, definitions or custom resources.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::id;
use crate::kinds::{Kind, Pod};
use crate::reference::{ObjectRef, Workload};
use crate::{Cx, Declares, Error, Result, UsedBy, backend, verb};

/// What the host wrote to the audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry of the record.
    pub audit_seq: u32,
    /// False if everything was as wanted already.
    pub changed: bool,
    /// The version of the object after the change.
    pub resource_version: Option<String>,
}

/// What can be asked to look again. The host owns the annotation behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Sync {
    /// A Kustomization of Flux.
    FluxKustomization,
    /// A HelmRelease of Flux.
    FluxHelmRelease,
    /// An Application of Argo CD.
    ArgoApplication,
    /// An ExternalSecret.
    ExternalSecret,
}

/// The kinds that can be deleted: what can be made again. Whether something hangs on one of them is for the host to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "kinds of Kubernetes")]
pub enum Disposable {
    Pod,
    Job,
    CronJob,
    ReplicaSet,
    Deployment,
    StatefulSet,
    DaemonSet,
    Service,
    Ingress,
    HorizontalPodAutoscaler,
}

impl Disposable {
    /// In the words of RBAC: `jobs.batch`.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::Job => "jobs.batch",
            Self::CronJob => "cronjobs.batch",
            Self::ReplicaSet => "replicasets.apps",
            Self::Deployment => "deployments.apps",
            Self::StatefulSet => "statefulsets.apps",
            Self::DaemonSet => "daemonsets.apps",
            Self::Service => "services",
            Self::Ingress => "ingresses.networking.k8s.io",
            Self::HorizontalPodAutoscaler => "horizontalpodautoscalers.autoscaling",
        }
    }
}

/// What is to be deleted: this very object, in this very version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Victim {
    /// Its kind.
    pub kind: Disposable,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, as it was read.
    pub uid: String,
    /// Its version, as it was read. If it changed since, the answer is a conflict.
    pub resource_version: String,
}

impl Victim {
    /// An object that was just read. An error if it was read without uid or version, or is of another kind.
    pub fn of<K: Kind>(kind: Disposable, object: &K) -> Result<Self> {
        if kind.resource() != K::RESOURCE {
            return Err(Error::Invalid(format!("`{}` is not a `{}`", K::RESOURCE, kind.resource())));
        }
        let meta = object.meta();
        let missing = |what: &str| Error::Invalid(format!("`{}` was read without its {what}; select it", meta.name));
        Ok(Self {
            kind,
            namespace: meta.namespace.clone().ok_or_else(|| missing("namespace"))?,
            name: meta.name.clone(),
            uid: meta.uid.clone().ok_or_else(|| missing("uid"))?,
            resource_version: meta.resource_version.clone().ok_or_else(|| missing("resource version"))?,
        })
    }

    /// The same, as a reference to report about it.
    pub fn object(&self) -> ObjectRef {
        ObjectRef::namespaced(self.kind.resource(), &self.namespace, &self.name)
    }
}

/// Every change takes a reason, which people will read in the record.
impl<T> Cx<T> {
    /// Restarts the pods of a workload, one after the other.
    pub fn restart<A>(&self, action: A, workload: impl Into<Workload>, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::Restart> + UsedBy<T>,
    {
        backend::restart(id(action), &workload.into(), reason)
    }

    /// Sets how many pods a workload should have, within the bounds of the action.
    pub fn scale<A>(&self, action: A, workload: impl Into<Workload>, replicas: u32, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::Scale> + UsedBy<T>,
    {
        backend::scale(id(action), &workload.into(), replicas, reason)
    }

    /// Stops the rollout of a deployment where it is.
    pub fn pause<A>(&self, action: A, namespace: &str, deployment: &str, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::Pause> + UsedBy<T>,
    {
        backend::pause(id(action), namespace, deployment, true, reason)
    }

    /// Lets the rollout of a deployment go on. The same verb as [`pause`](Self::pause).
    pub fn resume<A>(&self, action: A, namespace: &str, deployment: &str, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::Pause> + UsedBy<T>,
    {
        backend::pause(id(action), namespace, deployment, false, reason)
    }

    /// Evicts a pod that was just read. Disruption budgets hold.
    pub fn evict<A>(&self, action: A, pod: &Pod, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::Evict> + UsedBy<T>,
    {
        let (Some(namespace), Some(uid)) = (&pod.metadata.namespace, &pod.metadata.uid) else {
            return Err(Error::Invalid(format!("pod `{}` was read without its namespace or uid; select them", pod.metadata.name)));
        };
        backend::evict(id(action), namespace, &pod.metadata.name, uid, reason)
    }

    /// Marks a node as unschedulable, or as schedulable again.
    pub fn cordon<A>(&self, action: A, node: &str, unschedulable: bool, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::Cordon> + UsedBy<T>,
    {
        backend::cordon(id(action), node, unschedulable, reason)
    }

    /// Asks a GitOps tool to look again.
    pub fn request_sync<A>(&self, action: A, kind: Sync, namespace: &str, name: &str, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::RequestSync> + UsedBy<T>,
    {
        backend::request_sync(id(action), kind, namespace, name, reason)
    }

    /// Deletes what was looked at, if it is still the same.
    pub fn delete<A>(&self, action: A, victim: &Victim, grace: Option<Duration>, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::Delete> + UsedBy<T>,
    {
        let grace = grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX));
        backend::delete(id(action), victim, grace, reason)
    }

    /// Rolls a deployment back to a revision that its replica sets still hold.
    pub fn rollback<A>(&self, action: A, namespace: &str, deployment: &str, to_revision: u64, reason: &str) -> Result<Receipt>
    where
        A: Declares<verb::Rollback> + UsedBy<T>,
    {
        backend::rollback(id(action), namespace, deployment, to_revision, reason)
    }
}
