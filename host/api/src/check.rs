//! Strict checking of a document that never passes an API server, by the very schema that the API server would use.
//!
//! Decoding is tolerant, so a misspelled `deniedActions` in a file would simply not be there. This walks the document beside the
//! definition and names every unknown key, missing field, wrong type and value out of range. Cross-field rules are in `offline.rs`.
//! Patterns are not evaluated: durations, amounts and words are checked by decoding, names and URLs where they are parsed.

use std::fmt;

use kube::CustomResourceExt;
use serde_json::{Map, Value};

use crate::{API_VERSION, definition};

/// Something wrong at one place of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, for example `spec.guardrails.deniedActoins` or `spec.skills[0].source`.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.message)
    }
}

/// Everything that is wrong with a document that claims to be a `K`.
pub fn check<K: CustomResourceExt>(document: &Value) -> Vec<Problem> {
    let definition = definition::<K>();
    let mut problems = Vec::new();
    expect_word(document, "apiVersion", API_VERSION, &mut problems);
    expect_word(document, "kind", &definition.spec.names.kind, &mut problems);
    walk(document, &schema_of(&definition), "", &mut |finding| match finding {
        Finding::Unknown(problem) | Finding::Invalid(problem) => problems.push(problem),
    });
    problems
}

/// Paths of the keys that a `K` does not have. Keys under `metadata` are Kubernetes' own and not looked at.
pub fn unknown_fields<K: CustomResourceExt>(document: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    walk(document, &schema_of(&definition::<K>()), "", &mut |finding| match finding {
        Finding::Unknown(problem) => paths.push(problem.path),
        Finding::Invalid(_) => {}
    });
    paths
}

enum Finding {
    Unknown(Problem),
    Invalid(Problem),
}

fn schema_of(definition: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition) -> Value {
    let mut schema = definition
        .spec
        .versions
        .first()
        .and_then(|version| version.schema.as_ref())
        .and_then(|validation| serde_json::to_value(&validation.open_api_v3_schema).ok())
        .unwrap_or_default();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for key in ["apiVersion", "kind", "metadata"] {
            properties.insert(key.to_owned(), Value::Object(Map::new()));
        }
    }
    schema
}

fn expect_word(document: &Value, key: &str, expected: &str, problems: &mut Vec<Problem>) {
    let found = document.get(key).and_then(Value::as_str);
    if found != Some(expected) {
        let message = match found {
            Some(found) => format!("is `{found}`, but `{expected}` is needed here"),
            None => format!("is missing: write `{key}: {expected}`"),
        };
        problems.push(Problem { path: key.to_owned(), message });
    }
}

fn walk(value: &Value, schema: &Value, path: &str, report: &mut impl FnMut(Finding)) {
    // As the API server does: null stands for "not set".
    if value.is_null() {
        return;
    }
    let invalid = |message: String| Finding::Invalid(Problem { path: path.to_owned(), message });
    if let Some(kind) = schema.get("type").and_then(Value::as_str)
        && !has_type(value, kind)
    {
        report(invalid(format!("must be of type {kind}, not {}", type_name(value))));
        return;
    }
    if let Some(Value::Array(words)) = schema.get("enum")
        && !words.contains(value)
    {
        let words: Vec<_> = words.iter().map(|word| format!("`{}`", word.as_str().unwrap_or_default())).collect();
        report(invalid(format!("unknown value {value}: use one of {}", words.join(", "))));
    }
    match value {
        Value::Number(number) => range(number.as_f64(), schema, ["minimum", "maximum"], "must be", report, &invalid),
        Value::String(text) => range(count(text.chars()), schema, ["minLength", "maxLength"], "its length must be", report, &invalid),
        Value::Array(items) => {
            range(count(items.iter()), schema, ["minItems", "maxItems"], "the number of its items must be", report, &invalid);
            duplicates(items, schema, path, report);
            if let Some(inner) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    walk(item, inner, &format!("{path}[{index}]"), report);
                }
            }
        }
        Value::Object(entries) => {
            range(count(entries.iter()), schema, ["minProperties", "maxProperties"], "the number of its entries must be", report, &invalid);
            object(entries, schema, path, report);
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn object(entries: &Map<String, Value>, schema: &Value, path: &str, report: &mut impl FnMut(Finding)) {
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, value) in entries {
        if let Some(inner) = properties.and_then(|properties| properties.get(key)) {
            walk(value, inner, &at(key), report);
        } else if let Some(inner) = schema.get("additionalProperties") {
            walk(value, inner, &at(key), report);
        } else if let Some(properties) = properties {
            let known: Vec<_> = properties.keys().map(String::as_str).collect();
            let message = match closest(key, &known) {
                Some(known) => format!("unknown field: did you mean `{known}`?"),
                None => format!("unknown field: known here are {}", known.join(", ")),
            };
            report(Finding::Unknown(Problem { path: at(key), message }));
        }
    }
    for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if entries.get(key).is_none_or(Value::is_null) {
            report(Finding::Invalid(Problem { path: at(key), message: "is missing".to_owned() }));
        }
    }
}

/// Items that repeat the key of a list map, or an item of a set.
fn duplicates(items: &[Value], schema: &Value, path: &str, report: &mut impl FnMut(Finding)) {
    let key = schema.pointer("/x-kubernetes-list-map-keys/0").and_then(Value::as_str);
    let is_set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
    if key.is_none() && !is_set {
        return;
    }
    let identity = |item: &Value| match key {
        Some(key) => item.get(key).cloned(),
        None => Some(item.clone()),
    };
    for (index, item) in items.iter().enumerate() {
        let Some(own) = identity(item) else { continue };
        if items.iter().take(index).any(|earlier| identity(earlier).as_ref() == Some(&own)) {
            report(Finding::Invalid(Problem { path: format!("{path}[{index}]"), message: format!("{own} is there already: remove one") }));
        }
    }
}

fn range(
    actual: Option<f64>,
    schema: &Value,
    [least, most]: [&str; 2],
    what: &str,
    report: &mut impl FnMut(Finding),
    invalid: &impl Fn(String) -> Finding,
) {
    let Some(actual) = actual else { return };
    if let Some(least) = schema.get(least).and_then(Value::as_f64)
        && actual < least
    {
        report(invalid(format!("{what} at least {least}, not {actual}")));
    }
    if let Some(most) = schema.get(most).and_then(Value::as_f64)
        && actual > most
    {
        report(invalid(format!("{what} at most {most}, not {actual}")));
    }
}

fn count(items: impl Iterator) -> Option<f64> {
    u32::try_from(items.count()).ok().map(f64::from)
}

fn has_type(value: &Value, kind: &str) -> bool {
    match kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The known word that was probably meant: at most a third of its letters differ.
fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, by rows.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut next = vec![line + 1];
        for (column, other) in to.iter().enumerate() {
            let replace = row[column] + usize::from(letter != *other);
            next.push(replace.min(row[column + 1] + 1).min(next[column] + 1));
        }
        row = next;
    }
    row[to.len()]
}
