//! Planted failures: what a snapshot refuses to show, so that the host's answer to a missing permission can be tried. The file is `faults.yaml`.
//!
//! ```yaml
//! forbidden: [list persistentvolumeclaims, get clusters.postgresql.cnpg.io]
//! unavailable: [list widgets.example.com, list kinds]
//! ```

use std::path::Path;

use infraagent_guard::name::GroupResource;
use serde::Deserialize;

use super::load::{LoadError, documents};
use crate::broker::world::WorldError;

pub(super) const FILE: &str = "faults.yaml";

/// Rules in the words of RBAC: verb and resource.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Faults {
    forbidden: Vec<String>,
    unavailable: Vec<String>,
}

impl Faults {
    /// None if the file is absent.
    pub(super) fn load(dir: &Path) -> Result<Self, LoadError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let yaml = |message: String| LoadError::Yaml { path: path.clone(), message };
        match documents(&path)?.as_slice() {
            [] => Ok(Self::default()),
            [one] => Self::deserialize(one).map_err(|error| yaml(error.to_string())),
            [_, _, ..] => Err(yaml("expected one document".to_owned())),
        }
    }

    /// Fails if the rule is planted to fail.
    pub(super) fn check(&self, verb: &str, resource: &GroupResource) -> Result<(), WorldError> {
        // Nearly no snapshot has any.
        if self.forbidden.is_empty() && self.unavailable.is_empty() {
            return Ok(());
        }
        self.check_rule(&format!("{verb} {resource}"))
    }

    pub(super) fn check_rule(&self, rule: &str) -> Result<(), WorldError> {
        let planted = |rules: &[String]| rules.iter().any(|planted| planted == rule);
        if planted(&self.forbidden) {
            return Err(WorldError::Forbidden { rule: rule.to_owned() });
        }
        if planted(&self.unavailable) {
            return Err(WorldError::Unavailable(format!("{rule}: the API server does not answer")));
        }
        Ok(())
    }
}
