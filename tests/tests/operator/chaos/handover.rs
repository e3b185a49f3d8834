//! Runs whose replica is lost before it began them: nothing of them has happened, so another one executes them.

use std::time::Duration;

use infraagent_api::{AgentRun, run::RunPhase};
use infraagent_tests::{Replica, model_server::Gate};
use kube::ResourceExt as _;
use serde_json::json;

use crate::{
    chaos::middle::{holder, in_the_middle},
    lab::{Lab, STEADY, actions, ending, phase},
    model::{self, Plan},
    oracle,
};

/// A run that is assigned to a replica which is frozen. It restarts its Deployment once the gate is open; run, agent and Deployment are called the same.
struct Stuck {
    run: AgentRun,
    gate: Gate,
}

/// Freezes the second replica, and orders runs until one is assigned to it.
async fn assigned_to_the_frozen(lab: &Lab<'_>, replicas: &[Replica; 2]) -> Stuck {
    // Both are known to the leader, and without runs.
    for halted in in_the_middle(lab, replicas, 1).await {
        lab.succeed(&halted).await;
    }
    loop {
        replicas[1].freeze();
        // Of two runs that do not end each replica gets one, if the leader trusts both.
        let (mut stuck, mut others) = (None, Vec::new());
        for _ in 0..2 {
            let gate = Gate::default();
            let name = lab.plane.unique("web-stuck");
            lab.deployment(&name).await;
            lab.agent(&name, Plan::calls([model::restart(&lab.namespace, &name)]).held(0, &gate)).await;
            lab.order(&name, &name, json!({})).await;
            let run = lab.run_that(&name, "is assigned", |run| run.status.as_ref().is_some_and(|status| status.holder.is_some())).await;
            match holder(&run, replicas) {
                1 => stuck = Some(Stuck { run, gate }),
                _ => others.push(gate),
            }
        }
        others.iter().for_each(Gate::open);
        match stuck {
            Some(stuck) => {
                assert_eq!((phase(&stuck.run), epoch(&stuck.run)), (RunPhase::Pending, 1), "{:?}", stuck.run.status);
                return stuck;
            }
            // The leader had lost its trust already: once more.
            None => replicas[1].wake(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn epoch(run: &AgentRun) -> i64 {
    run.status.as_ref().unwrap().holder.as_ref().unwrap().epoch
}

impl Lab<'_> {
    /// The run was executed once, by the first replica, which was the second one to get it.
    async fn was_executed_by_the_first(&self, before: &AgentRun, replicas: &[Replica; 2]) {
        let name = before.name_any();
        let run = self.ended(&name).await;
        assert_eq!(ending(&run), (RunPhase::Succeeded, "Completed".to_owned()), "{:?}", run.status);
        assert_eq!((holder(&run, replicas), epoch(&run)), (0, 2), "{:?}", run.status);
        let numbered = |run: &AgentRun| run.status.as_ref().map(|status| (status.sequence, status.previous.clone()));
        assert_eq!(numbered(&run), numbered(before), "its place in the sequence is its own");
        assert_eq!(actions(&run).iter().filter(|entry| entry.object_version.is_some()).count(), 1, "{:?}", run.status);
        assert_eq!(self.deployments().get(&name).await.unwrap().metadata.generation, Some(2), "restarted once");
        assert_eq!(model::asked(&self.key(&name)), 2, "one conversation: a call, and the report");
        self.settled(&name, 1).await;
        assert_eq!(self.verify(&name).await["authentic"]["answer"], "yes");
        oracle::check(self).await;
    }
}

#[tokio::test]
async fn a_run_whose_replica_dies_before_it_began_is_executed_by_another() {
    let lab = Lab::new(STEADY).await;
    let first = lab.operator.replica("first");
    lab.leader().await;
    let replicas = [first, lab.operator.replica("second")];
    let Stuck { run, gate } = assigned_to_the_frozen(&lab, &replicas).await;
    replicas[1].die();
    gate.open();
    lab.was_executed_by_the_first(&run, &replicas).await;
}

#[tokio::test]
async fn a_replica_that_wakes_up_with_an_old_assignment_leaves_the_run_to_whom_it_was_given() {
    let lab = Lab::new(STEADY).await;
    let first = lab.operator.replica("first");
    lab.leader().await;
    let replicas = [first, lab.operator.replica("second")];
    let Stuck { run, gate } = assigned_to_the_frozen(&lab, &replicas).await;
    // The other one has begun it, and waits for the model.
    gate.reached().await;
    let heard = replicas[1].log().len();
    replicas[1].wake();
    replicas[1].says(heard, "no longer held").await;
    assert!(replicas[1].log().contains(&run.name_any()), "{}", replicas[1].log());
    gate.open();
    lab.was_executed_by_the_first(&run, &replicas).await;
}
