//! The record of a run.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{action::ActionRecord, rules};
use crate::{
    agent::ResolvedSkill,
    names::{Autonomy, Severity},
    schema::{cel, list_atomic, list_map},
    text::words,
};

/// The record of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(rules::STATUS))]
pub struct AgentRunStatus {
    /// Where the run stands. Succeeded, Failed, Escalated and Blocked are final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RunPhase>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Number of this run among the runs of its agent, without gaps. Set once, when the run is assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub sequence: Option<i64>,
    /// The run before this one, and the head of its record. Set once, with sequence; the first run has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Who executes the run. It can be replaced, not removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// Model that is used, as provider/model. Set once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub model: Option<String>,
    /// The artifacts that the run used. Set once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), transform = list_atomic)]
    pub skills: Vec<ResolvedSkill>,
    /// What was attempted, in order. Entries are appended; an intended one gets its outcome; nothing else ever changes. At most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), transform = list_atomic)]
    pub actions: Vec<ActionRecord>,
    /// What the run used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the guardrails did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<GuardrailSummary>,
    /// What the agent noticed. Findings are appended. At most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), transform = list_atomic)]
    pub findings: Vec<Finding>,
    /// The agent's report, at most 16384 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16_384))]
    pub report: Option<String>,
    /// The signed head of the record; present once the run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// Accepted, Ready, Complete; the reason of a failure is here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_map("type"))]
    pub conditions: Vec<Condition>,
}

words! {
    /// Where a run stands.
    #[derive(Default)]
    RunPhase, "run phase" {
        /// Waits to be assigned.
        #[default]
        Pending = "Pending",
        /// Is executed.
        Running = "Running",
        /// Ended as it should.
        Succeeded = "Succeeded",
        /// Ended with an error; the conditions say which.
        Failed = "Failed",
        /// Ended as it should, and somebody was told about something.
        Escalated = "Escalated",
        /// Something was refused and nothing was carried out.
        Blocked = "Blocked",
    }
}

impl RunPhase {
    /// Whether a run in this phase has ended: its record never changes again.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Escalated | Self::Blocked => true,
        }
    }
}

/// The run before this one, and the head of its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Previous {
    /// UID of the previous run.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Hash of its head.
    #[schemars(length(max = 64))]
    pub head: String,
}

/// Who executes a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Name of the replica's Lease.
    #[schemars(length(max = 253))]
    pub lease: String,
    /// UID of the Lease.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// How often the run was assigned. It grows with every new holder.
    #[schemars(range(min = 0))]
    pub epoch: i64,
}

/// What a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Input tokens.
    #[schemars(range(min = 0))]
    pub tokens_in: i64,
    /// Input tokens that the provider took from its cache; part of tokensIn.
    #[schemars(range(min = 0))]
    pub cached_tokens_in: i64,
    /// Output tokens.
    #[schemars(range(min = 0))]
    pub tokens_out: i64,
    /// tokensIn plus tokensOut.
    #[schemars(range(min = 0))]
    pub total_tokens: i64,
    /// Turns.
    #[schemars(range(min = 0))]
    pub iterations: i32,
    /// Duration in milliseconds.
    #[schemars(range(min = 0))]
    pub wall_clock_ms: i64,
    /// Estimated cost in US dollars, for example $0.0042. Absent without prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub estimated_cost: Option<String>,
}

/// What the guardrails did in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GuardrailSummary {
    /// Calls that were decided.
    #[schemars(range(min = 0))]
    pub checks_performed: i32,
    /// Calls that were refused.
    #[schemars(range(min = 0))]
    pub actions_blocked: i32,
    /// Escalations that were really sent.
    #[schemars(range(min = 0))]
    pub escalations_triggered: i32,
    /// The level of autonomy that held, after policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autonomy_ceiling: Option<Autonomy>,
    /// Budgets, and what was used of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_used: Option<BudgetUsed>,
}

/// Budgets of a run, and what was used of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetUsed {
    /// Tokens used.
    #[schemars(range(min = 0))]
    pub tokens_used: i64,
    /// Tokens allowed.
    #[schemars(range(min = 0))]
    pub token_budget: i64,
    /// Turns used.
    #[schemars(range(min = 0))]
    pub iterations_used: i32,
    /// Turns allowed.
    #[schemars(range(min = 0))]
    pub max_iterations: i32,
    /// Milliseconds used.
    #[schemars(range(min = 0))]
    pub wall_clock_ms: i64,
    /// Milliseconds allowed.
    #[schemars(range(min = 0))]
    pub timeout_ms: i64,
}

/// Something that the agent noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// info, warning or critical.
    pub severity: Severity,
    /// What it is about, for example deployment/web -n shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub resource: Option<String>,
    /// What was noticed, at most 1024 characters.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The signed head of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Hash over the last entry and everything outside the entries.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// Ed25519 signature of the hash, base64. Absent if there was no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub signature: Option<String>,
    /// Which key signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub key_id: Option<String>,
}
