//! ModelTierConfig: which model stands behind each tier, how it is reached and what it costs.

#![expect(clippy::duplicated_attributes, reason = "printer columns share types and priorities")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    money::Dollars,
    names::ModelTier,
    schema::{KEY_PATTERN, NAME_PATTERN, Rule, URL_PATTERN, cel, list_atomic, list_map},
    text::words,
};

/// Which model stands behind each tier, how it is reached and what it costs.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.infraagent.io",
    version = "v1alpha1",
    kind = "ModelTierConfig",
    plural = "modeltierconfigs",
    status = "ModelTierConfigStatus",
    shortname = "mtc",
    category = "infraagent-all",
    derive = "Default",
    derive = "PartialEq",
    doc = "Which model stands behind each tier, how it is reached and what it costs. The one named default is used, else the first by name. Its Secrets are in the operator's namespace.",
    printcolumn(name = "Ready", type_ = "boolean", json_path = ".status.ready"),
    printcolumn(name = "Fast", type_ = "string", json_path = ".spec.tiers[?(@.tier==\"fast\")].model"),
    printcolumn(name = "Standard", type_ = "string", json_path = ".spec.tiers[?(@.tier==\"standard\")].model"),
    printcolumn(name = "Reasoning", type_ = "string", json_path = ".spec.tiers[?(@.tier==\"reasoning\")].model"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ModelTierConfigSpec {
    /// How requests are authenticated where a tier says nothing else. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_auth: Option<Auth>,
    /// Which model stands behind which tier. 1 to 16. A tier may be listed more than once: the first that answers is used.
    #[schemars(length(min = 1, max = 16), transform = list_atomic)]
    pub tiers: Vec<TierMapping>,
}

/// How requests to a provider are authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = cel(AUTH_RULES))]
pub struct Auth {
    /// apiKey, oauth, serviceAccount, custom or none.
    #[serde(rename = "type")]
    pub kind: AuthKind,
    /// Name of a Secret in the operator's namespace. Needed for apiKey, oauth and custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub secret_ref: Option<String>,
    /// Key in the Secret that holds the API key. Default: api-key.
    #[serde(default = "api_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = KEY_PATTERN))]
    pub secret_key: String,
}

pub(crate) const AUTH_RULES: &[Rule] = &[(
    "self.type in ['none', 'serviceAccount'] || has(self.secretRef)",
    "auth of type apiKey, oauth or custom needs secretRef: the name of a Secret in the operator's namespace",
)];

fn api_key() -> String {
    "api-key".to_owned()
}

impl Default for Auth {
    fn default() -> Self {
        Self { kind: AuthKind::None, secret_ref: None, secret_key: api_key() }
    }
}

words! {
    /// How requests to a provider are authenticated.
    AuthKind, "auth type" {
        /// A key from a Secret.
        ApiKey = "apiKey",
        /// Client credentials (client-id, client-secret, token-url) from a Secret.
        OAuth = "oauth",
        /// A token of the operator's ServiceAccount.
        ServiceAccount = "serviceAccount",
        /// Nothing.
        None = "none",
        /// Each key of a Secret is a header.
        Custom = "custom",
    }
}

/// The model behind a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = cel(TIER_RULES))]
pub struct TierMapping {
    /// fast, standard or reasoning.
    pub tier: ModelTier,
    /// Provider: anthropic, openai, or any other name for an OpenAI-compatible server, which then needs endpoint.
    #[schemars(length(min = 1, max = 63))]
    pub provider: String,
    /// Model as the provider calls it.
    #[schemars(length(min = 1, max = 253))]
    pub model: String,
    /// Base URL of the provider's API. Default: the provider's own. /v1 is added unless it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = URL_PATTERN))]
    pub endpoint: Option<String>,
    /// Another name for endpoint. Only one of the two may be set.
    #[serde(default, rename = "baseURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = URL_PATTERN))]
    pub base_url: Option<String>,
    /// Authentication for this tier only; it replaces defaultAuth as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Most tokens that one reply may have. 1 to 1,000,000. Default: 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_tokens: Option<i32>,
    /// US dollars per million input tokens as a decimal string, for example "0.80". Without it runs have no cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_million_input: Option<Dollars>,
    /// US dollars per million output tokens as a decimal string, for example "4.00".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_million_output: Option<Dollars>,
}

pub(crate) const TIER_RULES: &[Rule] =
    &[("!(has(self.endpoint) && has(self.baseURL))", "endpoint and baseURL mean the same: remove one of them")];

impl TierMapping {
    /// The base URL, by whichever of its two names it was given.
    pub fn url(&self) -> Option<&str> {
        self.endpoint.as_deref().or(self.base_url.as_deref())
    }
}

/// What the operator sees of the providers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelTierConfigStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether every tier can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// For each tier: ready, or why not.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tier_status: BTreeMap<String, String>,
    /// Accepted, Ready, Supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_map("type"))]
    pub conditions: Vec<Condition>,
}
