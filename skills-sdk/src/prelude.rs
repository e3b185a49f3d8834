//! What most skills need: `use skills_sdk::prelude::*;`.

pub use serde_json::{Value, json};

pub use crate::kinds::{ClusterKind, Kind, NamespacedKind};
pub use crate::kubernetes::{LogQuery, Query, Receipt};
pub use crate::{
    Cx, Declares, Error, Level, ObjectRef, Output, Remembers, Resource, Result, Severity, Uses, Workload, WorkloadKind, args, output, tool,
    verb,
};
