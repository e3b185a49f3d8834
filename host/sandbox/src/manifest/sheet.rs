//! The action sheet as it is written: wire types only. What they mean is in `resolve`, what they may not say in `validate`.

use std::collections::BTreeMap;

use infraagent_guard::policy::{Method, Tier, Verb};
use serde::{Deserialize, Deserializer, Serialize};

/// The action sheet: the content of `actions.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sheet {
    /// Links `state`, the agent's memory across runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub state: bool,
    /// What tools may do.
    pub actions: Vec<ActionSpec>,
}

/// One action: exactly one of `kubernetes`, `http`, `mcp` and `tool` is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActionSpec {
    /// Its id: an RFC 1123 label.
    pub id: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Verbs on objects of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesSpec>,
    /// Requests to endpoints of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSpec>,
    /// Tools of an MCP server of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<McpSpec>,
    /// The original string form: the tool, such as `kubectl.rollout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The original string form: the tool again, and its target, such as `kubectl.rollout restart deployment/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Another name of `pattern`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pattern: Option<String>,
    /// May raise what the verb has, never lower it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<SheetTier>,
    /// How long the same target rests, such as `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<String>,
    /// What must hold for the live object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_conditions: Vec<PreCondition>,
    /// Whether data may be affected.
    #[serde(default, skip_serializing_if = "DataImpact::is_none")]
    pub data_impact: DataImpact,
    /// How a human takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

/// Verbs on objects of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesSpec {
    /// One verb or a list of them.
    #[serde(deserialize_with = "one_or_many")]
    pub verb: Vec<SheetVerb>,
    /// As RBAC writes them: `pods`, `deployments.apps`. May be left out for logs and evict (pods) and cordon (nodes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names of namespace groups of the environment, literal names, or `*` for all of the environment. Nothing for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Names with `*`; nothing for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How far scale may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicaBounds>,
    /// Which nodes may be cordoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeSelector>,
}

/// A verb of the action sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SheetVerb {
    /// get, list and wait
    Read,
    /// One object.
    Get,
    /// Objects of one kind.
    List,
    /// The log of a pod.
    Logs,
    /// Until an object is as wished.
    Wait,
    /// Rolling restart.
    Restart,
    /// Number of replicas.
    Scale,
    /// Pause and resume a rollout.
    Pause,
    /// Evict a pod.
    Evict,
    /// Cordon and uncordon a node.
    Cordon,
    /// Ask a GitOps tool to look again.
    RequestSync,
    /// Delete a disposable object.
    Delete,
    /// Roll a Deployment back.
    Rollback,
}

impl SheetVerb {
    /// The verbs of the contract that it stands for.
    pub fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Read => &[Verb::Get, Verb::List, Verb::Wait],
            Self::Get => &[Verb::Get],
            Self::List => &[Verb::List],
            Self::Logs => &[Verb::Logs],
            Self::Wait => &[Verb::Wait],
            Self::Restart => &[Verb::Restart],
            Self::Scale => &[Verb::Scale],
            Self::Pause => &[Verb::Pause],
            Self::Evict => &[Verb::Evict],
            Self::Cordon => &[Verb::Cordon],
            Self::RequestSync => &[Verb::RequestSync],
            Self::Delete => &[Verb::Delete],
            Self::Rollback => &[Verb::Rollback],
        }
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SheetVerb>, D::Error> {
    struct OneOrMany;

    impl<'de> serde::de::Visitor<'de> for OneOrMany {
        type Value = Vec<SheetVerb>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a verb or a list of verbs")
        }

        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Self::Value, E> {
            SheetVerb::deserialize(serde::de::value::StrDeserializer::new(word)).map(|verb| vec![verb])
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list))
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

/// How far scale may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaBounds {
    /// Not fewer.
    pub min: u32,
    /// Not more.
    pub max: u32,
}

/// Which nodes may be cordoned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSelector {
    /// Labels that the node must carry.
    pub match_labels: BTreeMap<String, String>,
}

/// Requests to endpoints of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// Names of endpoints, with `*`.
    pub endpoints: Vec<String>,
    /// Methods.
    pub methods: Vec<HttpMethod>,
    /// Paths: `*` stays within a segment, `**` does not.
    pub paths: Vec<String>,
}

/// A method. There is no DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
}

impl From<HttpMethod> for Method {
    fn from(method: HttpMethod) -> Self {
        match method {
            HttpMethod::Get => Self::Get,
            HttpMethod::Head => Self::Head,
            HttpMethod::Post => Self::Post,
            HttpMethod::Put => Self::Put,
            HttpMethod::Patch => Self::Patch,
        }
    }
}

/// Tools of an MCP server of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpSpec {
    /// The server's name.
    pub server: String,
    /// Its tools, with `*`.
    pub tools: Vec<String>,
}

/// The tier that an action asks for. There is none for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SheetTier {
    /// Changes nothing.
    Read,
    /// Reversible.
    ServiceMutation,
    /// Not reversible.
    DestructiveMutation,
}

impl From<SheetTier> for Tier {
    fn from(tier: SheetTier) -> Self {
        match tier {
            SheetTier::Read => Self::Read,
            SheetTier::ServiceMutation => Self::ServiceMutation,
            SheetTier::DestructiveMutation => Self::DestructiveMutation,
        }
    }
}

/// What must hold for the live object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreCondition {
    /// A CEL expression over `object`.
    pub cel: String,
    /// What to say when it is false.
    pub message: String,
}

/// Whether data may be affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataImpact {
    /// No.
    #[default]
    None,
    /// Perhaps: needs the autonomy `automate-destructive`.
    Possible,
}

impl DataImpact {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// How a human takes an action back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// For record and prompt.
    pub description: String,
    /// Must be false: taking back is a decision of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
}
