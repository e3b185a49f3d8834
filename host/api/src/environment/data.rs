//! What holds data at a site. The guard protects it, and everything that it depends on; nothing here can switch that off.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{schema::NAME_PATTERN, time::GoDuration};

/// What holds data. Nothing of it, and nothing that it depends on, can be changed by an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataResources {
    /// Age from which a backup counts as missing, for example 24h. Default: 24h.
    pub backup_max_age: GoDuration,
    /// Database clusters, for example kind cnpg.io/Cluster. At most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub databases: Vec<DataResource>,
    /// Claims and volumes, for example kind PersistentVolumeClaim. At most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub persistent_storage: Vec<DataResource>,
    /// Buckets. Mark the endpoint of their store with data: object-storage. At most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub object_storage: Vec<ObjectStorage>,
}

impl Default for DataResources {
    fn default() -> Self {
        Self {
            backup_max_age: GoDuration::literal("24h"),
            databases: Vec::new(),
            persistent_storage: Vec::new(),
            object_storage: Vec::new(),
        }
    }
}

/// An object of the cluster that holds data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataResource {
    /// Kind, with its API group where it has one: PersistentVolumeClaim, cnpg.io/Cluster (short for postgresql.cnpg.io/Cluster).
    #[schemars(length(min = 1, max = 253))]
    pub kind: String,
    /// Namespace; absent for volumes and other objects of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Name or cron line of its backup schedule; the prompt shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub backup_schedule: Option<String>,
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStorage {
    /// Kind of storage, for example s3-bucket.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name of the bucket.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Who runs it, for example minio or aws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub provider: Option<String>,
}
