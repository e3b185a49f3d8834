//! What a replica tells those who ask it: whether it lives, whether it is ready, and what it counted.

use infraagent_tests::{Replica, eventually};
use kube::api::DeleteParams;

use crate::{
    lab::{CALM, Lab},
    model::Plan,
};

async fn metrics(replica: &Replica) -> String {
    eventually("the metrics", || replica.ask("--metrics-address", "/metrics")).await
}

#[tokio::test]
async fn a_replica_is_ready_once_it_has_a_lease_and_knows_the_runs() {
    let lab = Lab::new(CALM).await;
    let replica = &lab.operator.replica("one");
    let ready = eventually("it is ready", || async move {
        replica.ask("--health-address", "/readyz").await.filter(|answer| answer.starts_with("HTTP/1.1 200"))
    })
    .await;
    for part in ["lease", "runs", "heartbeat", "leadership"] {
        assert!(ready.contains(&format!("[+] {part} ok")), "{part}: {ready}");
    }
    let alive = replica.ask("--health-address", "/healthz").await.unwrap();
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    // Who drains is alive and not ready.
    lab.agent("forge", Plan::hangs()).await;
    lab.order("long", "forge", serde_json::json!({})).await;
    lab.begun("long").await;
    replica.tell_to_end();
    let leaving = eventually("it is not ready any more", || async move {
        replica.ask("--health-address", "/readyz").await.filter(|answer| answer.starts_with("HTTP/1.1 503"))
    })
    .await;
    assert!(leaving.contains("shutting down"), "{leaving}");
    assert!(replica.ask("--health-address", "/healthz").await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_series_of_an_agent_go_with_it_and_others_stay() {
    let lab = Lab::new(CALM).await;
    let replica = &lab.operator.replica("one");
    for agent in ["kept", "gone"] {
        lab.agent(agent, Plan::nothing()).await;
        lab.order(agent, agent, serde_json::json!({})).await;
        lab.ended(agent).await;
    }
    let of = |agent: &str| format!("infraagent_runs_total{{agent=\"{agent}\",namespace=\"{}\",status=\"Succeeded\"}} 1", lab.namespace);
    eventually("both are counted", || async { metrics(replica).await.contains(&of("gone")).then_some(()) }).await;
    lab.agents().delete("gone", &DeleteParams::default()).await.unwrap();
    eventually("it is forgotten", || async { (!metrics(replica).await.contains("agent=\"gone\"")).then_some(()) }).await;
    assert!(metrics(replica).await.contains(&of("kept")));
}
