//! Replicas are killed at random points, in the middle of changes and of dispatch.

use kube::ResourceExt as _;

use crate::{
    chaos::{
        dice::Dice,
        fleet::{Crew, Fleet},
        full, oracle,
    },
    lab::{Lab, QUICK},
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
        if fleet.left().await < fleet.agents.len() / 2 {
            fleet.order().await;
        }
        if kill % 50 == 0 {
            eprintln!("{kill} kills, {} runs", fleet.expected());
        }
    }
    fleet.over().await;
    let tally = oracle::check(&lab).await;
    eprintln!("{kills} kills: {tally:?}");
    assert!(tally.runs >= 20 && tally.executed > 0 && tally.failed_runs > 0, "{tally:?}");
    for run in lab.all_runs().await.into_iter().rev().take(20) {
        let said = lab.verify(&run.name_any()).await;
        assert_eq!(said["authentic"]["answer"], "yes", "{said}");
    }
}

#[tokio::test]
async fn a_leader_that_is_killed_while_it_dispatches_loses_and_doubles_nothing() {
    let mut dice = Dice::new("dispatch");
    let lab = Lab::new(&[QUICK, &["--max-concurrent-runs", "30"]].concat()).await;
    let mut fleet = Fleet::new(&lab, 20, 0).await;
    let mut crew = Crew::new(&lab, 3);
    lab.replicas(3).await;
    for _ in 0..if full() { 20 } else { 2 } {
        let leader = lab.leader().await;
        fleet.order().await;
        tokio::time::sleep(dice.millis(0, 300)).await;
        let at = crew
            .replicas
            .iter()
            .position(|replica| replica.as_ref().is_some_and(|replica| leader.contains(&format!("-{}-", replica.identity()))));
        let at = at.unwrap_or_else(|| crew.kill_one(&mut dice));
        drop(crew.replicas[at].take());
        crew.start_again(at);
        fleet.over().await;
    }
    let tally = oracle::check(&lab).await;
    eprintln!("leaders killed: {tally:?}");
    assert_eq!(tally.runs, fleet.expected(), "nothing was ordered twice");
    for agent in &fleet.agents {
        let runs = lab.runs_of(agent).await;
        let mut numbers: Vec<_> = runs.iter().filter_map(|run| run.status.as_ref()?.sequence).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "{agent}");
    }
}
