//! Whether the definitions of the custom resources are there, served, and those of this program.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde_json::Value;

use super::{Cluster, Found, Scope, find};
use crate::cli::program;

/// What this is about.
pub(super) const AREA: &str = "definitions";

/// Looks at each definition.
pub(super) async fn check(cluster: &Cluster) -> Vec<Found> {
    let (mut found, mut missing, mut other) = (Vec::new(), Vec::new(), Vec::new());
    let definitions = infraagent_api::crds();
    let all = definitions.len();
    for definition in definitions {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let api = Api::<CustomResourceDefinition>::all(cluster.client.clone());
        match find(cluster, api, &Scope::All, &name).await {
            Ok(None) => missing.push(name),
            Ok(Some(theirs)) => {
                let ours = serde_json::to_value(&definition).unwrap_or_default();
                other.extend(judge(&ours, &theirs).err().map(|why| format!("{name}: {why}")));
            }
            Err(trouble) => {
                found.push(Found::unseen(AREA, &trouble));
                return found;
            }
        }
    }
    let install = format!("`{} crds | kubectl apply --server-side -f -`", program::name());
    if !missing.is_empty() {
        found.push(Found::bad(AREA, format!("missing: {}", missing.join(", ")), format!("install them: {install}")));
    }
    if !other.is_empty() {
        let change = format!("if this program is the newer one: {install}; if the cluster's are newer, use that release");
        found.push(Found::bad(AREA, format!("not those of this program: {}", other.join("; ")), change));
    }
    if found.is_empty() {
        found.push(Found::good(AREA, format!("all {all} are there, and those of this program")));
    }
    found
}

/// Whether a definition of the cluster is served, and says what ours says.
fn judge(ours: &Value, theirs: &Value) -> Result<(), String> {
    let conditions = theirs.pointer("/status/conditions").and_then(Value::as_array);
    let established = conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Established")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    });
    if !established {
        return Err("it is not served yet".to_owned());
    }
    for field in ["group", "scope", "names", "versions"] {
        let empty = Value::Null;
        let at = |whole: &Value| whole.pointer(&format!("/spec/{field}")).cloned().unwrap_or(Value::Null);
        let (ours, theirs) = (at(ours), at(theirs));
        if let Some(path) = differs(&ours, if theirs.is_null() { &empty } else { &theirs }, field) {
            return Err(format!("`{path}` differs"));
        }
    }
    Ok(())
}

/// The first place where the cluster's definition does not say what ours says. The API server adds defaults, but no property of an object and no rule.
fn differs(ours: &Value, theirs: &Value, path: &str) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let strange = (path.ends_with(".properties")).then(|| theirs.keys().find(|key| !ours.contains_key(*key))).flatten();
            if let Some(key) = strange {
                return Some(format!("{path}.{key}"));
            }
            ours.iter().filter(|(_, value)| !value.is_null()).find_map(|(key, value)| {
                let path = format!("{path}.{key}");
                match theirs.get(key) {
                    Some(theirs) => differs(value, theirs, &path),
                    // What is empty or false is left out.
                    None if is_nothing(value) => None,
                    None => Some(path),
                }
            })
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).enumerate().find_map(|(at, (ours, theirs))| differs(ours, theirs, &format!("{path}[{at}]")))
        }
        (Value::Number(ours), Value::Number(theirs)) if ours.as_f64() == theirs.as_f64() => None,
        (ours, theirs) if ours == theirs => None,
        _ => Some(path.to_owned()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_server_adds_is_no_difference_and_what_somebody_changed_is() {
        let ours = serde_json::to_value(infraagent_api::definition::<infraagent_api::AgentRun>()).unwrap();
        let mut theirs = ours.clone();
        assert_eq!(judge(&ours, &theirs).unwrap_err(), "it is not served yet");
        theirs["status"] = json!({ "conditions": [{ "type": "Established", "status": "True" }] });
        theirs["spec"]["conversion"] = json!({ "strategy": "None" });
        theirs["spec"]["names"]["listKind"] = json!("AgentRunList");
        assert_eq!(judge(&ours, &theirs), Ok(()));

        let schema = "/spec/versions/0/schema/openAPIV3Schema";
        let mut fewer_rules = theirs.clone();
        let rules = fewer_rules.pointer_mut(&format!("{schema}/properties/status/x-kubernetes-validations")).unwrap();
        rules.as_array_mut().unwrap().pop();
        assert!(judge(&ours, &fewer_rules).unwrap_err().contains("x-kubernetes-validations"));
        let mut newer = theirs.clone();
        newer.pointer_mut(&format!("{schema}/properties/spec/properties")).unwrap()["more"] = json!({ "type": "string" });
        assert!(judge(&ours, &newer).unwrap_err().contains("spec.properties.more"));
        let mut older = theirs;
        older.pointer_mut(&format!("{schema}/properties/spec/properties")).unwrap().as_object_mut().unwrap().remove("mode");
        assert!(judge(&ours, &older).unwrap_err().contains("spec.properties.mode"));
    }
}
