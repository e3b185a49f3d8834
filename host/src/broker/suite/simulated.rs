//! What a snapshot makes of a change, in the place of controllers; what an unpermitted change would have done; logs from files, planted failures.

use infraagent_guard::{
    call::{
        Condition,
        Disposable::{Job, Pod as DeletePod},
        List, Logs,
        Scalable::{Deployment as ScaleDeployment, StatefulSet as ScaleStatefulSet},
        Select, Sync,
        Workload::{Deployment, StatefulSet},
    },
    name::Container,
};

use super::{
    reads::{list, object, page},
    *,
};

fn status(value: &Option<Value>, field: &str) -> i64 {
    value.as_ref().unwrap()["status"][field].as_i64().unwrap_or(0)
}

async fn pods<E: Cluster>(bench: &Bench<'_, E>, app: &str) -> Vec<Value> {
    let all = bench.executor.list(&GroupResource::parse("pods").unwrap(), Some(bench.executor.shop())).await.unwrap();
    all.into_iter().filter(|pod| pod["metadata"]["labels"]["app"] == app).collect()
}

#[tokio::test]
async fn a_restart_replaces_the_pods_and_leaves_its_mark() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let before = pods(&bench, "web").await;
    let receipt = bench.act(restart(Deployment, "web")).await.unwrap();
    let web = bench.object("deployments.apps", "web").await;
    let after = pods(&bench, "web").await;
    assert_eq!((receipt.audit_seq, receipt.changed), (7, true));
    assert_eq!(receipt.resource_version.as_deref(), web.as_ref().unwrap()["metadata"]["resourceVersion"].as_str());
    let annotations = &web.as_ref().unwrap()["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["kubectl.kubernetes.io/restartedAt"], "2026-11-22T12:00:00Z");
    assert_eq!(annotations["infraagent.io/restarted-by"], "run-1/7");
    assert_eq!(web.as_ref().unwrap()["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    assert_eq!(web.as_ref().unwrap()["metadata"]["generation"], 4);
    assert_eq!((status(&web, "observedGeneration"), status(&web, "updatedReplicas"), status(&web, "readyReplicas")), (4, 2, 2));
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|pod| before.iter().all(|old| old["metadata"]["uid"] != pod["metadata"]["uid"])));
}

#[tokio::test]
async fn a_restart_cures_only_what_a_restart_can_cure() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    bench.act(restart(Deployment, "stuck")).await.unwrap();
    assert_eq!(status(&bench.object("deployments.apps", "stuck").await, "readyReplicas"), 1);
    bench.act(restart(Deployment, "api")).await.unwrap();
    let api = bench.object("deployments.apps", "api").await;
    // The good pods of the old revision stay; the new ones crash as before.
    assert_eq!((status(&api, "readyReplicas"), status(&api, "updatedReplicas"), status(&api, "replicas")), (2, 1, 3));
    let crashing: Vec<Value> =
        pods(&bench, "api").await.into_iter().filter(|pod| pod["status"]["containerStatuses"][0]["ready"] == false).collect();
    assert_eq!(crashing.len(), 1);
    assert_eq!(crashing[0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "CrashLoopBackOff");
}

#[tokio::test]
async fn a_rollback_returns_to_the_revision() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    bench.act(rollback("api", 1)).await.unwrap();
    let api = bench.object("deployments.apps", "api").await;
    assert_eq!(api.as_ref().unwrap()["spec"]["template"]["spec"]["containers"][0]["image"], "api:1");
    assert_eq!((status(&api, "readyReplicas"), status(&api, "updatedReplicas"), status(&api, "replicas")), (2, 2, 2));
    assert_eq!(
        bench.object("replicasets.apps", "api-66d8").await.unwrap()["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "3"
    );
    assert!(matches!(bench.act(rollback("api", 99)).await, Err(CallError::NotFound(_))));
    assert!(!bench.act(rollback("api", 3)).await.unwrap().changed);
}

#[tokio::test]
async fn a_scale_changes_the_workload_itself() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    assert!(bench.act(scale(ScaleDeployment, "web", 5)).await.unwrap().changed);
    assert_eq!(pods(&bench, "web").await.len(), 5);
    assert_eq!(status(&bench.object("deployments.apps", "web").await, "availableReplicas"), 5);
    let again = bench.act(scale(ScaleDeployment, "web", 5)).await.unwrap();
    assert!(!again.changed);
    bench.act(scale(ScaleDeployment, "web", 1)).await.unwrap();
    assert_eq!(pods(&bench, "web").await.len(), 1);
}

