//! What the platform allows the agents of a namespace per day.

use std::time::Duration;

use infraagent_api::run::RunPhase;
use infraagent_tests::{control_plane_with_controllers, model_server::Gate};
use serde_json::{Value, json};

use crate::{
    lab::{CALM, Lab, ending, phase, reason},
    model::{self, Plan},
};

/// Two namespaces with this budget each, and one operator. A run may use 50,000 tokens at most, which is the default, and uses 20,000: 20 dollars, and at most 62.50.
async fn two_namespaces(budget: Value) -> (Lab<'static>, Lab<'static>) {
    away_from_midnight().await;
    let far = control_plane_with_controllers().namespace("far").await;
    let near = Lab::new(&[CALM, &["--watch-namespaces", &far]].concat()).await;
    let far = near.neighbour(far).await;
    for lab in [&near, &far] {
        lab.policy(&lab.namespace, json!({"maxAutonomy": "automate-safe", "dailyBudget": budget})).await;
        lab.agent("forge", thrifty()).await;
        lab.agent("anvil", thrifty()).await;
    }
    (near, far)
}

/// A day ends at midnight in UTC, and its budget with it: what is counted together has to happen on one.
async fn away_from_midnight() {
    let now = jiff::Timestamp::now().as_second();
    let left = u64::try_from(86_400 - now.rem_euclid(86_400)).unwrap();
    if left < 300 {
        tokio::time::sleep(Duration::from_secs(left + 1)).await;
    }
}

fn thrifty() -> Plan {
    Plan::nothing().uses(19_000, 1_000)
}

/// Uses up what there is: after two runs a third one could go beyond.
async fn use_up(lab: &Lab<'_>) {
    for (run, agent) in [("first", "forge"), ("second", "anvil")] {
        lab.order(run, agent, json!({})).await;
        let run = lab.ended(run).await;
        assert_eq!(ending(&run), (RunPhase::Succeeded, "Completed".to_owned()), "{:?}", run.status);
        assert_eq!(run.status.unwrap().usage.unwrap().total_tokens, 20_000);
        // What it could have used is set aside until the leader has seen its end.
        lab.settled(agent, 1).await;
    }
}

/// Why a run waits.
async fn told(lab: &Lab<'_>, run: &str) -> String {
    let run = lab.waits_for(run, "DailyBudget").await;
    let conditions = run.status.unwrap().conditions;
    conditions.into_iter().find(|had| had.type_ == "Assigned").unwrap().message
}

#[tokio::test]
async fn over_the_tokens_of_the_day_a_run_waits_while_the_neighbours_run_also_after_a_restart() {
    let (near, far) = two_namespaces(json!({"tokens": 80_000})).await;
    let replica = near.operator.replica("one");
    use_up(&near).await;
    near.order("third", "forge", json!({})).await;
    let message = told(&near, "third").await;
    assert!(
        message.contains("80000 tokens a day: 40000 are used, 0 are set aside for active runs, and this one may use 50000"),
        "{message}"
    );
    use_up(&far).await;
    // What was used is read from the records again, by whoever leads next.
    replica.kill();
    let _replica = near.operator.replica("two");
    near.order("of-the-other", "anvil", json!({})).await;
    let message = told(&near, "of-the-other").await;
    assert!(message.contains("40000 are used"), "{message}");
    let third = near.runs().get("third").await.unwrap();
    assert_eq!((phase(&third), reason(&third, "Assigned")), (RunPhase::Pending, "DailyBudget".to_owned()));
    assert_eq!(model::asked(&near.key("forge")), 1, "who waits asks no model");
    // More is allowed: both run.
    near.policy(&near.namespace, json!({"maxAutonomy": "automate-safe", "dailyBudget": {"tokens": 800_000}})).await;
    for run in ["third", "of-the-other"] {
        assert_eq!(ending(&near.ended(run).await), (RunPhase::Succeeded, "Completed".to_owned()), "{run}");
    }
}

#[tokio::test]
async fn over_the_cost_of_the_day_a_run_waits_while_the_neighbours_run() {
    let (near, far) = two_namespaces(json!({"cost": "90"})).await;
    let _replica = near.operator.replica("one");
    use_up(&near).await;
    near.order("third", "forge", json!({})).await;
    let message = told(&near, "third").await;
    assert!(
        message.contains("$90.00 a day: $40.00 are used, $0.00 are set aside for active runs, and this one may use $62.50"),
        "{message}"
    );
    use_up(&far).await;
    assert_eq!(phase(&near.runs().get("third").await.unwrap()), RunPhase::Pending);
}

#[tokio::test]
async fn what_a_run_in_flight_may_still_use_is_not_given_to_another() {
    let (near, far) = two_namespaces(json!({"tokens": 80_000})).await;
    let _replica = near.operator.replica("one");
    let gate = Gate::default();
    near.agent("slow", thrifty().held(0, &gate)).await;
    near.order("in-flight", "slow", json!({})).await;
    gate.reached().await;
    near.order("next", "forge", json!({})).await;
    let message = told(&near, "next").await;
    assert!(message.contains("0 are used, 50000 are set aside for active runs"), "{message}");
    use_up(&far).await;
    assert_eq!(phase(&near.runs().get("next").await.unwrap()), RunPhase::Pending);
    // It used less than it might have: now the other one fits.
    gate.open();
    assert_eq!(ending(&near.ended("in-flight").await), (RunPhase::Succeeded, "Completed".to_owned()));
    assert_eq!(ending(&near.ended("next").await), (RunPhase::Succeeded, "Completed".to_owned()));
}
