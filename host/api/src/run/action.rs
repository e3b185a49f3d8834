//! One entry of the record: a tool call, or a change inside one.
//!
//! An entry has two halves. The *intent* is written before anything happens and never changes; the *outcome* is added once. The rules
//! of the API server know both halves by name, so a new field belongs in `rules.rs` too (a test fails otherwise).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{names::Tier, schema::list_atomic, text::words};

/// One entry of the record: a tool call with its reads folded in, or a change that was made, proposed or refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionRecord {
    /// Position in the record, from 0, without gaps.
    #[schemars(range(min = 0, max = 127))]
    pub seq: i32,
    /// When it was attempted.
    pub timestamp: Time,
    /// Tool that the model called, or the verb of a change inside it, for example kubectl.rollout restart.
    #[schemars(length(max = 128))]
    pub tool: String,
    /// What it acted on, for example deployment/web -n shop.
    #[schemars(length(max = 512))]
    pub target: String,
    /// What it can do to the world.
    pub tier: Tier,
    /// Id of the action in the skill's action sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub action: Option<String>,
    /// The call in canonical text: what was decided and what was carried out.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub call: String,
    /// Identifies this entry when an answer of the API server got lost.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub nonce: String,
    /// Outcome of every check in one line, for example declared=ok tier=ok autonomy=ok scope=ok deny=ok allow=ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub checks: Option<String>,
    /// The checks that people ask for first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_flight_check: Option<PreFlightCheck>,
    /// The target as it was looked at, <uid>/<resourceVersion>; sent as the precondition of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub object_version: Option<String>,
    /// resourceVersions of the agent, environment and policies that it was decided against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub decided_against: Option<String>,
    /// Hash of the entry before this one and of everything above.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub intent_hash: String,
    /// What happened: intended until it is known, then executed, blocked, failed, skipped or unknown.
    pub status: ActionStatus,
    /// Why it was blocked, skipped or failed: a code such as data-protection, proposed or conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// What came of it, redacted, at most 4096 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub result: Option<String>,
    /// Reads that the tool call made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Reads>,
    /// Who was told about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<ActionEscalation>,
    /// Hash of intentHash and of the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub outcome_hash: Option<String>,
}

words! {
    /// What happened to an action.
    #[derive(Default)]
    ActionStatus, "action status" {
        /// Written down; it may or may not have happened yet.
        #[default]
        Intended = "intended",
        /// It was done.
        Executed = "executed",
        /// It was refused.
        Blocked = "blocked",
        /// It was tried and did not work.
        Failed = "failed",
        /// It was not tried: proposed to a person, or a shadow run.
        Skipped = "skipped",
        /// The run was cut off before the outcome was known.
        Unknown = "unknown",
    }
}

/// The checks that people ask for first. Each says pass, fail with the reason, or not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PreFlightCheck {
    /// Whether the agent's level of autonomy is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub autonomy_check: Option<String>,
    /// Whether data could be affected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub data_impact_check: Option<String>,
    /// Whether allowedActions and deniedActions admit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub allow_list_check: Option<String>,
    /// Whether the data protection that nobody can configure admits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub data_protection: Option<String>,
    /// The first check that failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// Reads of one tool call, folded: all of them are in the digest, the list may be cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Reads {
    /// How many there were, denied ones included.
    #[schemars(range(min = 0))]
    pub count: i32,
    /// How many of them were denied.
    #[schemars(range(min = 0))]
    pub denied: i32,
    /// The first of them in canonical text, at most 32; denied ones end in their code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 256)), transform = list_atomic)]
    pub calls: Vec<String>,
    /// Hash over all calls and results.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
}

/// Who was told about an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionEscalation {
    /// Channel that it was really sent to.
    #[schemars(length(max = 253))]
    pub channel: String,
    /// What was sent.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When it was sent.
    pub timestamp: Time,
}
