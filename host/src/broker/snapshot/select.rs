//! Which objects a selector selects. Field selectors know the fields that the API server knows, and refuse others, so that a skill learns it here already.

use infraagent_guard::{
    call::{FieldSelector, LabelSelector, Requirement},
    name::GroupResource,
};
use serde_json::Value;

use crate::broker::object;

/// True if the labels fit.
pub(super) fn labels(selector: &LabelSelector, value: &Value) -> bool {
    selector.0.iter().all(|requirement| match requirement {
        Requirement::Equals(key, wanted) => object::label(value, key.as_str()) == Some(wanted.as_str()),
        Requirement::Differs(key, unwanted) => object::label(value, key.as_str()) != Some(unwanted.as_str()),
        Requirement::In(key, wanted) => object::label(value, key.as_str()).is_some_and(|label| wanted.iter().any(|w| w.as_str() == label)),
        Requirement::NotIn(key, unwanted) => {
            object::label(value, key.as_str()).is_none_or(|label| !unwanted.iter().any(|u| u.as_str() == label))
        }
        Requirement::Exists(key) => object::label(value, key.as_str()).is_some(),
        Requirement::Absent(key) => object::label(value, key.as_str()).is_none(),
    })
}

/// The first field that cannot be selected by, for this kind.
pub(super) fn unsupported<'a>(selector: &'a FieldSelector, kind: &GroupResource) -> Option<&'a str> {
    let known: &[&str] = match (kind.group(), kind.resource()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    selector.0.iter().map(|requirement| requirement.path.as_str()).find(|path| *path != "metadata.name" && !known.contains(path))
}

/// True if the fields fit.
pub(super) fn fields(selector: &FieldSelector, value: &Value) -> bool {
    selector.0.iter().all(|requirement| (field(value, requirement.path.as_str()) == requirement.value.as_str()) == requirement.equal)
}

/// A field as the API server compares it: absent is empty, a flag that is not set is `false`.
fn field(value: &Value, path: &str) -> String {
    let path = match path {
        "source" => "source.component",
        "status.successful" => "status.succeeded",
        other => other,
    };
    match value.pointer(&format!("/{}", path.replace('.', "/"))) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => match path {
            "spec.unschedulable" | "spec.hostNetwork" => "false".to_owned(),
            "status.replicas" | "status.succeeded" => "0".to_owned(),
            _ => String::new(),
        },
    }
}

/// A label selector of an object (`matchLabels`, `matchExpressions`). An absent selector selects nothing.
pub(super) fn object_selector(selector: Option<&Value>, value: &Value) -> bool {
    let Some(selector) = selector.filter(|selector| selector.is_object()) else { return false };
    let equal = super::pods::matches(selector.get("matchLabels"), value);
    equal
        && object::items(selector, "/matchExpressions").iter().all(|expression| {
            let label = object::label(value, object::text(expression, "/key"));
            let listed = |label: &str| object::items(expression, "/values").iter().any(|v| v.as_str() == Some(label));
            match object::text(expression, "/operator") {
                "In" => label.is_some_and(listed),
                "NotIn" => label.is_none_or(|label| !listed(label)),
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use infraagent_sandbox::notation;
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_select_as_kubectl_does() {
        let pod = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app=api", false),
            ("app!=api", true),
            ("other!=x", true),
            ("tier in (front,back)", true),
            ("tier notin (front)", false),
            ("zone notin (a)", true),
            ("app", true),
            ("!app", false),
            ("!zone,app=web", true),
        ] {
            assert_eq!(labels(&notation::labels(selector).unwrap(), &pod), expected, "{selector}");
        }
    }

    #[test]
    fn field_selectors_know_the_fields_of_the_kind() {
        let pods = GroupResource::new("", "pods").unwrap();
        let pod = json!({"metadata": {"name": "web-1"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Pending"}});
        for (selector, expected) in [
            ("status.phase=Pending", true),
            ("status.phase!=Pending", false),
            ("spec.nodeName=n1,metadata.name=web-1", true),
            ("status.podIP=", true),
        ] {
            let selector = notation::fields(selector).unwrap();
            assert_eq!(unsupported(&selector, &pods), None);
            assert_eq!(fields(&selector, &pod), expected, "{selector}");
        }
        let other = notation::fields("spec.replicas=1").unwrap();
        assert_eq!(unsupported(&other, &pods), Some("spec.replicas"));
        let nodes = GroupResource::new("", "nodes").unwrap();
        let open = notation::fields("spec.unschedulable=false").unwrap();
        assert_eq!(unsupported(&open, &nodes), None);
        assert!(fields(&open, &json!({"spec": {}})));
    }
}
