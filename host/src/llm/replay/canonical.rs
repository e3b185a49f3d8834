//! What may differ between two equal conversations: times, uids, resource versions and hashes.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Tried at each place in this order, so a digest is not taken for something shorter.
static VOLATILE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
        (?P<version> (?i: resource [_-]? version ) \\? ["']? \s* [:=] \s* \\? ["']? ) (?: [0-9A-Za-z]+ )
      | (?P<time> \b \d{4}-\d\d-\d\d [Tt\ ] \d\d:\d\d:\d\d (?: \.\d+ )? (?: Z | z | [+-]\d\d:?\d\d )? )
      | (?P<uid> \b [0-9a-fA-F]{8} - [0-9a-fA-F]{4} - [0-9a-fA-F]{4} - [0-9a-fA-F]{4} - [0-9a-fA-F]{12} \b )
      | (?P<hash> \b (?: sha256: )? [0-9a-f]{64} \b | \b [0-9a-f]{40} \b )
        "#,
    )
    .expect("a constant expression")
});

/// The text with placeholders for what changes from run to run: `<time>`, `<uid>`, `<version>`, `<hash>`.
pub fn normalise(text: &str) -> String {
    VOLATILE
        .replace_all(text, |found: &Captures<'_>| {
            if let Some(key) = found.name("version") {
                format!("{}<version>", key.as_str())
            } else if found.name("time").is_some() {
                "<time>".to_owned()
            } else if found.name("uid").is_some() {
                "<uid>".to_owned()
            } else {
                "<hash>".to_owned()
            }
        })
        .into_owned()
}

/// Normalises every string of a JSON value and sorts its keys.
pub(super) fn normalise_json(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(normalise(text)),
        Value::Array(items) => Value::Array(items.iter().map(normalise_json).collect()),
        Value::Object(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), normalise_json(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_run_to_run_is_replaced() {
        for (text, expected) in [
            ("at 2026-11-22T16:30:51Z and 2026-11-22T16:30:51.123456+02:00.", "at <time> and <time>."),
            (r#"{"uid":"0b1f6c3e-5b8a-4c1e-9f3a-2d1c0b9a8f7e"}"#, r#"{"uid":"<uid>"}"#),
            (r#"{"resourceVersion":"48213","x":1}"#, r#"{"resourceVersion":"<version>","x":1}"#),
            (r#"{\"resourceVersion\":\"48213\"}"#, r#"{\"resourceVersion\":\"<version>\"}"#),
            ("resource_version: 48213", "resource_version: <version>"),
            (&format!("sha256:{} {}", "a".repeat(64), "0123456789".repeat(4)), "<hash> <hash>"),
        ] {
            assert_eq!(normalise(text), expected);
        }
    }

    #[test]
    fn what_means_something_stays() {
        for text in ["replicas: 3", "2026-11-22", "web-7d4b9c6f5-x2x9z", "10.0.0.1:8080", "deadbeef", "v1.37.2", "resource versions"] {
            assert_eq!(normalise(text), text);
        }
    }
}
