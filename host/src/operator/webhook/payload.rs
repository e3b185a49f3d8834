//! What a delivery says: JSON as it came, the format of Alertmanager, or a CloudEvent (in the body, or with its attributes in headers).
//!
//! A format decides which deliveries say the same thing. What a filter and a run see is the JSON of the body, and for a CloudEvent the event with its attributes.

use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::{Map, Value};

use super::auth::only;
use crate::operator::trigger::{Hash, hash};

/// How deep lists and maps may be nested.
const MAX_DEPTH: usize = 32;
/// How many values there may be: each takes more memory than it has bytes.
const MAX_VALUES: usize = 50_000;

/// What was sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Payload {
    /// What a filter and a run see.
    pub(super) event: Value,
    /// Deliveries that say the same thing have the same one.
    pub(super) fingerprint: Hash,
    /// What the sender calls it, where no two things that happen are called the same.
    pub(super) identity: Option<Hash>,
}

/// A delivery that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    /// No JSON.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// Too deep.
    #[error("the body is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Too much in it.
    #[error("the body has more than {MAX_VALUES} values")]
    TooManyValues,
    /// An attribute is missing, or is not what the specification says.
    #[error("a CloudEvent needs specversion 1.0 and the attributes id, source and type")]
    CloudEvent,
    /// Several events in one body.
    #[error("batches of CloudEvents are not taken: send one event with each request")]
    Batch,
}

/// Reads a delivery.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Payload, Invalid> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type == "application/cloudevents-batch+json" {
        return Err(Invalid::Batch);
    }
    measure(body)?;
    let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(body) else { return Err(Invalid::NotAnObject) };
    if media_type == "application/cloudevents+json" {
        return cloud_event(object);
    }
    if headers.contains_key("ce-specversion") {
        let mut event = attributes(headers)?;
        event.insert("data".to_owned(), Value::Object(object));
        return cloud_event(event);
    }
    let fingerprint = alertmanager(&object).unwrap_or_else(|| hash([b"body".as_slice(), body]));
    Ok(Payload { event: Value::Object(object), fingerprint, identity: None })
}

/// Looks at depth and number of values before memory is taken for them.
fn measure(body: &[u8]) -> Result<(), Invalid> {
    let (mut depth, mut values) = (0_usize, 0_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in body {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_text = false,
            (true, _) => {}
            (false, b'"') => in_text = true,
            (false, b'{' | b'[') => {
                depth += 1;
                values += 1;
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, b',') => values += 1,
            (false, _) => {}
        }
        if depth > MAX_DEPTH {
            return Err(Invalid::TooDeep);
        }
        if values > MAX_VALUES {
            return Err(Invalid::TooManyValues);
        }
    }
    Ok(())
}

/// Alertmanager sends a group of alerts again and again while they fire: the same group in the same state is the same thing, whatever else changed.
fn alertmanager(object: &Map<String, Value>) -> Option<Hash> {
    let text = |name: &str| object.get(name)?.as_str();
    if text("version") != Some("4") {
        return None;
    }
    let mut alerts = Vec::new();
    for alert in object.get("alerts")?.as_array()? {
        let text = |name: &str| alert.get(name)?.as_str();
        alerts.push([text("fingerprint")?, text("status")?]);
    }
    alerts.sort_unstable();
    let parts = ["alertmanager", text("groupKey")?, text("status")?].into_iter().chain(alerts.into_iter().flatten());
    Some(hash(parts.map(str::as_bytes)))
}

/// Of a CloudEvent no two have the same source and id.
fn cloud_event(event: Map<String, Value>) -> Result<Payload, Invalid> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some("1.0"), Some(id), Some(source), Some(_)) = (text("specversion"), text("id"), text("source"), text("type")) else {
        return Err(Invalid::CloudEvent);
    };
    let identity = hash([b"cloudevent".as_slice(), source.as_bytes(), id.as_bytes()]);
    Ok(Payload { event: Value::Object(event), fingerprint: identity, identity: Some(identity) })
}

