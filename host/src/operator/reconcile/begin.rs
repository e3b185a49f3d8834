//! Whether the next run of an agent begins now, and what it waits for if not: everything that bounds how much happens at a time, per hour and per day.

use std::time::Duration;

use infraagent_api::{
    AgentRun,
    agent::{AgentPhase, RunRef},
    run::RunPhase,
};
use kube::{ResourceExt as _, api::PostParams, runtime::reflector::ObjectRef};

use super::{ASK_AGAIN, ASSIGNED, Error, Look};
use crate::operator::{
    assess::{Assessment, Obstacle},
    assign,
    conditions::{self, Holds, condition, merge},
    rates::Room,
    slots::Slot,
    spending,
};

/// A run that waits for its turn in the cluster is told so from this time on: in a queue that moves, each word would cost a write for nothing.
const TOLD_AFTER: Duration = Duration::from_secs(5);
/// In front of a message about a queue, followed by a number.
const PLACE: &str = "place ";

impl Look<'_> {
    /// Assigns the run if nothing is in its way.
    pub(super) async fn begin(&mut self, run: &AgentRun, assessment: &Assessment) -> Result<(), Error> {
        let uid = run.uid().unwrap_or_default();
        if let Some(Obstacle { reason, message }) = &assessment.obstacle {
            self.leader.slots.step_aside(&uid);
            self.look_again(ASK_AGAIN);
            return self.waits(run, reason, None, message).await;
        }
        if let Some(why) = &assessment.paused {
            self.leader.slots.step_aside(&uid);
            self.look_again(ASK_AGAIN);
            return self.waits(run, "Paused", None, why).await;
        }
        if self.leader.replicas.choose(run.spec.record_version, |uid| self.leader.load(uid)).is_none() {
            self.look_again(Duration::from_secs(1));
            return self.waits(run, "NoReplica", None, "no replica takes runs now").await;
        }
        // Between the sum and the slot nobody else takes one.
        let one_at_a_time = self.leader.dispatching.lock().await;
        let (elapsed, hourly) = (self.leader.operator.clock.elapsed(), self.leader.operator.settings.hourly);
        let agent = (self.namespace.clone(), run.spec.agent_ref.clone());
        if let Room::None(wait) = self.leader.rates.of_agent(&agent, run.spec.trigger, elapsed) {
            self.leader.slots.step_aside(&uid);
            self.look_again(wait.max(Duration::from_millis(50)));
            let why = format!("{} runs of this agent began within the last hour, which is the most", hourly.per_agent);
            drop(one_at_a_time);
            return self.waits(run, "AgentRateLimit", Some(1), &why).await;
        }
        if !assessment.allowance.is_unlimited() {
            let operator = &self.leader.operator;
            let models: Vec<_> = self.leader.caches.models.state().iter().map(|models| (**models).clone()).collect();
            let used = self.leader.spending.used(&operator.connection.client, &models, &self.namespace, self.now).await?;
            let aside = self.leader.slots.set_aside(&self.namespace, &uid);
            if let Some(why) = assessment.allowance.refuses(used, aside, assessment.at_most) {
                self.leader.slots.step_aside(&uid);
                self.look_again(ASK_AGAIN);
                self.look_again_at(spending::tomorrow(self.now));
                drop(one_at_a_time);
                return self.waits(run, "DailyBudget", None, &why).await;
            }
        }
        let (may_begin, until) = match self.leader.rates.of_cluster(run.spec.trigger, elapsed) {
            Room::For(runs) => (runs, None),
            Room::None(wait) => (0, Some(wait)),
        };
        let slot = self.leader.slots.take(&uid, assign::created(run), &ObjectRef::from_obj(&self.agent), assessment.at_most, may_begin);
        let queued = match (slot, until) {
            (Slot::Taken, _) => None,
            (Slot::Place(place), Some(wait)) => {
                // Whoever is further behind is not next.
                let soon = if place == 1 { wait.max(Duration::from_millis(50)) } else { ASK_AGAIN };
                self.look_again(soon);
                let why = format!("{} runs began within the last hour in the cluster, which is the most", hourly.cluster);
                Some(("ClusterRateLimit", place, why))
            }
            (Slot::Place(place), None) => {
                self.look_again(ASK_AGAIN);
                let most = self.leader.operator.settings.max_concurrent;
                Some(("ClusterLimit", place, format!("{most} runs are active in the cluster, which is the most")))
            }
        };
        if let Some((reason, place, why)) = queued {
            // Telling takes a write, and others may have what it takes to begin.
            drop(one_at_a_time);
            let left = TOLD_AFTER.saturating_sub(self.leader.waiting.waited(run, elapsed));
            if !left.is_zero() {
                self.look_again(left);
                return Ok(());
            }
            return self.waits(run, reason, Some(place), &why).await;
        }
        self.leader.rates.begins(run, elapsed);
        drop(one_at_a_time);
        let mut status = self.status();
        status.active_run = Some(RunRef { name: run.name_any(), uid: uid.clone() });
        // Said with the same write.
        status.phase = Some(AgentPhase::Running);
        if let Err(error) = self.write(status).await {
            // Nobody knows whether it stands there: the slot stays with the run until a look shows it.
            if matches!(error, Error::Changed) {
                self.leader.slots.free(&uid);
                self.leader.rates.did_not_begin(run);
            }
            return Err(error);
        }
        self.hand_over(run).await
    }

    /// Says what a run waits for, and in which place of the queue. A place is told anew when it has halved: telling each one of a long queue would cost more writes
    /// than runs.
    pub(super) async fn waits(&self, run: &AgentRun, reason: &str, place: Option<usize>, why: &str) -> Result<(), Error> {
        let mut run = run.clone();
        let status = run.status.get_or_insert_default();
        let known = status.conditions.iter().find(|known| known.type_ == ASSIGNED && known.reason == reason);
        if known.is_some_and(|known| is_still_true(&known.message, place)) {
            return Ok(());
        }
        let why = match place {
            None => why.to_owned(),
            Some(1) => format!("{PLACE}1 of the queue: {why}"),
            Some(place) => format!("{PLACE}{place} of the queue, or better by now: {why}"),
        };
        status.phase = Some(RunPhase::Pending);
        status.conditions = merge(&status.conditions, vec![condition(ASSIGNED, Holds::No, reason, why, self.now, None)]);
        match self.runs().replace_status(&run.name_any(), &PostParams::default(), &run).await {
            Ok(told) => {
                self.leader.written_runs.wrote(&told);
                Ok(())
            }
            Err(error) if conditions::is_conflict(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether what was told of the place in the queue says enough about this one.
fn is_still_true(told: &str, place: Option<usize>) -> bool {
    let Some(place) = place else { return true };
    let digits = told.strip_prefix(PLACE).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    digits.is_some_and(|told| place <= told && told < place.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_anew_when_it_has_halved_or_grown() {
        let told = "place 40 of the queue, or better by now: because";
        for (place, enough) in [(Some(40), true), (Some(21), true), (Some(20), false), (Some(1), false), (Some(41), false), (None, true)] {
            assert_eq!(is_still_true(told, place), enough, "{place:?}");
        }
        assert!(!is_still_true("because", Some(40)));
        assert!(is_still_true("place 1 of the queue: because", Some(1)));
    }
}
