//! One look at one agent: what is over is settled, what is lost is closed, what was ordered or is due is made a run, what waits is assigned, and all of it is said
//! in the agent's status. Every write bears the version that the decision was made on; a conflict means to look again.

mod begin;
mod due;

use std::{collections::HashSet, sync::Arc, time::Duration};

use infraagent_api::{
    AgentRun, InfraAgent, Time,
    agent::{AgentPhase, InfraAgentStatus, ReportRule},
    run::{AgentRunStatus, Holder, RECORD_VERSION, RunPhase},
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::{
        controller::Action,
        events::{Event, EventType},
        reflector::ObjectRef,
    },
};
use serde_json::json;

use super::{
    RUN_NOW,
    assess::{self, Assessment, References},
    assign::{self, Next},
    close::{self, Verdict},
    conditions::{self, Holds, condition, merge, said},
    heads,
    lead::Leader,
    orders::Order,
};
use crate::{
    audit,
    run::{dereference::cluster::selects, validate::SERVICE_ACCOUNT_PREFIX},
    schedule::{Due, Schedule},
    telemetry::metrics::operator::Controller,
};

pub(super) use self::due::follow_clock;

/// When something that nobody announces may have changed.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How old what is known of a skill may be. A run looks anew before it begins.
const SKILLS_BELIEVED: Duration = Duration::from_secs(60);
/// What a run waits for, in its status.
const ASSIGNED: &str = "Assigned";

/// Why a look was cut short. It is repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Somebody else wrote first, or a cache is behind.
    #[error("something changed meanwhile")]
    Changed,
    /// The API server said no, or nothing.
    #[error("{0}")]
    Api(String),
    /// A record could not be closed.
    #[error("a record could not be closed: {0}")]
    Record(#[from] audit::Error),
}

impl Error {
    /// How long to wait before the next look.
    pub(super) fn pause(&self) -> Duration {
        match self {
            Self::Changed => Duration::from_millis(100),
            Self::Api(_) | Self::Record(_) => Duration::from_secs(2),
        }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        if conditions::is_conflict(&error) { Self::Changed } else { Self::Api(said(&error)) }
    }
}

/// Looks at one agent.
pub(super) async fn reconcile_agent(agent: Arc<InfraAgent>, leader: Arc<Leader>) -> Result<Action, Error> {
    if agent.metadata.deletion_timestamp.is_some() || !leader.watches(&agent.namespace().unwrap_or_default()) {
        return Ok(Action::await_change());
    }
    let began = std::time::Instant::now();
    let looked = Look::new(&leader.written_agents.newest(agent), &leader).go().await;
    leader.operator.metrics.reconciled(Controller::Agent, began.elapsed(), looked.is_ok());
    looked
}

/// The shape that the queue wants.
pub(super) fn reconcile(agent: Arc<InfraAgent>, leader: Arc<Leader>) -> futures::future::BoxFuture<'static, Result<Action, Error>> {
    Box::pin(reconcile_agent(agent, leader))
}

/// One look.
struct Look<'a> {
    leader: &'a Leader,
    agent: InfraAgent,
    namespace: String,
    name: String,
    now: Timestamp,
    /// When to look again at the latest.
    again: Option<Duration>,
    /// When the agent runs by itself.
    schedule: Option<Schedule>,
    /// For what time it waits, as its status says.
    awaits: Option<Timestamp>,
    /// The same, exactly.
    next: Option<Due>,
}

impl<'a> Look<'a> {
    fn new(agent: &InfraAgent, leader: &'a Leader) -> Self {
        let (namespace, name) = (agent.namespace().unwrap_or_default(), agent.name_any());
        let awaits = agent.status.as_ref().and_then(|status| status.next_run_time.as_ref()).map(|time| time.0);
        let (now, schedule) = (leader.operator.clock.now(), due::schedule(agent));
        Self { leader, agent: agent.clone(), namespace, name, now, again: None, schedule, awaits, next: None }
    }

