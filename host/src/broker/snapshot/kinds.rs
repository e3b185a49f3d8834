//! Which kinds a snapshot serves: Kubernetes' own, those of its CustomResourceDefinitions, and whatever its objects and their owner references show.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use infraagent_guard::name::{GroupResource, Invalid};
use serde_json::Value;

use crate::broker::{object, world::ServedKind};

/// Every kind by group and `kind`.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    by_kind: BTreeMap<(String, String), ServedKind>,
    /// The same by resource, the first where several have it. Every read of a skill looks here.
    by_resource: HashMap<GroupResource, ServedKind>,
}

impl Kinds {
    /// Kubernetes' own kinds, then what `objects` define, then what they show.
    pub(super) fn of<'a>(objects: impl Iterator<Item = &'a Value> + Clone) -> Result<Self, Invalid> {
        let mut kinds = Self::default();
        for (group, version, plural, kind, namespaced) in OWN {
            kinds.add(group, version, plural, kind, *namespaced)?;
        }
        for definition in
            objects.clone().filter(|o| object::group(o) == "apiextensions.k8s.io" && object::kind(o) == "CustomResourceDefinition")
        {
            kinds.define(definition)?;
        }
        for shown in objects.clone() {
            let (group, kind) = (object::group(shown), object::kind(shown));
            let version = object::text(shown, "/apiVersion").rsplit('/').next().unwrap_or_default();
            match kinds.by_kind.get_mut(&(group.to_owned(), kind.to_owned())) {
                Some(known) if known.versions.iter().any(|v| v == version) => {}
                Some(known) => known.versions.push(version.to_owned()),
                None => kinds.add(group, version, &plural(kind), kind, !object::namespace(shown).is_empty())?,
            }
        }
        for owned in objects {
            for owner in object::items(owned, "/metadata/ownerReferences") {
                let (version, kind) = (object::text(owner, "/apiVersion"), object::text(owner, "/kind"));
                let group = object::group_of(version);
                if !kind.is_empty() && !kinds.by_kind.contains_key(&(group.to_owned(), kind.to_owned())) {
                    kinds.add(group, version.rsplit('/').next().unwrap_or_default(), &plural(kind), kind, true)?;
                }
            }
        }
        for kind in kinds.by_kind.values() {
            kinds.by_resource.entry(kind.resource.clone()).or_insert_with(|| kind.clone());
        }
        Ok(kinds)
    }

    fn define(&mut self, definition: &Value) -> Result<(), Invalid> {
        let served = object::items(definition, "/spec/versions").iter().filter(|v| v.get("served").and_then(Value::as_bool) != Some(false));
        let versions: Vec<String> = served.map(|v| object::text(v, "/name").to_owned()).collect();
        let (group, kind) = (object::text(definition, "/spec/group"), object::text(definition, "/spec/names/kind"));
        let resource = GroupResource::new(group, object::text(definition, "/spec/names/plural"))?;
        let namespaced = object::text(definition, "/spec/scope") == "Namespaced";
        let served = ServedKind { resource, kind: kind.to_owned(), namespaced, versions, listable: true };
        self.by_kind.insert((group.to_owned(), kind.to_owned()), served);
        Ok(())
    }

    fn add(&mut self, group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) -> Result<(), Invalid> {
        let resource = GroupResource::new(group, plural)?;
        let served = ServedKind { resource, kind: kind.to_owned(), namespaced, versions: vec![version.to_owned()], listable: true };
        self.by_kind.insert((group.to_owned(), kind.to_owned()), served);
        Ok(())
    }

    /// By the fields of an object.
    pub(super) fn by_kind(&self, group: &str, kind: &str) -> Option<&ServedKind> {
        self.by_kind.get(&(group.to_owned(), kind.to_owned()))
    }

    /// By group and plural.
    pub(super) fn by_resource(&self, resource: &GroupResource) -> Option<&ServedKind> {
        self.by_resource.get(resource)
    }

    /// Each kind once, sorted by group and plural.
    pub(super) fn all(&self) -> Vec<ServedKind> {
        let mut seen = BTreeSet::new();
        let mut all: Vec<ServedKind> = self.by_kind.values().filter(|kind| seen.insert(&kind.resource)).cloned().collect();
        all.sort_by(|a, b| a.resource.cmp(&b.resource));
        all
    }
}

/// The plural as the conventions of Kubernetes form it. Kinds that differ need their CustomResourceDefinition in the snapshot.
fn plural(kind: &str) -> String {
    let singular = kind.to_ascii_lowercase();
    if ["s", "x", "z", "ch", "sh"].iter().any(|end| singular.ends_with(end)) {
        return format!("{singular}es");
    }
    match singular.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        Some(_) | None => format!("{singular}s"),
    }
}

/// Kubernetes' own kinds: group, version, plural, kind, namespaced.
const OWN: &[(&str, &str, &str, &str, bool)] = &[
    ("", "v1", "configmaps", "ConfigMap", true),
    ("", "v1", "endpoints", "Endpoints", true),
    ("", "v1", "events", "Event", true),
    ("", "v1", "limitranges", "LimitRange", true),
    ("", "v1", "namespaces", "Namespace", false),
    ("", "v1", "nodes", "Node", false),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true),
    ("", "v1", "persistentvolumes", "PersistentVolume", false),
    ("", "v1", "pods", "Pod", true),
    ("", "v1", "podtemplates", "PodTemplate", true),
    ("", "v1", "replicationcontrollers", "ReplicationController", true),
    ("", "v1", "resourcequotas", "ResourceQuota", true),
    ("", "v1", "secrets", "Secret", true),
    ("", "v1", "serviceaccounts", "ServiceAccount", true),
    ("", "v1", "services", "Service", true),
    ("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", false),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", false),
    ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false),
    ("apiregistration.k8s.io", "v1", "apiservices", "APIService", false),
    ("apps", "v1", "controllerrevisions", "ControllerRevision", true),
    ("apps", "v1", "daemonsets", "DaemonSet", true),
    ("apps", "v1", "deployments", "Deployment", true),
    ("apps", "v1", "replicasets", "ReplicaSet", true),
    ("apps", "v1", "statefulsets", "StatefulSet", true),
    ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true),
    ("batch", "v1", "cronjobs", "CronJob", true),
    ("batch", "v1", "jobs", "Job", true),
    ("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", false),
    ("coordination.k8s.io", "v1", "leases", "Lease", true),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true),
    ("events.k8s.io", "v1", "events", "Event", true),
    ("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", false),
    ("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", true),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", false),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", true),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true),
    ("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", false),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", true),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false),
    ("storage.k8s.io", "v1", "csidrivers", "CSIDriver", false),
    ("storage.k8s.io", "v1", "csinodes", "CSINode", false),
    ("storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", true),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", false),
    ("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", false),
];

#[cfg(test)]
mod tests {
    use super::plural;

    #[test]
    fn plurals_follow_the_conventions() {
        for (kind, expected) in [
            ("Cluster", "clusters"),
            ("Prometheus", "prometheuses"),
            ("NetworkPolicy", "networkpolicies"),
            ("Gateway", "gateways"),
            ("Batch", "batches"),
            ("HelmRelease", "helmreleases"),
        ] {
            assert_eq!(plural(kind), expected);
        }
    }
}
