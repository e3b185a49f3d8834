//! The schedule of an agent, as far as it needs a cluster: what is due becomes a run, once, and the agent waits for the next tick.

use std::{sync::Arc, time::Duration};

use infraagent_api::{AgentRun, agent::ConcurrencyPolicy, run::RunTrigger};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Resource as _,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType},
};
use serde_json::json;
use tokio::time::Instant;

use super::{Error, Look};
use crate::{
    operator::{
        CANCEL, REPLACED,
        assess::Assessment,
        assign,
        lead::Leader,
        orders::{Order, Placed},
    },
    schedule::{Due, Outlook, Schedule},
};

/// An agent is looked at at least so often, however far away its next tick is.
const SELDOM: Duration = Duration::from_secs(12 * 3600);
/// How far the wall clock may be from where it was expected until everybody is looked at.
const ASTRAY: SignedDuration = SignedDuration::from_secs(1);

impl Look<'_> {
    /// Creates the run that is due. From now on the agent waits for its next tick, or for none if it could not run.
    pub(super) async fn follow_schedule(&mut self, assessment: &Assessment) -> Result<(), Error> {
        let schedule = self.schedule.take();
        let outlook = schedule.as_ref().map(|schedule| schedule.look(self.awaits, self.leader.operator.clock.now())).unwrap_or_default();
        self.schedule = schedule;
        let Outlook { due, missed, next } = outlook;
        if assessment.paused.is_none() {
            if let Some(missed) = missed {
                let note = format!("the tick of {} was missed, and its starting deadline is over", missed.tick);
                self.announce(EventType::Warning, "RunMissed", note).await;
            }
            if let Some(due) = due {
                self.fire(due).await?;
            }
        }
        // Whoever is paused or cannot run waits for nothing, so that nothing is made up for later.
        let next = next.filter(|_| assessment.paused.is_none() && assessment.obstacle.is_none());
        // As a status keeps it: without fractions of a second.
        self.awaits = next.and_then(|next| Timestamp::from_second(next.at.as_second()).ok());
        self.next = next;
        Ok(())
    }

    /// How long until the agent is due.
    pub(super) fn until_due(&self) -> Option<Duration> {
        let wait = self.next?.at.duration_since(self.leader.operator.clock.now());
        Some(Duration::try_from(wait).unwrap_or_default().clamp(Duration::from_millis(1), SELDOM))
    }

    async fn fire(&mut self, due: Due) -> Result<(), Error> {
        let order = Order::scheduled(&self.agent, due);
        let (name, active) = (order.name().to_owned(), self.status().active_run);
        let others = active.as_ref().is_some_and(|active| active.name != name) || self.has_a_patient_run();
        match self.agent.spec.concurrency_policy {
            ConcurrencyPolicy::Forbid if others => {
                let note = format!("no run for the tick of {}: another one is not over (concurrencyPolicy: Forbid)", due.tick);
                self.announce(EventType::Normal, "RunSkipped", note).await;
                return Ok(());
            }
            ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Replace => {}
        }
        let operator = &self.leader.operator;
        if order.place(&operator.connection.client).await? == Placed::New {
            let lag = Duration::try_from(operator.clock.now().duration_since(due.at)).unwrap_or_default();
            if self.agent.spec.observability.metrics {
                operator.metrics.scheduled(&self.namespace, &self.name, lag);
            }
            tracing::info!(namespace = self.namespace, agent = self.name, run = name, ?lag, "scheduled");
        }
        match (self.agent.spec.concurrency_policy, active) {
            (ConcurrencyPolicy::Replace, Some(active)) if active.name != name => self.replace(&active.name, &active.uid).await,
            (ConcurrencyPolicy::Replace | ConcurrencyPolicy::Forbid, _) => Ok(()),
        }
    }

    /// Whether a run of an earlier tick may go on waiting: only a starting deadline of the agent's own lasts beyond the next tick.
    fn has_a_patient_run(&self) -> bool {
        let waits = |run: &Arc<AgentRun>| run.spec.trigger == RunTrigger::Scheduled && assign::is_waiting(run);
        self.agent.spec.starting_deadline.is_some() && self.leader.open_runs(&self.namespace, &self.name).iter().any(waits)
    }

    /// Has the active run ended. Its replica does it, and its record says why.
    async fn replace(&self, run: &str, uid: &str) -> Result<(), Error> {
        let patch = json!({ "metadata": { "uid": uid, "annotations": { CANCEL: REPLACED } } });
        match self.runs().patch(run, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            // It is gone, and perhaps there is another one of its name.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells people.
    async fn announce(&self, type_: EventType, reason: &str, note: String) {
        tracing::info!(namespace = self.namespace, agent = self.name, reason, note, "the schedule");
        let event = Event { type_, reason: reason.to_owned(), note: Some(note), action: "Schedule".to_owned(), secondary: None };
        if let Err(error) = self.leader.recorder.publish(&event, &self.agent.object_ref(&())).await {
            tracing::warn!(%error, agent = self.name, "an Event could not be sent");
        }
    }
}

/// Has every agent looked at when somebody sets the wall clock: looks are timed by how much time passes.
pub(crate) async fn follow_clock(leader: Arc<Leader>) {
    let clock = &leader.operator.clock;
    let mut expected = (clock.now(), Instant::now());
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let passed = SignedDuration::try_from(expected.1.elapsed()).unwrap_or(SignedDuration::MAX);
        let now = clock.now();
        if now.duration_since(expected.0).saturating_sub(passed).abs() >= ASTRAY {
            tracing::warn!(%now, "the wall clock was set: every agent is looked at");
            expected = (now, Instant::now());
            leader.wake_everybody();
        }
    }
}

/// The schedule of an agent. What is none is said by its assessment, and nothing is followed.
pub(super) fn schedule(agent: &infraagent_api::InfraAgent) -> Option<Schedule> {
    Schedule::of(agent).ok().flatten()
}
