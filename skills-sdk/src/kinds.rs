//! The common kinds of Kubernetes, with the fields that skills look at.
//!
//! They are small on purpose: every field ships in the component. All fields may be absent, since the host hands out a compact projection of each object
//! unless the query selects more. What a kind lacks is reached by a type of your own that implements [`Kind`], or untyped, as `serde_json::Value`.

mod batch;
mod core;
mod json;
mod meta;
mod node;
mod pod;
mod quantity;
mod storage;
mod workloads;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use batch::{Job, JobSpec, JobStatus};
pub use core::{Event, EventSeries, EventSource, InvolvedObject, Namespace, NamespaceStatus, Service, ServicePort, ServiceSpec};
pub use meta::{Condition, LabelSelector, Meta, OwnerReference, Time};
pub use node::{Node, NodeSpec, NodeStatus, NodeSystemInfo, Taint};
pub use pod::{Container, ContainerState, ContainerStatus, Pod, PodSpec, PodStatus, ResourceRequirements, Running, Terminated, Waiting};
pub use quantity::Quantity;
pub use storage::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus,
};
pub use workloads::{
    DaemonSet, DaemonSetStatus, Deployment, DeploymentSpec, DeploymentStatus, PodTemplate, ReplicaSet, ReplicaSetStatus, StatefulSet,
    StatefulSetSpec, StatefulSetStatus, WorkloadSpec,
};

use crate::kubernetes::Query;
use crate::reference::{ObjectRef, Ref, Resource};
use crate::{Result, document};

/// A kind of object that a skill can read.
///
/// ```
/// use skills_sdk::kinds::{Kind, Meta, NamespacedKind};
///
/// #[derive(serde::Deserialize)]
/// struct Certificate {
///     metadata: Meta,
/// }
///
/// impl Kind for Certificate {
///     const RESOURCE: &'static str = "certificates.cert-manager.io";
///     const VERSION: Option<&'static str> = Some("v1");
///     const KIND: &'static str = "Certificate";
///
///     fn meta(&self) -> &Meta {
///         &self.metadata
///     }
/// }
/// impl NamespacedKind for Certificate {}
///
/// assert_eq!(Certificate::at("apps", "web").name, "web");
/// ```
pub trait Kind: DeserializeOwned {
    /// In the words of RBAC: the plural, and the group unless it is the core group.
    const RESOURCE: &'static str;
    /// The API version that the type can parse, if that matters.
    const VERSION: Option<&'static str> = None;
    /// As the field `kind` says it.
    const KIND: &'static str;

    /// The object's metadata.
    fn meta(&self) -> &Meta;

    /// Reads an object of this kind.
    #[doc(hidden)]
    fn read(document: &Value) -> Result<Self> {
        document::read(document)
    }

    /// The resource of this kind.
    fn resource() -> Resource {
        Resource { version: Self::VERSION.map(str::to_owned), ..Resource::new(Self::RESOURCE) }
    }

    /// A query for all objects of this kind in every namespace that the action covers.
    fn all() -> Query<Self> {
        Query::of(Self::resource())
    }

    /// The name of this object.
    fn name(&self) -> &str {
        &self.meta().name
    }

    /// A reference to this object, to report about it.
    fn object(&self) -> ObjectRef {
        ObjectRef { resource: Self::resource(), namespace: self.meta().namespace.clone(), name: self.meta().name.clone() }
    }

    /// A typed reference to this object, to act on it.
    fn reference(&self) -> Ref<Self> {
        Ref::new(self.meta().namespace.clone(), self.meta().name.clone())
    }
}

/// What a list is made of: objects of a [`Kind`], or untyped ones.
pub trait Item: Sized {
    /// Reads one item.
    #[doc(hidden)]
    fn of(document: Value) -> Result<Self>;
}

impl<K: Kind> Item for K {
    fn of(document: Value) -> Result<Self> {
        K::read(&document)
    }
}

impl Item for Value {
    fn of(document: Value) -> Result<Self> {
        Ok(document)
    }
}

/// A kind whose objects lie in namespaces.
pub trait NamespacedKind: Kind {
    /// The object of this name.
    fn at(namespace: impl Into<String>, name: impl Into<String>) -> Ref<Self> {
        Ref::new(Some(namespace.into()), name.into())
    }

    /// A query for the objects of this kind in one namespace.
    fn within(namespace: impl Into<String>) -> Query<Self> {
        Self::all().namespace(namespace)
    }
}

/// A kind whose objects belong to the cluster.
pub trait ClusterKind: Kind {
    /// The object of this name.
    fn named(name: impl Into<String>) -> Ref<Self> {
        Ref::new(None, name.into())
    }
}

/// A part of an object: every field may be absent or null.
macro_rules! part {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $crate::kinds::json::FromJson for $name {
            fn read(&mut self, value: &serde_json::Value) -> $crate::kinds::json::Outcome {
                $crate::kinds::json::is_object(value)?;
                $($crate::kinds::json::field(&mut self.$field, value, $crate::kinds::json::key!($field))?;)*
                Ok(())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::kinds::json::document(deserializer)
            }
        }
    };
}

/// A kind: metadata and parts.
macro_rules! object {
    ($(#[$doc:meta])* $scope:ident $name:ident, $resource:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $crate::kinds::part! {
            $(#[$doc])*
            $name { /** Name, namespace, labels and the like. */ metadata: $crate::kinds::Meta, $($(#[$field_doc])* $field: $type),* }
        }
        impl $crate::kinds::Kind for $name {
            const RESOURCE: &'static str = $resource;
            const KIND: &'static str = stringify!($name);

            fn meta(&self) -> &$crate::kinds::Meta {
                &self.metadata
            }

            fn read(document: &serde_json::Value) -> $crate::Result<Self> {
                $crate::kinds::json::read(document)
            }
        }
        impl $crate::kinds::$scope for $name {}
    };
}

pub(crate) use {object, part};
