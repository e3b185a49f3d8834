//! Claims and quotas. Claims can be read; nothing in this SDK can change one.

use std::collections::BTreeMap;

use super::{Condition, Quantity, ResourceRequirements, object, part};

object! {
    /// A claim for a volume.
    NamespacedKind PersistentVolumeClaim, "persistentvolumeclaims" {
        /// What is asked for.
        spec: PersistentVolumeClaimSpec,
        /// What was given.
        status: PersistentVolumeClaimStatus,
    }
}

part! {
    /// What a claim asks for.
    PersistentVolumeClaimSpec {
        /// As in `ReadWriteOnce`.
        access_modes: Vec<String>,
        /// The class; the cluster's default if absent.
        storage_class_name: Option<String>,
        /// The volume it is bound to.
        volume_name: Option<String>,
        /// How much.
        resources: ResourceRequirements,
    }
}

part! {
    /// What a claim was given.
    PersistentVolumeClaimStatus {
        /// `Pending`, `Bound` or `Lost`.
        phase: Option<String>,
        /// How much.
        capacity: BTreeMap<String, Quantity>,
        /// Its conditions, as in `FileSystemResizePending`.
        conditions: Vec<Condition>,
    }
}

object! {
    /// Limits on what a namespace may use.
    NamespacedKind ResourceQuota, "resourcequotas" {
        /// What is allowed.
        spec: ResourceQuotaSpec,
        /// What is used.
        status: ResourceQuotaStatus,
    }
}

part! {
    /// What a quota allows.
    ResourceQuotaSpec {
        /// By resource: `pods`, `requests.cpu`.
        hard: BTreeMap<String, Quantity>,
    }
}

part! {
    /// What is used of a quota.
    ResourceQuotaStatus {
        /// What is allowed.
        hard: BTreeMap<String, Quantity>,
        /// What is used.
        used: BTreeMap<String, Quantity>,
    }
}

impl ResourceQuota {
    /// Resources of which nothing is left.
    pub fn exhausted(&self) -> Vec<&str> {
        let used_up = |name: &String, hard: &Quantity| Some(self.status.used.get(name)?.value()? >= hard.value()?);
        self.status.hard.iter().filter(|(name, hard)| used_up(name, hard) == Some(true)).map(|(name, _)| name.as_str()).collect()
    }
}
