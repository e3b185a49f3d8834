//! As whom things happen: as the agent's ServiceAccount, whose roles bound it even where the guard allows; never as the kubeconfig's user.

use infraagent_guard::call::{
    Disposable::{Deployment as DeleteDeployment, Pod as DeletePod},
    List, Logs,
    Scalable::Deployment as ScaleDeployment,
    Select,
    Workload::Deployment,
};
use infraagent_sandbox::notation;
use kube::api::DeleteParams;

use super::*;
use crate::broker::{
    kubernetes::{Access, ConnectError},
    suite::reads::{list, object},
};

/// A cluster whose agent has these rules.
async fn with_rules(rules: Value) -> Live {
    let plane = control_plane();
    let shop = planted(plane, "shop").await;
    allow(plane, &shop, &[AGENT], rules).await;
    Live::of(plane, shop, config_of(plane.kubeconfig()).await, "run-1").await
}

fn forbidden<T: std::fmt::Debug>(answer: Result<T, CallError>, rule: &str) {
    let expected = format!("the cluster does not let this agent {rule}: grant it to the agent's service account");
    match answer {
        Err(CallError::Denied { code, action: _, message }) => assert_eq!((code.as_str(), message), ("forbidden", expected)),
        other => panic!("not forbidden: {other:?}"),
    }
}

#[tokio::test]
async fn requests_carry_the_agent_the_run_and_the_intent() {
    let live = ApiServer.load("shop").await;
    let bench = Bench::new(&live);
    bench.act(restart(Deployment, "web")).await.unwrap();
    bench.read("read", Read::List(list("pods"))).await.unwrap();
    let run = live.kubernetes.scope().run.clone();
    let agent = format!("system:serviceaccount:{}:{AGENT}", live.shop);
    let events = live.plane.audit_events().await;
    let of_agent: Vec<_> =
        events.iter().filter(|event| event.impersonated_user.as_ref().is_some_and(|user| user.username == agent)).collect();
    let user = of_agent[0].impersonated_user.as_ref().unwrap();
    assert_eq!(
        user.groups.iter().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
        ["infraagent:agents", "system:authenticated"].into()
    );
    assert!(of_agent.iter().all(|event| event.run() == Some(&format!("{}/run-1", live.shop))), "{of_agent:?}");
    let changes: Vec<_> = of_agent
        .iter()
        .filter(|event| event.is_mutation())
        .map(|event| (event.verb.as_str(), event.intent().unwrap().to_owned(), event.code()))
        .collect();
    assert_eq!(changes, [("patch", format!("{run}/7"), 200)]);
    assert!(of_agent.iter().any(|event| event.verb == "list" && event.intent().is_none()), "reads have no intent");
}

#[tokio::test]
async fn without_its_service_account_an_agent_does_nothing() {
    let live = ApiServer.load("shop").await;
    // The roles that are bound to its name are still there.
    let accounts = Api::<ServiceAccount>::namespaced(live.plane.admin().await, &live.shop);
    accounts.delete(AGENT, &DeleteParams::default()).await.unwrap();
    let bench = Bench::new(&live);
    let why = format!("the agent's service account `{AGENT}` does not exist in namespace `{}`: create it", live.shop);
    bench.unknown(restart(Deployment, "web"), &format!("target: {why}")).await;
    let refused = bench.read("read", Read::List(list("pods"))).await;
    assert_eq!(refused, Err(CallError::Denied { code: "forbidden".to_owned(), action: String::new(), message: why.clone() }));
    let before = bench.object("deployments.apps", "web").await;
    let forced = bench.forced(restart(Deployment, "web")).await;
    assert!(matches!(live.execute(&forced, 3).await, Err(CallError::Denied { message, .. }) if message == why));
    assert_eq!(bench.object("deployments.apps", "web").await, before);
    assert!(live.plane.audit_events().await.iter().all(|event| event.run() != Some(&format!("{}/run-1", live.shop))), "nothing was sent");

    // Neighbour: as soon as it exists.
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": AGENT}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    assert!(bench.act(restart(Deployment, "web")).await.unwrap().changed);
}

#[tokio::test]
async fn without_a_role_nothing_is_changed_even_if_the_guard_allows_it() {
    let live = with_rules(json!([{"apiGroups": [""], "resources": ["events"], "verbs": ["get"]}])).await;
    let bench = Bench::new(&live);
    for (effect, kind, name, rule) in [
        (restart(Deployment, "web"), "deployments.apps", "web", "patch deployments.apps"),
        (scale(ScaleDeployment, "web", 0), "deployments.apps", "web", "patch deployments.apps"),
        (rollback("api", 1), "deployments.apps", "api", "list replicasets.apps"),
        (evict(&bench, "api-66d8-a").await, "pods", "api-66d8-a", "create pods/eviction"),
        (delete(&bench, DeletePod, "api-66d8-a").await, "pods", "api-66d8-a", "delete pods"),
        (delete(&bench, DeleteDeployment, "web").await, "deployments.apps", "web", "delete deployments.apps"),
    ] {
        let before = bench.object(kind, name).await;
        let permit = bench.forced(effect).await;
        forbidden(live.execute(&permit, 1).await, rule);
        assert_eq!(bench.object(kind, name).await, before, "{rule}");
    }
    forbidden(bench.read("read", Read::List(list("pods"))).await, "list pods");
    let pod = Get { object: object("pods", Some("shop"), "web-9f4d-a"), select: Select::default() };
    forbidden(bench.read("read", Read::Get(pod)).await, "get pods");
}