/// The attributes of a CloudEvent whose body is its data alone.
fn attributes(headers: &HeaderMap) -> Result<Map<String, Value>, Invalid> {
    let mut attributes = Map::new();
    for name in headers.keys() {
        if let Some(attribute) = name.as_str().strip_prefix("ce-") {
            let value = only(headers, name.as_str()).ok_or(Invalid::CloudEvent)?;
            attributes.insert(attribute.to_owned(), value.into());
        }
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))).collect()
    }

    fn plain(body: &Value) -> Payload {
        read(&HeaderMap::new(), body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn any_object_is_an_event_and_the_same_body_is_the_same_event() {
        let one = plain(&json!({ "a": 1 }));
        assert_eq!((&one.event, one.identity), (&json!({ "a": 1 }), None));
        assert_eq!(one, plain(&json!({ "a": 1 })));
        assert_ne!(one.fingerprint, plain(&json!({ "a": 2 })).fingerprint);
        for wrong in ["", "[]", "1", "\"text\"", "null", "{", "{} {}", "{\"a\": \"\u{1}\"}", "\u{feff}{}"] {
            assert_eq!(read(&HeaderMap::new(), wrong.as_bytes()), Err(Invalid::NotAnObject), "{wrong}");
        }
        assert_eq!(read(&HeaderMap::new(), b"{\"a\": \"\xff\"}"), Err(Invalid::NotAnObject));
    }

    #[test]
    fn what_is_too_deep_or_too_much_is_refused_before_it_is_built() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(read(&HeaderMap::new(), nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(read(&HeaderMap::new(), nested(MAX_DEPTH + 1).as_bytes()), Err(Invalid::TooDeep));
        assert_eq!(read(&HeaderMap::new(), "[".repeat(1 << 20).as_bytes()), Err(Invalid::TooDeep));
        let many = |count: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(count));
        assert!(read(&HeaderMap::new(), many(MAX_VALUES - 10).as_bytes()).is_ok());
        assert_eq!(read(&HeaderMap::new(), many(MAX_VALUES).as_bytes()), Err(Invalid::TooManyValues));
        assert!(read(&HeaderMap::new(), json!({ "a": "[{,".repeat(60_000), "b\"\\": "\\\"" }).to_string().as_bytes()).is_ok(), "in a text");
    }

    #[test]
    fn a_group_of_alerts_is_the_same_until_an_alert_comes_or_goes() {
        let group = |starts: &str, alerts: &[(&str, &str)]| {
            let alerts: Vec<_> =
                alerts.iter().map(|(of, status)| json!({ "fingerprint": of, "status": status, "startsAt": starts })).collect();
            plain(&json!({ "version": "4", "groupKey": "{}:{}", "status": "firing", "alerts": alerts })).fingerprint
        };
        let first = group("t1", &[("a", "firing"), ("b", "firing")]);
        assert_eq!(first, group("t2", &[("b", "firing"), ("a", "firing")]));
        assert_ne!(first, group("t1", &[("a", "firing"), ("b", "resolved")]));
        assert_ne!(first, group("t1", &[("a", "firing")]));
        let odd = json!({ "version": "4", "alerts": [{ "status": 1 }] });
        assert_eq!(plain(&odd).fingerprint, hash([b"body".as_slice(), odd.to_string().as_bytes()]), "it only looks like one");
    }

    #[test]
    fn a_cloud_event_is_known_by_source_and_id_in_either_form() {
        let event = json!({ "specversion": "1.0", "id": "7", "source": "/ci", "type": "build.failed", "data": { "job": "web" } });
        let structured = headers(&[("content-type", "application/cloudevents+json; charset=utf-8")]);
        let one = read(&structured, event.to_string().as_bytes()).unwrap();
        assert_eq!(one.event, event);
        let binary = headers(&[("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/ci"), ("ce-type", "build.failed")]);
        let other = read(&binary, br#"{"job": "web"}"#).unwrap();
        assert_eq!(one, other);
        assert!(one.identity.is_some());

        for missing in ["specversion", "id", "source", "type"] {
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove(missing);
            assert_eq!(read(&structured, event.to_string().as_bytes()), Err(Invalid::CloudEvent), "{missing}");
        }
        assert_eq!(read(&headers(&[("ce-specversion", "1.0"), ("ce-id", "7")]), b"{}"), Err(Invalid::CloudEvent));
        assert_eq!(read(&headers(&[("content-type", "application/cloudevents-batch+json")]), b"[]"), Err(Invalid::Batch));
    }
}
