//! InfraAgentPolicy: what the platform team allows, whatever teams write into their agents.
//!
//! Where several policies match a namespace the strictest value wins, field by field; a field that a policy leaves out says nothing.
//! With no policy at all, or none that sets `maxAutonomy`, agents can only observe. Merging is not done here.

#![expect(clippy::duplicated_attributes, reason = "printer columns share types and priorities")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    money::Dollars,
    names::Autonomy,
    schema::{CRON_PATTERN, Rule, TIME_ZONE_PATTERN, cel, list_map, list_set},
    text::words,
    time::GoDuration,
};

/// What the platform team allows in the namespaces that match.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.infraagent.io",
    version = "v1alpha1",
    kind = "InfraAgentPolicy",
    plural = "infraagentpolicies",
    status = "InfraAgentPolicyStatus",
    shortname = "iap",
    category = "infraagent-all",
    derive = "Default",
    derive = "PartialEq",
    doc = "What the platform team allows in the namespaces that match, whatever agents ask for. Several policies may match: the strictest value wins. Without any policy that sets maxAutonomy agents can only observe.",
    printcolumn(name = "Max Autonomy", type_ = "string", json_path = ".spec.maxAutonomy"),
    printcolumn(name = "Suspend", type_ = "string", json_path = ".spec.suspend"),
    printcolumn(name = "Signatures", type_ = "string", json_path = ".spec.signatures.mode"),
    printcolumn(name = "Namespaces", type_ = "integer", json_path = ".status.namespaceCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct InfraAgentPolicySpec {
    /// Labels of the namespaces whose agents are bound. Default: all namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Highest level of autonomy: observe, recommend, automate-safe or automate-destructive.
    /// Absent: this policy says nothing; if none says anything, observe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_autonomy: Option<Autonomy>,
    /// Where skills may come from: bundled, oci, git, configmap. Absent: from anywhere; empty: from nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), transform = list_set)]
    pub allowed_sources: Option<Vec<SourceKind>>,
    /// Registries and Git hosts of skills; * stands for the rest, for example ghcr.io/acme/*. Absent: any; empty: none. At most 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), transform = list_set)]
    pub allowed_registries: Option<Vec<String>>,
    /// Whether skills must be signed, and by whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Signatures>,
    /// Origins that endpoints and MCP servers may have; * stands for one label of the host or for any port,
    /// for example https://*.example.com. Absent: any; empty: none. At most 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 253), regex(pattern = ORIGIN_PATTERN)), transform = list_set)]
    pub allowed_endpoints: Option<Vec<String>>,
    /// Models as provider/model; * stands for the rest, for example anthropic/*. Absent: any; empty: none. At most 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 317), regex(pattern = MODEL_PATTERN)), transform = list_set)]
    pub allowed_models: Option<Vec<String>>,
    /// What all agents of a namespace together may use per day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_budget: Option<DailyBudget>,
    /// Ceilings for single runs and skills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Times in which nothing is changed: mutations are denied, reads go on. At most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), transform = list_map("name"))]
    pub freeze_windows: Vec<FreezeWindow>,
    /// Kill switch, effective on the next call: none, mutations (reads go on) or all. Default: none.
    pub suspend: Suspend,
}

const ORIGIN_PATTERN: &str = r"^https?://(\*|(\*\.)?[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(:([0-9]{1,5}|\*))?$";
const MODEL_PATTERN: &str = r"^[^\s/*]+/([^\s*]+\*?|\*)$";

words! {
    /// Where a skill comes from.
    SourceKind, "kind of source" {
        /// Shipped with the operator.
        Bundled = "bundled",
        /// An OCI registry.
        Oci = "oci",
        /// A Git repository.
        Git = "git",
        /// A ConfigMap of the agent's namespace.
        ConfigMap = "configmap",
    }
}

words! {
    /// Kill switch.
    #[derive(Default)]
    Suspend, "suspension" {
        /// Nothing is suspended.
        #[default]
        None = "none",
        /// No mutation is allowed; reads go on.
        Mutations = "mutations",
        /// No call is allowed and no run starts.
        All = "all",
    }
}

