//! ActionApproval: a proposed action that waits for a person.
//!
//! The operator writes the request and the status, a person writes the decision; so the operator needs no right to change a spec, and
//! cannot approve its own proposals. The request holds the exact call, the object's version and what it was decided against: an
//! approval of something else, or of something that has changed since, is worth nothing.

#![expect(clippy::duplicated_attributes, reason = "printer columns share types and priorities")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    agent::RunRef,
    names::Tier,
    schema::{NAME_PATTERN, Rule, cel, cel_on_create, list_map},
    text::words,
};

/// What is proposed, and what a person decided.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.infraagent.io",
    version = "v1alpha1",
    kind = "ActionApproval",
    plural = "actionapprovals",
    namespaced,
    status = "ActionApprovalStatus",
    shortname = "aapp",
    category = "infraagent-all",
    derive = "PartialEq",
    selectable = ".status.phase",
    doc = "An action that an agent proposed and that waits for a person. Setting spec.decision decides it, once. The approved call is carried out by a new AgentRun only if the object and everything it was decided against are still the same.",
    printcolumn(name = "Agent", type_ = "string", json_path = ".spec.request.agentRef"),
    printcolumn(name = "Call", type_ = "string", json_path = ".spec.request.call"),
    printcolumn(name = "Tier", type_ = "string", json_path = ".spec.request.tier"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.request.expiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.decision.by", priority = 1),
    printcolumn(name = "Run", type_ = "string", json_path = ".spec.request.run.name", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = cel(RULES),
    transform = cel_on_create("oldSelf.hasValue() || !has(self.decision)", "a new ActionApproval cannot be decided yet: set spec.decision afterwards")
)]
pub struct ActionApprovalSpec {
    /// What is proposed. It never changes.
    pub request: ApprovalRequest,
    /// What a person decided. It is set once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

const RULES: &[Rule] = &[
    ("self.request == oldSelf.request", "spec.request never changes: only spec.decision can be set"),
    ("!has(oldSelf.decision) || (has(self.decision) && self.decision == oldSelf.decision)", "spec.decision is set once"),
];

/// What is proposed: one call, one version of its target, one set of rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequest {
    /// Name of the InfraAgent that proposed it.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub agent_ref: String,
    /// The run that proposed it.
    pub run: RunRef,
    /// Position of the proposal in that run's record.
    #[schemars(range(min = 0, max = 127))]
    pub seq: i32,
    /// The call in canonical text. Exactly this is carried out.
    #[schemars(length(min = 1, max = 4096))]
    pub call: String,
    /// Id of the action in the skill's action sheet.
    #[schemars(length(min = 1, max = 63))]
    pub action: String,
    /// Name of the skill.
    #[schemars(length(min = 1, max = 63))]
    pub skill: String,
    /// Digest of the skill's artifact, sha256:<64 hex digits>.
    #[schemars(length(min = 1, max = 71))]
    pub skill_digest: String,
    /// What the call can do to the world.
    pub tier: Tier,
    /// The target as it was looked at, <uid>/<resourceVersion>. Absent for calls beyond the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub object_version: Option<String>,
    /// resourceVersions of the agent, environment and policies that it was decided against.
    #[schemars(length(min = 1, max = 256))]
    pub decided_against: String,
    /// Hash of the proposal's entry in the run's record.
    #[schemars(length(min = 1, max = 64))]
    pub intent_hash: String,
    /// Why the agent wants it, in its own words. Not to be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// From when on a decision comes too late.
    pub expires_at: Time,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// approve or deny.
    pub verdict: Verdict,
    /// User name of who decided; it must be the name of who writes it.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

words! {
    /// What a person decided.
    Verdict, "verdict" {
        /// The call may be carried out.
        Approve = "approve",
        /// It may not.
        Deny = "deny",
    }
}

/// What became of the proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(STATUS_RULES))]
pub struct ActionApprovalStatus {
    /// Where the proposal stands. Denied, Expired, Executed and Failed are final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<ApprovalPhase>,
    /// The run that carries it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRef>,
    /// Why it failed or expired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_map("type"))]
    pub conditions: Vec<Condition>,
}

const STATUS_RULES: &[Rule] = &[
    (
        "!(has(oldSelf.phase) && oldSelf.phase in ['Denied', 'Expired', 'Executed', 'Failed']) || (has(self.phase) && self.phase == oldSelf.phase)",
        "the proposal is closed: phase is final",
    ),
    ("!has(oldSelf.run) || (has(self.run) && self.run == oldSelf.run)", "run is set once: a proposal is carried out once"),
];

words! {
    /// Where a proposal stands.
    #[derive(Default)]
    ApprovalPhase, "approval phase" {
        /// Waits for a decision.
        #[default]
        Pending = "Pending",
        /// Will be carried out.
        Approved = "Approved",
        /// Was refused.
        Denied = "Denied",
        /// Nobody decided in time.
        Expired = "Expired",
        /// Was carried out.
        Executed = "Executed",
        /// Could not be carried out: it, or what it was decided against, had changed.
        Failed = "Failed",
    }
}
