//! The custom resources of InfraAgent (`core.infraagent.io/v1alpha1`), one kind per file.
//!
//! This crate owns the *shape* of what users write and auditors read: fields, defaults, ranges, the rules that the API server enforces
//! and the text that `kubectl explain` shows. Doc comments become the descriptions of the definitions, so they are written for the
//! person with `kubectl` in hand. Nothing here decides, connects or reads a clock.
//!
//! | kind | scope | written by | file |
//! |---|---|---|---|
//! | [`InfraAgent`] | namespace | team | `agent.rs` |
//! | [`AgentEnvironment`] | namespace | team | `environment.rs` |
//! | [`ModelTierConfig`] | cluster | platform | `model_tier.rs` |
//! | [`InfraAgentPolicy`] | cluster | platform | `policy.rs` |
//! | [`AgentRun`] | namespace | operator (status: append-only) | `run.rs` |
//! | [`ActionApproval`] | namespace | operator (request), person (decision) | `approval.rs` |
//!
//! Three rules hold for every type:
//!
//! * Decoding is tolerant (an object of another version must never stop a watch); [`check`] is strict and names what is wrong, for
//!   documents that never pass an API server.
//! * A default is written once, in `Default`; serde and the definition both take it from there.
//! * Words are enums, durations are [`GoDuration`], money is [`Dollars`]: nothing is parsed a second time elsewhere.

pub mod agent;
pub mod approval;
mod check;
mod crd;
pub mod environment;
pub mod model_tier;
mod money;
pub mod names;
mod offline;
pub mod policy;
pub mod run;
mod schema;
mod text;
mod time;

pub use agent::{InfraAgent, InfraAgentSpec, InfraAgentStatus};
pub use approval::{ActionApproval, ActionApprovalSpec, ActionApprovalStatus};
pub use check::{Problem, check, unknown_fields};
pub use crd::{crds, definition};
pub use environment::{AgentEnvironment, AgentEnvironmentSpec, AgentEnvironmentStatus};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, ObjectMeta, Time};
pub use model_tier::{ModelTierConfig, ModelTierConfigSpec, ModelTierConfigStatus};
pub use money::{Dollars, InvalidDollars};
pub use offline::Rules;
pub use policy::{InfraAgentPolicy, InfraAgentPolicySpec, InfraAgentPolicyStatus};
pub use run::{AgentRun, AgentRunSpec, AgentRunStatus};
pub use text::UnknownWord;
pub use time::{GoDuration, InvalidDuration};

/// The API group of every kind here.
pub const GROUP: &str = "core.infraagent.io";
/// The only served version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as it stands in a manifest.
pub const API_VERSION: &str = "core.infraagent.io/v1alpha1";

/// Label on everything that belongs to one agent; its value is the agent's name.
pub const LABEL_AGENT: &str = "infraagent.io/agent";
/// Label of ClusterRoles that are aggregated into what the operator may read to gather facts.
pub const LABEL_FACTS: &str = "infraagent.io/facts";
/// Annotation on an InfraAgent: `"true"` asks for one manual run; removed once the run exists.
pub const ANNOTATION_RUN_NOW: &str = "infraagent.io/run-now";
/// Annotation on an AgentRun: `"true"` ends it as Failed, reason `Cancelled`.
pub const ANNOTATION_CANCEL: &str = "infraagent.io/cancel";
