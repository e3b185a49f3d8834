//! Replicas that stop for a while and wake up as if nothing had happened, or that cannot reach the API server while others can.
//!
//! Of the runs that such a replica holds, the model answers one at once and one after others have closed it; each answer asks for a change. The third run waits
//! for an answer that never comes.

use infraagent_tests::{Replica, Wire, eventually};

use crate::{
    chaos::{
        api_port,
        middle::{Halted, in_the_middle},
    },
    lab::{Lab, QUICK, STEADY},
    oracle,
};

/// A replica was lost, with these runs, the first of which was answered already. Waits until it is given up, calls it back, and looks at what it does.
async fn changes_nothing_more(lab: &Lab<'_>, replicas: &mut [Replica; 2], lost: &[Halted], whole: &[Halted], wake: impl FnOnce(&Replica)) {
    let closed = lab.interrupted(lost).await;
    lost[1].go_on();
    if lab.comes_back(&mut replicas[1], wake).await {
        lab.has_let_go(&replicas[1]).await;
        // It is at work again, and so is the other one.
        let [one, two] = in_the_middle(lab, replicas, 1).await;
        lab.succeed(&one).await;
        lab.succeed(&two).await;
    } else {
        replicas[1].says(0, "must be started again").await;
    }
    lab.succeed(whole).await;
    lab.are_as_they_were(&closed).await;
    let tally = oracle::check(lab).await;
    eprintln!("a replica was away: {tally:?}");
    assert_eq!(tally.failed_runs, lost.len(), "{tally:?}");
}

#[tokio::test]
async fn a_replica_that_was_frozen_past_its_lease_changes_nothing_when_it_wakes() {
    let lab = Lab::new(STEADY).await;
    let mut replicas = [lab.operator.replica("whole"), lab.operator.replica("frozen")];
    let [whole, lost] = in_the_middle(&lab, &replicas, 3).await;
    replicas[1].freeze();
    lost[0].go_on();
    changes_nothing_more(&lab, &mut replicas, &lost, &whole, Replica::wake).await;
}

#[tokio::test]
async fn a_replica_that_alone_is_cut_off_from_the_api_server_loses_its_runs_and_changes_nothing_more() {
    let lab = Lab::new(STEADY).await;
    let whole = lab.operator.replica("whole");
    // Before the second one comes the first one leads, so it is not the one that is cut off.
    lab.leader().await;
    let wire = Wire::to(api_port(lab.plane)).await;
    let mut replicas = [whole, lab.operator.replica_through("cut", wire.address())];
    let [whole, lost] = in_the_middle(&lab, &replicas, 3).await;
    wire.cut();
    lost[0].go_on();
    changes_nothing_more(&lab, &mut replicas, &lost, &whole, |_| wire.mend()).await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_is_followed_by_another_and_changes_nothing_more() {
    let lab = Lab::new(STEADY).await;
    let wire = Wire::to(api_port(lab.plane)).await;
    let cut = lab.operator.replica_through("cut", wire.address());
    lab.leader().await;
    let mut replicas = [lab.operator.replica("whole"), cut];
    let [whole, lost] = in_the_middle(&lab, &replicas, 3).await;
    wire.cut();
    lost[0].go_on();
    changes_nothing_more(&lab, &mut replicas, &lost, &whole, |_| wire.mend()).await;
}

#[tokio::test]
async fn a_replica_that_was_frozen_until_its_lease_was_removed_ends_when_it_wakes() {
    let lab = Lab::new(QUICK).await;
    let whole = lab.operator.replica("whole");
    lab.leader().await;
    let mut replicas = [whole, lab.operator.replica("frozen")];
    let [_, lost] = in_the_middle(&lab, &replicas, 2).await;
    replicas[1].freeze();
    lost[0].go_on();
    let closed = lab.interrupted(&lost).await;
    eventually("the removal of its Lease", || async { lab.renewal("frozen").await.is_none().then_some(()) }).await;
    lost[1].go_on();
    replicas[1].wake();
    let status = replicas[1].ended().await;
    assert_eq!(status.code(), Some(2), "{}", replicas[1].log());
    lab.are_as_they_were(&closed).await;
}
