//! What starts runs besides schedules and people.
//!
//! | metric | labels | counted |
//! |---|---|---|
//! | `infraagent_webhook_requests_total` | result | with each answer to a request |
//! | `infraagent_triggers_total` | kind, result | for each agent that something concerned |
//! | `infraagent_event_subscriptions` | | by the leader: agents that wait for Events, times the namespaces in which they do |

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::{Error, Metrics, registered};

/// What started a run, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Webhook,
    /// An Event of the cluster.
    Event,
}

/// What came of it for one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// A run was created.
    Fired,
    /// There was a run already, or the same was said a moment ago.
    Repeated,
    /// It was kept for the next run, since one began a moment ago or waits.
    Kept,
    /// The filter said no.
    Filtered,
    /// The filter had no answer.
    Broken,
    /// Too many runs of the agent wait; the sender was told to come again.
    Full,
    /// The API server did not take the run.
    Failed,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Event => "kubernetes-event",
        }
    }
}

impl Came {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Repeated => "repeated",
            Self::Kept => "kept",
            Self::Filtered => "filtered",
            Self::Broken => "broken",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

pub(super) struct OfTriggers {
    webhooks: IntCounterVec,
    triggers: IntCounterVec,
    subscriptions: IntGauge,
}

impl OfTriggers {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name, help, labels: &[&str]| registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        Ok(Self {
            webhooks: counter("infraagent_webhook_requests_total", "Requests to the webhooks of this replica, by answer.", &["result"])?,
            triggers: counter(
                "infraagent_triggers_total",
                "Deliveries and Events that concerned an agent, by what came of them.",
                &["kind", "result"],
            )?,
            subscriptions: registered(
                registry,
                IntGauge::new("infraagent_event_subscriptions", "Agents that wait for Events, times the namespaces in which they do.")?,
            )?,
        })
    }
}

impl Metrics {
    /// A request to a webhook was answered; the result is a word of a closed set.
    pub fn webhook_answered(&self, result: &'static str) {
        self.0.triggers.webhooks.with_label_values(&[result]).inc();
    }

    /// So many agents wait for Events; one that does in two namespaces counts twice.
    pub fn event_subscriptions(&self, count: usize) {
        self.0.triggers.subscriptions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Something concerned so many agents, and this came of it.
    pub fn trigger(&self, kind: Kind, came: Came, agents: usize) {
        if agents > 0 {
            let agents = u64::try_from(agents).unwrap_or(u64::MAX);
            self.0.triggers.triggers.with_label_values(&[kind.as_str(), came.as_str()]).inc_by(agents);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_what_came_of_them_are_counted() {
        let metrics = Metrics::new().unwrap();
        metrics.webhook_answered("accepted");
        metrics.trigger(Kind::Webhook, Came::Fired, 2);
        metrics.trigger(Kind::Event, Came::Kept, 1);
        metrics.trigger(Kind::Event, Came::Failed, 0);
        let text = metrics.text().unwrap();
        assert!(text.contains("infraagent_webhook_requests_total{result=\"accepted\"} 1"), "{text}");
        assert!(text.contains("infraagent_triggers_total{kind=\"webhook\",result=\"fired\"} 2"), "{text}");
        assert!(text.contains("infraagent_triggers_total{kind=\"kubernetes-event\",result=\"kept\"} 1"), "{text}");
        assert!(!text.contains("failed"), "{text}");
    }
}
