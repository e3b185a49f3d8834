//! What the host may look at to find out what a mutation would do: the seam between fact gathering and the executors.
//!
//! A [`World`] answers with whole objects; they never leave the host. Whoever implements it reads with the operator's own, read-only identity.

use std::{future::Future, sync::Arc};

use infraagent_guard::name::GroupResource;
use infraagent_sandbox::broker::CallError;
use serde_json::Value;

/// A cluster that can be looked at. Implemented by the snapshot, and by the executor of a real cluster.
pub trait World: Send + Sync {
    /// One object. `namespace` is none for cluster-scoped kinds.
    fn get(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> impl Future<Output = Result<Value, WorldError>> + Send;

    /// Every object of one kind, sorted by namespace and name. `namespace` none: of the whole cluster.
    fn list(&self, kind: &GroupResource, namespace: Option<&str>) -> impl Future<Output = Result<Vec<Value>, WorldError>> + Send;

    /// Every kind that the cluster serves. An incomplete answer is an error: what is not known could hold data.
    fn kinds(&self) -> impl Future<Output = Result<Arc<[ServedKind]>, WorldError>> + Send;
}

/// A kind that the cluster serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedKind {
    /// Group and plural resource.
    pub resource: GroupResource,
    /// As the field `kind` says it: `Deployment`.
    pub kind: String,
    /// True if its objects live in namespaces.
    pub namespaced: bool,
    /// Its API versions, the preferred one first.
    pub versions: Vec<String>,
    /// True if it can be listed.
    pub listable: bool,
}

impl ServedKind {
    /// True for a kind that is not Kubernetes' own: its objects may stand for data that another controller keeps.
    pub fn is_custom(&self) -> bool {
        !OWN_GROUPS.contains(&self.resource.group()) && !Self::is_computed(self.resource.group())
    }

    /// True for a group whose objects are computed for each request, so that nothing is stored.
    pub fn is_computed(group: &str) -> bool {
        COMPUTED_GROUPS.contains(&group)
    }
}

/// The API groups of Kubernetes itself. An explicit list, since others (`snapshot.storage.k8s.io`) end in `k8s.io` too.
const OWN_GROUPS: [&str; 21] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Groups whose objects are computed for each request: nothing is stored, nothing has an owner.
const COMPUTED_GROUPS: [&str; 3] = ["custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io"];

/// Why a look at the world failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// No such object, or no such kind.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The identity that looks lacks a rule, such as `list persistentvolumeclaims`.
    #[error("missing permission to {rule}")]
    Forbidden {
        /// Verb and resource, in the words of RBAC.
        rule: String,
    },
    /// Not now, or not completely.
    #[error("{0}")]
    Unavailable(String),
}

impl From<WorldError> for CallError {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::NotFound(what) => Self::NotFound(what),
            WorldError::Forbidden { rule } => Self::Denied {
                code: "forbidden".to_owned(),
                action: String::new(),
                message: format!("the cluster does not let this agent {rule}: grant it to the agent's service account"),
            },
            WorldError::Unavailable(message) => Self::Unavailable { message, retry_after_ms: None },
        }
    }
}
