//! Names of things in a cluster.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::{DaemonSet, Deployment, Kind, StatefulSet};

/// A kind of object, in the words of RBAC and of the action sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: String,
    /// Pins the API version that the skill can parse. None means the one that the server prefers.
    pub version: Option<String>,
    /// The plural: `pods`, `deployments`.
    pub resource: String,
}

impl Resource {
    /// `pods`, `deployments.apps`, `backups.postgresql.cnpg.io`.
    pub fn new(name: &str) -> Self {
        let (resource, group) = name.split_once('.').unwrap_or((name, ""));
        Self { group: group.to_owned(), version: None, resource: resource.to_owned() }
    }

    /// Pins the version.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// One object of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its kind.
    pub resource: Resource,
    /// None for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// An object in a namespace. `resource` is written as in the sheet: `deployments.apps`.
    pub fn namespaced(resource: &str, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { resource: Resource::new(resource), namespace: Some(namespace.into()), name: name.into() }
    }

    /// A cluster-scoped object.
    pub fn cluster(resource: &str, name: impl Into<String>) -> Self {
        Self { resource: Resource::new(resource), namespace: None, name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.resource)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// One object of the kind `K`: `Deployment::at("apps", "web")`, `Node::named("node-1")`.
pub struct Ref<K> {
    /// None for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    kind: PhantomData<fn() -> K>,
}

impl<K> Ref<K> {
    pub(crate) fn new(namespace: Option<String>, name: String) -> Self {
        Self { namespace, name, kind: PhantomData }
    }
}

impl<K> fmt::Debug for Ref<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ref").field("namespace", &self.namespace).field("name", &self.name).finish()
    }
}

impl<K> Clone for Ref<K> {
    fn clone(&self) -> Self {
        Self::new(self.namespace.clone(), self.name.clone())
    }
}

impl<K: Kind> From<&Ref<K>> for ObjectRef {
    fn from(reference: &Ref<K>) -> Self {
        Self { resource: K::resource(), namespace: reference.namespace.clone(), name: reference.name.clone() }
    }
}

impl<K: Kind> From<Ref<K>> for ObjectRef {
    fn from(reference: Ref<K>) -> Self {
        Self::from(&reference)
    }
}

/// The kinds that can be restarted and scaled. Usable in the arguments of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet, which cannot be scaled.
    DaemonSet,
}

impl WorkloadKind {
    /// In the words of RBAC: `deployments.apps`.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Deployment => Deployment::RESOURCE,
            Self::StatefulSet => StatefulSet::RESOURCE,
            Self::DaemonSet => DaemonSet::RESOURCE,
        }
    }
}

/// A workload to restart or to scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Workload {
    /// A workload whose kind is known only when the skill runs.
    pub fn new(kind: WorkloadKind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The same, as a reference to get it or to report about it.
    pub fn object(&self) -> ObjectRef {
        ObjectRef::namespaced(self.kind.resource(), &self.namespace, &self.name)
    }
}

macro_rules! workload_from {
    ($($kind:ident),*) => {$(
        impl From<Ref<$kind>> for Workload {
            fn from(reference: Ref<$kind>) -> Self {
                Self::new(WorkloadKind::$kind, reference.namespace.unwrap_or_default(), reference.name)
            }
        }
        impl From<&Ref<$kind>> for Workload {
            fn from(reference: &Ref<$kind>) -> Self {
                Self::from(reference.clone())
            }
        }
    )*};
}

workload_from!(Deployment, StatefulSet, DaemonSet);

impl From<&Workload> for Workload {
    fn from(workload: &Workload) -> Self {
        workload.clone()
    }
}
