//! How many runs there may be at a time.

use infraagent_api::run::RunPhase;
use infraagent_tests::{eventually, model_server::Gate};
use kube::{ResourceExt as _, api::ListParams};
use serde_json::json;

use crate::{
    lab::{CALM, Lab, has_ended, phase},
    model::Plan,
};

/// Counts the runs that are executed and the agents that are busy, again and again until all runs are over. Returns the most of each.
async fn most(lab: &Lab<'_>, runs: usize) -> (usize, usize) {
    let most = std::cell::Cell::new((0, 0));
    let counted = &most;
    eventually("the end of all runs", || async move {
        let all = lab.all_runs().await;
        let agents = lab.agents().list(&ListParams::default()).await.unwrap().items;
        let running = all.iter().filter(|run| phase(run) == RunPhase::Running).count();
        let busy = agents.iter().filter(|agent| agent.status.as_ref().is_some_and(|status| status.active_run.is_some())).count();
        let (running_before, busy_before) = counted.get();
        counted.set((running_before.max(running), busy_before.max(busy)));
        (all.len() == runs && all.iter().all(has_ended)).then_some(())
    })
    .await;
    most.get()
}

#[tokio::test]
async fn never_more_runs_at_a_time_than_the_cluster_takes_and_who_waits_says_for_what() {
    let lab = Lab::new(&[CALM, &["--max-concurrent-runs", "2"]].concat()).await;
    let names = ["a", "b", "c", "d", "e"];
    let gate = Gate::default();
    for agent in names {
        lab.agent(agent, Plan::nothing().held(0, &gate)).await;
        lab.order(agent, agent, json!({})).await;
    }
    let _replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    let told = async {
        let lab = &lab;
        eventually("two runs, and three that wait for the cluster", || async move {
            let all = lab.all_runs().await;
            let running = all.iter().filter(|run| phase(run) == RunPhase::Running).count();
            let waiting = all.iter().filter(|run| crate::lab::reason(run, "Assigned") == "ClusterLimit").count();
            ((running, waiting) == (2, 3)).then_some(())
        })
        .await;
        names.iter().for_each(|_| gate.open());
    };
    let ((running, busy), ()) = tokio::join!(most(&lab, names.len()), told);
    assert!(running <= 2 && busy == 2, "{running} runs, {busy} agents");
    for name in names {
        assert_eq!(phase(&lab.runs().get(name).await.unwrap()), RunPhase::Succeeded);
    }
}

#[tokio::test]
async fn an_agent_that_is_deleted_while_it_is_busy_leaves_its_place_to_others() {
    let lab = Lab::new(&[CALM, &["--max-concurrent-runs", "1"]].concat()).await;
    let _replica = lab.operator.replica("one");
    lab.agent("gone", Plan::hangs()).await;
    lab.order("of-the-gone", "gone", json!({})).await;
    lab.begun("of-the-gone").await;
    lab.agent("next", Plan::nothing()).await;
    lab.order("of-the-next", "next", json!({})).await;
    lab.waits_for("of-the-next", "ClusterLimit").await;
    lab.delete_agent("gone").await;
    lab.cancel("of-the-gone").await;
    lab.ended("of-the-gone").await;
    assert_eq!(phase(&lab.ended("of-the-next").await), RunPhase::Succeeded);
}

#[tokio::test]
async fn an_agent_has_one_run_at_a_time_and_the_others_follow_in_the_order_of_their_creation() {
    let lab = Lab::new(CALM).await;
    lab.agent("forge", Plan::nothing().slow(200)).await;
    // Times of creation are seconds: of those created in the same second the name decides.
    for name in ["run-1", "run-2", "run-3", "run-4"] {
        lab.order(name, "forge", json!({})).await;
    }
    let _replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    let (running, busy) = most(&lab, 4).await;
    assert!(running <= 1 && busy == 1, "{running} runs, {busy} agents");
    let mut runs = lab.settled("forge", 4).await;
    runs.sort_by_key(|run| run.status.as_ref().unwrap().sequence);
    assert_eq!(runs.iter().map(|run| run.name_any()).collect::<Vec<_>>(), ["run-1", "run-2", "run-3", "run-4"]);
}

#[tokio::test]
async fn a_run_that_cannot_begin_within_its_deadline_ends_and_says_so() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::hangs()).await;
    lab.order("first", "forge", json!({})).await;
    lab.begun("first").await;
    lab.change_agent("forge", json!({"startingDeadline": "2s"})).await;
    lab.order("late", "forge", json!({})).await;
    let late = lab.ended("late").await;
    assert_eq!(crate::lab::ending(&late), (RunPhase::Failed, "RateLimited".to_owned()));
    assert_eq!(phase(&lab.runs().get("first").await.unwrap()), RunPhase::Running);
}
