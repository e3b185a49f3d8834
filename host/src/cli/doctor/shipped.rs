//! What the release installs beside the definitions: the files of `deploy/`, as they were when this program was built.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::Api;
use serde_json::Value;

use super::{Cluster, Found, Scope, find};

const RBAC: &str = include_str!("../../../../deploy/rbac.yaml");
const ADMISSION: &str = include_str!("../../../../deploy/admission.yaml");
const AREA: &str = "admission";

/// The documents of a shipped file.
fn documents(text: &str) -> Vec<Value> {
    // A test reads both; what cannot be read would have no documents.
    serde_saphyr::from_multiple(text).unwrap_or_default()
}

/// The rules of the operator's roles, each with the namespace that it holds in; none: in all.
pub(super) fn rules(operator_namespace: &str) -> Vec<(Option<String>, Value)> {
    let mut rules = Vec::new();
    for document in documents(RBAC) {
        let namespace = match document.get("kind").and_then(Value::as_str) {
            Some("ClusterRole") => None,
            Some("Role") => Some(operator_namespace.to_owned()),
            Some(_) | None => continue,
        };
        let own = document.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
        rules.extend(own.into_iter().map(|rule| (namespace.clone(), rule)));
    }
    rules
}

/// Whether the admission policies are there, and bound. Without them whoever may write a status may forge a record.
pub(super) async fn policies(cluster: &Cluster) -> Vec<Found> {
    let (mut missing, mut all) = (Vec::new(), 0);
    for document in documents(ADMISSION) {
        let Some(name) = document.pointer("/metadata/name").and_then(Value::as_str) else { continue };
        let client = cluster.client.clone();
        let (kind, found) = match document.get("kind").and_then(Value::as_str) {
            Some("ValidatingAdmissionPolicy") => {
                ("policy", find(cluster, Api::<ValidatingAdmissionPolicy>::all(client), &Scope::All, name).await)
            }
            Some("ValidatingAdmissionPolicyBinding") => {
                ("binding", find(cluster, Api::<ValidatingAdmissionPolicyBinding>::all(client), &Scope::All, name).await)
            }
            Some(_) | None => continue,
        };
        all += 1;
        match found {
            Ok(Some(theirs)) => {
                let same = |field: &str| theirs.pointer(field) == document.pointer(field);
                let fields = ["/spec/failurePolicy", "/spec/policyName", "/spec/validationActions"];
                if !fields.into_iter().all(same) {
                    missing.push(format!("{kind} {name} (changed)"));
                }
            }
            Ok(None) => missing.push(format!("{kind} {name}")),
            Err(trouble) => return vec![Found::unseen(AREA, &trouble)],
        }
    }
    if missing.is_empty() {
        return vec![Found::good(AREA, format!("all {all} policies and bindings of the release are there"))];
    }
    let says = format!("missing: {}; records can be forged, and the operator and its agents are held by fewer walls", missing.join(", "));
    vec![Found::bad(AREA, says, "install them: `kubectl apply --server-side -f deploy/admission.yaml`")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_files_are_read() {
        let rules = rules("home");
        let text = serde_json::to_string(&rules).unwrap();
        assert!(text.contains("agentruns/status") && text.contains("leases") && text.contains("impersonate"), "{text}");
        assert!(rules.iter().any(|(namespace, _)| namespace.as_deref() == Some("home")));
        let kinds: Vec<_> = documents(ADMISSION).iter().filter_map(|document| Some(document.get("kind")?.as_str()?.to_owned())).collect();
        assert!(kinds.iter().filter(|kind| *kind == "ValidatingAdmissionPolicy").count() >= 7, "{kinds:?}");
    }
}
