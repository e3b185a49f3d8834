//! What runs pods and keeps them running.

use super::pod::PodSpec;
use super::{Condition, LabelSelector, Meta, object, part};

object! {
    /// A deployment.
    NamespacedKind Deployment, "deployments.apps" {
        /// What should run.
        spec: DeploymentSpec,
        /// What runs.
        status: DeploymentStatus,
    }
}

part! {
    /// What a deployment should run.
    DeploymentSpec {
        /// How many pods; 1 if absent.
        replicas: Option<u32>,
        /// Which pods are its own.
        selector: LabelSelector,
        /// What its pods are made of.
        template: PodTemplate,
        /// Whether rollouts are paused.
        paused: bool,
        /// After how many seconds without progress a rollout counts as failed.
        progress_deadline_seconds: Option<u32>,
    }
}

part! {
    /// What pods are made of.
    PodTemplate {
        /// Labels and annotations of the pods.
        metadata: Meta,
        /// Their spec.
        spec: PodSpec,
    }
}

part! {
    /// What a deployment does.
    DeploymentStatus {
        /// The generation of the spec that this status is about.
        observed_generation: Option<i64>,
        /// Pods there are.
        replicas: u32,
        /// Pods of the current template.
        updated_replicas: u32,
        /// Pods that take traffic.
        ready_replicas: u32,
        /// Pods that have taken traffic for long enough.
        available_replicas: u32,
        /// Pods that are missing.
        unavailable_replicas: u32,
        /// Its conditions: `Available`, `Progressing`, `ReplicaFailure`.
        conditions: Vec<Condition>,
    }
}

object! {
    /// A stateful set.
    NamespacedKind StatefulSet, "statefulsets.apps" {
        /// What should run.
        spec: StatefulSetSpec,
        /// What runs.
        status: StatefulSetStatus,
    }
}

part! {
    /// What a stateful set should run.
    StatefulSetSpec {
        /// How many pods; 1 if absent.
        replicas: Option<u32>,
        /// Which pods are its own.
        selector: LabelSelector,
        /// What its pods are made of.
        template: PodTemplate,
        /// The service that names its pods.
        service_name: Option<String>,
    }
}

part! {
    /// What a stateful set does.
    StatefulSetStatus {
        /// The generation of the spec that this status is about.
        observed_generation: Option<i64>,
        /// Pods there are.
        replicas: u32,
        /// Pods of the old revision.
        current_replicas: u32,
        /// Pods of the new revision.
        updated_replicas: u32,
        /// Pods that take traffic.
        ready_replicas: u32,
        /// The old revision.
        current_revision: Option<String>,
        /// The new revision.
        update_revision: Option<String>,
    }
}

object! {
    /// A daemon set.
    NamespacedKind DaemonSet, "daemonsets.apps" {
        /// What should run.
        spec: WorkloadSpec,
        /// What runs.
        status: DaemonSetStatus,
    }
}

part! {
    /// What a daemon set or a replica set should run.
    WorkloadSpec {
        /// How many pods; not for daemon sets.
        replicas: Option<u32>,
        /// Which pods are its own.
        selector: LabelSelector,
        /// What its pods are made of.
        template: PodTemplate,
    }
}

part! {
    /// What a daemon set does.
    DaemonSetStatus {
        /// The generation of the spec that this status is about.
        observed_generation: Option<i64>,
        /// Nodes that should run a pod.
        desired_number_scheduled: u32,
        /// Nodes that run a pod, as they should.
        current_number_scheduled: u32,
        /// Pods of the current template.
        updated_number_scheduled: u32,
        /// Pods that take traffic.
        number_ready: u32,
        /// Pods that are missing.
        number_unavailable: u32,
    }
}

object! {
    /// A replica set: one revision of a deployment.
    NamespacedKind ReplicaSet, "replicasets.apps" {
        /// What should run.
        spec: WorkloadSpec,
        /// What runs.
        status: ReplicaSetStatus,
    }
}

part! {
    /// What a replica set does.
    ReplicaSetStatus {
        /// Pods there are.
        replicas: u32,
        /// Pods that take traffic.
        ready_replicas: u32,
        /// Pods that have taken traffic for long enough.
        available_replicas: u32,
        /// Its conditions: `ReplicaFailure`.
        conditions: Vec<Condition>,
    }
}

impl ReplicaSet {
    /// The revision of the deployment that it stands for.
    pub fn revision(&self) -> Option<u64> {
        self.metadata.annotations.get("deployment.kubernetes.io/revision")?.parse().ok()
    }
}

impl Deployment {
    /// The current revision.
    pub fn revision(&self) -> Option<u64> {
        self.metadata.annotations.get("deployment.kubernetes.io/revision")?.parse().ok()
    }

    /// How many pods it should have.
    pub fn wanted(&self) -> u32 {
        self.spec.replicas.unwrap_or(1)
    }

    /// Whether the current template runs everywhere: observed, updated, available, and nothing left of the old one.
    pub fn is_rolled_out(&self) -> bool {
        let status = &self.status;
        status.observed_generation >= self.metadata.generation
            && status.updated_replicas >= self.wanted()
            && status.available_replicas >= self.wanted()
            && status.replicas <= status.updated_replicas
    }
}
