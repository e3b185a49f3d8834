//! Reading Kubernetes objects that are plain JSON. Whatever is absent or of the wrong type reads as empty.

use infraagent_guard::name::GroupResource;
use serde_json::Value;

/// How an object is called in messages: `deployment/web -n shop`. An empty namespace: it is cluster-scoped.
pub(crate) fn shown(kind: &GroupResource, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{}/{name}", kind.singular()) } else { format!("{}/{name} -n {namespace}", kind.singular()) }
}

/// The text at a JSON pointer, or nothing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a JSON pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The elements of the array at a JSON pointer.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// Empty for cluster-scoped objects.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(crate) fn resource_version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

pub(crate) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

/// The API group: empty for the core group.
pub(crate) fn group(object: &Value) -> &str {
    group_of(text(object, "/apiVersion"))
}

/// The group of an `apiVersion`.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

pub(crate) fn is_terminating(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// The value of a label.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(key)?.as_str()
}

/// The value of an annotation.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// One owner reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner<'a> {
    pub(crate) group: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) controller: bool,
}

/// What the object belongs to.
pub(crate) fn owners(object: &Value) -> impl Iterator<Item = Owner<'_>> {
    items(object, "/metadata/ownerReferences").iter().map(|owner| Owner {
        group: group_of(text(owner, "/apiVersion")),
        kind: text(owner, "/kind"),
        name: text(owner, "/name"),
        uid: text(owner, "/uid"),
        controller: owner.get("controller").and_then(Value::as_bool).unwrap_or(false),
    })
}

/// True if the object has an owner with this uid.
pub(crate) fn is_owned_by(object: &Value, uid: &str) -> bool {
    owners(object).any(|owner| owner.uid == uid)
}

/// The condition of this type holds.
pub(crate) fn condition(object: &Value, kind: &str) -> bool {
    items(object, "/status/conditions").iter().any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}
