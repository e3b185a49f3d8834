//! What runs rest on goes away for a while: the API server, its store, the model. And somebody else writes all the time.

use std::time::Duration;

use infraagent_api::run::RunPhase;
use infraagent_tests::{
    ControlPlane, Programs, Wire,
    model_server::{Fault, Gate, Step},
};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    chaos::{
        api_port,
        fleet::{Fleet, changes},
        full,
    },
    lab::{CALM, Lab, QUICK, ending, phase},
    model::{self, Plan},
    oracle,
};

/// Longer than a Lease of two seconds is good for.
fn a_while() -> Duration {
    Duration::from_secs(if full() { 60 } else { 8 })
}

#[tokio::test]
async fn an_api_server_that_is_away_in_mid_run_doubles_nothing_and_who_need_not_ask_it_goes_on() {
    let lab = Lab::new(QUICK).await;
    let wire = Wire::to(api_port(lab.plane)).await;
    let _replicas = ["one", "two"].map(|identity| lab.operator.replica_through(identity, wire.address()));
    let mut fleet = Fleet::new(&lab, 8, 700).await;
    let thinker = Thinker::new(&lab).await;
    fleet.order().await;
    lab.begun("run-1-agent-0").await;
    wire.cut();
    tokio::time::sleep(a_while()).await;
    wire.mend();
    thinker.succeeds(&lab).await;
    fleet.over().await;
    let tally = oracle::check(&lab).await;
    eprintln!("API server away: {tally:?}");
    assert!(tally.executed > 0);
}

#[tokio::test]
async fn an_api_server_that_freezes_and_wakes_doubles_nothing_and_ends_no_run_that_need_not_ask_it() {
    let plane = ControlPlane::start(Programs::Controllers);
    let lab = Lab::on(&plane, QUICK).await;
    let _replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    let mut fleet = Fleet::new(&lab, 8, 300).await;
    for round in 1..=if full() { 5 } else { 1 } {
        let thinker = Thinker::new(&lab).await;
        fleet.order().await;
        lab.begun(&format!("run-{round}-agent-0")).await;
        // Requests are on their way. They are carried out when it wakes, long after whoever asked has given up.
        plane.freeze_api_server();
        tokio::time::sleep(a_while()).await;
        plane.wake_api_server();
        thinker.succeeds(&lab).await;
        fleet.over().await;
    }
    let tally = oracle::check(&lab).await;
    eprintln!("API server frozen: {tally:?}");
    assert!(tally.executed > 0);
}

#[tokio::test]
async fn a_run_that_ends_while_the_api_server_is_away_ended_as_it_did_however_long_that_takes() {
    let lab = Lab::new(QUICK).await;
    let wire = Wire::to(api_port(lab.plane)).await;
    let replica = lab.operator.replica_through("one", wire.address());
    lab.deployment("web").await;
    let gate = Gate::default();
    lab.agent("forge", Plan::calls([model::restart(&lab.namespace, "web")]).held(1, &gate)).await;
    lab.order("first", "forge", json!({})).await;
    gate.reached().await;
    wire.cut();
    gate.open();
    // Longer than any one write is tried.
    replica.says(0, "the end of the record waits for the API server").await;
    wire.mend();
    let first = lab.ended("first").await;
    assert_eq!(ending(&first), (RunPhase::Succeeded, "Completed".to_owned()), "{:?}", first.status);
    assert_eq!(first.status.unwrap().report.as_deref(), Some("That is all."));
    assert_eq!(lab.verify("first").await["authentic"]["answer"], "yes");
    lab.settled("forge", 1).await;
    oracle::check(&lab).await;
}

/// A run whose model thinks for as long as the test wants.
struct Thinker {
    name: String,
    gate: Gate,
}

impl Thinker {
    async fn new(lab: &Lab<'_>) -> Self {
        let (name, gate) = (lab.plane.unique("web-thinker"), Gate::default());
        lab.deployment(&name).await;
        lab.agent(&name, Plan::calls([model::restart(&lab.namespace, &name)]).held(0, &gate)).await;
        lab.order(&name, &name, json!({})).await;
        gate.reached().await;
        Self { name, gate }
    }