#[tokio::test]
async fn a_paused_rollout_waits_until_it_is_resumed() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    bench.act(Effect::Pause(ns("shop"), named("web"), true)).await.unwrap();
    assert!(matches!(bench.act(restart(Deployment, "web")).await, Err(CallError::Invalid(why)) if why.contains("resume")));
    bench.act(Effect::Pause(ns("shop"), named("web"), false)).await.unwrap();
    assert!(!bench.act(Effect::Pause(ns("shop"), named("web"), false)).await.unwrap().changed);
    assert!(bench.act(restart(Deployment, "web")).await.unwrap().changed);
}

#[tokio::test]
async fn an_eviction_respects_disruption_budgets() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let refused = bench.act(evict(&bench, "web-9f4d-a").await).await;
    assert!(matches!(refused, Err(CallError::Unavailable { retry_after_ms: Some(_), .. })), "{refused:?}");
    bench.act(scale(ScaleDeployment, "web", 3)).await.unwrap();
    bench.act(evict(&bench, "web-9f4d-a").await).await.unwrap();
    assert_eq!(bench.object("pods", "web-9f4d-a").await, None);
    assert_eq!(pods(&bench, "web").await.len(), 3, "its replica set replaces it");
    bench.act(evict(&bench, "api-66d8-a").await).await.unwrap();
}

#[tokio::test]
async fn a_deletion_takes_the_dependants_along() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let receipt = bench.act(delete(&bench, Job, "import").await).await.unwrap();
    assert_eq!((receipt.changed, receipt.resource_version), (true, None));
    assert_eq!(bench.object("pods", "import-x").await, None);
    bench.act(delete(&bench, DeletePod, "api-77c4-b").await).await.unwrap();
    assert_eq!(pods(&bench, "api").await.len(), 3, "the replica set replaces its pod");
}

#[tokio::test]
async fn a_node_is_cordoned_and_a_tool_asked_to_look() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    bench.act(Effect::Cordon(named("node-1"), true)).await.unwrap();
    let node = bench.object("nodes", "node-1").await.unwrap();
    assert_eq!((&node["spec"]["unschedulable"], &node["spec"]["taints"][0]["effect"]), (&Value::Bool(true), &Value::from("NoSchedule")));
    bench.act(Effect::Cordon(named("node-1"), false)).await.unwrap();
    let node = bench.object("nodes", "node-1").await.unwrap();
    assert_eq!((node["spec"].get("unschedulable"), node["spec"]["taints"].as_array().unwrap().len()), (None, 0));
    bench.act(Effect::RequestSync(Sync::FluxKustomization, ns("shop"), named("shop"))).await.unwrap();
    let annotations = bench.object("kustomizations.kustomize.toolkit.fluxcd.io", "shop").await.unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations, serde_json::json!({"reconcile.fluxcd.io/requestedAt": "2026-11-22T12:00:00Z"}));
}

