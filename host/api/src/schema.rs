//! Small schema transforms that the kinds share: rules in CEL, list types, patterns.
//!
//! Used as `#[schemars(transform = cel(&[(RULE, MESSAGE)]))]`. A message names the field and the fix, since it is all that the person
//! with `kubectl apply` sees.

use schemars::{Schema, transform::Transform};
use serde_json::{Value, json};

/// One rule: the CEL expression that must be true, and what to say when it is not.
pub(crate) type Rule = (&'static str, &'static str);

/// A DNS subdomain, the name of most objects.
pub(crate) const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A DNS label: namespaces.
pub(crate) const LABEL_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A key inside a Secret, or the name that a user gives to an endpoint, a credential or a channel.
pub(crate) const KEY_PATTERN: &str = r"^[-._a-zA-Z0-9]+$";
/// An http or https URL without user information: `https://api.github.com@evil.example/` is not one.
pub(crate) const URL_PATTERN: &str = r"^https?://([a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?([/?][^\s#]*)?$";
/// The name of a time zone in the IANA database; whether it exists is the operator's question.
pub(crate) const TIME_ZONE_PATTERN: &str = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$";
/// Five fields, or a nickname such as `@daily`.
pub(crate) const CRON_PATTERN: &str = concat!(
    r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|",
    r"(\*|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]?)?(,(\*|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]?)?)*",
    r" +(\*|(2[0-3]|[01]?[0-9])(-(2[0-3]|[01]?[0-9]))?)(/[1-9][0-9]?)?(,(\*|(2[0-3]|[01]?[0-9])(-(2[0-3]|[01]?[0-9]))?)(/[1-9][0-9]?)?)*",
    r" +([*?]|(3[01]|[12][0-9]|0?[1-9])(-(3[01]|[12][0-9]|0?[1-9]))?)(/[1-9][0-9]?)?",
    r"(,([*?]|(3[01]|[12][0-9]|0?[1-9])(-(3[01]|[12][0-9]|0?[1-9]))?)(/[1-9][0-9]?)?)*",
    r" +(\*|(1[0-2]|0?[1-9]|[A-Za-z]{3})(-(1[0-2]|0?[1-9]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?",
    r"(,(\*|(1[0-2]|0?[1-9]|[A-Za-z]{3})(-(1[0-2]|0?[1-9]|[A-Za-z]{3}))?)(/[1-9][0-9]?)?)*",
    r" +([*?]|([0-7]|[A-Za-z]{3})(-([0-7]|[A-Za-z]{3}))?)(/[1-7])?(,([*?]|([0-7]|[A-Za-z]{3})(-([0-7]|[A-Za-z]{3}))?)(/[1-7])?)*)$",
);

/// Adds rules that the API server evaluates on the value.
pub(crate) fn cel(rules: &'static [Rule]) -> impl Transform {
    move |schema: &mut Schema| {
        let entry = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        if let Value::Array(list) = entry {
            list.extend(rules.iter().map(|(rule, message)| json!({ "rule": rule, "message": message })));
        }
    }
}

/// A rule that also runs when the object is created; there `oldSelf` is an optional value.
pub(crate) fn cel_on_create(rule: &'static str, message: &'static str) -> impl Transform {
    move |schema: &mut Schema| {
        let entry = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        if let Value::Array(list) = entry {
            list.push(json!({ "rule": rule, "message": message, "optionalOldSelf": true }));
        }
    }
}

/// A list in which `key` is unique: the API server refuses duplicates and merges by it.
pub(crate) fn list_map(key: &'static str) -> impl Transform {
    move |schema: &mut Schema| {
        let object = schema.ensure_object();
        object.insert("x-kubernetes-list-type".to_owned(), json!("map"));
        object.insert("x-kubernetes-list-map-keys".to_owned(), json!([key]));
    }
}

/// A list of scalars without duplicates.
pub(crate) fn list_set(schema: &mut Schema) {
    schema.ensure_object().insert("x-kubernetes-list-type".to_owned(), json!("set"));
}

/// A list that is replaced as a whole.
pub(crate) fn list_atomic(schema: &mut Schema) {
    schema.ensure_object().insert("x-kubernetes-list-type".to_owned(), json!("atomic"));
}

/// At most `count` entries in a map.
pub(crate) fn max_entries(count: u32) -> impl Transform {
    move |schema: &mut Schema| {
        schema.ensure_object().insert("maxProperties".to_owned(), json!(count));
    }
}
