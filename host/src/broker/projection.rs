//! What of an object leaves the host: a compact projection by default, selected fields on request, and never what may hold a secret.
//!
//! Always removed: values of environment variables (`valueFrom` keeps the names it refers to), `kubectl`'s copy of the last applied object, `managedFields`. Of
//! `*.infraagent.io` only the fixed projection of [`own`] exists. Every projection keeps the shape of the object, so a reader of whole objects can read it.

mod compact;
mod own;

use infraagent_guard::call::Select;
use serde_json::{Map, Value, json};

use super::object;

/// Projects one object. `group` and `resource` are those of its kind.
pub(crate) fn project(object: Value, group: &str, resource: &str, select: &Select) -> Value {
    if resource == "secrets" {
        // No call can ask for one; a second lock costs nothing.
        return json!({"kind": "Secret", "metadata": {"name": object::name(&object), "namespace": object::namespace(&object)}});
    }
    let clean = if object::group(&object).ends_with("infraagent.io") || group.ends_with("infraagent.io") {
        own::fixed(&object)
    } else {
        let mut object = object;
        strip(&mut object);
        object
    };
    match select.pointers() {
        [] => compact::of(clean, group, resource),
        pointers if pointers.iter().any(String::is_empty) => clean,
        pointers => selected(&clean, pointers),
    }
}

/// The whole object without what never leaves: what a pre-condition is evaluated over, so that its answer tells nothing that a read would not.
pub(crate) fn clean(object: &Value) -> Value {
    let mut object = object.clone();
    strip(&mut object);
    object
}

/// Removes what never leaves, at any depth: pod templates and custom resources nest both.
fn strip(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(fields) => {
            fields.remove("managedFields");
            if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
            if let Some(env) = fields.get_mut("env") {
                strip_env(env);
            }
            fields.values_mut().for_each(strip);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `env` is a list of names and values, or (in custom resources) a map. A plain string under that name is a label.
fn strip_env(env: &mut Value) {
    match env {
        Value::Array(variables) => variables.iter_mut().filter_map(Value::as_object_mut).for_each(|variable| {
            variable.remove("value");
        }),
        Value::Object(variables) => {
            variables.values_mut().filter(|value| !value.is_object() && !value.is_array()).for_each(|v| *v = Value::Null)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The fields at these pointers, in the object's own shape; name and namespace too, or nobody could tell the items of a list apart.
fn selected(object: &Value, pointers: &[String]) -> Value {
    let mut result = Value::Object(Map::new());
    for pointer in ["/metadata/name", "/metadata/namespace"].into_iter().chain(pointers.iter().map(String::as_str)) {
        if let Some(found) = object.pointer(pointer) {
            let path: Vec<String> = pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
            place(&mut result, object, &path, found);
        }
    }
    result
}

/// Puts `found` where `path` says. An index of an array becomes the next element: positions are not kept, order is.
fn place(into: &mut Value, from: &Value, path: &[String], found: &Value) {
    let Some((first, rest)) = path.split_first() else {
        merge(into, found);
        return;
    };
    match from {
        Value::Object(fields) => {
            let Some(child) = fields.get(first) else { return };
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            if let Some(into) = into.as_object_mut() {
                place(into.entry(first.clone()).or_insert(Value::Null), child, rest, found);
            }
        }
        Value::Array(items) => {
            let Some(child) = first.parse::<usize>().ok().and_then(|index| items.get(index)) else { return };
            if !into.is_array() {
                *into = Value::Array(Vec::new());
            }
            if let Some(into) = into.as_array_mut() {
                let mut element = Value::Null;
                place(&mut element, child, rest, found);
                into.push(element);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn merge(into: &mut Value, found: &Value) {
    match (into, found) {
        (Value::Object(into), Value::Object(found)) => {
            for (key, value) in found {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, found) => *into = found.clone(),
    }
}

/// Keeps the fields at these paths (`/`-separated, `*` for each element of an array or field of an object).
fn keep(value: &Value, paths: &[&str]) -> Value {
    let split: Vec<Vec<&str>> = paths.iter().map(|path| path.split('/').collect()).collect();
    let views: Vec<&[&str]> = split.iter().map(Vec::as_slice).collect();
    pick(value, &views).unwrap_or_else(|| json!({}))
}

fn pick(value: &Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    let below = |key: &str| -> Vec<&[&str]> {
        let fits = |path: &&[&str]| path.first().is_some_and(|first| *first == key || *first == "*");
        paths.iter().copied().filter(fits).filter_map(|path| path.get(1..)).collect()
    };
    match value {
        Value::Object(fields) => {
            let kept: Map<String, Value> = fields
                .iter()
                .filter_map(|(key, child)| {
                    let paths = below(key);
                    if paths.is_empty() { None } else { pick(child, &paths).map(|kept| (key.clone(), kept)) }
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let paths = below("*");
            let kept: Vec<Value> = items.iter().filter_map(|item| pick(item, &paths)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests;
