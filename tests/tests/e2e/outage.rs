//! The API server goes away in the middle of a run: between intent and effect, between effect and outcome, with a request or with its answer.
//!
//! However it goes, there is no effect without its intent, none happens twice, what nobody knows is called unknown, and the API server's own audit log has the
//! same story.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::FutureExt as _;
use infraagent_api::run::RunPhase;
use infraagent_tests::{Fate, Passing, eventually};
use serde_json::json;

use super::lab::{Ended, Lab};

/// At which request the API server goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The write of the intent.
    Intent,
    /// The effect.
    Effect,
    /// The write of the outcome.
    Outcome,
}

/// What is left of the run once the API server is back.
struct Left {
    lab: Lab,
    ended: Ended,
    /// Status and reason of each change in the record.
    changes: Vec<(String, Option<String>)>,
    /// How the run ended, and why.
    verdict: (String, String),
    /// What the API server answered to the first of them, request by request.
    first: Vec<u16>,
}

/// A run that pauses a rollout and lets it go on again. The API server goes away at the first request of that kind; `fate` is that request's own. It comes back
/// when so many more were lost.
async fn outage(at: At, fate: Fate, losses: u32) -> Left {
    let mut lab = Lab::new().await;
    let over = Arc::new(AtomicBool::new(losses == 0));
    let (was_effect, began) = (AtomicBool::new(false), AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let passage = lab
        .behind(move |passing: Passing| {
            let here = match at {
                At::Intent => passing.is_intent(),
                At::Effect => passing.is_effect(),
                At::Outcome => passing.is_record() && was_effect.load(Ordering::SeqCst),
            };
            was_effect.fetch_or(passing.is_effect(), Ordering::SeqCst);
            let now = if here && !began.swap(true, Ordering::SeqCst) {
                fate
            } else if began.load(Ordering::SeqCst) && !is_over.load(Ordering::SeqCst) {
                Fate::LoseRequest
            } else {
                Fate::Arrive
            };
            async move { now }.boxed()
        })
        .await;
    let child = lab.start(&[lab.set_paused(true), lab.set_paused(false)]);
    eventually("the API server is missed", || async { (passage.lost() > losses).then_some(()) }).await;
    over.store(true, Ordering::SeqCst);
    let ended = Ended::of(child.wait_with_output().await.unwrap());
    let entries = lab.changes().await;
    let intent = lab.intent(entries[0].seq).await;
    let first = lab.noted().await.into_iter().filter(|(noted, _)| *noted == intent).map(|(_, code)| code).collect();
    let changes = entries.into_iter().map(|entry| (entry.status.as_str().to_owned(), entry.reason)).collect();
    let status = lab.record().await.status.unwrap();
    let complete = status.conditions.iter().find(|condition| condition.type_ == "Complete").unwrap();
    let verdict = (status.phase.unwrap().to_string(), complete.reason.clone());
    Left { lab, ended, changes, verdict, first }
}

impl Left {
    /// What is true whatever happened: the record is whole, closed and signed, and knows every request that could change something, once. The run waits for its
    /// record, and then goes on.
    async fn is_true(&self) {
        let said = self.lab.verify().await;
        let answers = (&said["closed"], &said["consistent"]["answer"], &said["authentic"]["answer"]);
        assert_eq!(answers, (&json!(true), &json!("yes"), &json!("yes")), "{said}");
        let uid = self.lab.record().await.metadata.uid.unwrap();
        let mut unused: Vec<String> = self.lab.changes().await.iter().map(|entry| format!("{uid}/{}", entry.seq)).collect();
        for (intent, _) in self.lab.noted().await {
            let place = unused.iter().position(|recorded| *recorded == intent);
            unused.remove(place.unwrap_or_else(|| panic!("`{intent}` was done twice, or is not recorded: {}", self.ended.said)));
        }
        assert_eq!(self.changes.len(), 2, "{}", self.ended.said);
        assert_eq!((self.changes[1].0.as_str(), self.lab.is_paused().await), ("executed", false), "{}", self.ended.said);
    }
}

#[tokio::test]
async fn gone_before_the_effect_nothing_happens_and_the_record_says_that_nobody_knows() {
    let left = outage(At::Effect, Fate::LoseRequest, 6).await;
    left.is_true().await;
    assert!(left.first.is_empty(), "{}", left.ended.said);
    assert_eq!(left.changes[0].0, "unknown", "{}", left.ended.said);
    assert_eq!(left.verdict, ("Failed".to_owned(), "OutcomeUnknown".to_owned()));
}

#[tokio::test]
async fn gone_with_the_answer_of_the_effect_it_happened_once_and_the_record_says_that_nobody_knows() {
    let left = outage(At::Effect, Fate::LoseAnswer, 6).await;
    left.is_true().await;
    assert_eq!(left.first, [200], "{}", left.ended.said);
    assert_eq!(left.changes[0].0, "unknown", "{}", left.ended.said);
    assert_eq!(left.verdict, ("Failed".to_owned(), "OutcomeUnknown".to_owned()));
}

#[tokio::test]
async fn gone_between_effect_and_outcome_the_outcome_is_written_as_soon_as_that_can_be() {
    for fate in [Fate::LoseRequest, Fate::LoseAnswer] {
        let left = outage(At::Outcome, fate, 6).await;
        left.is_true().await;
        assert_eq!(left.first, [200], "{}", left.ended.said);
        assert_eq!(left.changes[0].0, "executed", "{}", left.ended.said);
        assert_eq!(left.verdict, ("Succeeded".to_owned(), "Completed".to_owned()));
    }
}

#[tokio::test]
async fn gone_with_the_intent_nothing_happens_whether_the_intent_arrived_or_not() {
    for fate in [Fate::LoseRequest, Fate::LoseAnswer] {
        let left = outage(At::Intent, fate, 6).await;
        left.is_true().await;
        assert!(left.first.is_empty(), "{}", left.ended.said);
        assert_eq!(left.changes[0], ("blocked".to_owned(), Some("not-recorded".to_owned())), "{}", left.ended.said);
    }
}

#[tokio::test]
async fn gone_for_a_single_request_the_run_goes_on_as_if_nothing_had_been() {
    for (at, fate) in [(At::Intent, Fate::LoseRequest), (At::Intent, Fate::LoseAnswer), (At::Outcome, Fate::LoseAnswer)] {
        let lab = outage(at, fate, 0).await.lab;
        let run = lab.record().await;
        assert_eq!(run.status.unwrap().phase, Some(RunPhase::Succeeded), "{at:?} {fate:?}");
        let changes: Vec<_> = lab.changes().await.iter().map(|entry| (entry.status.as_str().to_owned(), entry.seq)).collect();
        assert!(changes.len() == 2 && changes.iter().all(|(status, _)| status == "executed"), "{changes:?}");
        let mut intents = Vec::new();
        for (_, seq) in &changes {
            intents.push((lab.intent(*seq).await, 200));
        }
        assert_eq!(lab.noted().await, intents, "{at:?} {fate:?}");
        assert!(!lab.is_paused().await, "paused, and gone on");
        assert_eq!(lab.verify().await["authentic"]["answer"], "yes");
    }
}
