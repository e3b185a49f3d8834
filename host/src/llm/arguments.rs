//! The arguments of a tool call, as a model wrote them. One wire format carries them as text, and a model can write text that is no JSON: that
//! is a mistake to tell the model about, never an empty object.

use std::fmt;

use serde_json::{Value, json};

/// How much of a text that cannot be read is kept, in bytes.
const KEPT: usize = 4096;

/// Arguments, not checked against any schema yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Arguments {
    /// They can be read.
    Json(Value),
    /// They cannot.
    Unreadable(Unreadable),
}

/// Arguments that are no JSON. The model reads this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the arguments are no JSON ({reason}): write one JSON object, `{{}}` if there are none")]
pub struct Unreadable {
    /// What the model wrote, at most 4096 bytes of it.
    pub text: String,
    /// Why it is no JSON: position and kind of the mistake, nothing of the text.
    pub reason: String,
}

impl Arguments {
    /// From text.
    pub fn parse(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(value) => Self::Json(value),
            Err(error) => {
                let kept = text.get(..text.floor_char_boundary(KEPT)).unwrap_or_default();
                Self::Unreadable(Unreadable { text: kept.to_owned(), reason: error.to_string() })
            }
        }
    }

    /// The value, or why there is none.
    pub fn json(&self) -> Result<&Value, Unreadable> {
        match self {
            Self::Json(value) => Ok(value),
            Self::Unreadable(unreadable) => Err(unreadable.clone()),
        }
    }

    /// For people: the value, or the text that cannot be read.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Json(value) => value.clone(),
            Self::Unreadable(Unreadable { text, reason: _ }) => Value::String(text.clone()),
        }
    }

    /// As both providers accept them when the conversation is repeated: always an object. What is none is enclosed in one, so that the model
    /// sees what it wrote.
    pub fn to_object(&self) -> Value {
        match self {
            Self::Json(value @ Value::Object(_)) => value.clone(),
            Self::Json(value) => json!({ "not_an_object": value }),
            Self::Unreadable(Unreadable { text, reason: _ }) => json!({ "unreadable": text }),
        }
    }
}

impl From<Value> for Arguments {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

/// Compact JSON, or the text that is none.
impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(value) => value.fmt(f),
            Self::Unreadable(Unreadable { text, reason: _ }) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_never_becomes_an_object_of_arguments() {
        for text in ["", "{", r#"{"name": "web""#, "name=web", "{} {}", "{'a': 1}", "\u{0}", &"[".repeat(1000)] {
            let arguments = Arguments::parse(text);
            let error = arguments.json().unwrap_err();
            assert!(error.to_string().starts_with("the arguments are no JSON ("), "{text}: {error}");
            assert_eq!(arguments.to_object(), json!({ "unreadable": text }));
            assert_eq!(arguments.to_string(), text);
        }
        assert_eq!(Arguments::parse(" {\"a\": 1} "), Arguments::Json(json!({ "a": 1 })));
        assert_eq!(Arguments::parse("[1]").json(), Ok(&json!([1])), "the schema refuses it");
        assert_eq!(Arguments::parse("[1]").to_object(), json!({ "not_an_object": [1] }));
        let long = Arguments::parse(&"ü".repeat(KEPT));
        assert_eq!(long.to_string().len(), KEPT);
    }
}
