//! Checks the arguments of a tool call against the tool's JSON Schema, before anything else looks at them.
//!
//! A schema comes with a skill, so it is hostile until shown otherwise. At load: at most 16 KiB; subschemas at most 8 deep and 2,000 in all
//! *with references followed* (which rules out recursion and references that double); references only within the document, no other base
//! (`$id`, anchors, dynamic references); regular expressions of the linear engine only, with a size limit. Nothing is ever fetched.
//!
//! Arguments come from the model: at most 64 KiB and 32 levels.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The largest schema, as compact JSON.
pub const MAX_SCHEMA_BYTES: usize = 16 * 1024;
/// The most levels of subschemas.
pub const MAX_SCHEMA_DEPTH: usize = 8;
/// The most subschemas, references followed.
pub const MAX_SUBSCHEMAS: usize = 2_000;
/// The largest arguments, as compact JSON.
pub const MAX_ARGUMENT_BYTES: usize = 64 * 1024;
/// The most levels of arrays and objects in arguments.
pub const MAX_ARGUMENT_DEPTH: usize = 32;
/// The most levels of arrays and objects in a schema document.
const MAX_DOCUMENT_DEPTH: usize = 64;
const MAX_REGEX_BYTES: usize = 1 << 20;
const SHOWN_PROBLEMS: usize = 5;

/// Keywords whose value is a map from names to schemas: its keys are no keywords.
const MAPS: [&str; 6] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// Keywords whose value is data, not a schema.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "required"];
const OTHER_BASES: [&str; 6] = ["$id", "id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"];
const DIALECTS: [&str; 3] = [
    "http://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
];

/// The compiled schema of a tool's arguments. Everybody who has the same one shares it: each takes tens of kilobytes, and a run has several.
#[derive(Debug, Clone)]
pub struct Schema(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    source: Arc<Value>,
    validator: Validator,
}

/// The schemas that are in use, by the digest of their text.
static IN_USE: Mutex<Option<HashMap<[u8; 32], Weak<Compiled>>>> = Mutex::new(None);

/// The schema with this digest: the one that is in use, or a new one.
fn shared(digest: [u8; 32], compile: impl FnOnce() -> Result<Compiled, InvalidSchema>) -> Result<Arc<Compiled>, InvalidSchema> {
    let mut all = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    if let Some(known) = all.get(&digest).and_then(Weak::upgrade) {
        return Ok(known);
    }
    all.retain(|_, known| known.strong_count() > 0);
    let made = Arc::new(compile()?);
    all.insert(digest, Arc::downgrade(&made));
    Ok(made)
}

impl Compiled {
    fn new(source: Value) -> Result<Self, InvalidSchema> {
        if source.get("type").and_then(Value::as_str) != Some("object") {
            return Err(InvalidSchema::NoObject);
        }
        Walk { root: &source, seen: 0 }.schema(&source, 1, "")?;
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES))
            .build(&source)
            .map_err(|error| InvalidSchema::Malformed(format!("{error} at `{}`", error.instance_path())))?;
        Ok(Self { source: Arc::new(source), validator })
    }
}

/// Why a schema is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchema {
    /// The arguments of a tool are an object.
    #[error("the schema of a tool must have `type: object` at its top")]
    NoObject,
    /// Too large.
    #[error("the schema has {bytes} bytes: {MAX_SCHEMA_BYTES} are allowed")]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// Too deep, or recursive.
    #[error("subschemas are nested deeper than {MAX_SCHEMA_DEPTH} at `{at}`: make the arguments flatter; a schema cannot refer to itself")]
    TooDeep {
        /// Where, as a JSON pointer.
        at: String,
    },
    /// Too many, references followed.
    #[error("the schema has more than {MAX_SUBSCHEMAS} subschemas when its references are followed: remove some")]
    TooMany,
    /// A reference to somewhere else.
    #[error("`$ref: {reference}` at `{at}`: only references within the schema are allowed, such as `#/$defs/Target`")]
    ForeignReference {
        /// The reference.
        reference: String,
        /// Where.
        at: String,
    },
    /// A keyword that changes what references mean.
    #[error("`{keyword}` at `{at}` is not allowed here: remove it")]
    Keyword {
        /// The keyword.
        keyword: String,
        /// Where.
        at: String,
    },
    /// No JSON Schema.
    #[error("the schema is not valid: {0}")]
    Malformed(String),
}

/// Why arguments are refused; the model reads it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidArguments {
    /// Too large.
    #[error("the arguments have {bytes} bytes: {MAX_ARGUMENT_BYTES} are allowed")]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// Too deep.
    #[error("the arguments are nested deeper than {MAX_ARGUMENT_DEPTH} levels")]
    TooDeep,
    /// They do not fit.
    #[error("the arguments do not fit the tool's schema: {}", .0.join("; "))]
    Mismatch(Vec<String>),
}

