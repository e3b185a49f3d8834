//! The compact projection: what one looks at first, per kind. A pod is a few hundred bytes instead of nine thousand.

use serde_json::{Map, Value, json};

use super::keep;
use crate::broker::object;

/// Of every object. Uid and version, since a deletion must name them.
const META: &[&str] = &[
    "metadata/name",
    "metadata/namespace",
    "metadata/uid",
    "metadata/resourceVersion",
    "metadata/creationTimestamp",
    "metadata/deletionTimestamp",
    "metadata/ownerReferences/*/kind",
    "metadata/ownerReferences/*/name",
    "metadata/ownerReferences/*/controller",
];

const WORKLOAD: &[&str] = &[
    "metadata/generation",
    "metadata/labels",
    "spec/replicas",
    "spec/paused",
    "spec/selector",
    "spec/strategy/type",
    "spec/serviceName",
    "spec/progressDeadlineSeconds",
    "spec/persistentVolumeClaimRetentionPolicy",
    "spec/template/spec/containers/*/name",
    "spec/template/spec/containers/*/image",
    "status",
];

/// Projects an object from which everything forbidden was already removed.
pub(super) fn of(value: Value, group: &str, resource: &str) -> Value {
    let paths: &[&str] = match (group, resource) {
        ("", "pods") => &[
            "spec/nodeName",
            "status/phase",
            "status/reason",
            "status/message",
            "status/conditions",
            "status/initContainerStatuses/*/name",
            "status/initContainerStatuses/*/ready",
            "status/initContainerStatuses/*/restartCount",
            "status/initContainerStatuses/*/state",
            "status/initContainerStatuses/*/lastState",
            "status/containerStatuses/*/name",
            "status/containerStatuses/*/ready",
            "status/containerStatuses/*/restartCount",
            "status/containerStatuses/*/state",
            "status/containerStatuses/*/lastState",
        ],
        ("apps", "deployments" | "statefulsets" | "daemonsets" | "replicasets") => WORKLOAD,
        ("batch", "jobs") => {
            &["metadata/labels", "spec/completions", "spec/parallelism", "spec/backoffLimit", "spec/suspend", "spec/selector", "status"]
        }
        ("batch", "cronjobs") => &["metadata/labels", "spec/schedule", "spec/timeZone", "spec/suspend", "spec/concurrencyPolicy", "status"],
        ("", "nodes") => &[
            "metadata/labels",
            "spec/unschedulable",
            "spec/taints",
            "status/conditions",
            "status/capacity",
            "status/allocatable",
            "status/nodeInfo/kubeletVersion",
            "status/nodeInfo/kernelVersion",
            "status/nodeInfo/osImage",
            "status/nodeInfo/containerRuntimeVersion",
            "status/nodeInfo/architecture",
        ],
        ("" | "events.k8s.io", "events") => &[
            "type",
            "reason",
            "message",
            "note",
            "count",
            "involvedObject/kind",
            "involvedObject/namespace",
            "involvedObject/name",
            "involvedObject/uid",
            "involvedObject/fieldPath",
            "regarding/kind",
            "regarding/namespace",
            "regarding/name",
            "firstTimestamp",
            "lastTimestamp",
            "eventTime",
            "series",
            "source/component",
        ],
        ("", "services") => &["metadata/labels", "spec/type", "spec/clusterIP", "spec/selector", "spec/ports", "status/loadBalancer"],
        ("networking.k8s.io", "ingresses") => {
            &["metadata/labels", "spec/ingressClassName", "spec/defaultBackend", "spec/rules", "spec/tls/*/hosts", "status/loadBalancer"]
        }
        ("", "persistentvolumeclaims") => &[
            "metadata/labels",
            "spec/accessModes",
            "spec/storageClassName",
            "spec/volumeName",
            "spec/resources/requests",
            "status/phase",
            "status/capacity",
            "status/conditions",
        ],
        ("", "persistentvolumes") => &[
            "spec/capacity",
            "spec/accessModes",
            "spec/storageClassName",
            "spec/persistentVolumeReclaimPolicy",
            "spec/claimRef/namespace",
            "spec/claimRef/name",
            "status/phase",
            "status/reason",
        ],
        ("", "resourcequotas") => &["spec/hard", "status/hard", "status/used"],
        ("autoscaling", "horizontalpodautoscalers") => &[
            "spec/scaleTargetRef",
            "spec/minReplicas",
            "spec/maxReplicas",
            "status/currentReplicas",
            "status/desiredReplicas",
            "status/conditions",
        ],
        ("policy", "poddisruptionbudgets") => &[
            "spec/minAvailable",
            "spec/maxUnavailable",
            "spec/selector",
            "status/currentHealthy",
            "status/desiredHealthy",
            "status/disruptionsAllowed",
            "status/expectedPods",
        ],
        ("", "namespaces") => &["metadata/labels", "status/phase"],
        ("", "configmaps") => return config_map(&value),
        _ => return generic(&value),
    };
    let mut kept = keep(&value, &META.iter().chain(paths).copied().collect::<Vec<_>>());
    revision(&mut kept, &value);
    trim_status(&mut kept, resource);
    kept
}

