//! ConfigMaps on a real API server, read with the operator's own rights.

use infraagent_api::agent::{SkillRef, SkillUpdate};
use infraagent_tests::{apply, client_of, control_plane, eventually};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{fixture::*, *};

fn skill(name: &str, source: &str) -> SkillRef {
    SkillRef { name: name.to_owned(), source: source.to_owned(), update: SkillUpdate::default() }
}

fn map(name: &str, sheet: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name }, "data": { "SKILL.md": DOCUMENT, "actions.yaml": sheet } })).unwrap()
}

#[tokio::test]
async fn a_configmap_is_read_anew_when_it_changed_and_never_from_another_namespace() {
    let plane = control_plane();
    let admin = plane.admin().await;
    let (ours, theirs) = (plane.namespace("skills").await, plane.namespace("others").await);
    let operator = client_of(&plane.kubeconfig_for(&ours, "operator").await).await;
    // What the aggregated role of the operator comes to, where no controller aggregates.
    let name = plane.unique("skills");
    for document in [
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": name },
            "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"] }] }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": "operator", "namespace": ours }] }),
    ] {
        apply(&admin, &document).await.unwrap();
    }
    let sources = Sources::new(None, operator);
    let maps = Api::<ConfigMap>::namespaced(admin.clone(), &ours);
    Api::<ConfigMap>::namespaced(admin, &theirs).create(&PostParams::default(), &map("restarts", SHEET)).await.unwrap();

    eventually("the operator may read ConfigMaps", || async {
        let missing = sources.resolve(&ours, &skill("restarts", "configmap")).await.unwrap_err();
        (missing.reason == "ConfigMapNotFound").then_some(())
    })
    .await;
    let elsewhere = sources.resolve(&ours, &skill("restarts", &format!("configmap://{theirs}/restarts"))).await.unwrap_err();
    assert!(elsewhere.reason == "ConfigMapNotFound" && elsewhere.message.contains("another namespace"), "{elsewhere}");
    let elsewhere = sources.resolve(&ours, &skill("restarts", &format!("configmap://{theirs}/restarts/SKILL.md"))).await.unwrap_err();
    assert_eq!(elsewhere.reason, "SourceInvalid");
    assert!(sources.resolve(&theirs, &skill("restarts", "configmap")).await.is_ok(), "its own agents may use it");

    maps.create(&PostParams::default(), &map("restarts", SHEET)).await.unwrap();
    let hour = Duration::from_secs(3600);
    let stale = sources.resolve_within(&ours, &skill("restarts", "configmap"), hour).await.unwrap_err();
    assert_eq!(stale.reason, "ConfigMapNotFound", "not asked again within the hour");
    let first = sources.resolve(&ours, &skill("restarts", "configmap")).await.unwrap();
    assert_eq!(first.manifest.tools.len(), 3);
    let named = sources.resolve(&ours, &skill("restarts", "configmap://restarts/SKILL.md")).await.unwrap();
    assert_eq!(named.digest, first.digest);
    let again = sources.resolve(&ours, &skill("restarts", "configmap")).await.unwrap();
    assert!(Arc::ptr_eq(&first.manifest, &again.manifest), "what did not change is not read again");

    let change = json!({ "data": { "actions.yaml": SHEET.replace("'api-*'", "cart") } });
    maps.patch("restarts", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    assert_eq!(sources.resolve_within(&ours, &skill("restarts", "configmap"), hour).await.unwrap().digest, first.digest);
    assert_ne!(sources.resolve(&ours, &skill("restarts", "configmap")).await.unwrap().digest, first.digest);

    let change = json!({ "data": { "actions.yaml": SHEET.replace("verb:", "verbs:") } });
    maps.patch("restarts", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let broken = sources.resolve(&ours, &skill("restarts", "configmap")).await.unwrap_err();
    assert!(broken.reason == "SkillInvalid" && broken.message.contains("verbs") && !broken.transient, "{broken}");
    maps.delete("restarts", &DeleteParams::default()).await.unwrap();
    assert_eq!(sources.resolve(&ours, &skill("restarts", "configmap")).await.unwrap_err().reason, "ConfigMapNotFound");

    let bytes = component("rollouts", "1.0.0");
    let binary = ConfigMap { binary_data: Some([("rollouts.wasm".to_owned(), ByteString(bytes.clone()))].into()), ..map("built", SHEET) };
    maps.create(&PostParams::default(), &ConfigMap { data: None, ..binary }).await.unwrap();
    let found = sources.resolve(&ours, &skill("rollouts", "configmap://built")).await.unwrap();
    assert_eq!(found.digest, infraagent_sandbox::admission::digest(&bytes));
    let [unit] = found.units().unwrap().try_into().unwrap();
    assert_eq!(&*unit.component, bytes.as_slice());
}

#[tokio::test]
async fn rights_that_are_missing_are_named_and_an_api_server_that_is_away_is_asked_again() {
    let plane = control_plane();
    let namespace = plane.namespace("skills").await;
    let nobody_in_particular = client_of(&plane.kubeconfig_for(&namespace, "stranger").await).await;
    let forbidden = Sources::new(None, nobody_in_particular).resolve(&namespace, &skill("x", "configmap")).await.unwrap_err();
    assert!(forbidden.reason == "ConfigMapForbidden" && !forbidden.transient && forbidden.message.contains("`get`"), "{forbidden}");
    let away = Sources::new(None, nobody()).resolve(&namespace, &skill("x", "configmap")).await.unwrap_err();
    assert!(away.reason == "SourceUnreachable" && away.transient, "{away}");
}