    async fn go(mut self) -> Result<Action, Error> {
        self.take_orders().await?;
        let assessment = self.assess().await;
        self.settle_active(resting(&assessment)).await?;
        self.follow_schedule(&assessment).await?;
        self.assign_next(&assessment).await?;
        let mut status = self.status();
        self.say(&mut status, assessment).await;
        self.write(status).await?;
        if let Some(wait) = self.until_due() {
            self.look_again(wait);
        }
        Ok(self.again.map_or_else(Action::await_change, Action::requeue))
    }

    /// Its status as it was written last, with the time that it waits for now.
    fn status(&self) -> InfraAgentStatus {
        InfraAgentStatus { next_run_time: self.awaits.map(Time), ..self.agent.status.clone().unwrap_or_default() }
    }

    fn look_again(&mut self, within: Duration) {
        self.again = Some(self.again.map_or(within, |known| known.min(within)));
    }

    fn look_again_at(&mut self, time: Timestamp) {
        let wait = time.duration_since(self.now).max(SignedDuration::from_millis(50));
        self.look_again(Duration::try_from(wait).unwrap_or(ASK_AGAIN));
    }

    fn runs(&self) -> Api<AgentRun> {
        Api::namespaced(self.leader.operator.connection.client.clone(), &self.namespace)
    }

    fn agents(&self) -> Api<InfraAgent> {
        Api::namespaced(self.leader.operator.connection.client.clone(), &self.namespace)
    }

    /// `infraagent.io/run-now` becomes a run, whose name says which version of the agent ordered it, and is then removed.
    async fn take_orders(&mut self) -> Result<(), Error> {
        if self.agent.annotations().get(RUN_NOW).is_none_or(|value| value != "true") {
            return Ok(());
        }
        let version = self.agent.resource_version().unwrap_or_default();
        Order::now(&self.agent).place(&self.leader.operator.connection.client).await?;
        let patch = json!({ "metadata": { "resourceVersion": version, "annotations": { RUN_NOW: null } } });
        self.agent = self.agents().patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.leader.written_agents.wrote(&self.agent);
        Ok(())
    }

    async fn assess(&mut self) -> Assessment {
        let caches = &self.leader.caches;
        let operator = &self.leader.operator;
        let environment = caches.environments.get(&ObjectRef::new(&self.agent.spec.environment_ref).within(&self.namespace));
        let namespace = caches.namespaces.get(&ObjectRef::new(&self.namespace));
        let labels = namespace.and_then(|namespace| namespace.metadata.labels.clone()).unwrap_or_default();
        let mut policies = Ok(Vec::new());
        for policy in caches.policies.state() {
            match (selects(&policy, &labels), &mut policies) {
                (Ok(true), Ok(policies)) => policies.push((*policy).clone()),
                (Ok(false), _) | (Ok(true), Err(_)) => {}
                (Err(error), _) => policies = Err(error.to_string()),
            }
        }
        let mut skills = Vec::new();
        for skill in &self.agent.spec.skills {
            skills.push(operator.skills.resolve_within(&self.namespace, skill, SKILLS_BELIEVED).await);
        }
        let account = self.agent.spec.service_account_name.clone().unwrap_or_else(|| format!("{SERVICE_ACCOUNT_PREFIX}{}", self.name));
        let account = self.leader.accounts.check(&operator.connection.client, &operator.clock, &self.namespace, &account).await;
        let references = References {
            environment: environment.map(|environment| (*environment).clone()),
            models: caches.models.state().iter().map(|models| (**models).clone()).collect(),
            policies,
            skills,
            account: account.map_err(|error| error.to_string()),
            filters: self.leader.filters.check(operator, &self.agent).await,
        };
        let assessment = assess::assess(&self.agent, references, &operator.connection.id, self.now);
        if assessment.ask_again {
            self.look_again(ASK_AGAIN);
        }
        assessment
    }

