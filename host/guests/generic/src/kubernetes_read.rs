//! Looks at objects of the cluster.

use serde::Deserialize;
use serde_json::json;

use crate::{
    Error, Output, answer,
    bindings::infraagent::skill::{
        kubernetes_read::{self as wit, Condition, LogQuery, LogText, Page},
        types::{ObjectRef, ResourceType},
    },
    word::{kind, words},
};

words! {
    condition = Condition { "ready" => Ready, "rolled-out" => RolledOut, "gone" => Gone, "completed" => Completed }
}

/// One object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Get {
    #[serde(deserialize_with = "kind")]
    kind: ResourceType,
    namespace: Option<String>,
    name: String,
    #[serde(default)]
    select: Vec<String>,
}

/// Objects of one kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct List {
    #[serde(deserialize_with = "kind")]
    kind: ResourceType,
    namespace: Option<String>,
    label_selector: Option<String>,
    field_selector: Option<String>,
    #[serde(default)]
    select: Vec<String>,
    #[serde(default = "page")]
    limit: u32,
    continue_token: Option<String>,
}

/// The log of a pod.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logs {
    namespace: String,
    name: String,
    container: Option<String>,
    #[serde(default = "tail")]
    tail_lines: u32,
    since_seconds: Option<u32>,
    #[serde(default)]
    previous: bool,
}

/// Until an object is as wished.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wait {
    #[serde(deserialize_with = "kind")]
    kind: ResourceType,
    namespace: Option<String>,
    name: String,
    #[serde(deserialize_with = "condition")]
    condition: Condition,
    timeout_seconds: u32,
}

fn page() -> u32 {
    50
}

fn tail() -> u32 {
    100
}

/// `kubernetes-read.get`
pub fn get(action: &str, arguments: Get) -> Result<Output, Error> {
    let Get { kind, namespace, name, select } = arguments;
    let summary = format!("{} {name}", kind.resource);
    let content = wit::get(action, &ObjectRef { kind, namespace, name }, &select)?;
    Ok(Output { content, summary })
}

/// `kubernetes-read.list`
pub fn list(action: &str, arguments: List) -> Result<Output, Error> {
    let List { kind, namespace, label_selector, field_selector, select, limit, continue_token } = arguments;
    let resource = kind.resource.clone();
    let query = wit::ListQuery { kind, namespace, label_selector, field_selector, select, limit, continue_token };
    let Page { items, count, continue_token, truncated } = wit::list(action, &query)?;
    let token = json!(continue_token);
    // The items are JSON already; reading and writing them again would cost more than all the rest.
    let content = format!(r#"{{"items":{items},"count":{count},"continueToken":{token},"truncated":{truncated}}}"#);
    let more = if truncated || !token.is_null() { ", and more" } else { "" };
    Ok(Output { content, summary: format!("{count} {resource}{more}") })
}

/// `kubernetes-read.logs`
pub fn logs(action: &str, arguments: Logs) -> Result<Output, Error> {
    let Logs { namespace, name, container, tail_lines, since_seconds, previous } = arguments;
    let LogText { text, truncated } = wit::logs(action, &namespace, &name, &LogQuery { container, tail_lines, since_seconds, previous })?;
    let lines = text.lines().count();
    answer(&json!({ "text": text, "truncated": truncated }), format!("{lines} lines of {name}"))
}

/// `kubernetes-read.wait`
pub fn wait(action: &str, arguments: Wait) -> Result<Output, Error> {
    let Wait { kind, namespace, name, condition, timeout_seconds } = arguments;
    let summary = format!("{} {name}", kind.resource);
    let reached = wit::wait(action, &ObjectRef { kind, namespace, name }, condition, timeout_seconds.saturating_mul(1000))?;
    answer(&json!({ "reached": reached }), format!("{summary}: {}", if reached { "as wished" } else { "not yet" }))
}
