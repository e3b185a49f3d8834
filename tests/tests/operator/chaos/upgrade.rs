//! Replicas that are told to end, one after the other or under load.

use std::time::Duration;

use infraagent_api::run::RunPhase;
use serde_json::json;

use crate::{
    chaos::fleet::Fleet,
    lab::{CALM, Lab, has_ended, phase, reason},
    model::{self, Plan},
    oracle,
};

#[tokio::test]
async fn a_rolling_upgrade_lets_runs_in_flight_finish() {
    // As long as they need: it ends when they have.
    let lab = Lab::new(&[CALM, &["--drain-timeout", "240s"]].concat()).await;
    let mut fleet = Fleet::new(&lab, 12, 400).await;
    let old = [lab.operator.replica("old-1"), lab.operator.replica("old-2")];
    fleet.order().await;
    lab.begun("run-1-agent-0").await;
    let mut new = Vec::new();
    for (number, mut replica) in (1..).zip(old) {
        new.push(lab.operator.replica(&format!("new-{number}")));
        replica.tell_to_end();
        let status = replica.ended().await;
        assert!(status.success(), "{status}: {}", replica.log());
    }
    fleet.over().await;
    let tally = oracle::check(&lab).await;
    eprintln!("upgraded: {tally:?}");
    assert_eq!((tally.runs, tally.failed_runs, tally.unknown), (12, 0, 0));
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_closed_as_interrupted_and_tried_again_elsewhere() {
    let lab = Lab::new(&[CALM, &["--drain-timeout", "15s"]].concat()).await;
    let mut first = lab.operator.replica("first");
    let names = ["a", "b", "c", "d"];
    for name in names {
        lab.agent_with(name, Plan::hangs(), json!({"guardrails": {"maxRetries": 1}})).await;
        lab.order(name, name, json!({})).await;
    }
    for name in names {
        lab.begun(name).await;
    }
    first.tell_to_end();
    let status = first.ended().await;
    assert!(status.success(), "{status}: {}", first.log());
    // It is gone, and nobody else is there: what is closed, it closed.
    for name in names {
        let run = lab.runs().get(name).await.unwrap();
        assert_eq!((phase(&run), reason(&run, "Complete")), (RunPhase::Failed, "Interrupted".to_owned()), "{name}");
        model::follow(&lab.key(name), Plan::nothing());
    }
    let _second = lab.operator.replica("second");
    for name in names {
        let runs = lab.settled(name, 2).await;
        assert_eq!(phase(&runs[1]), RunPhase::Succeeded, "{name}");
    }
}

#[tokio::test]
async fn under_load_a_replica_ends_and_leaves_no_run_of_its_own_behind() {
    // Time enough to close records on a busy machine, and not enough for what is under way to end.
    let lab = Lab::new(&[CALM, &["--drain-timeout", "15s"]].concat()).await;
    let mut fleet = Fleet::new(&lab, 20, 2500).await;
    let mut replica = lab.operator.replica("only");
    fleet.order().await;
    lab.begun("run-1-agent-0").await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    replica.tell_to_end();
    let status = replica.ended().await;
    assert!(status.success(), "{status}: {}", replica.log());
    let running: Vec<_> = lab
        .all_runs()
        .await
        .into_iter()
        .filter(|run| !has_ended(run) && run.status.as_ref().is_some_and(|status| status.holder.is_some()))
        .collect();
    assert!(running.is_empty(), "{running:?}");
    let _next = lab.operator.replica("next");
    fleet.over().await;
    let tally = oracle::check(&lab).await;
    eprintln!("told to end under load: {tally:?}");
    assert_eq!(tally.runs, 20);
}
