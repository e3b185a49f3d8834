//! What an Event says, as far as it is needed: about which object, why, and when it was so last.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::operator::trigger::{Hash, hash, window};

/// The longest message that is told.
const MAX_MESSAGE: usize = 1024;

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occurrence {
    pub(super) kind: String,
    pub(super) reason: String,
    /// When it happened last.
    pub(super) at: Timestamp,
    namespace: String,
    name: String,
    uid: String,
    type_: String,
    message: String,
    count: i32,
}

impl Occurrence {
    /// None if it says too little, or is about a kind of this product: an agent that is started by what is told about agents would start itself.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let object = &event.involved_object;
        let group = object.api_version.as_deref().unwrap_or_default().split('/').next().unwrap_or_default();
        if group == "infraagent.io" || group.ends_with(".infraagent.io") {
            return None;
        }
        let series = event.series.as_ref();
        let last = series.and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
        let last = last.max(event.last_timestamp.as_ref().map(|time| time.0)).max(event.event_time.as_ref().map(|time| time.0));
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let message = text(&event.message);
        Some(Self {
            kind: object.kind.clone().filter(|kind| !kind.is_empty())?,
            reason: event.reason.clone().filter(|reason| !reason.is_empty())?,
            at: last.or_else(|| event.creation_timestamp().map(|time| time.0))?,
            namespace: text(&object.namespace),
            name: text(&object.name),
            uid: text(&object.uid),
            type_: text(&event.type_),
            message: message.get(..message.floor_char_boundary(MAX_MESSAGE)).unwrap_or_default().to_owned(),
            count: series.and_then(|series| series.count).or(event.count).unwrap_or(1),
        })
    }

    /// What the run that it starts is called by.
    pub(super) fn hash(&self) -> Hash {
        let Self { kind, reason, at, namespace, name, uid, type_: _, message: _, count: _ } = self;
        let window = window(at.as_second()).to_be_bytes();
        match uid.as_str() {
            "" => hash([b"named".as_slice(), namespace.as_bytes(), kind.as_bytes(), name.as_bytes(), reason.as_bytes(), &window]),
            uid => hash([b"object".as_slice(), uid.as_bytes(), reason.as_bytes(), &window]),
        }
    }

    /// What a run is told.
    pub(super) fn told(&self) -> Value {
        let Self { kind, reason, at, namespace, name, uid, type_, message, count } = self;
        json!({
            "type": type_, "reason": reason, "message": message, "count": count, "lastSeen": at.to_string(),
            "object": { "kind": kind, "namespace": namespace, "name": name, "uid": uid },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(changes: &Value) -> Event {
        let mut event = json!({
            "metadata": { "name": "e", "namespace": "apps", "creationTimestamp": "2026-11-23T10:00:00Z" },
            "involvedObject": { "kind": "Pod", "namespace": "apps", "name": "web-1", "uid": "u-1", "apiVersion": "v1" },
            "reason": "BackOff", "message": "restarting", "type": "Warning", "count": 3, "lastTimestamp": "2026-11-23T10:05:07Z",
        });
        for (key, value) in changes.as_object().unwrap() {
            event[key] = value.clone();
        }
        serde_json::from_value(event).unwrap()
    }

    fn of(changes: Value) -> Option<Occurrence> {
        Occurrence::of(&event(&changes))
    }

    #[test]
    fn the_time_of_an_event_is_when_it_was_so_last() {
        let at = |changes: Value| of(changes).unwrap().at.to_string();
        assert_eq!(at(json!({})), "2026-11-23T10:05:07Z");
        assert_eq!(at(json!({ "lastTimestamp": null })), "2026-11-23T10:00:00Z");
        assert_eq!(at(json!({ "lastTimestamp": null, "eventTime": "2026-11-23T10:01:00.5Z" })), "2026-11-23T10:01:00.5Z");
        let series = json!({ "count": 9, "lastObservedTime": "2026-11-23T10:09:00.000000Z" });
        assert_eq!(at(json!({ "series": series })), "2026-11-23T10:09:00Z");
        assert_eq!(of(json!({ "series": series })).unwrap().count, 9);
    }

    #[test]
    fn object_reason_and_window_are_what_makes_it_the_same() {
        let one = of(json!({})).unwrap();
        assert_eq!(one.hash(), of(json!({ "message": "other", "count": 4, "lastTimestamp": "2026-11-23T10:05:29Z" })).unwrap().hash());
        assert_ne!(one.hash(), of(json!({ "lastTimestamp": "2026-11-23T10:05:30Z" })).unwrap().hash());
        assert_ne!(one.hash(), of(json!({ "reason": "Failed" })).unwrap().hash());
        let other = json!({ "kind": "Pod", "namespace": "apps", "name": "web-1", "uid": "u-2", "apiVersion": "v1" });
        assert_ne!(one.hash(), of(json!({ "involvedObject": other })).unwrap().hash());
    }

    #[test]
    fn what_is_told_about_agents_starts_none() {
        let about =
            |version: &str| of(json!({ "involvedObject": { "kind": "InfraAgent", "name": "a", "uid": "u", "apiVersion": version } }));
        assert_eq!(about("core.infraagent.io/v1alpha1"), None);
        assert_eq!(about("infraagent.io/v1"), None);
        assert!(about("notinfraagent.io/v1").is_some());
        assert_eq!(of(json!({ "reason": "" })), None);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let told = of(json!({ "message": "ü".repeat(MAX_MESSAGE) })).unwrap().told();
        assert_eq!(told["message"].as_str().map(str::len), Some(MAX_MESSAGE));
        assert_eq!((told["object"]["kind"].as_str(), told["reason"].as_str()), (Some("Pod"), Some("BackOff")));
    }
}
