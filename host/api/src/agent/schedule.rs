//! When an agent runs: cron, interval, and what else may wake it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    schema::{CRON_PATTERN, Rule, TIME_ZONE_PATTERN, cel, list_set},
    text::words,
    time::GoDuration,
};

/// When the agent runs. With neither cron, interval nor triggers it runs only when asked to (annotation infraagent.io/run-now).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = cel(RULES))]
pub struct Schedule {
    /// Five cron fields (minute, hour, day of month, month, day of week) or @hourly, @daily, @weekly, @monthly, @yearly.
    /// Takes precedence over interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = CRON_PATTERN))]
    pub cron: Option<String>,
    /// Time between two runs, for example 5m. At least 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<GoDuration>,
    /// Time zone of cron by its IANA name, for example Europe/Berlin. Default: UTC.
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE_PATTERN))]
    pub timezone: String,
    /// Events that start a run at any time. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub triggers: Vec<Trigger>,
}

pub(crate) const RULES: &[Rule] = &[(
    "!has(self.interval) || duration(self.interval) >= duration('60s')",
    "schedule.interval must be at least 60s: write for example 5m, or use a trigger for what cannot wait",
)];

impl Default for Schedule {
    fn default() -> Self {
        Self { cron: None, interval: None, timezone: "UTC".to_owned(), triggers: Vec::new() }
    }
}

/// An event that starts a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = cel(TRIGGER_RULES))]
pub struct Trigger {
    /// Where the event comes from: webhook or kubernetes-event.
    #[serde(rename = "type")]
    pub kind: TriggerKind,
    /// Name of the sender: POST /webhook/<source> starts the run, authenticated by the Secret infraagent-webhook-<source>.
    /// Needed for webhooks, for example alertmanager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub source: Option<String>,
    /// CEL expression over the event that must be true; without one every event counts. At most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub filter: Option<String>,
    /// Kinds of the objects whose events count, for example Pod. Empty: all. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)), transform = list_set)]
    pub resources: Vec<String>,
    /// Reasons of the events that count, for example BackOff. Empty: all. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)), transform = list_set)]
    pub reasons: Vec<String>,
}

pub(crate) const TRIGGER_RULES: &[Rule] =
    &[("self.type != 'webhook' || has(self.source)", "a trigger of type webhook needs source: the name in POST /webhook/<source>")];

words! {
    /// Where an event comes from.
    TriggerKind, "trigger type" {
        /// An HTTP request to the operator.
        Webhook = "webhook",
        /// An Event of the cluster.
        KubernetesEvent = "kubernetes-event",
    }
}
