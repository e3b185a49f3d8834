//! Replicas are killed at random points, in the middle of changes and of dispatch.

use std::collections::BTreeMap;

use infraagent_api::{AgentRun, run::RunPhase};
use infraagent_tests::eventually;
use kube::ResourceExt as _;

use crate::{
    chaos::{
        dice::Dice,
        fleet::{Crew, Fleet},
        full,
        middle::is_of,
    },
    lab::{Lab, QUICK, actions, ending, has_ended, phase},
    oracle,
};

#[tokio::test]
async fn whatever_is_killed_every_run_ends_and_nothing_happens_twice_or_unrecorded() {
    let mut dice = Dice::new("kills");
    let kills = std::env::var("CHAOS_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(15);
    let lab = Lab::new(&[QUICK, &["--max-concurrent-runs", "30"]].concat()).await;
    let mut fleet = Fleet::new(&lab, 20, 60).await;
    let mut crew = Crew::new(&lab, 3);
    fleet.order().await;
    lab.replicas(3).await;
    for kill in 1..=kills {
        tokio::time::sleep(dice.millis(100, 2500)).await;
        let at = crew.kill_one(&mut dice);
        tokio::time::sleep(dice.millis(0, 1500)).await;
        crew.start_again(at);
        // There is always something to interrupt.
        if fleet.left().await.is_some_and(|left| left < fleet.agents.len() / 2) {
            fleet.order().await;
        }
        if kill % 50 == 0 {
            eprintln!("{kill} kills, {} runs", fleet.expected());
        }
    }
    fleet.over().await;
    let (tally, endings) = (oracle::check(&lab).await, oracle::endings(&lab).await);
    eprintln!("{kills} kills: {tally:?}, {endings:?}");
    only_lost(&endings);
    assert!(tally.runs >= 20 && tally.executed > 0 && tally.failed_runs > 0, "{tally:?}");
    for run in lab.all_runs().await.into_iter().rev().take(20) {
        let said = lab.verify(&run.name_any()).await;
        assert_eq!(said["authentic"]["answer"], "yes", "{said}");
    }
}

#[tokio::test]
async fn a_leader_that_is_killed_while_it_dispatches_loses_and_doubles_nothing() {
    let mut dice = Dice::new("dispatch");
    // Fewer places than runs: it dispatches for as long as there are runs.
    let lab = Lab::new(&[QUICK, &["--max-concurrent-runs", "9"]].concat()).await;
    let mut fleet = Fleet::new(&lab, 20, 300).await;
    let mut crew = Crew::new(&lab, 3);
    lab.replicas(3).await;
    let (mut interrupted, mut handed_over) = (0, 0);
    for _ in 0..if full() { 20 } else { 3 } {
        fleet.order().await;
        let leader = lab.leader_at_work().await;
        tokio::time::sleep(dice.millis(0, 300)).await;
        let at = crew.replicas.iter().position(|replica| replica.as_ref().is_some_and(|replica| is_of(&leader, replica)));
        crew.kill(at.expect("a leader that is known"));
        // What it holds now nobody else touches before it is given up.
        let left = lab.all_runs().await.into_iter().filter(|run| !has_ended(run) && lease(run) == Some(&leader));
        let (begun, assigned): (Vec<_>, Vec<_>) = left.partition(|run| phase(run) == RunPhase::Running);
        crew.start_again(at.unwrap_or_default());
        fleet.over().await;
        for run in &begun {
            let run = lab.ended(&run.name_any()).await;
            assert_eq!(
                (ending(&run), lease(&run)),
                ((RunPhase::Failed, "Interrupted".to_owned()), Some(leader.as_str())),
                "{:?}",
                run.status
            );
        }
        for run in &assigned {
            let run = lab.ended(&run.name_any()).await;
            assert!(lease(&run) != Some(&leader), "nothing of it had begun: {:?}", run.status);
        }
        (interrupted, handed_over) = (interrupted + begun.len(), handed_over + assigned.len());
    }
    let (tally, endings) = (oracle::check(&lab).await, oracle::endings(&lab).await);
    only_lost(&endings);
    eprintln!("leaders killed: {interrupted} runs interrupted, {handed_over} handed over, {tally:?}, {endings:?}");
    assert!(interrupted > 0, "{tally:?}");
    assert_eq!(tally.runs, fleet.expected(), "nothing was ordered twice");
    for agent in &fleet.agents {
        let runs = lab.runs_of(agent).await;
        let mut numbers: Vec<_> = runs.iter().filter_map(|run| run.status.as_ref()?.sequence).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=runs.len() as i64).collect::<Vec<_>>(), "{agent}");
    }
}

/// Runs came to their end, or were lost with their replica; or a change took too long on a busy machine, so that nobody knows. Nothing else went wrong.
fn only_lost(endings: &BTreeMap<String, usize>) {
    let known = |ending: &str| ending.ends_with(" Completed") || matches!(ending, "Failed Interrupted" | "Failed OutcomeUnknown");
    assert!(endings.keys().all(|ending| known(ending)), "{endings:?}");
}

/// The Lease that a run is or was held by.
fn lease(run: &AgentRun) -> Option<&str> {
    run.status.as_ref()?.holder.as_ref().map(|holder| holder.lease.as_str())
}

impl Lab<'_> {
    /// Waits until whoever leads executes a run that has changed something, and others wait to be dispatched. Returns its Lease.
    async fn leader_at_work(&self) -> String {
        let lab = self;
        eventually("a leader in the middle of its work", || async move {
            let (leader, runs) = (lab.leader().await, lab.all_runs().await);
            let own = |run: &AgentRun| phase(run) == RunPhase::Running && lease(run) == Some(&leader) && !actions(run).is_empty();
            let waits = |run: &AgentRun| phase(run) == RunPhase::Pending && lease(run).is_none();
            (runs.iter().any(own) && runs.iter().any(waits)).then_some(leader)
        })
        .await
    }
}
