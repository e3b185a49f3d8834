//! Asks endpoints of the environment.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Error, Output, answer,
    bindings::infraagent::skill::{
        http_mutation::{self, Method as WriteMethod},
        http_read::{self, Certificate, Method as ReadMethod, Response},
    },
    word::words,
};

words! {
    read_method = ReadMethod { "GET" => Get, "HEAD" => Head }
}

words! {
    write_method = WriteMethod { "POST" => Post, "PUT" => Put, "PATCH" => Patch }
}

/// A request that changes nothing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Read {
    endpoint: String,
    #[serde(deserialize_with = "read_method")]
    method: ReadMethod,
    path: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
}

/// A request that changes something.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Write {
    endpoint: String,
    #[serde(deserialize_with = "write_method")]
    method: WriteMethod,
    path: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
    body: Value,
    reason: String,
}

/// `http-read.send`
pub fn read(action: &str, arguments: Read) -> Result<Output, Error> {
    let Read { endpoint, method, path, query } = arguments;
    let (summary, query) = (format!("{endpoint} {path}"), query.into_iter().collect());
    shown(http_read::send(action, &http_read::Request { endpoint, method, path, query, headers: Vec::new() })?, &summary)
}

/// `http-mutation.send`
pub fn write(action: &str, arguments: Write) -> Result<Output, Error> {
    let Write { endpoint, method, path, query, body, reason } = arguments;
    let (kind, body) = match body {
        Value::String(text) => ("text/plain; charset=utf-8", text),
        json => ("application/json", json.to_string()),
    };
    let headers = vec![("content-type".to_owned(), kind.to_owned())];
    let (summary, query) = (format!("{endpoint} {path}"), query.into_iter().collect());
    let request = http_mutation::Request { endpoint, method, path, query, headers, body: body.into_bytes() };
    shown(http_mutation::send(action, &request, &reason)?, &summary)
}

/// A body is shown as JSON if it is that, else as text; the length of what is neither.
fn shown(response: Response, what: &str) -> Result<Output, Error> {
    let Response { status, headers, body, truncated, elapsed_ms, tls } = response;
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(json) => json,
        Err(_) => match String::from_utf8(body) {
            Ok(text) => Value::String(text),
            Err(error) => json!({ "bytes": error.as_bytes().len() }),
        },
    };
    let kind = headers.into_iter().find(|(name, _)| name == "content-type").map(|(_, value)| value);
    let certificate = tls.map(|Certificate { subject, issuer, not_before, not_after }| {
        json!({ "subject": subject, "issuer": issuer, "notBefore": not_before, "notAfter": not_after })
    });
    let content = json!({
        "status": status, "contentType": kind, "body": body, "truncated": truncated, "elapsedMs": elapsed_ms, "certificate": certificate,
    });
    answer(&content, format!("{what}: {status} in {elapsed_ms} ms"))
}