/// Whether skills must be signed, and by whom. Bundled skills need no signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(SIGNATURE_RULES))]
pub struct Signatures {
    /// require (an unsigned skill is refused), warn (it runs, a condition tells) or off. Default: require.
    pub mode: SignatureMode,
    /// Public keys that are trusted, PEM. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 4096)))]
    pub keys: Vec<String>,
    /// Keyless identities that are trusted. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub identities: Vec<Identity>,
}

pub(crate) const SIGNATURE_RULES: &[Rule] = &[(
    "self.mode == 'off' || (has(self.keys) && size(self.keys) > 0) || (has(self.identities) && size(self.identities) > 0)",
    "signatures.mode is require or warn: list at least one of keys or identities, or set mode to off",
)];

words! {
    /// What happens to a skill without a valid signature.
    #[derive(Default)]
    SignatureMode, "signature mode" {
        /// It is refused.
        #[default]
        Require = "require",
        /// It runs, and a condition tells.
        Warn = "warn",
        /// It runs.
        Off = "off",
    }
}

/// An identity that signs without a key of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Issuer of the identity, for example https://token.actions.githubusercontent.com.
    #[schemars(length(min = 1, max = 253))]
    pub issuer: String,
    /// Subject of the certificate, exactly, for example https://github.com/acme/skills/.github/workflows/release.yaml@refs/heads/main.
    #[schemars(length(min = 1, max = 512))]
    pub subject: String,
}

/// What all agents of a namespace together may use per day (UTC). Past it runs do not start, and active ones end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DailyBudget {
    /// Tokens, input and output together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub tokens: Option<i64>,
    /// US dollars as a decimal string, for example "25.00". Models without a price are then refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Dollars>,
}

/// Ceilings for single runs and skills. What an agent or a skill asks for beyond them is cut to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(LIMIT_RULES))]
pub struct Limits {
    /// Tokens per run. 1 to 10,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub token_budget: Option<i64>,
    /// Turns per run. 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_iterations: Option<i32>,
    /// Tool calls and changes per run. 1 to 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub max_actions: Option<i32>,
    /// Wall-clock time per run, for example 10m. At least 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
    /// Memory of a skill per tool call in MiB. 1 to 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub skill_memory_mib: Option<i32>,
    /// CPU time of a skill per tool call, for example 2s. 10ms to 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill_cpu: Option<GoDuration>,
    /// Wall-clock time of a skill per tool call, for example 60s. 10ms to 120s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill_timeout: Option<GoDuration>,
}

pub(crate) const LIMIT_RULES: &[Rule] = &[
    ("!has(self.timeout) || duration(self.timeout) >= duration('1s')", "limits.timeout must be at least 1s"),
    (
        "!has(self.skillCpu) || (duration(self.skillCpu) >= duration('10ms') && duration(self.skillCpu) <= duration('10s'))",
        "limits.skillCpu must be between 10ms and 10s",
    ),
    (
        "!has(self.skillTimeout) || (duration(self.skillTimeout) >= duration('10ms') && duration(self.skillTimeout) <= duration('120s'))",
        "limits.skillTimeout must be between 10ms and 120s",
    ),
];

/// A time in which nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = cel(FREEZE_RULES))]
pub struct FreezeWindow {
    /// Name that denials mention, for example black-friday.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it begins: five cron fields or @hourly, @daily, @weekly, @monthly, @yearly.
    #[schemars(length(min = 1, max = 128), regex(pattern = CRON_PATTERN))]
    pub cron: String,
    /// How long it lasts, for example 48h. 1m to 8784h.
    pub duration: GoDuration,
    /// Time zone of cron by its IANA name. Default: UTC.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE_PATTERN))]
    pub time_zone: String,
}

pub(crate) const FREEZE_RULES: &[Rule] = &[(
    "duration(self.duration) >= duration('1m') && duration(self.duration) <= duration('8784h')",
    "freezeWindows[].duration must be between 1m and 8784h (one year)",
)];

fn utc() -> String {
    "UTC".to_owned()
}

/// What the operator sees of the policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InfraAgentPolicyStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Namespaces that match now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_count: Option<i32>,
    /// Accepted, Ready, Supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_map("type"))]
    pub conditions: Vec<Condition>,
}
