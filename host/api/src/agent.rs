//! InfraAgent: what an agent is for, when it runs, with which skills, and how far it may go.

#![expect(clippy::duplicated_attributes, reason = "printer columns share types and priorities")]

pub mod guardrails;
pub mod schedule;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    names::{Mode, ModelTier},
    schema::{NAME_PATTERN, cel, list_map, list_set},
    text::words,
    time::GoDuration,
};
pub use guardrails::{Escalation, EscalationTarget, Guardrails, OnTimeout};
pub use schedule::{Schedule, Trigger, TriggerKind};

/// What the agent is for, when it runs, with which skills, and how far it may go.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.infraagent.io",
    version = "v1alpha1",
    kind = "InfraAgent",
    plural = "infraagents",
    namespaced,
    status = "InfraAgentStatus",
    shortname = "ia",
    category = "infraagent-all",
    derive = "Default",
    derive = "PartialEq",
    doc = "An autonomous infrastructure agent. It acts only through the tools of its skills; every call is decided against its guardrails, its environment and the platform's policies, recorded in an AgentRun, and only then carried out.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Autonomy", type_ = "string", json_path = ".spec.guardrails.autonomy"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule.cron"),
    printcolumn(name = "Last Run", type_ = "date", json_path = ".status.lastRunTime"),
    printcolumn(name = "Runs", type_ = "integer", json_path = ".status.runCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Failures", type_ = "integer", json_path = ".status.consecutiveFailures", priority = 1),
    printcolumn(name = "Next Run", type_ = "string", json_path = ".status.nextRunTime", priority = 1),
    printcolumn(name = "Tier", type_ = "string", json_path = ".spec.model.tier", priority = 1),
    printcolumn(name = "Environment", type_ = "string", json_path = ".spec.environmentRef", priority = 1),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct InfraAgentSpec {
    /// What this agent does, in a sentence. The model reads it as the agent's purpose. At most 2048 characters.
    #[schemars(length(max = 2048))]
    pub description: String,
    /// Icon in reports and messages, for example "🔨". At most 16 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub emoji: Option<String>,
    /// When the agent runs.
    pub schedule: Schedule,
    /// Which class of model thinks for it, and how much it may use per run.
    #[serde(default)]
    pub model: Model,
    /// The skills whose tools the model may call. 1 to 32, names are unique.
    #[schemars(length(min = 1, max = 32), transform = list_map("name"))]
    pub skills: Vec<SkillRef>,
    /// What the environment and the agent's roles must offer.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
    /// How far the agent may go. Unknown keys are kept so that a misspelled one is refused by name instead of vanishing.
    #[serde(default)]
    pub guardrails: Guardrails,
    /// Metrics, traces and log level of this agent's runs.
    #[serde(default)]
    pub observability: Observability,
    /// Who is told about what.
    #[serde(default)]
    pub reporting: Reporting,
    /// Name of the AgentEnvironment in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub environment_ref: String,
    /// Stops scheduling, and every mutation of a run in flight, without deleting anything. Default: false.
    #[serde(default)]
    pub paused: bool,
    /// ServiceAccount in the same namespace whose rights the agent acts with. Default: infraagent-<name of the agent>.
    /// If it does not exist the agent is not Ready; the operator's own rights are never used instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub service_account_name: Option<String>,
    /// live carries allowed calls out; shadow decides and records everything but only tries changes as a dry run. Default: live.
    #[serde(default)]
    pub mode: Mode,
    /// What happens when a run is due while another one is active: Forbid skips the new one, Replace ends the active one. Default: Forbid.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How long after its due time a run may still start, for example 10m. At least 1s.
    /// Default: until the next due time; 10m for runs without one. Past it the run ends Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = cel(STARTING_DEADLINE))]
    pub starting_deadline: Option<GoDuration>,
}

pub(crate) const STARTING_DEADLINE: &[crate::schema::Rule] =
    &[("duration(self) >= duration('1s')", "startingDeadline must be at least 1s: leave it out to use the next due time")];

/// Which class of model thinks for the agent, and how much it may use per run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Model {
    /// Class of model; the ModelTierConfig maps it to a provider and a model. Default: standard.
    pub tier: ModelTier,
    /// Hard limit of tokens per run, input and output together. 1 to 10,000,000. Default: 50000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub token_budget: i64,
    /// Hard limit of wall-clock time per run, for example 180s. 1s to 24h. Default: 120s.
    #[schemars(transform = cel(TIMEOUT))]
    pub timeout: GoDuration,
}

pub(crate) const TIMEOUT: &[crate::schema::Rule] = &[(
    "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
    "model.timeout must be between 1s and 24h: write for example 120s",
)];

impl Default for Model {
    fn default() -> Self {
        Self { tier: ModelTier::default(), token_budget: 50_000, timeout: GoDuration::literal("120s") }
    }
}

