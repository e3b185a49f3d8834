//! AgentRun: one run of an agent, and the record of it.
//!
//! The spec is the order and never changes. The status is the record: the API server itself refuses to shorten, edit or reopen it
//! (`run/rules.rs`), and the host chains and signs it.

#![expect(clippy::duplicated_attributes, reason = "printer columns share types and priorities")]

pub mod action;
pub(crate) mod rules;
pub mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    names::Mode,
    schema::{NAME_PATTERN, cel},
    text::words,
};
pub use action::{ActionEscalation, ActionRecord, ActionStatus, PreFlightCheck, Reads};
pub use status::{AgentRunStatus, BudgetUsed, Finding, GuardrailSummary, Head, Holder, Previous, RunPhase, Usage};

/// Version of the record's layout that this build writes. A replica takes no run of a newer one.
pub const RECORD_VERSION: i32 = 1;

/// The order to run. It never changes.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.infraagent.io",
    version = "v1alpha1",
    kind = "AgentRun",
    plural = "agentruns",
    namespaced,
    status = "AgentRunStatus",
    shortname = "arun",
    category = "infraagent-all",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".status.phase",
    selectable = ".spec.agentRef",
    doc = "One run of an agent, and the record of it: every tool call and every change with the checks it passed, whether it was carried out, and what came of it. The API server refuses to edit, shorten or reopen the record.",
    printcolumn(name = "Agent", type_ = "string", json_path = ".spec.agentRef"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Trigger", type_ = "string", json_path = ".spec.trigger"),
    printcolumn(name = "Blocked", type_ = "integer", json_path = ".status.guardrails.actionsBlocked"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Duration Ms", type_ = "integer", json_path = ".status.usage.wallClockMs", priority = 1),
    printcolumn(name = "Tokens", type_ = "integer", json_path = ".status.usage.totalTokens", priority = 1),
    printcolumn(name = "Cost", type_ = "string", json_path = ".status.usage.estimatedCost", priority = 1),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model", priority = 1),
    printcolumn(name = "Holder", type_ = "string", json_path = ".status.holder.lease", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = cel(rules::SPEC))]
pub struct AgentRunSpec {
    /// Name of the InfraAgent in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub agent_ref: String,
    /// UID of the InfraAgent, so that an agent created later under the same name is not taken for it. A manual run may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub agent_uid: Option<String>,
    /// Name of the AgentEnvironment in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub environment_ref: String,
    /// What started the run: scheduled, webhook, manual, event or approval.
    pub trigger: RunTrigger,
    /// Model of the run as provider/model. Default: what the agent's tier resolves to when the run starts (status.model).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub model_used: Option<String>,
    /// live or shadow. A shadow run changes nothing even if its agent is live. Default: live.
    #[serde(default)]
    pub mode: Mode,
    /// Name of the first run when this one tries it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub retry_of: Option<String>,
    /// 1 for the first run, 2 for its first retry. 1 to 11. Default: 1.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 11))]
    pub attempt: i32,
    /// What happened, if the run was started by a webhook or an Event. Data from the world: the model is shown it as such, and nothing in it gives orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<RunInput>,
    /// Name of the ActionApproval that this run carries out. Needed when trigger is approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub approval_ref: Option<String>,
    /// Layout of the record. A replica takes no run of a newer layout than it knows. Default: 1.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 1_000))]
    pub record_version: i32,
}

/// What a run was started by: at most 16 KiB of it, and what it was a part of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunInput {
    /// Where it came from, for example webhook alertmanager.
    #[schemars(length(min = 1, max = 253))]
    pub source: String,
    /// The beginning of it, as text. At most 16384 characters.
    #[schemars(length(max = 16_384))]
    pub text: String,
    /// How many bytes it had.
    #[schemars(range(min = 0))]
    pub bytes: i64,
    /// sha256:<64 hex digits> of all of it.
    #[schemars(length(max = 71))]
    pub digest: String,
}

fn first() -> i32 {
    1
}

words! {
    /// What started a run.
    #[derive(Default)]
    RunTrigger, "run trigger" {
        /// The agent's schedule.
        Scheduled = "scheduled",
        /// An authenticated HTTP request.
        Webhook = "webhook",
        /// A person.
        #[default]
        Manual = "manual",
        /// An Event of the cluster.
        Event = "event",
        /// A person who allowed a proposed action.
        Approval = "approval",
    }
}
