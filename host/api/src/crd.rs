//! The definitions as they are installed: what the derive makes, plus what it cannot say.
//!
//! * No `nullable`: a `null` is then pruned or replaced by the default, and no rule ever meets one.
//! * No formats that the API server does not know (it would warn on every apply).
//! * A status has no defaults: only the host writes it, and a record must not grow fields that nobody wrote.
//! * Entries of a record must be complete, although old ones still decode.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::{
    ActionApproval, AgentEnvironment, AgentRun, InfraAgent, InfraAgentPolicy, ModelTierConfig,
    run::rules,
    schema::{Rule, cel},
};

/// What an entry of a record must have. Entries of the original release lack some of it; they decode, but nobody can write such ones.
pub(crate) const ENTRY_REQUIRES: &[&str] = &["seq", "timestamp", "tool", "target", "tier", "call", "nonce", "intentHash", "status"];

/// Every definition, in the order in which they are best read.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        definition::<InfraAgent>(),
        definition::<AgentEnvironment>(),
        definition::<ModelTierConfig>(),
        definition::<AgentRun>(),
        definition::<InfraAgentPolicy>(),
        definition::<ActionApproval>(),
    ]
}

/// The definition of one kind. Unlike `K::crd()` this is what is installed.
pub fn definition<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut definition = K::crd();
    let is_run = definition.spec.names.kind == "AgentRun";
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|validation| validation.open_api_v3_schema.as_mut()) {
            *schema = finish(schema, is_run);
        }
    }
    definition
}

fn finish(schema: &JSONSchemaProps, is_run: bool) -> JSONSchemaProps {
    let mut value = serde_json::to_value(schema).expect("a schema is JSON");
    tidy(&mut value);
    if let Some(status) = value.pointer_mut("/properties/status") {
        drop_defaults(status);
    }
    if is_run {
        add_rules(&mut value, rules::ROOT);
        if let Some(entry) = value.pointer_mut("/properties/status/properties/actions/items") {
            entry["required"] = json!(ENTRY_REQUIRES);
        }
    }
    serde_json::from_value(value).expect("a tidied schema is a schema")
}

fn add_rules(value: &mut Value, rules: &'static [Rule]) {
    let mut schema: schemars::Schema = std::mem::take(value).try_into().expect("a schema is an object");
    schemars::transform::Transform::transform(&mut cel(rules), &mut schema);
    *value = schema.to_value();
}

/// Visits the schema and every schema inside it.
fn visit(schema: &mut Value, apply: &impl Fn(&mut Map<String, Value>)) {
    let Some(object) = schema.as_object_mut() else { return };
    apply(object);
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(|property| visit(property, apply));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            visit(inner, apply);
        }
    }
}

fn tidy(schema: &mut Value) {
    visit(schema, &|object| {
        object.remove("nullable");
        object.remove("title");
        if let Some(Value::Array(words)) = object.get_mut("enum") {
            words.retain(|word| !word.is_null());
        }
        if object.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
            object.remove("format");
        }
    });
}

fn drop_defaults(schema: &mut Value) {
    visit(schema, &|object| {
        object.remove("default");
    });
}
