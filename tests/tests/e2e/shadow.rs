//! A shadow run decides, records and rehearses, and leaves nothing behind: no change, and no cooldown that would keep a run that acts from acting.

use infraagent_api::AgentRun;
use infraagent_tests::{NODE, OPERATOR, eventually};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease};
use kube::{Api, api::ListParams};
use serde_json::json;

use super::lab::Lab;

/// The only change of a run: status and reason.
fn change(run: &AgentRun) -> (String, Option<String>) {
    let actions = &run.status.as_ref().unwrap().actions;
    let changes: Vec<_> = actions.iter().filter(|entry| entry.tool.starts_with("kubectl.rollout")).collect();
    assert_eq!(changes.len(), 1, "{actions:?}");
    (changes[0].status.as_str().to_owned(), changes[0].reason.clone())
}

#[tokio::test]
async fn a_shadow_run_changes_nothing_and_cools_nothing_down() {
    let lab = Lab::new().await;
    let template =
        json!({"metadata": {"labels": {"app": "api"}}, "spec": {"nodeName": NODE, "containers": [{"name": "api", "image": "api:1"}]}});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": {"app": "api"}}, "template": template});
    lab.apply(lab.object("apps/v1", "Deployment", "api", spec)).await;
    let deployments = &Api::<Deployment>::namespaced(lab.client.clone(), &lab.namespace);
    let api = || async { deployments.get("api").await.unwrap() };
    eventually("a ready pod", || async { (api().await.status?.ready_replicas == Some(1)).then_some(()) }).await;
    let leases = Api::<Lease>::namespaced(lab.client.clone(), OPERATOR.0);
    let held = async |run: &AgentRun| {
        let all = leases.list(&ListParams::default()).await.unwrap().items;
        all.into_iter()
            .filter(|lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) == run.metadata.uid.as_ref())
            .count()
    };
    let restart = json!([{"name": "restart_workload", "arguments": {
        "kind": "deployment", "name": "api", "namespace": lab.namespace, "reason": "it is time",
    }}]);
    let run = async |mode: &str| {
        lab.apply(lab.agent(json!({"mode": mode}))).await;
        let before = lab.records().await;
        let ended = lab.run(std::slice::from_ref(&restart)).await;
        let made = lab.records().await.into_iter().find(|run| !before.iter().any(|known| known.metadata.uid == run.metadata.uid));
        made.unwrap_or_else(|| panic!("{}", ended.said))
    };

    let before = api().await;
    let shadow = run("shadow").await;
    let skipped = ("skipped".to_owned(), Some("shadow".to_owned()));
    assert_eq!(change(&shadow), skipped);
    let after = api().await;
    assert_eq!((after.spec, after.metadata.generation), (before.spec, before.metadata.generation));
    assert_eq!(held(&shadow).await, 0, "a shadow run took a cooldown");
    let name = format!("{}/{}", lab.namespace, shadow.metadata.name.as_deref().unwrap());
    let events = lab.plane.audit_events().await;
    let asked: Vec<_> = events.iter().filter(|event| event.run() == Some(&name) && event.is_mutation()).collect();
    assert!(!asked.is_empty() && asked.iter().all(|event| event.request_uri.contains("dryRun=All")), "{asked:?}");

    let live = run("live").await;
    assert_eq!(change(&live), ("executed".to_owned(), None));
    assert!(api().await.metadata.generation > before.metadata.generation);
    assert_eq!(held(&live).await, 1);

    // What was really done cools down for both.
    let cooling = ("blocked".to_owned(), Some("cooldown".to_owned()));
    assert_eq!(change(&run("live").await), cooling);
    assert_eq!(change(&run("shadow").await), cooling);
}
