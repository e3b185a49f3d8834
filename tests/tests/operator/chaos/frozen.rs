//! Replicas that stop for a while and wake up as if nothing had happened, or that cannot reach the API server while others can.

use infraagent_api::{AgentRun, run::RunPhase};
use infraagent_tests::{Replica, Wire, eventually};
use serde_json::json;

use crate::{
    chaos::{api_port, fleet::changes, oracle},
    lab::{Lab, QUICK, actions, ending, phase},
};

/// Waits until a change of the run was made, and says on which of the replicas the run is.
async fn in_the_middle(lab: &Lab<'_>, run: &str, replicas: &[Replica]) -> usize {
    let changed = |run: &AgentRun| actions(run).iter().any(|entry| entry.object_version.is_some() && entry.status.as_str() == "executed");
    let run = lab.run_that(run, "made a change", changed).await;
    let lease = run.status.unwrap().holder.unwrap().lease;
    replicas.iter().position(|replica| lease.contains(&format!("-{}-", replica.identity()))).expect("a replica that is known")
}

/// After its run was closed by another: what was there is there, and nothing is added.
async fn stays_as_it_is(lab: &Lab<'_>, run: &str, come_back: impl Future<Output = ()>) {
    let before = lab.runs().get(run).await.unwrap();
    let generation = lab.deployments().get("web").await.unwrap().metadata.generation;
    come_back.await;
    // Everybody is at work again, whoever came back too.
    for number in 0..4 {
        let (name, web) = (format!("later-{number}"), format!("web-later-{number}"));
        lab.deployment(&web).await;
        lab.agent(&name, changes(&lab.namespace, &web)).await;
        lab.order(&name, &name, json!({})).await;
    }
    for number in 0..4 {
        lab.ended(&format!("later-{number}")).await;
    }
    assert_eq!(lab.runs().get(run).await.unwrap(), before, "its record is closed");
    assert_eq!(lab.deployments().get("web").await.unwrap().metadata.generation, generation, "nothing was changed for it");
    let tally = oracle::check(lab).await;
    eprintln!("{run}: {tally:?}");
}

#[tokio::test]
async fn a_replica_that_was_frozen_past_its_lease_changes_nothing_when_it_wakes() {
    let lab = Lab::new(QUICK).await;
    let replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    lab.deployment("web").await;
    lab.agent("forge", changes(&lab.namespace, "web").slow(400)).await;
    lab.order("frozen", "forge", json!({})).await;
    let frozen = in_the_middle(&lab, "frozen", &replicas).await;
    replicas[frozen].freeze();
    assert_eq!(ending(&lab.ended("frozen").await), (RunPhase::Failed, "Interrupted".to_owned()));
    stays_as_it_is(&lab, "frozen", async { replicas[frozen].wake() }).await;
}

#[tokio::test]
async fn a_replica_that_alone_is_cut_off_from_the_api_server_loses_its_run_and_changes_nothing_more() {
    let mut lab = Lab::new(QUICK).await;
    let other = lab.operator.replica("other");
    // Before the second one comes the first one leads, so it is not the one that is cut off.
    lab.leader().await;
    let wire = Wire::to(api_port(lab.plane)).await;
    lab.operator.reach_through(wire.address());
    let replicas = [other, lab.operator.replica("cut")];
    lab.replicas(2).await;
    // Of two agents each replica gets one: whose run is on the wire is the one that counts.
    lab.deployment("web").await;
    lab.deployment("web-too").await;
    lab.agent("forge", changes(&lab.namespace, "web").slow(600)).await;
    lab.agent("anvil", changes(&lab.namespace, "web-too").slow(600)).await;
    lab.order("of-forge", "forge", json!({})).await;
    lab.order("of-anvil", "anvil", json!({})).await;
    let on_the_wire = match in_the_middle(&lab, "of-forge", &replicas).await {
        1 => "of-forge",
        _ => "of-anvil",
    };
    in_the_middle(&lab, on_the_wire, &replicas).await;
    wire.cut();
    let lost = lab.ended(on_the_wire).await;
    let whole = if on_the_wire == "of-forge" { "of-anvil" } else { "of-forge" };
    assert_eq!(phase(&lab.ended(whole).await), RunPhase::Succeeded, "the neighbour goes on");
    assert!(matches!(ending(&lost).1.as_str(), "Interrupted" | "Completed"), "{lost:?}");
    stays_as_it_is(&lab, on_the_wire, async { wire.mend() }).await;
}

impl Lab<'_> {
    /// Waits until there are so many replicas.
    pub(crate) async fn replicas(&self, count: usize) {
        let leases = kube::Api::<k8s_openapi::api::coordination::v1::Lease>::namespaced(self.client.clone(), &self.operator.home);
        let (leases, named) = (&leases, &kube::api::ListParams::default().labels("infraagent.io/lease=replica"));
        eventually("all replicas", || async move { (leases.list(named).await.unwrap().items.len() >= count).then_some(()) }).await;
    }
}