#[tokio::test]
async fn the_same_changes_have_the_same_outcome_every_time() {
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let snapshot = load("shop");
        let bench = Bench::new(&snapshot);
        bench.act(restart(Deployment, "api")).await.unwrap();
        bench.act(scale(ScaleDeployment, "web", 4)).await.unwrap();
        outcomes.push((pods(&bench, "api").await, pods(&bench, "web").await));
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

/// What the guard refuses is real: the same write, forced past it, loses the data.
#[tokio::test]
async fn what_would_have_been_lost_without_the_guard() {
    for (folder, effect, claim) in [
        ("claim-retention", scale(ScaleStatefulSet, "scaled", 1), "data-scaled-1"),
        ("ephemeral-volume", restart(Deployment, "cache"), "cache-6b7f-a-scratch"),
        ("terminating-claim", scale(ScaleDeployment, "last", 0), "leaving"),
        ("dependants", restart(Deployment, "claimed"), "of-pod"),
    ] {
        let snapshot = load(folder);
        let bench = Bench::new(&snapshot);
        assert!(bench.permit(effect.clone()).await.is_err());
        assert!(bench.object("persistentvolumeclaims", claim).await.is_some(), "{folder}: refused, so still there");
        snapshot.force(&effect);
        assert!(bench.object("persistentvolumeclaims", claim).await.is_none(), "{folder}: `{claim}` should have gone");
        let volume = bench.object("persistentvolumes", &format!("pv-{claim}")).await;
        assert_eq!(volume, None, "{folder}: and its volume");
    }
    let snapshot = load("claim-retention");
    let bench = Bench::new(&snapshot);
    snapshot.force(&delete(&bench, Disposable::StatefulSet, "deleted").await);
    assert_eq!(bench.object("persistentvolumeclaims", "data-deleted-0").await, None);
    snapshot.force(&delete(&bench, Disposable::StatefulSet, "retained").await);
    assert!(bench.object("persistentvolumeclaims", "data-retained-0").await.is_some());
}

#[tokio::test]
async fn a_set_keeps_its_names_and_claims() {
    let snapshot = load("claim-retention");
    let bench = Bench::new(&snapshot);
    let before = bench.object("pods", "silent-1").await.unwrap();
    bench.act(restart(StatefulSet, "silent")).await.unwrap();
    let after = bench.object("pods", "silent-1").await.unwrap();
    assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"]);
    assert_eq!(after["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-silent-1");
    bench.act(scale(ScaleStatefulSet, "silent", 3)).await.unwrap();
    assert!(bench.object("persistentvolumeclaims", "data-silent-2").await.is_some());
    bench.act(scale(ScaleStatefulSet, "silent", 1)).await.unwrap();
    assert_eq!(bench.object("pods", "silent-1").await, None);
    assert!(bench.object("persistentvolumeclaims", "data-silent-1").await.is_some());
}

fn logs(pod: &str) -> Logs {
    Logs { namespace: ns("shop"), pod: named(pod), container: None, tail_lines: 100, since_seconds: None, previous: false }
}

#[tokio::test]
async fn logs_come_from_files() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    let answer = bench.read("read", Read::Logs(Logs { tail_lines: 2, ..logs("web-9f4d-a") })).await;
    assert_eq!(answer, Ok(Answer::Text("request 9\nrequest 10\n".to_owned(), true)));
    let answer = bench.read("read", Read::Logs(Logs { previous: true, ..logs("api-77c4-b") })).await;
    assert_eq!(answer, Ok(Answer::Text("2026-11-22T11:50:00Z starting\npanic: no ledger\n".to_owned(), false)));
    assert_eq!(bench.read("read", Read::Logs(logs("web-9f4d-b"))).await, Ok(Answer::Text(String::new(), false)));
    assert!(matches!(bench.read("read", Read::Logs(Logs { previous: true, ..logs("web-9f4d-b") })).await, Err(CallError::Invalid(_))));
    let other = Logs { container: Some(Container::parse("sidecar").unwrap()), ..logs("web-9f4d-a") };
    assert!(matches!(bench.read("read", Read::Logs(other)).await, Err(CallError::Invalid(why)) if why.contains("`main`")));
    // A pod that crashes like the one before says so in the same words.
    bench.act(restart(Deployment, "api")).await.unwrap();
    let (names, _) = page(
        bench.read("read", Read::List(List { labels: infraagent_sandbox::notation::labels("app=api").unwrap(), ..list("pods") })).await,
    );
    let new = names.iter().find(|name| !["api-66d8-a", "api-66d8-c"].contains(&name.as_str())).unwrap();
    let answer = bench.read("read", Read::Logs(logs(new))).await;
    assert!(matches!(&answer, Ok(Answer::Text(text, _)) if text.contains("cannot reach ledger")), "{answer:?}");
}

#[tokio::test]
async fn an_incomplete_discovery_denies() {
    let snapshot = load_with_faults("dependants", "unavailable: [list kinds]");
    Bench::new(&snapshot).unknown(restart(Deployment, "free"), "ephemeral-volume: list kinds: the API server does not answer").await;
}

#[tokio::test]
async fn what_does_not_answer_is_unavailable() {
    let snapshot = load_with_faults("shop", "unavailable: [get nodes]");
    let bench = Bench::new(&snapshot);
    let node = Read::Get(Get { object: object("nodes", None, "node-1"), select: Select::default() });
    assert!(matches!(bench.read("read-cluster", node).await, Err(CallError::Unavailable { .. })));
}

#[tokio::test]
async fn waiting_sees_what_a_change_made() {
    let snapshot = load("shop");
    let bench = Bench::new(&snapshot);
    bench.act(restart(Deployment, "stuck")).await.unwrap();
    let wait = Wait { object: object("deployments.apps", Some("shop"), "stuck"), condition: Condition::RolledOut, timeout_ms: 60_000 };
    assert_eq!(bench.read("read", Read::Wait(wait)).await, Ok(Answer::Reached(true)));
}
