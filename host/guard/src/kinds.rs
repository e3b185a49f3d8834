//! Kinds of objects, and the names that Kubernetes' own kinds have.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::{String, ToString};
use core::fmt;

use crate::name::{Invalid, is_label, is_subdomain};

/// A kind of object, in the words of RBAC: plural resource and API group. Always canonical: short names, singulars and CamelCase kinds of Kubernetes' own
/// resources become the plural, and a core resource written with a group it does not have is a different one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// None for the core group.
    group: Option<Cow<'static, str>>,
    resource: Cow<'static, str>,
}

impl GroupResource {
    /// From separate parts. The group may be empty; subresources (`pods/log`) are refused.
    pub fn new(group: &str, resource: &str) -> Result<Self, Invalid> {
        if !group.is_empty() && !is_subdomain(group) {
            return Err(Invalid::new("API group", group, "a lower-case DNS name such as `apps`, or nothing for the core group"));
        }
        if !is_label(resource) {
            return Err(Invalid::new("resource", resource, "a lower-case plural such as `deployments`"));
        }
        let known = BUILT_IN.iter().find(|known| known.is_called(resource) && known.group == named(group));
        Ok(known.map_or_else(|| Self::of(named(group), resource), BuiltIn::kind))
    }

    /// From `resource` or `resource.group`; Kubernetes' own resources may leave their group out and use any of their names: `deploy`, `Deployment`, `deployments.apps`.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        match input.split_once('.') {
            Some((_, "")) => Err(Invalid::new("resource", input, "`resource.group`")),
            Some((resource, group)) => Self::new(group, resource),
            None => Self::built_in(input).map_or_else(|| Self::new("", input), Ok),
        }
    }

    fn of(group: Option<&str>, resource: &str) -> Self {
        Self { group: group.map(|group| Cow::Owned(group.to_owned())), resource: Cow::Owned(resource.to_owned()) }
    }

    /// The kind of Kubernetes' own that has this plural, singular, CamelCase or short name.
    pub fn built_in(name: &str) -> Option<Self> {
        BUILT_IN.iter().find(|known| known.is_called(name)).map(BuiltIn::kind)
    }

    /// Kubernetes' own kinds.
    pub fn all_built_in() -> impl Iterator<Item = Self> {
        BUILT_IN.iter().map(BuiltIn::kind)
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    /// The plural resource.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// True for exactly this group and plural.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.resource == resource && self.group.as_deref() == named(group)
    }

    /// True if every object of this kind is known to live in a namespace. False for custom resources: only the API server knows.
    pub(crate) fn is_known_as_namespaced(group: &str, resource: &str) -> bool {
        let cluster = ["nodes", "namespaces", "persistentvolumes", "storageclasses", "priorityclasses", "customresourcedefinitions"];
        BUILT_IN.iter().any(|known| known.plural == resource && known.group == named(group)) && !cluster.contains(&resource)
    }

    /// The singular of Kubernetes' own resources (`deployment`), else the full name (`clusters.postgresql.cnpg.io`): how a call on one object is written.
    pub fn singular(&self) -> String {
        BUILT_IN
            .iter()
            .find(|known| known.plural == self.resource && known.group == self.group.as_deref())
            .map_or_else(|| self.to_string(), |known| known.singular.to_owned())
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        self.group.as_ref().map_or(Ok(()), |group| write!(f, ".{group}"))
    }
}

/// The core group has no name. (An empty one would do, but to compare two texts at no address takes some processors longer than to compare a word.)
fn named(group: &str) -> Option<&str> {
    Some(group).filter(|group| !group.is_empty())
}

struct BuiltIn {
    group: Option<&'static str>,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
}

impl BuiltIn {
    fn is_called(&self, input: &str) -> bool {
        input.eq_ignore_ascii_case(self.plural) || input.eq_ignore_ascii_case(self.singular) || self.short.contains(&input)
    }

    fn kind(&self) -> GroupResource {
        GroupResource { group: self.group.map(Cow::Borrowed), resource: Cow::Borrowed(self.plural) }
    }
}
const fn built_in(group: &'static str, plural: &'static str, singular: &'static str, short: &'static [&'static str]) -> BuiltIn {
    BuiltIn { group: if group.is_empty() { None } else { Some(group) }, plural, singular, short }
}

/// Names of Kubernetes' own resources, as `kubectl api-resources` of 1.37 lists them, and of those that a sync request can name.
static BUILT_IN: &[BuiltIn] = &[
    built_in("", "pods", "pod", &["po"]),
    built_in("apps", "deployments", "deployment", &["deploy"]),
    built_in("apps", "replicasets", "replicaset", &["rs"]),
    built_in("apps", "statefulsets", "statefulset", &["sts"]),
    built_in("apps", "daemonsets", "daemonset", &["ds"]),
    built_in("apps", "controllerrevisions", "controllerrevision", &[]),
    built_in("batch", "jobs", "job", &[]),
    built_in("batch", "cronjobs", "cronjob", &["cj"]),
    built_in("", "services", "service", &["svc"]),
    built_in("", "events", "event", &["ev"]),
    built_in("", "nodes", "node", &["no"]),
    built_in("", "namespaces", "namespace", &["ns"]),
    built_in("", "configmaps", "configmap", &["cm"]),
    built_in("", "secrets", "secret", &[]),
    built_in("", "serviceaccounts", "serviceaccount", &["sa"]),
    built_in("", "endpoints", "endpoints", &["ep"]),
    built_in("", "persistentvolumeclaims", "persistentvolumeclaim", &["pvc"]),
    built_in("", "persistentvolumes", "persistentvolume", &["pv"]),
    built_in("", "resourcequotas", "resourcequota", &["quota"]),
    built_in("", "limitranges", "limitrange", &["limits"]),
    built_in("", "replicationcontrollers", "replicationcontroller", &["rc"]),
    built_in("networking.k8s.io", "ingresses", "ingress", &["ing"]),
    built_in("networking.k8s.io", "networkpolicies", "networkpolicy", &["netpol"]),
    built_in("autoscaling", "horizontalpodautoscalers", "horizontalpodautoscaler", &["hpa"]),
    built_in("policy", "poddisruptionbudgets", "poddisruptionbudget", &["pdb"]),
    built_in("storage.k8s.io", "storageclasses", "storageclass", &["sc"]),
    built_in("discovery.k8s.io", "endpointslices", "endpointslice", &[]),
    built_in("scheduling.k8s.io", "priorityclasses", "priorityclass", &["pc"]),
    built_in("coordination.k8s.io", "leases", "lease", &[]),
    built_in("kustomize.toolkit.fluxcd.io", "kustomizations", "kustomization", &["ks"]),
    built_in("helm.toolkit.fluxcd.io", "helmreleases", "helmrelease", &["hr"]),
    built_in("argoproj.io", "applications", "application", &["app", "apps"]),
    built_in("external-secrets.io", "externalsecrets", "externalsecret", &["es"]),
    built_in("apiextensions.k8s.io", "customresourcedefinitions", "customresourcedefinition", &["crd", "crds"]),
];

/// A kind of object that a skill may read. No value exists for Secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Readable(GroupResource);

impl Readable {
    /// Everything but Secrets.
    pub fn new(kind: GroupResource) -> Result<Self, Invalid> {
        if kind.resource == "secrets" {
            return Err(Invalid::plain("secrets cannot be read by a skill: the host attaches credentials itself"));
        }
        Ok(Self(kind))
    }

    /// The kind.
    pub fn kind(&self) -> &GroupResource {
        &self.0
    }
}