    /// What it thought of happens, once its replica may change something again.
    async fn succeeds(self, lab: &Lab<'_>) {
        lab.replicas_are_back().await;
        self.gate.open();
        let thought = lab.ended(&self.name).await;
        assert_eq!(ending(&thought), (RunPhase::Succeeded, "Completed".to_owned()), "{:?}", thought.status);
        assert_eq!(lab.deployments().get(&self.name).await.unwrap().metadata.generation, Some(2), "{:?}", thought.status);
    }
}

#[tokio::test]
async fn a_store_that_is_restarted_loses_and_doubles_nothing() {
    let plane = ControlPlane::start(Programs::Controllers);
    let lab = Lab::on(&plane, QUICK).await;
    let _replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    let mut fleet = Fleet::new(&lab, 8, 500).await;
    for round in 1..=if full() { 10 } else { 1 } {
        fleet.order().await;
        lab.begun(&format!("run-{round}-agent-0")).await;
        plane.restart_etcd();
        fleet.over().await;
    }
    let tally = oracle::check(&lab).await;
    eprintln!("etcd restarted: {tally:?}");
    assert!(tally.executed > 0);
}

#[tokio::test]
async fn somebody_who_annotates_everything_all_the_time_ends_no_run() {
    let lab = Lab::new(CALM).await;
    let _replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    let mut fleet = Fleet::new(&lab, 6, 100).await;
    fleet.order().await;
    let noise = async {
        for number in 0.. {
            let patch = Patch::Merge(json!({"metadata": {"annotations": {"example.com/noise": number.to_string()}}}));
            for agent in &fleet.agents {
                let _ = lab.agents().patch(agent, &PatchParams::default(), &patch).await;
            }
            for run in lab.all_runs().await {
                let _ = lab.runs().patch(&run.name_any(), &PatchParams::default(), &patch).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = fleet.over() => {}
        () = noise => {}
    }
    let tally = oracle::check(&lab).await;
    eprintln!("annotated all the time: {tally:?}");
    assert_eq!(tally.failed_runs, 0);
    assert!(tally.executed > 0);
}

#[tokio::test]
async fn a_model_that_hangs_is_gone_or_talks_nonsense_ends_its_run_and_no_other() {
    let lab = Lab::new(CALM).await;
    let _replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    let odd = |fault: Fault| Plan { turns: vec![Step::Fault(fault)], ..Plan::nothing() };
    let short = json!({"model": {"timeout": "6s"}});
    lab.deployment("web").await;
    lab.agent("sane", changes(&lab.namespace, "web").slow(500)).await;
    lab.agent_with("hanging", Plan::hangs(), short.clone()).await;
    lab.agent_with("dripping", odd(Fault::Drip { every_ms: 100 }), short.clone()).await;
    lab.agent_with("garbage", odd(Fault::Raw { code: 200, body: json!("<html>") }), short.clone()).await;
    lab.agent_with("cut", odd(Fault::Truncated), short.clone()).await;
    lab.agent_with("huge", odd(Fault::Oversized { bytes: 64 << 20 }), short.clone()).await;
    // A tier whose endpoint nobody listens at.
    lab.agent_with("gone", Plan::nothing(), json!({"model": {"timeout": "6s", "tier": "fast"}})).await;
    let names = ["hanging", "dripping", "garbage", "cut", "huge", "gone"];
    for name in names.iter().chain(&["sane"]) {
        lab.order(name, name, json!({})).await;
    }
    for name in names {
        let run = lab.ended(name).await;
        assert_eq!(phase(&run), RunPhase::Failed, "{name}");
        assert!(matches!(ending(&run).1.as_str(), "ProviderFailed" | "Timeout"), "{name}: {:?}", ending(&run));
    }
    assert_eq!(ending(&lab.ended("sane").await), (RunPhase::Succeeded, "Completed".to_owned()));
    oracle::check(&lab).await;
}