    /// Looks at the active run. If it is over its end is written into the agent's status; if its replica is gone it is closed first.
    async fn settle_active(&mut self, free: AgentPhase) -> Result<(), Error> {
        let Some(active) = self.status().active_run else { return Ok(()) };
        let is_it = |run: &AgentRun| run.metadata.uid.as_ref() == Some(&active.uid);
        let cached = || self.leader.caches.runs.get(&ObjectRef::new(&active.name).within(&self.namespace)).filter(|run| is_it(run));
        let known = self.leader.operator.ended.of(&active.uid);
        let run = match known.or_else(|| cached().map(|run| self.leader.written_runs.newest(run))) {
            Some(run) => Some((*run).clone()),
            // It is over, or the cache is behind.
            None => self.runs().get_opt(&active.name).await?.filter(is_it),
        };
        let Some(run) = run else {
            tracing::warn!(run = active.name, "the active run was deleted");
            return self.release(None, free).await;
        };
        let status = run.status.clone().unwrap_or_default();
        if status.phase.is_some_and(RunPhase::is_terminal) {
            return self.release(Some(&run), free).await;
        }
        match &status.holder {
            None => self.hand_over(&run).await?,
            // Nothing of it has begun, and its replica cannot begin it any more: it has lost nothing but time.
            Some(holder) if self.leader.replicas.is_dead(holder) && status.phase.unwrap_or_default() == RunPhase::Pending => {
                self.hand_over(&run).await?;
            }
            Some(holder) if self.leader.replicas.is_dead(holder) => {
                let verdict = Verdict::new("Interrupted", format!("the replica `{}` that executed it is gone", holder.lease));
                close::close(&self.leader.operator, Some(&self.agent), &run, &verdict).await?;
                self.tell(&run, &verdict).await;
                self.look_again(Duration::from_millis(50));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Tells people that a run failed that nobody else can tell about, as the agent's `reporting.onFailure` says.
    async fn tell(&self, run: &AgentRun, verdict: &Verdict) {
        let type_ = match self.agent.spec.reporting.on_failure {
            ReportRule::Silent | ReportRule::Log => return,
            ReportRule::Notify => EventType::Normal,
            ReportRule::Escalate => EventType::Warning,
        };
        let note = Some(format!("run {} failed: {}", run.name_any(), verdict.message));
        let event = Event { type_, reason: "RunFailed".to_owned(), note, action: "Run".to_owned(), secondary: None };
        if let Err(error) = self.leader.recorder.publish(&event, &self.agent.object_ref(&())).await {
            tracing::warn!(%error, agent = self.name, "an Event could not be sent");
        }
    }

    /// The agent is free again, which its phase says at once, and what the run was is counted.
    async fn release(&mut self, run: Option<&AgentRun>, free: AgentPhase) -> Result<(), Error> {
        let mut status = self.status();
        let Some(active) = status.active_run.take() else { return Ok(()) };
        status.phase = Some(free);
        if let Some(run) = run {
            let record = run.status.clone().unwrap_or_default();
            self.retry(run, &record).await?;
            let models: Vec<_> = self.leader.caches.models.state().iter().map(|models| (**models).clone()).collect();
            self.leader.spending.ended(run, &models).await;
            self.leader.heads.ended(run);
            status.run_count = record.sequence.unwrap_or(0).max(status.run_count);
            status.last_run_name = Some(run.name_any());
            status.last_run_time = record.start_time.clone().or(record.completion_time);
            status.consecutive_failures =
                if record.phase == Some(RunPhase::Failed) { status.consecutive_failures.saturating_add(1) } else { 0 };
        }
        self.write(status).await?;
        self.leader.waiting.forget(&active.uid);
        self.leader.operator.ended.forget(&active.uid);
        for waiting in self.leader.slots.free(&active.uid) {
            let _ = self.leader.wake.send(waiting);
        }
        Ok(())
    }

    /// Tries a run again that failed for a reason that passes, if nothing was intended in it.
    async fn retry(&self, run: &AgentRun, record: &AgentRunStatus) -> Result<(), Error> {
        let attempts = i64::from(self.agent.spec.guardrails.max_retries) + 1;
        if !passes(record) || i64::from(run.spec.attempt) >= attempts || self.agent.spec.paused {
            return Ok(());
        }
        Order::again(run).place(&self.leader.operator.connection.client).await?;
        Ok(())
    }

    /// Assigns the run that is next if the agent is free, and says of the others what they wait for.
    async fn assign_next(&mut self, assessment: &Assessment) -> Result<(), Error> {
        let active = self.status().active_run.map(|active| active.uid);
        let of_agent = self.leader.open_runs(&self.namespace, &self.name).into_iter();
        let others = of_agent.filter(|run| assign::is_waiting(run) && (active.is_none() || run.metadata.uid != active));
        let (pause, elapsed) = (self.leader.operator.settings.retry_pause, self.leader.operator.clock.elapsed());
        let waiting = others.map(|run| (Arc::clone(&run), self.leader.waiting.waited(&run, elapsed))).collect();
        for next in assign::next(&self.agent, self.schedule.as_ref(), waiting, active.is_some(), pause) {
            match next {
                Next::End(run, verdict) => {
                    let uid = run.uid().unwrap_or_default();
                    self.leader.slots.step_aside(&uid);
                    self.leader.waiting.forget(&uid);
                    close::close(&self.leader.operator, Some(&self.agent), &run, &verdict).await?;
                }
                Next::Wait(run, left, why, place) => {
                    self.look_again(left.max(Duration::from_millis(50)));
                    let message = if place.is_some() { "runs of this agent come first" } else { "it is tried again after a pause" };
                    self.waits(&run, why, place, message).await?;
                }
                Next::Begin(run) => self.begin(&run, assessment).await?,
            }
        }
        Ok(())
    }

    /// Names the replica that executes the active run, its number, and the run before it.
    async fn hand_over(&mut self, run: &AgentRun) -> Result<(), Error> {
        let Some(replica) = self.leader.replicas.choose(run.spec.record_version, |uid| self.leader.load(uid)) else {
            self.look_again(Duration::from_secs(1));
            return Ok(());
        };
        let before = self.status();
        let previous = match &before.last_run_name {
            Some(name) => match self.leader.heads.of(&self.namespace, name) {
                Some(known) => Some(known),
                None => self.runs().get_opt(name).await?.as_ref().and_then(heads::head),
            },
            None => None,
        };
        let mut run = run.clone();
        let status = run.status.get_or_insert_default();
        status.phase = Some(RunPhase::Pending);
        let epoch = status.holder.as_ref().map_or(0, |before| before.epoch).saturating_add(1);
        status.holder = Some(Holder { lease: replica.name.clone(), uid: replica.uid, epoch });
        if status.sequence.is_none() {
            status.sequence = Some(before.run_count.saturating_add(1));
            status.previous = previous;
        }
        let assigned = condition(ASSIGNED, Holds::Yes, "Assigned", format!("to `{}`", replica.name), self.now, None);
        status.conditions = merge(&status.conditions, vec![assigned]);
        let assigned = self.runs().replace_status(&run.name_any(), &PostParams::default(), &run).await?;
        self.leader.written_runs.wrote(&assigned);
        if let Some(name) = &before.last_run_name {
            self.leader.heads.forget(&self.namespace, name);
        }
        tracing::info!(namespace = self.namespace, agent = self.name, run = run.name_any(), replica = replica.name, "assigned");
        Ok(())
    }

    /// Puts what is to be said into the status, and tells people when an agent becomes ready or stops being so.
    async fn say(&self, status: &mut InfraAgentStatus, assessment: Assessment) {
        let free = resting(&assessment);
        let Assessment { conditions: new, obstacle: _, skills, paused: _, at_most: _, allowance: _, ask_again: _ } = assessment;
        let before = status.conditions.iter().find(|known| known.type_ == "Ready").map(|known| known.status.clone());
        status.conditions = merge(&status.conditions, new);
        status.observed_generation = self.agent.metadata.generation;
        status.skills = skills;
        status.phase = Some(if status.active_run.is_some() { AgentPhase::Running } else { free });
        let now = status.conditions.iter().find(|known| known.type_ == "Ready");
        if let Some(now) = now.filter(|now| before.as_ref() != Some(&now.status)) {
            let type_ = if now.status == "True" { EventType::Normal } else { EventType::Warning };
            let note = Some(now.message.clone());
            let event = Event { type_, reason: now.reason.clone(), note, action: "Reconcile".to_owned(), secondary: None };
            if let Err(error) = self.leader.recorder.publish(&event, &self.agent.object_ref(&())).await {
                tracing::warn!(%error, agent = self.name, "an Event could not be sent");
            }
        }
    }

    /// Writes the status if it is another one.
    async fn write(&mut self, status: InfraAgentStatus) -> Result<(), Error> {
        if self.agent.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut next = self.agent.clone();
        next.status = Some(status);
        self.agent = self.agents().replace_status(&self.name, &PostParams::default(), &next).await?;
        self.leader.written_agents.wrote(&self.agent);
        Ok(())
    }
}

/// The phase of an agent without a run.
fn resting(assessment: &Assessment) -> AgentPhase {
    match (&assessment.obstacle, &assessment.paused) {
        (Some(_), _) => AgentPhase::Error,
        (None, Some(_)) => AgentPhase::Paused,
        (None, None) => AgentPhase::Ready,
    }
}

/// Whether the run failed for a reason that passes, and nothing was intended in it.
fn passes(record: &AgentRunStatus) -> bool {
    let complete = record.conditions.iter().find(|known| known.type_ == "Complete");
    let transient = complete
        .is_some_and(|known| matches!(known.reason.as_str(), "Interrupted" | "ProviderFailed" | "RecordLost" | "EmptyReply" | "Internal"));
    // Whatever was decided as a change has checks.
    record.phase == Some(RunPhase::Failed) && transient && record.actions.iter().all(|action| action.checks.is_none())
}

/// Ends runs whose agent does not exist: nobody else looks at them.
pub(super) async fn orphans(leader: Arc<Leader>) {
    loop {
        tokio::time::sleep(ASK_AGAIN.min(leader.operator.settings.timings.lease)).await;
        leader.free_what_nobody_frees();
        for run in leader.caches.runs.state() {
            let namespace = run.namespace().unwrap_or_default();
            if !leader.watches(&namespace) || run.spec.record_version > RECORD_VERSION {
                continue;
            }
            let agent = ObjectRef::<InfraAgent>::new(&run.spec.agent_ref).within(&namespace);
            let held = run.status.as_ref().and_then(|status| status.holder.clone());
            let lost = held.as_ref().is_some_and(|holder| leader.replicas.is_dead(holder));
            if leader.caches.agents.get(&agent).is_some() || (held.is_some() && !lost) {
                continue;
            }
            // The two caches are not filled at the same moment: the agent may be there by now.
            let agents = Api::<InfraAgent>::namespaced(leader.operator.connection.client.clone(), &namespace);
            if !matches!(agents.get_metadata_opt(&run.spec.agent_ref).await, Ok(None)) {
                continue;
            }
            let verdict = match lost {
                true => Verdict::new("Interrupted", "the replica that executed it is gone, and so is its InfraAgent"),
                false => Verdict::new(
                    "AgentNotFound",
                    format!("`spec.agentRef`: there is no InfraAgent `{}` in this namespace", run.spec.agent_ref),
                ),
            };
            if let Err(error) = close::close(&leader.operator, None, &run, &verdict).await {
                tracing::warn!(%error, run = run.name_any(), "a run without an agent could not be closed yet");
            }
        }
    }
}

impl Leader {
    /// An agent that was deleted while it was busy frees no slot.
    fn free_what_nobody_frees(&self) {
        let runs: HashSet<String> = self.caches.runs.state().iter().filter_map(|run| run.uid()).collect();
        let agents = self.caches.agents.state();
        let there: HashSet<String> = agents.iter().filter_map(|agent| agent.uid()).collect();
        self.written_agents.keep(|uid| there.contains(uid));
        self.written_runs.keep(|uid| runs.contains(uid));
        let busy: HashSet<&str> =
            agents.iter().filter_map(|agent| Some(agent.status.as_ref()?.active_run.as_ref()?.uid.as_str())).collect();
        self.operator.ended.keep(|uid| busy.contains(uid));
        for waiting in self.slots.keep(|uid| runs.contains(uid) || busy.contains(uid)) {
            let _ = self.wake.send(waiting);
        }
    }

    /// Whether agents of this namespace are looked after.
    pub(super) fn watches(&self, namespace: &str) -> bool {
        self.operator.settings.watches(namespace)
    }
}
