//! What is tried again, and what never is.

use infraagent_api::{names::Mode, run::RunPhase};
use infraagent_tests::model_server::Fault;
use kube::ResourceExt as _;
use serde_json::json;

use crate::{
    lab::{CALM, Lab, actions, ending, phase},
    model::{self, Plan},
};

/// A vendor's refusal: it is not asked again within the run.
fn refusal() -> Fault {
    Fault::status(400)
}

#[tokio::test]
async fn a_failure_that_passes_is_tried_again_until_it_works() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    let retries = json!({"guardrails": {"maxRetries": 5}});
    lab.agent_with("forge", Plan::nothing().at_first([refusal(), refusal()]), retries).await;
    lab.order("first", "forge", json!({})).await;
    let runs = lab.settled("forge", 3).await;
    let told: Vec<_> = runs.iter().map(|run| (run.name_any(), run.spec.retry_of.clone(), run.spec.attempt, phase(run))).collect();
    let retry = |attempt: i32, phase| (format!("first-r{attempt}"), Some("first".to_owned()), attempt, phase);
    assert_eq!(told, [("first".to_owned(), None, 1, RunPhase::Failed), retry(2, RunPhase::Failed), retry(3, RunPhase::Succeeded)]);
    assert_eq!(ending(&runs[0]).1, "ProviderFailed");
    let agent = lab.agents().get("forge").await.unwrap().status.unwrap();
    assert_eq!((agent.run_count, agent.consecutive_failures), (3, 0));
}

#[tokio::test]
async fn it_is_tried_again_as_often_as_the_guardrails_say_and_later_each_time() {
    let lab = Lab::new(&["--lease-duration", "10s", "--effect-timeout", "3s", "--retry-pause", "3s"]).await;
    let _replica = lab.operator.replica("one");
    let faults = std::iter::repeat_with(refusal).take(9);
    lab.agent_with("forge", Plan::nothing().at_first(faults), json!({"guardrails": {"maxRetries": 2}})).await;
    lab.order("first", "forge", json!({})).await;
    lab.waits_for("first-r2", "BackOff").await;
    let runs = lab.settled("forge", 3).await;
    assert!(runs.iter().all(|run| ending(run) == (RunPhase::Failed, "ProviderFailed".to_owned())));
    let began = |at: usize| {
        runs[at].status.as_ref().unwrap().start_time.clone().unwrap().0.duration_since(runs[at].creation_timestamp().unwrap().0)
    };
    assert!(began(1).as_secs() >= 3 && began(2).as_secs() >= 6, "{:?} {:?}", began(1), began(2));
    assert_eq!(lab.agents().get("forge").await.unwrap().status.unwrap().consecutive_failures, 3);
}

#[tokio::test]
async fn a_rehearsal_that_is_tried_again_is_a_rehearsal() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let before = lab.generation("web").await;
    let _replica = lab.operator.replica("one");
    let plan = || Plan::calls([model::restart(&lab.namespace, "web")]).at_first([refusal()]);
    let retries = || json!({"guardrails": {"maxRetries": 1}});
    // The agent itself acts; only this run of it does not.
    lab.agent_with("forge", plan(), retries()).await;
    lab.order("first", "forge", json!({"mode": "shadow", "modelUsed": "openai/gpt-4.1"})).await;
    let runs = lab.settled("forge", 2).await;
    let told: Vec<_> = runs.iter().map(|run| (phase(run), run.spec.mode, run.spec.model_used.as_deref())).collect();
    let shadow = |phase| (phase, Mode::Shadow, Some("openai/gpt-4.1"));
    assert_eq!(told, [shadow(RunPhase::Failed), shadow(RunPhase::Succeeded)]);
    assert!(actions(&runs[1]).iter().any(|entry| entry.tool == "kubectl.rollout restart"), "it reached the change");
    assert_eq!(lab.generation("web").await, before);
    // The neighbour that is no rehearsal: its retry acts.
    lab.agent_with("smith", plan(), retries()).await;
    lab.order("real", "smith", json!({})).await;
    lab.settled("smith", 2).await;
    assert_ne!(lab.generation("web").await, before);
}

#[tokio::test]
async fn what_intended_a_change_is_never_tried_again() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    let retries = || json!({"guardrails": {"maxRetries": 3}});
    let change = || Plan::calls([model::restart(&lab.namespace, "web")]).then(refusal());
    lab.agent_with("forge", change(), retries()).await;
    lab.order("first", "forge", json!({})).await;
    let first = lab.ended("first").await;
    assert_eq!(ending(&first), (RunPhase::Failed, "ProviderFailed".to_owned()));
    assert!(actions(&first).iter().any(|entry| entry.tool == "kubectl.rollout restart" && entry.status.as_str() == "executed"));
    // Its neighbour failed in the same way and only looked: its retry comes, and shows that this one's would have.
    lab.agent_with("looker", Plan::calls([model::look(&lab.namespace, "web")]).then(refusal()), retries()).await;
    lab.order("look", "looker", json!({})).await;
    lab.settled("looker", 4).await;
    lab.settled("forge", 1).await;
}

#[tokio::test]
async fn a_cancelled_run_is_not_tried_again() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent_with("forge", Plan::hangs(), json!({"guardrails": {"maxRetries": 3}})).await;
    lab.order("first", "forge", json!({})).await;
    lab.begun("first").await;
    lab.cancel("first").await;
    lab.ended("first").await;
    lab.settled("forge", 1).await;
}
