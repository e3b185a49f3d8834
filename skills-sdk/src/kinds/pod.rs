//! Pods and their containers.

use std::collections::BTreeMap;

use super::{Condition, Quantity, Time, object, part};

object! {
    /// A pod.
    NamespacedKind Pod, "pods" {
        /// What should run.
        spec: PodSpec,
        /// What runs.
        status: PodStatus,
    }
}

part! {
    /// What a pod should run.
    PodSpec {
        /// The node it was assigned to.
        node_name: Option<String>,
        /// Its containers.
        containers: Vec<Container>,
        /// Containers that run before the others.
        init_containers: Vec<Container>,
        /// `Always`, `OnFailure` or `Never`.
        restart_policy: Option<String>,
        /// The account it runs as.
        service_account_name: Option<String>,
        /// How it may be pushed aside.
        priority_class_name: Option<String>,
    }
}

part! {
    /// A container of a pod. Environment variables are not here: the host holds their values back.
    Container {
        /// Its name in the pod.
        name: String,
        /// The image.
        image: String,
        /// Requests and limits.
        resources: ResourceRequirements,
    }
}

part! {
    /// What a container asks for, and what it may use at most.
    ResourceRequirements {
        /// By resource: `cpu`, `memory`.
        requests: BTreeMap<String, Quantity>,
        /// By resource: `cpu`, `memory`.
        limits: BTreeMap<String, Quantity>,
    }
}

part! {
    /// What a pod does.
    PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        phase: Option<String>,
        /// One word, as in `Evicted`.
        reason: Option<String>,
        /// One sentence.
        message: Option<String>,
        /// Its conditions.
        conditions: Vec<Condition>,
        /// Its containers.
        container_statuses: Vec<ContainerStatus>,
        /// Containers that run before the others.
        init_container_statuses: Vec<ContainerStatus>,
        /// When the node took it over.
        start_time: Option<Time>,
    }
}

part! {
    /// What a container does.
    ContainerStatus {
        /// Its name in the pod.
        name: String,
        /// The image that runs.
        image: String,
        /// Whether it passes its readiness probe.
        ready: bool,
        /// Whether it passed its startup probe.
        started: Option<bool>,
        /// How often it was started again.
        restart_count: u32,
        /// What it does now.
        state: ContainerState,
        /// What it did before it was started again.
        last_state: ContainerState,
    }
}

part! {
    /// The state of a container: at most one of these.
    ContainerState {
        /// It does not run yet.
        waiting: Option<Waiting>,
        /// It runs.
        running: Option<Running>,
        /// It ended.
        terminated: Option<Terminated>,
    }
}

part! {
    /// Why a container does not run yet.
    Waiting {
        /// One word: `ImagePullBackOff`, `CrashLoopBackOff`.
        reason: Option<String>,
        /// One sentence.
        message: Option<String>,
    }
}

part! {
    /// A container that runs.
    Running {
        /// Since when.
        started_at: Option<Time>,
    }
}

part! {
    /// How a container ended.
    Terminated {
        /// The exit code.
        exit_code: i32,
        /// The signal that ended it.
        signal: Option<i32>,
        /// One word: `OOMKilled`, `Error`, `Completed`.
        reason: Option<String>,
        /// One sentence, or the end of the log.
        message: Option<String>,
        /// When it ended.
        finished_at: Option<Time>,
    }
}

impl Pod {
    /// `Running`, `Pending` and so on; `Unknown` if the pod does not say.
    pub fn phase(&self) -> &str {
        self.status.phase.as_deref().unwrap_or("Unknown")
    }

    /// Whether the pod takes traffic.
    pub fn is_ready(&self) -> bool {
        Condition::find(&self.status.conditions, "Ready").is_some_and(Condition::is_true)
    }

    /// How often its containers were started again.
    pub fn restarts(&self) -> u32 {
        self.status.container_statuses.iter().fold(0, |sum, status| sum.saturating_add(status.restart_count))
    }
}
