//! The record as a file: YAML or JSON, read without losing or guessing anything.

use std::{fmt, path::Path};

use infraagent_api::AgentRun;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Most bytes of a record that is read.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The formats of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// JSON for `.json`, else YAML.
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("json") => Self::Json,
            Some(_) | None => Self::Yaml,
        }
    }
}

/// Why a file is not a record.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Not YAML.
    #[error("it is not YAML: {0}")]
    Yaml(String),
    /// Another kind of document.
    #[error("it is not an AgentRun of {api}: it says kind `{kind}`, apiVersion `{version}`", api = infraagent_api::API_VERSION)]
    Kind {
        /// Its kind.
        kind: String,
        /// Its version.
        version: String,
    },
    /// The fields do not fit.
    #[error("it is not a valid AgentRun: {0}")]
    Fields(serde_json::Error),
}

/// A record as it was read: typed, and as JSON member by member.
#[derive(Debug, Clone)]
pub struct Document {
    /// The typed record.
    pub run: AgentRun,
    pub(crate) value: Value,
}

impl Document {
    /// Reads JSON or YAML. A member that occurs twice is an error: two readers could see two records.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let Strict(value) = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)?
        } else {
            serde_saphyr::from_str(text).map_err(|error| Unreadable::Yaml(error.to_string()))?
        };
        Self::from_value(value)
    }

    /// Takes a document that was read elsewhere.
    pub fn from_value(value: Value) -> Result<Self, Unreadable> {
        let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, version) = (word("kind"), word("apiVersion"));
        if kind != "AgentRun" || version != infraagent_api::API_VERSION {
            return Err(Unreadable::Kind { kind, version });
        }
        let run = serde_json::from_value(value.clone()).map_err(Unreadable::Fields)?;
        Ok(Self { run, value })
    }
}

/// The text of a record. What is read from it is what was given: YAML that would not read back the same is written as JSON, which is YAML too.
pub(crate) fn render(run: &AgentRun, format: Format) -> Result<String, Unreadable> {
    let value = serde_json::to_value(run)?;
    if format == Format::Yaml {
        let mut text = String::new();
        let options = serde_saphyr::ser_options! { prefer_block_scalars: true, min_fold_chars: usize::MAX, folded_wrap_chars: usize::MAX };
        let written = serde_saphyr::to_fmt_writer_with_options(&mut text, run, options);
        if written.is_ok() && serde_saphyr::from_str(&text).is_ok_and(|Strict(read)| read == value) {
            return Ok(text);
        }
    }
    let mut text = serde_json::to_string_pretty(&value)?;
    text.push('\n');
    Ok(text)
}

/// A JSON value whose objects name each member once.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can express")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Err(E::custom(format_args!("`{value}` is not an integer: a record holds no other numbers")))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom(format_args!("`{name}` occurs twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "apiVersion: core.infraagent.io/v1alpha1\nkind: AgentRun\nmetadata: {name: a}\nspec: {agentRef: a, environmentRef: e, trigger: manual}\n";

    #[test]
    fn yaml_and_json_are_the_same_record() {
        let yaml = Document::parse(SMALL).unwrap();
        let json = Document::parse(&serde_json::to_string(&yaml.value).unwrap()).unwrap();
        assert_eq!(yaml.value, json.value);
        assert_eq!(yaml.run, json.run);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let twice = SMALL.replace("agentRef: a,", "agentRef: a, agentRef: b,");
        assert!(Document::parse(&twice).unwrap_err().to_string().contains("agentRef"));
        let json = r#"{"apiVersion":"core.infraagent.io/v1alpha1","kind":"AgentRun","kind":"AgentRun"}"#;
        assert!(Document::parse(json).unwrap_err().to_string().contains("`kind` occurs twice"));
        assert!(Document::parse(r#"{"kind":"AgentRun","spec":{"x":1.5}}"#).unwrap_err().to_string().contains("not an integer"));
    }

    #[test]
    fn another_kind_is_named() {
        let error = Document::parse(&SMALL.replace("kind: AgentRun", "kind: InfraAgent")).unwrap_err().to_string();
        assert!(error.contains("`InfraAgent`"), "{error}");
    }
}
