//! The API server's own account of what was asked of it: the oracle that no part of the product can influence.
//!
//! The log blocks: an event is in the file before the answer has been sent completely. So whoever has an answer finds its event. For
//! requests whose answer was lost, [`ControlPlane::audit_events`] first makes a request of its own.

use std::collections::BTreeMap;

use http::Request;
use serde::Deserialize;

use crate::{ControlPlane, eventually};

/// One request, as the API server answered it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// Identifies the request; the answer carries it as the header `Audit-Id`.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `impersonate`, ...
    pub verb: String,
    /// Who connected.
    pub user: User,
    /// As whom it was done, if not as `user`.
    pub impersonated_user: Option<Impersonated>,
    /// What it was about; absent for paths that are no resource.
    pub object_ref: Option<ObjectReference>,
    /// The answer.
    pub response_status: Option<ResponseStatus>,
}

/// Who connected.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// For example `system:serviceaccount:infraagent-system:infraagent`.
    pub username: String,
    /// Groups, `system:authenticated` included.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// As whom a request was made.
#[derive(Debug, Clone, Deserialize)]
pub struct Impersonated {
    /// Name of the user.
    pub username: String,
    /// Groups, `system:authenticated` included.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What the impersonator added, for example `infraagent.io/intent`.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a request was about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    /// Plural of the kind.
    pub resource: String,
    /// Empty for resources of the cluster.
    pub namespace: String,
    /// Empty for lists and for objects that get their name on creation.
    pub name: String,
    /// Empty for the core group.
    pub api_group: String,
    /// Empty if none.
    pub subresource: String,
}

/// How a request was answered.
#[derive(Debug, Clone, Deserialize)]
pub struct ResponseStatus {
    /// HTTP status.
    pub code: u16,
}

impl AuditEvent {
    /// HTTP status of the answer, 0 if there was none.
    pub fn code(&self) -> u16 {
        self.response_status.as_ref().map_or(0, |status| status.code)
    }

    /// Whether the request could change something.
    pub fn is_mutation(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it was answered with success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code())
    }

    /// One value of what the impersonator added.
    pub fn extra(&self, key: &str) -> Option<&str> {
        self.impersonated_user.as_ref()?.extra.get(key)?.first().map(String::as_str)
    }

    /// The run that made the request, as a recorded effect carries it.
    pub fn run(&self) -> Option<&str> {
        self.extra("infraagent.io/run")
    }

    /// The intent that the request carries out.
    pub fn intent(&self) -> Option<&str> {
        self.extra("infraagent.io/intent")
    }
}

impl ControlPlane {
    /// Everything that was answered until now, in the order of the answers.
    pub async fn audit_events(&self) -> Vec<AuditEvent> {
        let marker = self.unique("/version?marker=audit");
        let request = Request::get(&marker).body(Vec::new()).expect("a request");
        self.admin().await.request_text(request).await.expect("the API server answers");
        self.await_audit_events(&marker, |event| event.request_uri == marker).await;
        self.logged()
    }

    /// Waits until the log has requests that fulfil the condition, and returns them. `what` is for the message if none ever comes.
    pub async fn await_audit_events(&self, what: &str, condition: impl Fn(&AuditEvent) -> bool) -> Vec<AuditEvent> {
        let condition = &condition;
        eventually(what, || async move {
            let events: Vec<_> = self.logged().into_iter().filter(|event| condition(event)).collect();
            (!events.is_empty()).then_some(events)
        })
        .await
    }

    fn logged(&self) -> Vec<AuditEvent> {
        let log = std::fs::read_to_string(self.audit_log()).expect("the audit log is readable");
        // The last line may still be in the making.
        let complete = log.rfind('\n').map_or("", |end| &log[..end]);
        complete.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}
