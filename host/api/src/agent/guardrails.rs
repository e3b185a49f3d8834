//! How far an agent may go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    names::Autonomy,
    schema::{KEY_PATTERN, Rule, cel, list_atomic},
    text::words,
    time::GoDuration,
};

/// How far the agent may go. Data protection is not among these: it cannot be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Guardrails {
    /// What the agent may do on its own: observe, recommend, automate-safe or automate-destructive. Default: observe.
    pub autonomy: Autonomy,
    /// If not empty, every call, reads included, must match one of these, for example
    /// kubectl.get *, kubectl.rollout restart deployment/*, http.get *, mcp.k8sgpt.analyze. At most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 512)), transform = list_atomic)]
    pub allowed_actions: Vec<String>,
    /// Calls that match one of these are refused, whatever allowedActions says, for example kubectl.scale * --replicas=0. At most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 512)), transform = list_atomic)]
    pub denied_actions: Vec<String>,
    /// Who is asked when the agent's level of autonomy is not enough. Without it nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Hard limit of turns (one model reply and its tool calls) per run. 1 to 100. Default: 10.
    #[schemars(range(min = 1, max = 100))]
    pub max_iterations: i32,
    /// How often a failed run that changed nothing is tried again. 0 to 10. Default: 2.
    #[schemars(range(min = 0, max = 10))]
    pub max_retries: i32,
    /// Keys that do not exist. They are kept so that the operator can refuse them by name.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            autonomy: Autonomy::default(),
            allowed_actions: Vec::new(),
            denied_actions: Vec::new(),
            escalation: None,
            max_iterations: 10,
            max_retries: 2,
            unknown: BTreeMap::new(),
        }
    }
}

/// Who is asked when the agent's level of autonomy is not enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(ESCALATION_RULES))]
pub struct Escalation {
    /// parent (the agent that started this one), channel (channelName) or human (an ActionApproval). Default: human.
    pub target: EscalationTarget,
    /// Name of a channel in the AgentEnvironment. Needed when target is channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = KEY_PATTERN))]
    pub channel_name: Option<String>,
    /// How long an answer is waited for, for example 300s. Default: 300s.
    pub timeout: GoDuration,
    /// What happens without an answer: cancel (the call stays refused), proceed (the run goes on without it)
    /// or retry (it is asked once more). No answer never allows a call. Default: cancel.
    pub on_timeout: OnTimeout,
    /// Keys that do not exist. They are kept so that the operator can refuse them by name.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

pub(crate) const ESCALATION_RULES: &[Rule] = &[(
    "self.target != 'channel' || has(self.channelName)",
    "guardrails.escalation.target is channel: set channelName to a channel of the AgentEnvironment",
)];

impl Default for Escalation {
    fn default() -> Self {
        Self {
            target: EscalationTarget::default(),
            channel_name: None,
            timeout: GoDuration::literal("300s"),
            on_timeout: OnTimeout::default(),
            unknown: BTreeMap::new(),
        }
    }
}

words! {
    /// Who is asked.
    #[derive(Default)]
    EscalationTarget, "escalation target" {
        /// The agent that started this one.
        Parent = "parent",
        /// A channel of the environment.
        Channel = "channel",
        /// A person, by an ActionApproval.
        #[default]
        Human = "human",
    }
}

words! {
    /// What happens when nobody answers. None of these allows the call.
    #[derive(Default)]
    OnTimeout, "time-out rule" {
        /// The call stays refused.
        #[default]
        Cancel = "cancel",
        /// The run goes on without the call.
        Proceed = "proceed",
        /// It is asked once more.
        Retry = "retry",
    }
}