#[tokio::test]
async fn a_role_is_enough_for_exactly_what_it_names() {
    let live =
        with_rules(json!([{"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["patch"]}])).await;
    let bench = Bench::new(&live);
    assert!(bench.act(restart(Deployment, "web")).await.unwrap().changed);
    let permit = bench.permit(restart(Deployment, "api")).await.unwrap();
    forbidden(live.execute(&permit, 2).await, "patch deployments.apps");
}

#[tokio::test]
async fn a_host_that_may_not_impersonate_the_agent_says_so() {
    let plane = control_plane();
    let shop = planted(plane, "shop").await;
    let config = config_of(&plane.kubeconfig_for(&shop, "looks").await).await;
    allow(plane, &shop, &["looks"], json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "patch"]}])).await;
    let live = Live::of(plane, shop, config, "run-1").await;
    let bench = Bench::new(&live);
    // Its own rights would be enough for both.
    let refused = bench.act(restart(Deployment, "web")).await;
    assert!(
        matches!(&refused, Err(CallError::Denied { message, .. }) if message.contains("may not act as the agent's service account")),
        "{refused:?}"
    );
    let refused = bench.read("read", Read::List(list("pods"))).await;
    assert!(matches!(&refused, Err(CallError::Denied { message, .. }) if message.contains("may not act as")), "{refused:?}");
}

#[tokio::test]
async fn a_kubeconfig_that_impersonates_is_refused() {
    let plane = control_plane();
    let config = config_of(&plane.kubeconfig_as("somebody", &["system:masters"])).await;
    assert!(matches!(Access::connect(&config), Err(ConnectError::Impersonates)));
}

#[tokio::test]
async fn a_log_is_read_as_the_agent() {
    let live = with_rules(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])).await;
    let logs =
        Logs { namespace: ns("shop"), pod: named("web-9f4d-a"), container: None, tail_lines: 10, since_seconds: None, previous: false };
    forbidden(Bench::new(&live).read("read", Read::Logs(logs)).await, "get pods/log");
}

#[tokio::test]
async fn selectors_are_the_servers_work() {
    let live = ApiServer.load("shop").await;
    let query = List {
        labels: notation::labels("app in (web,api),!legacy").unwrap(),
        fields: notation::fields("status.phase=Running").unwrap(),
        limit: 2,
        ..list("pods")
    };
    Bench::new(&live).read("read", Read::List(query)).await.unwrap();
    let events = live.plane.audit_events().await;
    let asked = events.iter().find(|event| event.verb == "list" && event.run() == Some(&format!("{}/run-1", live.shop))).unwrap();
    for part in ["labelSelector=app+in+%28web%2Capi%29%2C%21legacy", "fieldSelector=status.phase%3DRunning", "limit=2"] {
        assert!(asked.request_uri.contains(part), "{part}: {}", asked.request_uri);
    }
}

#[tokio::test]
async fn a_decision_looks_at_everything_once_and_at_one_namespace() {
    let live = ApiServer.load("dependants").await;
    let bench = Bench::new(&live);
    bench.allowed(restart(Deployment, "free")).await;
    let events = live.plane.audit_events().await;
    let here = format!("/namespaces/{}/", live.shop);
    let looks: Vec<&str> = events
        .iter()
        .filter(|event| event.impersonated_user.is_none() && event.user.username != "system:apiserver")
        .filter(|event| !event.is_mutation() && event.request_uri.contains(&here))
        .map(|event| event.request_uri.as_str())
        .collect();
    let unique: std::collections::BTreeSet<&str> = looks.iter().copied().collect();
    assert_eq!(looks.len(), unique.len(), "{looks:#?}");
    for part in
        ["/serviceaccounts/", "/deployments/free", "/pods?limit", "/replicasets?limit", "/persistentvolumeclaims?limit", "/buckets?limit"]
    {
        assert!(looks.iter().any(|look| look.contains(part)), "{part}: {looks:#?}");
    }
    // Nothing that holds secrets, and nothing as the agent: it has not done anything yet.
    assert!(looks.iter().all(|look| !look.contains("secrets")), "{looks:#?}");
    assert!(events.iter().all(|event| event.run() != Some(&format!("{}/run-1", live.shop))));
}
