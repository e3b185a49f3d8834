//! Nodes.

use std::collections::BTreeMap;

use super::{Condition, Quantity, Time, object, part};

object! {
    /// A node.
    ClusterKind Node, "nodes" {
        /// What should be.
        spec: NodeSpec,
        /// What is.
        status: NodeStatus,
    }
}

part! {
    /// What a node should take.
    NodeSpec {
        /// Cordoned.
        unschedulable: bool,
        /// What keeps pods away.
        taints: Vec<Taint>,
    }
}

part! {
    /// What keeps pods away from a node.
    Taint {
        /// The key.
        key: String,
        /// The value.
        value: Option<String>,
        /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
        effect: String,
        /// Since when.
        time_added: Option<Time>,
    }
}

part! {
    /// What a node is.
    NodeStatus {
        /// `Ready`, `MemoryPressure`, `DiskPressure`, `PIDPressure`.
        conditions: Vec<Condition>,
        /// What it has.
        capacity: BTreeMap<String, Quantity>,
        /// What it has for pods.
        allocatable: BTreeMap<String, Quantity>,
        /// Its software.
        node_info: NodeSystemInfo,
    }
}

part! {
    /// The software of a node.
    NodeSystemInfo {
        /// As in `v1.37.2`.
        kubelet_version: Option<String>,
        /// The kernel.
        kernel_version: Option<String>,
        /// The distribution.
        os_image: Option<String>,
        /// As in `containerd://2.1.0`.
        container_runtime_version: Option<String>,
        /// As in `amd64`.
        architecture: Option<String>,
    }
}

impl Node {
    /// Whether it takes pods: ready, and not cordoned.
    pub fn is_ready(&self) -> bool {
        !self.spec.unschedulable && Condition::find(&self.status.conditions, "Ready").is_some_and(Condition::is_true)
    }
}
