//! AgentEnvironment: what a site offers to its agents, and what belongs to its data.
//!
//! The owner of a site writes it. It is the only place that says what a POST or an MCP tool does there: a skill cannot know, so it is
//! not asked.

#![expect(clippy::duplicated_attributes, reason = "printer columns share types and priorities")]

pub mod data;
pub mod mcp;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    names::WriteTier,
    schema::{KEY_PATTERN, LABEL_PATTERN, NAME_PATTERN, Rule, URL_PATTERN, cel, list_map, list_set, max_entries},
    text::words,
};
pub use data::{DataResource, DataResources, ObjectStorage};
pub use mcp::{McpServer, McpTool};

/// What a site offers to its agents, and what belongs to its data.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.infraagent.io",
    version = "v1alpha1",
    kind = "AgentEnvironment",
    plural = "agentenvironments",
    namespaced,
    status = "AgentEnvironmentStatus",
    shortname = "aenv",
    category = "infraagent-all",
    derive = "Default",
    derive = "PartialEq",
    doc = "A site: its cluster, endpoints, namespaces, credentials, channels, data and MCP servers. Agents of the same namespace bind to it by name. What is not listed here does not exist for an agent.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Connection", type_ = "string", json_path = ".spec.connection.kind"),
    printcolumn(name = "Endpoints", type_ = "integer", json_path = ".status.endpointCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Agents", type_ = "string", json_path = ".status.referencedBy", priority = 1)
)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentEnvironmentSpec {
    /// Which cluster the agents act on. Default: the one that the operator runs in.
    pub connection: Connection,
    /// HTTP endpoints by name. A skill names one, never a URL. At most 64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = max_entries(64))]
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Namespaces by role. Agents reach no other.
    #[serde(skip_serializing_if = "Namespaces::is_empty")]
    pub namespaces: Namespaces,
    /// Credentials by name. Only the host sees their values. At most 64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = max_entries(64))]
    pub credentials: BTreeMap<String, Credential>,
    /// Where people are told things, by name. At most 32.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = max_entries(32))]
    pub channels: BTreeMap<String, Channel>,
    /// What holds data. Nothing of it, and nothing that it depends on, can be changed by an agent.
    pub data_resources: DataResources,
    /// MCP servers by name. At most 32.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = max_entries(32))]
    pub mcp_servers: BTreeMap<String, McpServer>,
}

/// Which cluster the agents act on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(CONNECTION_RULES))]
pub struct Connection {
    /// in-cluster, or kubeconfig for another cluster. Default: in-cluster.
    pub kind: ConnectionKind,
    /// The Secret with the kubeconfig. Needed when kind is kubeconfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<Kubeconfig>,
}

pub(crate) const CONNECTION_RULES: &[Rule] = &[
    ("self.kind != 'kubeconfig' || has(self.kubeconfig)", "connection.kind is kubeconfig: set connection.kubeconfig.secretRef"),
    ("self.kind != 'in-cluster' || !has(self.kubeconfig)", "connection.kubeconfig is set: set connection.kind to kubeconfig, or remove it"),
];

words! {
    /// Which cluster the agents act on.
    #[derive(Default)]
    ConnectionKind, "connection kind" {
        /// The one that the operator runs in.
        #[default]
        InCluster = "in-cluster",
        /// The one that a kubeconfig names.
        Kubeconfig = "kubeconfig",
    }
}

/// A Secret that holds a kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kubeconfig {
    /// Name of a Secret in the same namespace. exec, auth-provider and file references inside it are refused.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub secret_ref: String,
    /// Key in the Secret. Default: kubeconfig.
    #[serde(default = "kubeconfig_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = KEY_PATTERN))]
    pub key: String,
}

fn kubeconfig_key() -> String {
    "kubeconfig".to_owned()
}

/// An HTTP endpoint. GET and HEAD are allowed below its URL; anything else only as listed under writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = cel(ENDPOINT_RULES))]
pub struct Endpoint {
    /// Base URL: http or https, without user name and password.
    #[schemars(length(min = 1, max = 1024), regex(pattern = URL_PATTERN))]
    pub url: String,
    /// Path that answers health checks, for example /healthz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub health_path: Option<String>,
    /// Admits private, loopback and cluster addresses. Link-local ones are never admitted. Default: false.
    #[serde(default)]
    pub internal: bool,
    /// Name of the credential that the host attaches. Default: the credential of the same name as the endpoint, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = KEY_PATTERN))]
    pub credential: Option<String>,
    /// Requests that change something. None by default; what is not listed is denied. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub writes: Vec<Write>,
    /// Marks an endpoint that holds data: object-storage or database. It is GET and HEAD only, for every agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataKind>,
}