/// A skill, and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillRef {
    /// Name of the skill; it must be the name in the skill's own manifest. At most 63 characters.
    #[schemars(length(min = 1, max = 63), regex(pattern = SKILL_NAME_PATTERN))]
    pub name: String,
    /// Where the skill is: bundled, oci://registry/repository:tag or @sha256:digest, git://host/org/repo#path@ref,
    /// configmap (a ConfigMap with the skill's name) or configmap://name/key. Default: bundled.
    #[serde(default = "bundled")]
    #[schemars(length(min = 1, max = 512), regex(pattern = SKILL_SOURCE_PATTERN))]
    pub source: String,
    /// When a tag or branch is looked up again: on-change (of this spec) or always (before each run). Default: on-change.
    #[serde(default)]
    pub update: SkillUpdate,
}

/// A skill's name: a DNS label that may also hold dots and underscores.
pub(crate) const SKILL_NAME_PATTERN: &str = r"^[a-z0-9]([-._a-z0-9]*[a-z0-9])?$";
const SKILL_SOURCE_PATTERN: &str =
    r"^(bundled|configmap|configmap://[-.a-z0-9]+(/[-._a-zA-Z0-9]+)?|oci://[^\s/]+/[^\s]+|git://[^\s/]+/[^\s]+)$";

fn bundled() -> String {
    "bundled".to_owned()
}

words! {
    /// When a moving reference of a skill is looked up again.
    #[derive(Default)]
    SkillUpdate, "skill update rule" {
        /// Once per change of the agent's spec; the digest is recorded in the status.
        #[default]
        OnChange = "on-change",
        /// Before each run.
        Always = "always",
    }
}

/// What the environment and the agent's roles must offer, for example kubectl.get, http or k8sgpt.analyze.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// Without one of these the agent is not Ready. At most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)), transform = list_set)]
    pub required: Vec<String>,
    /// Used if they are there. At most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)), transform = list_set)]
    pub optional: Vec<String>,
}

impl Capabilities {
    fn is_empty(&self) -> bool {
        self.required.is_empty() && self.optional.is_empty()
    }
}

/// Metrics, traces and log level of the agent's runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Observability {
    /// Whether runs count in the Prometheus metrics. Default: true.
    pub metrics: bool,
    /// Whether runs make OpenTelemetry spans. Default: true.
    pub tracing: bool,
    /// Least severity that is logged about the agent's runs. Default: info.
    pub log_level: LogLevel,
}

impl Default for Observability {
    fn default() -> Self {
        Self { metrics: true, tracing: true, log_level: LogLevel::default() }
    }
}

words! {
    /// Least severity that is logged.
    #[derive(Default)]
    LogLevel, "log level" {
        /// Everything.
        Debug = "debug",
        /// What happens.
        #[default]
        Info = "info",
        /// What is odd.
        Warn = "warn",
        /// What failed.
        Error = "error",
    }
}

/// Who is told about what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Reporting {
    /// After a run that succeeded. Default: silent.
    pub on_success: ReportRule,
    /// After a run that failed. Default: escalate.
    pub on_failure: ReportRule,
    /// For each run with findings. Default: log.
    pub on_finding: ReportRule,
}

impl Default for Reporting {
    fn default() -> Self {
        Self { on_success: ReportRule::Silent, on_failure: ReportRule::Escalate, on_finding: ReportRule::Log }
    }
}

words! {
    /// How loudly something is told. Each rule includes the ones before it.
    ReportRule, "reporting rule" {
        /// Only the record.
        Silent = "silent",
        /// A line in the operator's log.
        Log = "log",
        /// A Normal Event on the agent, and the environment's channels.
        Notify = "notify",
        /// A Warning Event on the agent, and the escalation's channel.
        Escalate = "escalate",
    }
}

words! {
    /// What happens when a run is due while another one is active.
    #[derive(Default)]
    ConcurrencyPolicy, "concurrency policy" {
        /// The new run is skipped.
        #[default]
        Forbid = "Forbid",
        /// The active run is ended.
        Replace = "Replace",
    }
}

/// What the operator sees of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InfraAgentStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the agent stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<AgentPhase>,
    /// When the last run started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_time: Option<Time>,
    /// When the next run is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<Time>,
    /// Name of the last AgentRun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub last_run_name: Option<String>,
    /// Runs since the agent exists.
    pub run_count: i64,
    /// Failed runs since the last one that did not fail.
    pub consecutive_failures: i32,
    /// The run that is assigned now. While it is set no other run of this agent can start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_run: Option<RunRef>,
    /// Which artifact each skill resolved to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), transform = list_map("name"))]
    pub skills: Vec<ResolvedSkill>,
    /// Accepted, Ready, Supported, GuardrailsEffective.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_map("type"))]
    pub conditions: Vec<Condition>,
}

words! {
    /// Where an agent stands.
    #[derive(Default)]
    AgentPhase, "agent phase" {
        /// Not looked at yet.
        #[default]
        Pending = "Pending",
        /// Waits for its next run.
        Ready = "Ready",
        /// A run is active.
        Running = "Running",
        /// Cannot run; the conditions say why.
        Error = "Error",
        /// Paused by its spec or by a policy.
        Paused = "Paused",
    }
}

/// One AgentRun of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRef {
    /// Name of the AgentRun.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID of the AgentRun.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// The artifact that a skill resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSkill {
    /// Name of the skill.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Version from the skill's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
    /// Digest of the artifact, sha256:<64 hex digits>.
    #[schemars(length(max = 71))]
    pub digest: String,
}