/// The revision of a Deployment and of its replica sets is an annotation.
fn revision(kept: &mut Value, value: &Value) {
    const KEY: &str = "deployment.kubernetes.io/revision";
    if let (Some(revision), Some(metadata)) = (object::annotation(value, KEY), kept.pointer_mut("/metadata").and_then(Value::as_object_mut))
    {
        metadata.insert("annotations".to_owned(), json!({KEY: revision}));
    }
}

fn trim_status(kept: &mut Value, resource: &str) {
    for statuses in ["/status/containerStatuses", "/status/initContainerStatuses"] {
        for container in kept.pointer_mut(statuses).and_then(Value::as_array_mut).into_iter().flatten() {
            trim_container(container);
        }
    }
    let Some(conditions) = kept.pointer_mut("/status/conditions").and_then(Value::as_array_mut) else { return };
    if resource == "pods" {
        // Of a healthy pod only that it is ready.
        conditions.retain(|condition| object::text(condition, "/type") == "Ready" || object::text(condition, "/status") != "True");
    }
    for condition in conditions {
        let mut fields = vec!["type", "status", "reason", "message"];
        if resource != "pods" || object::text(condition, "/status") != "True" {
            fields.push("lastTransitionTime");
        }
        *condition = keep(condition, &fields);
    }
}

/// Why a container waits or ended, and why the instance before did. That it runs is said by `ready`.
fn trim_container(container: &mut Value) {
    let Some(fields) = container.as_object_mut() else { return };
    for state in ["state", "lastState"] {
        let paths = [
            "waiting/reason",
            "waiting/message",
            "terminated/reason",
            "terminated/message",
            "terminated/exitCode",
            "terminated/finishedAt",
        ];
        match fields.get(state).map(|value| keep(value, &paths)) {
            Some(kept) if kept.as_object().is_some_and(|kept| !kept.is_empty()) => {
                fields.insert(state.to_owned(), kept);
            }
            Some(_) | None => {
                fields.remove(state);
            }
        }
    }
}

/// Keys and sizes: the values are configuration of any size and kind. A query that selects `/data` gets them.
fn config_map(value: &Value) -> Value {
    let mut kept = keep(value, &[META, &["metadata/labels"]].concat());
    let mut sizes = Map::new();
    for part in ["data", "binaryData"] {
        for (key, text) in value.get(part).and_then(Value::as_object).into_iter().flatten() {
            sizes.insert(key.clone(), json!(text.as_str().map_or(0, str::len)));
        }
    }
    if let Some(kept) = kept.as_object_mut() {
        kept.insert("sizes".to_owned(), Value::Object(sizes));
    }
    kept
}

/// Any other kind: what it is, its conditions, and the plain values of its spec and status.
fn generic(value: &Value) -> Value {
    let mut kept = keep(value, &[META, &["apiVersion", "kind", "metadata/generation", "metadata/labels", "status/conditions"]].concat());
    for part in ["spec", "status"] {
        let plain: Map<String, Value> = value
            .get(part)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_object() && !value.is_array() && value.as_str().is_none_or(|text| text.len() <= 256))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !plain.is_empty()
            && let Some(part) =
                kept.as_object_mut().map(|kept| kept.entry(part).or_insert_with(|| json!({}))).and_then(Value::as_object_mut)
        {
            part.extend(plain);
        }
    }
    // Computed kinds (metrics) keep their readings.
    for part in ["usage", "containers", "timestamp", "window"].into_iter().filter(|_| object::group(value) == "metrics.k8s.io") {
        if let (Some(reading), Some(kept)) = (value.get(part), kept.as_object_mut()) {
            kept.insert(part.to_owned(), reading.clone());
        }
    }
    trim_status(&mut kept, "");
    kept
}