pub(crate) const ENDPOINT_RULES: &[Rule] = &[(
    "!has(self.data) || !has(self.writes) || size(self.writes) == 0",
    "an endpoint with data is GET and HEAD only: remove writes, or declare another endpoint without data",
)];

/// A request that changes something, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// POST, PUT or PATCH. There is no DELETE.
    pub method: WriteMethod,
    /// Path below the endpoint's URL: * stands for one segment, ** for any number, for example /api/issues/*/comments.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[^\s?#]*$"))]
    pub path: String,
    /// service-mutation (can be taken back) or destructive-mutation.
    pub tier: WriteTier,
}

words! {
    /// Method of a request that changes something.
    WriteMethod, "method" {
        /// Create, or start something.
        Post = "POST",
        /// Replace.
        Put = "PUT",
        /// Change in part.
        Patch = "PATCH",
    }
}

words! {
    /// What kind of data an endpoint holds.
    DataKind, "kind of data" {
        /// A bucket store.
        ObjectStorage = "object-storage",
        /// A database with an HTTP interface.
        Database = "database",
    }
}

/// Namespaces by role. Skills and guardrails name the role or the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Namespaces {
    /// Where monitoring runs. At most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN)), transform = list_set)]
    pub monitoring: Vec<String>,
    /// Where applications run. At most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN)), transform = list_set)]
    pub apps: Vec<String>,
    /// Where the platform runs. At most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN)), transform = list_set)]
    pub system: Vec<String>,
    /// Further groups by name, for example staging: [shop-staging]. At most 32.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = max_entries(32))]
    pub additional: BTreeMap<String, Vec<String>>,
}

impl Namespaces {
    fn is_empty(&self) -> bool {
        self.groups().all(|(_, members)| members.is_empty())
    }

    /// Every group with its members: the three named roles first, then the additional ones in alphabetical order.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[String])> {
        let Self { monitoring, apps, system, additional } = self;
        [("monitoring", monitoring.as_slice()), ("apps", apps), ("system", system)]
            .into_iter()
            .chain(additional.iter().map(|(name, members)| (name.as_str(), members.as_slice())))
    }
}

/// A Secret, and how its value is presented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = cel(CREDENTIAL_RULES))]
pub struct Credential {
    /// Name of a Secret in the same namespace. Its keys: token, api-key, username and password, or tls.crt and tls.key.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub secret_ref: String,
    /// bearer-token and token (Authorization: Bearer or token), api-key (a header), basic-auth or tls (client certificate).
    #[serde(rename = "type")]
    pub kind: CredentialKind,
    /// Header that carries an api-key. Default: X-API-Key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub header: Option<String>,
}

pub(crate) const CREDENTIAL_RULES: &[Rule] = &[(
    "!has(self.header) || self.type == 'api-key'",
    "header only belongs to credentials of type api-key: remove it, or set type to api-key",
)];

words! {
    /// How a credential is presented.
    CredentialKind, "credential type" {
        /// `Authorization: Bearer <token>`.
        BearerToken = "bearer-token",
        /// `Authorization: token <token>`, as GitHub reads it.
        Token = "token",
        /// A header with the key.
        ApiKey = "api-key",
        /// `Authorization: Basic <username:password>`.
        BasicAuth = "basic-auth",
        /// A client certificate.
        Tls = "tls",
    }
}

/// Where people are told things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// slack, telegram, webhook or agent.
    #[serde(rename = "type")]
    pub kind: ChannelKind,
    /// URL of the webhook, channel or chat id, or name of the agent.
    #[schemars(length(min = 1, max = 1024))]
    pub target: String,
    /// Name of a Secret in the same namespace that authenticates the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub secret_ref: Option<String>,
}

words! {
    /// How a message travels.
    ChannelKind, "channel type" {
        /// Slack.
        Slack = "slack",
        /// Telegram.
        Telegram = "telegram",
        /// A POST with JSON.
        Webhook = "webhook",
        /// A run of another agent.
        Agent = "agent",
    }
}

/// What the operator sees of the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentEnvironmentStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the environment stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<EnvironmentPhase>,
    /// Number of endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_count: Option<i32>,
    /// Names of the agents that are bound to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(max = 253)))]
    pub referenced_by: Vec<String>,
    /// Accepted, Ready, Supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_map("type"))]
    pub conditions: Vec<Condition>,
}

words! {
    /// Where an environment stands.
    #[derive(Default)]
    EnvironmentPhase, "environment phase" {
        /// Not looked at yet.
        #[default]
        Pending = "Pending",
        /// Agents can use it.
        Ready = "Ready",
        /// Agents cannot use it; the conditions say why.
        Error = "Error",
    }
}
