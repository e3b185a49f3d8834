//! How runs begin and end at somebody's order.

use infraagent_api::run::{RunPhase, RunTrigger};
use kube::ResourceExt as _;
use serde_json::json;

use crate::{
    lab::{CALM, Lab, actions, ending, phase, reason},
    model::{self, Plan},
};

#[tokio::test]
async fn an_annotated_agent_runs_once_and_the_annotation_goes() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::calls([model::look(&lab.namespace, "web"), model::restart(&lab.namespace, "web")])).await;
    lab.agent_says("forge", "Ready", "True", "Ready").await;
    lab.run_now("forge").await;
    let runs = lab.settled("forge", 1).await;
    let run = &runs[0];
    assert_eq!(ending(run), (RunPhase::Succeeded, "Completed".to_owned()), "{}", lab.operator.logs());
    assert_eq!((run.spec.trigger, run.spec.attempt), (RunTrigger::Manual, 1));
    let agent = lab.agents().get("forge").await.unwrap();
    assert!(!agent.annotations().contains_key("infraagent.io/run-now"));
    assert_eq!((run.spec.agent_uid.as_deref(), run.labels()["infraagent.io/agent"].as_str()), (agent.uid().as_deref(), "forge"));
    let uid8: String = agent.uid().unwrap().chars().take(8).collect();
    assert!(run.name_any().starts_with(&format!("forge-{uid8}-")), "{}", run.name_any());
    let status = agent.status.unwrap();
    assert_eq!((status.run_count, status.consecutive_failures, status.last_run_name), (1, 0, Some(run.name_any())));
    let changed = lab.deployments().get("web").await.unwrap().spec.unwrap().template.metadata.unwrap().annotations.unwrap();
    assert!(changed.contains_key("kubectl.kubernetes.io/restartedAt"), "{changed:?}");
    // The next order is another run.
    lab.run_now("forge").await;
    lab.settled("forge", 2).await;
}

#[tokio::test]
async fn a_run_made_by_hand_runs_and_those_that_cannot_say_why() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::nothing()).await;
    lab.order("by-hand", "forge", json!({})).await;
    assert_eq!(ending(&lab.ended("by-hand").await), (RunPhase::Succeeded, "Completed".to_owned()));
    lab.order("of-nobody", "nobody", json!({})).await;
    assert_eq!(ending(&lab.ended("of-nobody").await), (RunPhase::Failed, "AgentNotFound".to_owned()));
    lab.order("of-another", "forge", json!({"agentUid": "00000000-0000-0000-0000-000000000000"})).await;
    assert_eq!(ending(&lab.ended("of-another").await), (RunPhase::Failed, "AgentReplaced".to_owned()));
    lab.order("elsewhere", "forge", json!({"environmentRef": "elsewhere"})).await;
    let elsewhere = lab.ended("elsewhere").await;
    assert_eq!(phase(&elsewhere), RunPhase::Failed);
    let said = elsewhere.status.unwrap().conditions;
    assert!(said.iter().any(|had| had.message.contains("spec.environmentRef")), "{said:?}");
    lab.settled("forge", 3).await;
}

#[tokio::test]
async fn a_cancelled_run_ends_whether_it_waits_or_runs() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::hangs()).await;
    lab.order("first", "forge", json!({})).await;
    lab.begun("first").await;
    lab.order("second", "forge", json!({})).await;
    lab.order("third", "forge", json!({})).await;
    lab.waits_for("second", "AgentBusy").await;
    lab.cancel("second").await;
    let second = lab.ended("second").await;
    assert_eq!(ending(&second), (RunPhase::Failed, "Cancelled".to_owned()));
    assert!(second.status.unwrap().sequence.is_none(), "it was never assigned");
    assert_eq!(phase(&lab.runs().get("first").await.unwrap()), RunPhase::Running, "the neighbour goes on");
    model::follow(&lab.key("forge"), Plan::nothing());
    lab.cancel("first").await;
    assert_eq!(ending(&lab.ended("first").await), (RunPhase::Failed, "Cancelled".to_owned()));
    assert_eq!(ending(&lab.ended("third").await), (RunPhase::Succeeded, "Completed".to_owned()));
}

#[tokio::test]
async fn a_shadow_run_changes_nothing_and_records_what_it_would_have_done() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    let plan = || Plan::calls([model::restart(&lab.namespace, "web"), model::pause(&lab.namespace, "web", true)]);
    lab.agent_with("shadow", plan(), json!({"mode": "shadow"})).await;
    lab.agent("live", plan()).await;
    lab.order("of-a-shadow", "shadow", json!({})).await;
    lab.order("in-shadow", "live", json!({"mode": "shadow"})).await;
    for name in ["of-a-shadow", "in-shadow"] {
        let run = lab.ended(name).await;
        assert!(phase(&run) != RunPhase::Failed, "{:?}", run.status);
        let changes: Vec<_> = actions(&run).iter().filter(|entry| entry.object_version.is_some()).collect();
        assert_eq!(changes.iter().map(|entry| entry.status.as_str()).collect::<Vec<_>>(), ["skipped", "skipped"], "{changes:?}");
    }
    let web = lab.deployments().get("web").await.unwrap();
    assert_eq!((web.metadata.generation, web.spec.unwrap().paused), (Some(1), None), "nobody changed it");
    lab.order("live", "live", json!({})).await;
    lab.ended("live").await;
    assert_eq!(lab.deployments().get("web").await.unwrap().metadata.generation, Some(3), "what is live acts");
}

#[tokio::test]
async fn nothing_of_a_paused_agent_starts_until_it_goes_on() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent_with("forge", Plan::nothing(), json!({"paused": true})).await;
    lab.order("waiting", "forge", json!({})).await;
    lab.waits_for("waiting", "Paused").await;
    lab.agent("other", Plan::nothing()).await;
    lab.order("of-the-other", "other", json!({})).await;
    lab.ended("of-the-other").await;
    let waiting = lab.runs().get("waiting").await.unwrap();
    assert_eq!(
        (phase(&waiting), reason(&waiting, "Assigned"), model::asked(&lab.key("forge"))),
        (RunPhase::Pending, "Paused".to_owned(), 0)
    );
    lab.change_agent("forge", json!({"paused": false})).await;
    assert_eq!(ending(&lab.ended("waiting").await), (RunPhase::Succeeded, "Completed".to_owned()));
}

#[tokio::test]
async fn a_run_of_a_newer_layout_is_left_alone() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::nothing()).await;
    lab.order("of-the-future", "forge", json!({"recordVersion": 1000})).await;
    let before = lab.runs().get("of-the-future").await.unwrap();
    lab.order("of-today", "forge", json!({})).await;
    assert_eq!(ending(&lab.ended("of-today").await), (RunPhase::Succeeded, "Completed".to_owned()));
    lab.order("of-tomorrow", "forge", json!({})).await;
    assert_eq!(ending(&lab.ended("of-tomorrow").await), (RunPhase::Succeeded, "Completed".to_owned()));
    let after = lab.runs().get("of-the-future").await.unwrap();
    assert_eq!(before.resource_version(), after.resource_version(), "{:?}", after.status);
}
