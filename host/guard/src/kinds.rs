//! Kinds of objects, and the names that Kubernetes' own kinds have.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use core::{cmp::Ordering, fmt};

use crate::name::{Invalid, is_label, is_subdomain};

/// A kind of object, in the words of RBAC: plural resource and API group (empty for the core group). Always canonical: short names, singulars and
/// CamelCase kinds of Kubernetes' own resources become the plural, and a core resource written with a group it does not have is a different one.
#[derive(Debug, Clone, Eq, Hash)]
#[expect(clippy::derived_hash_with_manual_eq, reason = "equal means the same as if it were derived, see `same`")]
pub struct GroupResource {
    group: String,
    resource: String,
}

impl PartialEq for GroupResource {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.group, &other.resource)
    }
}

impl Ord for GroupResource {
    /// By group, then by resource.
    fn cmp(&self, other: &Self) -> Ordering {
        let groups = if self.group.is_empty() || other.group.is_empty() {
            self.group.len().cmp(&other.group.len())
        } else {
            self.group.cmp(&other.group)
        };
        groups.then_with(|| self.resource.cmp(&other.resource))
    }
}

impl PartialOrd for GroupResource {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Equality of groups, of which most are empty. An empty `String` points nowhere, and to compare nothing at such an address takes glibc's `memcmp` a hundred
/// times longer than to compare a word (the masked load of its AVX-512 variant is caught by microcode): so it is not asked.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
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
        let known = BUILT_IN.iter().find(|known| same(known.group, group) && known.is_called(resource));
        Ok(Self { group: group.to_owned(), resource: known.map_or(resource, |known| known.plural).to_owned() })
    }

    /// From `resource` or `resource.group`; Kubernetes' own resources may leave their group out and use any of their names: `deploy`, `Deployment`, `deployments.apps`.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        if let Some((resource, group)) = input.split_once('.') {
            return if group.is_empty() { Err(Invalid::new("resource", input, "`resource.group`")) } else { Self::new(group, resource) };
        }
        if let Some(known) = BUILT_IN.iter().find(|known| known.is_called(input)) {
            return Ok(Self { group: known.group.to_owned(), resource: known.plural.to_owned() });
        }
        Self::new("", input)
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The plural resource.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// True for exactly this group and plural.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        same(&self.group, group) && self.resource == resource
    }

    /// True if `word` is a name, singular, kind or short name of one of Kubernetes' own resources.
    pub(crate) fn is_built_in(word: &str) -> bool {
        BUILT_IN.iter().any(|known| known.is_called(word))
    }

    /// True if every object of this kind is known to live in a namespace. False for custom resources: only the API server knows.
    pub(crate) fn is_known_as_namespaced(group: &str, resource: &str) -> bool {
        let cluster = ["nodes", "namespaces", "persistentvolumes", "storageclasses", "priorityclasses", "customresourcedefinitions"];
        BUILT_IN.iter().any(|known| same(known.group, group) && known.plural == resource) && !cluster.contains(&resource)
    }

    /// The singular of Kubernetes' own resources (`deployment`), else the full name (`clusters.postgresql.cnpg.io`): how a call on one object is written.
    pub fn singular(&self) -> String {
        BUILT_IN.iter().find(|known| self.is(known.group, known.plural)).map_or_else(|| self.to_string(), |known| known.singular.to_owned())
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

struct BuiltIn {
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
}

impl BuiltIn {
    fn is_called(&self, input: &str) -> bool {
        input.eq_ignore_ascii_case(self.plural) || input.eq_ignore_ascii_case(self.singular) || self.short.contains(&input)
    }
}

const fn built_in(group: &'static str, plural: &'static str, singular: &'static str, short: &'static [&'static str]) -> BuiltIn {
    BuiltIn { group, plural, singular, short }
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
