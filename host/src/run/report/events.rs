//! Tells people by Events on the agent, with the rights of the kubeconfig's user. What could not be sent is not called sent.

use std::time::Duration;

use infraagent_api::agent::ReportRule;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::notice::Notice;
use crate::audit::Redactor;

/// How long one Event may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who sends Events about one agent.
pub struct Events {
    recorder: Recorder,
    agent: ObjectReference,
}

impl Events {
    /// Events on this object.
    pub fn new(client: kube::Client, agent: ObjectReference) -> Self {
        Self { recorder: Recorder::new(client, Reporter { controller: "infraagent".to_owned(), instance: None }), agent }
    }

    /// Sends what is to be sent. Returns the escalations that were.
    pub async fn send(&self, notices: &[Notice], redactor: &Redactor) -> Vec<Notice> {
        let mut sent = Vec::new();
        for notice in notices {
            let type_ = match notice.rule {
                ReportRule::Silent | ReportRule::Log => continue,
                ReportRule::Notify => EventType::Normal,
                ReportRule::Escalate => EventType::Warning,
            };
            let note = Some(redactor.text(&notice.message).into_owned());
            let event = Event { type_, reason: notice.reason.to_owned(), note, action: "Run".to_owned(), secondary: None };
            match tokio::time::timeout(PATIENCE, self.recorder.publish(&event, &self.agent)).await {
                Ok(Ok(())) if notice.rule == ReportRule::Escalate => sent.push(notice.clone()),
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, reason = notice.reason, "an Event could not be sent"),
                Err(_) => tracing::warn!(reason = notice.reason, "an Event could not be sent in time"),
            }
        }
        sent
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { recorder: _, agent } = self;
        f.debug_struct("Events").field("agent", agent).finish_non_exhaustive()
    }
}

/// A line in the log for each.
pub fn log(notices: &[Notice], redactor: &Redactor) {
    for Notice { reason, rule, message } in notices {
        let message = redactor.text(message);
        match rule {
            ReportRule::Silent => {}
            ReportRule::Log | ReportRule::Notify => tracing::info!(reason, text = &*message, "run"),
            ReportRule::Escalate => tracing::warn!(reason, text = &*message, "run"),
        }
    }
}