impl Schema {
    /// Checks and compiles a schema.
    pub fn load(source: Value) -> Result<Self, InvalidSchema> {
        if deeper_than(&source, MAX_DOCUMENT_DEPTH) {
            return Err(InvalidSchema::TooDeep { at: "/".to_owned() });
        }
        let text = source.to_string();
        let bytes = text.len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(InvalidSchema::TooLarge { bytes });
        }
        shared(Sha256::digest(&text).into(), || Compiled::new(source)).map(Self)
    }

    /// The schema as it was given.
    pub fn source(&self) -> &Arc<Value> {
        &self.0.source
    }

    /// Checks arguments.
    pub fn check(&self, arguments: &Value) -> Result<(), InvalidArguments> {
        if deeper_than(arguments, MAX_ARGUMENT_DEPTH) {
            return Err(InvalidArguments::TooDeep);
        }
        let bytes = arguments.to_string().len();
        if bytes > MAX_ARGUMENT_BYTES {
            return Err(InvalidArguments::TooLarge { bytes });
        }
        let problems: Vec<String> = self
            .0
            .validator
            .iter_errors(arguments)
            .take(SHOWN_PROBLEMS)
            .map(|problem| {
                let at = problem.instance_path().to_string();
                // Masked: the value may be text from the world that the model copied, and this is said in the words of the host.
                let message: String = problem.masked().to_string().chars().take(300).collect();
                if at.is_empty() { message } else { format!("`{at}`: {message}") }
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(InvalidArguments::Mismatch(problems)) }
    }
}

/// Follows every subschema and reference once per use, so what it counts is what a validator may have to visit.
struct Walk<'a> {
    root: &'a Value,
    seen: usize,
}

impl<'a> Walk<'a> {
    fn schema(&mut self, schema: &'a Value, depth: usize, at: &str) -> Result<(), InvalidSchema> {
        let Value::Object(keywords) = schema else { return Ok(()) };
        self.seen += 1;
        if self.seen > MAX_SUBSCHEMAS {
            return Err(InvalidSchema::TooMany);
        }
        if depth > MAX_SCHEMA_DEPTH {
            return Err(InvalidSchema::TooDeep { at: at.to_owned() });
        }
        for (keyword, value) in keywords {
            let here = format!("{at}/{keyword}");
            if keyword == "$ref" {
                self.reference(value, depth, &here)?;
            } else if OTHER_BASES.contains(&keyword.as_str()) {
                return Err(InvalidSchema::Keyword { keyword: keyword.clone(), at: here });
            } else if keyword == "$schema" {
                let known = value.as_str().is_some_and(|dialect| DIALECTS.contains(&dialect.trim_end_matches('#')));
                if !known {
                    return Err(InvalidSchema::Keyword { keyword: keyword.clone(), at: here });
                }
            } else if MAPS.contains(&keyword.as_str()) {
                // The compiler visits definitions that nobody refers to, too.
                for (name, inner) in value.as_object().into_iter().flatten() {
                    self.schema(inner, depth + 1, &format!("{here}/{}", escape(name)))?;
                }
            } else if !DATA.contains(&keyword.as_str()) {
                self.value(value, depth + 1, &here)?;
            }
        }
        Ok(())
    }

    /// A keyword's value: a schema, a list of schemas, or something else, in which case there is nothing to find.
    fn value(&mut self, value: &'a Value, depth: usize, at: &str) -> Result<(), InvalidSchema> {
        match value {
            Value::Object(_) => self.schema(value, depth, at),
            Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| self.value(item, depth, &format!("{at}/{index}"))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn reference(&mut self, value: &Value, depth: usize, at: &str) -> Result<(), InvalidSchema> {
        let foreign = || InvalidSchema::ForeignReference { reference: value.to_string().chars().take(100).collect(), at: at.to_owned() };
        let pointer = value.as_str().and_then(|reference| reference.strip_prefix('#')).ok_or_else(foreign)?;
        // A percent sign would be decoded by the compiler and not here.
        if !(pointer.is_empty() || pointer.starts_with('/')) || pointer.contains('%') {
            return Err(foreign());
        }
        let target = self.root.pointer(pointer).ok_or_else(foreign)?;
        self.schema(target, depth + 1, pointer)
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Without recursion: the value may be as deep as whoever made it liked.
fn deeper_than(value: &Value, limit: usize) -> bool {
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > limit + 1 {
            return true;
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(entries) => open.extend(entries.values().map(|item| (item, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests;
