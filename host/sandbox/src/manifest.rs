//! What a skill says about itself: one canonical JSON document in one custom section of its component, readable without running anything.
//!
//! Owns the document ([`Manifest`]), the action sheet in it ([`Sheet`], [`ActionSpec`]), its place in the binary ([`read`], [`append`]) and every check that
//! needs neither an environment nor the code. The sheet is a request: what it means for one site is [`ActionSpec::resolve`].

mod duration;
mod legacy;
mod resolve;
mod section;
mod sheet;
mod validate;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use resolve::{KubernetesTarget, Target, function};
pub use section::{SECTION, append, read};
pub use sheet::{
    ActionSpec, DataImpact, HttpMethod, HttpSpec, KubernetesSpec, McpSpec, NodeSelector, PreCondition, ReplicaBounds, Rollback, Sheet,
    SheetTier, SheetVerb,
};

/// The version of the contract that this host speaks.
pub const CONTRACT: &str = "0.1.0";
/// The largest manifest, in bytes of JSON.
pub const MAX_MANIFEST: usize = 256 * 1024;
/// The largest component, in bytes.
pub const MAX_COMPONENT: usize = 32 * 1024 * 1024;
/// The most tools of a skill.
pub const MAX_TOOLS: usize = 64;
/// The largest schema of a tool's arguments, in bytes of JSON.
pub const MAX_SCHEMA: usize = 16 * 1024;
/// How deep a schema may nest.
pub const MAX_SCHEMA_DEPTH: usize = 8;
/// The most actions of a sheet.
pub const MAX_ACTIONS: usize = 1000;

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The skill's name: an RFC 1123 label.
    pub name: String,
    /// Its version: `major.minor.patch`, perhaps with a pre-release.
    pub version: String,
    /// One sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// An SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Free words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The body of SKILL.md: what the model is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// The contract's version that it was built against.
    pub contract: String,
    /// The oldest host that can run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_host: Option<String>,
    /// What the model can call.
    pub tools: Vec<ToolDescription>,
    /// What the tools may do.
    pub sheet: Sheet,
    /// Limits that differ from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitRequest>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolDescription {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
    /// The only actions that calls made while it runs may claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
}

/// What a skill asks for instead of the default limits. Ceilings of the host, the agent and the platform hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitRequest {
    /// Linear memory, summed over all memories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Time on the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Time on the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_millis: Option<u64>,
    /// Calls to the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_calls: Option<u64>,
    /// Bytes that calls carry out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_bytes: Option<u64>,
    /// Bytes of one result of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u64>,
    /// Bytes of the tool's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
}

/// Why a manifest is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not a component at all.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// Too many bytes.
    #[error("the component has {0} bytes, more than {MAX_COMPONENT}; build it optimised for size and strip it")]
    ComponentTooLarge(usize),
    /// There is none.
    #[error("no custom section `{SECTION}`; make one with `infraagent skill pack`")]
    Missing,
    /// There is more than one.
    #[error("more than one custom section `{SECTION}`; keep exactly one")]
    Duplicate,
    /// Too many bytes.
    #[error("the manifest has {0} bytes, more than {MAX_MANIFEST}; shorten instructions and schemas")]
    TooLarge(usize),
    /// Not the document.
    #[error("the manifest cannot be read: {0}")]
    Malformed(String),
    /// The same document written differently.
    #[error("the manifest is not canonical JSON (sorted keys, no whitespace, no repeated key); make it with `infraagent skill pack`")]
    NotCanonical,
    /// The document says something that cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl ManifestError {
    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAComponent(_) => "not-a-component",
            Self::ComponentTooLarge(_) => "component-too-large",
            Self::Missing => "manifest-missing",
            Self::Duplicate => "manifest-duplicate",
            Self::TooLarge(_) => "manifest-too-large",
            Self::Malformed(_) => "manifest-malformed",
            Self::NotCanonical => "manifest-not-canonical",
            Self::Invalid(_) => "manifest-invalid",
        }
    }
}

/// Why an action of a sheet is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("action `{id}`: {problem}")]
pub struct InvalidAction {
    /// The action's id, escaped and cut.
    pub id: String,
    /// What is wrong and what to write.
    pub problem: String,
}

impl Manifest {
    /// The document's only form: sorted keys, no whitespace.
    pub fn to_canonical_json(&self) -> String {
        // A struct of strings, numbers, lists and JSON values always becomes a JSON value.
        let value = serde_json::to_value(self).unwrap_or(Value::Null);
        let mut text = String::new();
        canonical(&value, &mut text);
        text
    }

    /// The tool with this name.
    pub fn tool(&self, name: &str) -> Option<&ToolDescription> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Everything that is wrong with the document, whatever the code beside it does. Empty: nothing.
    pub fn problems(&self) -> Vec<String> {
        validate::problems(self)
    }
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{value}");
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (at, (key, item)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                canonical(item, out);
            }
            out.push('}');
        }
    }
}
