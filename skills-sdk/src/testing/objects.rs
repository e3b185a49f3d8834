//! The objects of the fake cluster.

use serde_json::{Map, Value};

use super::selector::{fields_match, labels_match};
use crate::kubernetes::ListQuery;
use crate::reference::{ObjectRef, Resource};
use crate::{Error, Result};

/// Objects in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Objects(Vec<Value>);

impl Objects {
    pub(super) fn add(&mut self, object: Value) -> Result<()> {
        if let (Some(kind), Some(Value::Array(items))) = (object.get("kind").and_then(Value::as_str), object.get("items"))
            && kind.ends_with("List")
        {
            return items.iter().cloned().try_for_each(|item| self.add(item));
        }
        if resource_of(&object).is_none() || name_of(&object).is_none() {
            return Err(Error::Invalid("an object needs `apiVersion`, `kind` and `metadata.name`".to_owned()));
        }
        self.0.push(object);
        Ok(())
    }

    pub(super) fn find(&self, target: &ObjectRef) -> Option<&Value> {
        self.0.iter().find(|object| is(object, target))
    }

    /// The object, to be changed; an error if it is not there.
    pub(super) fn get_mut(&mut self, target: &ObjectRef) -> Result<&mut Value> {
        self.0.iter_mut().find(|object| is(object, target)).ok_or_else(|| Error::NotFound(target.to_string()))
    }

    pub(super) fn remove(&mut self, target: &ObjectRef) {
        self.0.retain(|object| !is(object, target));
    }

    /// All objects that match the query, in every namespace that `covers` says.
    pub(super) fn list(&self, query: &ListQuery, covers: impl Fn(&str) -> bool) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        for object in &self.0 {
            let namespace = namespace_of(object);
            let in_namespace = match (&query.namespace, namespace) {
                (Some(wanted), namespace) => namespace == Some(wanted.as_str()),
                (None, Some(namespace)) => covers(namespace),
                (None, None) => true,
            };
            if in_namespace
                && resource_of(object).is_some_and(|resource| same(&resource, &query.resource))
                && labels_match(object, query.labels.as_deref().unwrap_or_default())?
                && fields_match(object, query.fields.as_deref().unwrap_or_default())?
            {
                found.push(select(object, &query.select));
            }
        }
        Ok(found)
    }
}

/// Keeps what the JSON pointers name. Without any, and with the empty one, everything.
pub(super) fn select(object: &Value, pointers: &[String]) -> Value {
    if pointers.is_empty() || pointers.iter().any(String::is_empty) {
        return object.clone();
    }
    let mut kept = Value::Object(Map::new());
    for pointer in pointers {
        let Some(found) = object.pointer(pointer) else { continue };
        let mut place = &mut kept;
        for key in pointer.split('/').skip(1) {
            let key = key.replace("~1", "/").replace("~0", "~");
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[key];
        }
        *place = found.clone();
    }
    kept
}

fn is(object: &Value, target: &ObjectRef) -> bool {
    name_of(object) == Some(target.name.as_str())
        && namespace_of(object) == target.namespace.as_deref()
        && resource_of(object).is_some_and(|resource| same(&resource, &target.resource))
}

fn same(a: &Resource, b: &Resource) -> bool {
    a.group == b.group && a.resource == b.resource
}

fn name_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/name").and_then(Value::as_str)
}

fn namespace_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/namespace").and_then(Value::as_str)
}

/// The resource of an object, by the rules by which Kubernetes names plurals.
fn resource_of(object: &Value) -> Option<Resource> {
    let version = object.get("apiVersion").and_then(Value::as_str)?;
    let kind = object.get("kind").and_then(Value::as_str)?.to_ascii_lowercase();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let resource = match kind.as_str() {
        "endpoints" => kind,
        "podmetrics" => "pods".to_owned(),
        "nodemetrics" => "nodes".to_owned(),
        _ if ["s", "x", "ch", "sh"].iter().any(|end| kind.ends_with(end)) => format!("{kind}es"),
        _ => match kind.strip_suffix('y') {
            Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
            _ => format!("{kind}s"),
        },
    };
    Some(Resource { group: group.to_owned(), version: None, resource })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{resource_of, select};

    #[test]
    fn kinds_have_the_plurals_of_kubernetes() {
        for (version, kind, expected) in [
            ("v1", "Pod", "pods"),
            ("apps/v1", "Deployment", "deployments.apps"),
            ("networking.k8s.io/v1", "Ingress", "ingresses.networking.k8s.io"),
            ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies.networking.k8s.io"),
            ("gateway.networking.k8s.io/v1", "Gateway", "gateways.gateway.networking.k8s.io"),
            ("metrics.k8s.io/v1beta1", "NodeMetrics", "nodes.metrics.k8s.io"),
            ("v1", "Endpoints", "endpoints"),
        ] {
            let resource = resource_of(&json!({ "apiVersion": version, "kind": kind })).map(|resource| resource.to_string());
            assert_eq!(resource.as_deref(), Some(expected));
        }
    }

    #[test]
    fn select_keeps_what_the_pointers_name() {
        let pod = json!({ "metadata": { "name": "web", "labels": { "app": "web", "a/b": "c" } }, "spec": { "nodeName": "n" } });
        let pointers = |list: &[&str]| list.iter().map(|&pointer| pointer.to_owned()).collect::<Vec<_>>();
        assert_eq!(select(&pod, &pointers(&[])), pod);
        assert_eq!(select(&pod, &pointers(&[""])), pod);
        assert_eq!(select(&pod, &pointers(&["/metadata/labels/a~1b", "/nothing"])), json!({ "metadata": { "labels": { "a/b": "c" } } }));
    }
}
