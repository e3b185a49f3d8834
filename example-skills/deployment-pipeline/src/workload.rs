//! Deployments, stateful sets and daemon sets as one thing: how many pods there should be, and how far the rollout is.

use skills_sdk::prelude::*;

use crate::view::View;

/// A workload and its rollout.
#[derive(Debug)]
pub(crate) struct Rollout {
    pub(crate) kind: WorkloadKind,
    object: Value,
}

impl Rollout {
    pub(crate) fn new(kind: WorkloadKind, object: Value) -> Self {
        Self { kind, object }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View(&self.object)
    }

    /// How many pods there should be.
    pub(crate) fn wanted(&self) -> u64 {
        match self.kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet if self.view().has("/spec/replicas") => {
                self.view().number("/spec/replicas")
            }
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => 1,
            WorkloadKind::DaemonSet => self.view().number("/status/desiredNumberScheduled"),
        }
    }

    /// How many pods are of the newest template.
    pub(crate) fn updated(&self) -> u64 {
        let status = self.view().at("/status");
        match self.kind {
            WorkloadKind::Deployment => status.number("/updatedReplicas"),
            // Once everything is updated, the controller counts those pods as current.
            WorkloadKind::StatefulSet if status.text("/updateRevision") == status.text("/currentRevision") => {
                status.number("/updatedReplicas").max(status.number("/currentReplicas"))
            }
            WorkloadKind::StatefulSet => status.number("/updatedReplicas"),
            WorkloadKind::DaemonSet => status.number("/updatedNumberScheduled"),
        }
    }

    /// How many pods take traffic.
    pub(crate) fn ready(&self) -> u64 {
        self.view().number(match self.kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => "/status/readyReplicas",
            WorkloadKind::DaemonSet => "/status/numberReady",
        })
    }

    /// How many pods there are, those of old revisions included.
    fn total(&self) -> u64 {
        self.view().number(match self.kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => "/status/replicas",
            WorkloadKind::DaemonSet => "/status/currentNumberScheduled",
        })
    }

    /// Whether the newest template runs everywhere, and nothing else is left.
    pub(crate) fn is_done(&self) -> bool {
        let wanted = self.wanted();
        let observed = self.view().number("/status/observedGeneration") >= self.view().number("/metadata/generation");
        observed && self.updated() >= wanted && self.ready() >= wanted && self.total() <= wanted
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.view().flag("/spec/paused")
    }

    pub(crate) fn namespace(&self) -> &str {
        self.view().text("/metadata/namespace")
    }

    pub(crate) fn name(&self) -> &str {
        self.view().name()
    }

    /// `shop/checkout`.
    pub(crate) fn title(&self) -> String {
        [self.namespace(), "/", self.name()].concat()
    }

    /// The labels of its pods, as `kubectl -l` takes them.
    pub(crate) fn labels(&self) -> String {
        let mut selector = String::new();
        for (label, value) in self.view().texts("/spec/selector/matchLabels") {
            if !selector.is_empty() {
                selector.push(',');
            }
            selector.push_str(&[label, "=", value].concat());
        }
        selector
    }

    /// As the field `kind` of an object says it.
    pub(crate) fn object_kind(&self) -> &'static str {
        match self.kind {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::StatefulSet => "StatefulSet",
            WorkloadKind::DaemonSet => "DaemonSet",
        }
    }
}

/// Which revision a deployment or a replica set says that it is.
pub(crate) fn revision(object: View<'_>) -> &str {
    object.at("/metadata/annotations").0.get("deployment.kubernetes.io/revision").and_then(Value::as_str).unwrap_or_default()
}

/// As the arguments of the tools and their answers say it.
pub(crate) fn kind_name(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployment",
        WorkloadKind::StatefulSet => "stateful-set",
        WorkloadKind::DaemonSet => "daemon-set",
    }
}
