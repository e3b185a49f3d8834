//! How many runs may begin per hour, on a real API server. An hour is shorter here.

use super::*;

const WINDOW: Duration = Duration::from_secs(45);

async fn order(site: &Site, name: &str, agent: &str) {
    let run = json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": { "name": name, "namespace": site.namespace },
        "spec": { "agentRef": agent, "environmentRef": "here", "trigger": "manual" } });
    apply(&site.admin, &run).await.unwrap();
}

async fn waits_for(site: &Site, run: &str, reason: &str) -> String {
    let runs = &site.runs();
    eventually(&format!("{run} waits: {reason}"), || async move {
        let conditions = runs.get(run).await.ok()?.status?.conditions;
        conditions.into_iter().find(|known| known.type_ == "Assigned" && known.reason == reason).map(|known| known.message)
    })
    .await
}

async fn ended(site: &Site, run: &str) -> AgentRun {
    let runs = &site.runs();
    eventually(&format!("{run} ends"), || async move { runs.get(run).await.ok().filter(|run| phase(run).is_terminal()) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_the_limit_of_the_hour_waits_also_after_a_failover_and_ends_past_its_deadline() {
    let site = Site::new().await;
    let hourly = Hourly { cluster: 3, per_agent: 2, burst: 0, window: WINDOW };
    let limited = |identity: &str| Settings { hourly, ..settings(identity, &site.namespace) };
    site.agent("busy", json!({})).await;
    site.agent("other", json!({})).await;
    site.agent("late", json!({ "startingDeadline": "1s" })).await;
    let one = site.replica(&Shift::default(), limited("one")).await;
    for name in ["busy-1", "busy-2"] {
        order(&site, name, "busy").await;
        assert_eq!(phase(&ended(&site, name).await), RunPhase::Succeeded);
    }
    order(&site, "busy-3", "busy").await;
    let why = waits_for(&site, "busy-3", "AgentRateLimit").await;
    assert!(why.contains("2 runs of this agent"), "{why}");
    order(&site, "other-1", "other").await;
    assert_eq!(phase(&ended(&site, "other-1").await), RunPhase::Succeeded, "the neighbour runs");
    // The next leader knows of them, and of the three in the cluster.
    one.ends().await;
    let two = site.replica(&Shift::default(), limited("two")).await;
    order(&site, "late-1", "late").await;
    let late = ended(&site, "late-1").await;
    let reason = late.status.clone().unwrap().conditions.into_iter().find(|known| known.type_ == "Complete").unwrap().reason;
    assert_eq!((phase(&late), reason.as_str()), (RunPhase::Failed, "RateLimited"));
    order(&site, "other-2", "other").await;
    let why = waits_for(&site, "other-2", "ClusterRateLimit").await;
    assert!(why.starts_with("place 1 of the queue"), "{why}");
    let first = site.runs().get("busy-1").await.unwrap().creation_timestamp().unwrap().0;
    for name in ["busy-3", "other-2"] {
        let run = ended(&site, name).await;
        assert_eq!(phase(&run), RunPhase::Succeeded);
        let began = run.status.unwrap().start_time.unwrap().0;
        // Both times are cut to seconds.
        assert!(
            began.duration_since(first).unsigned_abs() + Duration::from_secs(2) >= WINDOW,
            "{name} began at {began}, the first was made at {first}"
        );
    }
    two.ends().await;
}
