//! Deployments, stateful sets and daemon sets as one thing: how many pods there should be, and how far the rollout is.

use skills_sdk::kinds::{Condition, DaemonSet, Deployment, Meta, PodSpec, StatefulSet};
use skills_sdk::prelude::*;

/// A workload and its rollout.
#[derive(Debug)]
pub(crate) struct Rollout {
    pub(crate) kind: WorkloadKind,
    pub(crate) meta: Meta,
    /// The labels of its pods, as `kubectl -l` takes them.
    pub(crate) labels: String,
    pub(crate) wanted: u32,
    pub(crate) updated: u32,
    pub(crate) ready: u32,
    /// Pods there are, those of old revisions included.
    pub(crate) total: u32,
    /// Whether the numbers are about the newest spec.
    pub(crate) observed: bool,
    pub(crate) paused: bool,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) template: PodSpec,
}

impl Rollout {
    /// Whether the newest template runs everywhere, and nothing else is left.
    pub(crate) fn is_done(&self) -> bool {
        self.observed && self.updated >= self.wanted && self.ready >= self.wanted && self.total <= self.wanted
    }

    pub(crate) fn namespace(&self) -> &str {
        self.meta.namespace.as_deref().unwrap_or_default()
    }

    /// As the field `kind` of an object says it.
    pub(crate) fn object_kind(&self) -> &'static str {
        match self.kind {
            WorkloadKind::Deployment => Deployment::KIND,
            WorkloadKind::StatefulSet => StatefulSet::KIND,
            WorkloadKind::DaemonSet => DaemonSet::KIND,
        }
    }

    /// `shop/checkout`.
    pub(crate) fn title(&self) -> String {
        [self.namespace(), "/", &self.meta.name].concat()
    }

    /// Where a deployment writes which revision it is at.
    pub(crate) fn revision(&self) -> Option<&str> {
        self.meta.annotations.get(REVISION).map(String::as_str)
    }

    /// The condition of this type, if it has the given status.
    pub(crate) fn condition(&self, r#type: &str, status: &str) -> Option<&Condition> {
        Condition::find(&self.conditions, r#type).filter(|condition| condition.status == status)
    }
}

/// The annotation of deployments and replica sets.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

/// As the arguments of the tools and their answers say it.
pub(crate) fn kind_name(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployment",
        WorkloadKind::StatefulSet => "stateful-set",
        WorkloadKind::DaemonSet => "daemon-set",
    }
}

impl From<Deployment> for Rollout {
    fn from(from: Deployment) -> Self {
        let (spec, status) = (from.spec, from.status);
        Self {
            kind: WorkloadKind::Deployment,
            labels: spec.selector.query(),
            wanted: spec.replicas.unwrap_or(1),
            updated: status.updated_replicas,
            ready: status.ready_replicas,
            total: status.replicas,
            observed: status.observed_generation >= from.metadata.generation,
            paused: spec.paused,
            conditions: status.conditions,
            template: spec.template.spec,
            meta: from.metadata,
        }
    }
}

impl From<StatefulSet> for Rollout {
    fn from(from: StatefulSet) -> Self {
        let (spec, status) = (from.spec, from.status);
        // Once everything is updated the controller counts those pods as current.
        let settled = status.update_revision.is_none() || status.update_revision == status.current_revision;
        Self {
            kind: WorkloadKind::StatefulSet,
            labels: spec.selector.query(),
            wanted: spec.replicas.unwrap_or(1),
            updated: if settled { status.updated_replicas.max(status.current_replicas) } else { status.updated_replicas },
            ready: status.ready_replicas,
            total: status.replicas,
            observed: status.observed_generation >= from.metadata.generation,
            paused: false,
            conditions: Vec::new(),
            template: spec.template.spec,
            meta: from.metadata,
        }
    }
}

impl From<DaemonSet> for Rollout {
    fn from(from: DaemonSet) -> Self {
        let (spec, status) = (from.spec, from.status);
        Self {
            kind: WorkloadKind::DaemonSet,
            labels: spec.selector.query(),
            wanted: status.desired_number_scheduled,
            updated: status.updated_number_scheduled,
            ready: status.number_ready,
            total: status.current_number_scheduled,
            observed: status.observed_generation >= from.metadata.generation,
            paused: false,
            conditions: Vec::new(),
            template: spec.template.spec,
            meta: from.metadata,
        }
    }
}
