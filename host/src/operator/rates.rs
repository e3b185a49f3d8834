//! How many runs began within the last hour, in the cluster and of each agent.
//!
//! A run counts from when the leader that sees it begin lets it. A new leader knows of those that began before it only when they were created, so it counts from
//! then; whatever the wall clock does afterwards, an hour is an hour of the clock that cannot jump. Retention keeps every run of the last hour, so none is missed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use infraagent_api::{AgentRun, run::RunTrigger};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::ListParams};

use super::{Operator, series::AgentKey, server_time};

/// Objects per request.
const PAGE: u32 = 500;
/// How many runs are read at a time.
const SIDE_BY_SIDE: usize = 16;

/// How many runs may begin per hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hourly {
    /// In the whole cluster.
    pub cluster: usize,
    /// Of each agent.
    pub per_agent: usize,
    /// How many more if something happened: webhooks and Events of the cluster.
    pub burst: usize,
    /// What an hour is. One hour, but in tests.
    pub window: Duration,
}

impl Default for Hourly {
    /// 200 in the cluster, 30 of each agent, 3 more for events.
    fn default() -> Self {
        Self { cluster: 200, per_agent: 30, burst: 3, window: Duration::from_secs(3600) }
    }
}

impl Hourly {
    fn extra(&self, trigger: RunTrigger) -> usize {
        match trigger {
            RunTrigger::Webhook | RunTrigger::Event => self.burst,
            RunTrigger::Scheduled | RunTrigger::Manual | RunTrigger::Approval => 0,
        }
    }
}

/// What began within the last hour.
#[derive(Debug)]
pub(super) struct Rates {
    limits: Hourly,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Until when each run counts, with its uid.
    all: BTreeSet<(Duration, String)>,
    /// The same of each agent.
    of: HashMap<AgentKey, BTreeSet<(Duration, String)>>,
}

/// Room for more runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// So many may begin now.
    For(usize),
    /// None, and how long until one may.
    None(Duration),
}

impl Rates {
    pub(super) fn new(limits: Hourly) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// What the cluster knows of the last hour.
    pub(super) async fn load(operator: &Operator) -> Result<Self, kube::Error> {
        let rates = Self::new(operator.settings.hourly);
        let client = &operator.connection.client;
        let (now, elapsed) = (server_time::ask(operator).await?, operator.clock.elapsed());
        let window = rates.limits.window;
        let age = |created: Timestamp| Duration::try_from(now.duration_since(created)).unwrap_or_default();
        let all = Api::<AgentRun>::all(client.clone());
        let mut parameters = ListParams::default().limit(PAGE);
        let mut recent = Vec::new();
        loop {
            let page = all.list_metadata(&parameters).await?;
            recent.extend(page.items.into_iter().filter_map(|run| {
                let created = run.creation_timestamp()?.0;
                let namespace = run.namespace()?;
                (operator.settings.watches(&namespace) && age(created) < window).then(|| (namespace, run.name_any()))
            }));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => break,
            }
        }
        let read = |(namespace, name): (String, String)| async move {
            Api::<AgentRun>::namespaced(client.clone(), &namespace).get_opt(&name).await
        };
        let runs: Vec<Option<AgentRun>> = stream::iter(recent).map(read).buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
        for run in runs.into_iter().flatten() {
            // A number is given to what is assigned.
            let began = run.status.as_ref().is_some_and(|status| status.sequence.is_some());
            if let (true, Some(uid), Some(created)) = (began, run.uid(), run.creation_timestamp()) {
                rates.count(&key(&run), &uid, elapsed + window.saturating_sub(age(created.0)));
            }
        }
        Ok(rates)
    }

    /// How many runs of this agent may begin now.
    pub(super) fn of_agent(&self, agent: &AgentKey, trigger: RunTrigger, now: Duration) -> Room {
        let mut state = self.lock();
        state.forget(now);
        let most = self.limits.per_agent.saturating_add(self.limits.extra(trigger));
        state.of.get(agent).map_or(Room::For(most), |runs| room(runs, most, now))
    }

    /// How many runs may begin now in the cluster.
    pub(super) fn of_cluster(&self, trigger: RunTrigger, now: Duration) -> Room {
        let mut state = self.lock();
        state.forget(now);
        room(&state.all, self.limits.cluster.saturating_add(self.limits.extra(trigger)), now)
    }

    /// The run begins now.
    pub(super) fn begins(&self, run: &AgentRun, now: Duration) {
        if let Some(uid) = run.uid() {
            self.count(&key(run), &uid, now + self.limits.window);
        }
    }

    /// It did not, after all.
    pub(super) fn did_not_begin(&self, run: &AgentRun) {
        let uid = run.uid().unwrap_or_default();
        let mut state = self.lock();
        state.all.retain(|(_, known)| *known != uid);
        if let Some(runs) = state.of.get_mut(&key(run)) {
            runs.retain(|(_, known)| *known != uid);
        }
    }

    fn count(&self, agent: &AgentKey, uid: &str, until: Duration) {
        let mut state = self.lock();
        state.all.insert((until, uid.to_owned()));
        state.of.entry(agent.clone()).or_default().insert((until, uid.to_owned()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is an hour ago counts no more.
    fn forget(&mut self, now: Duration) {
        let mut gone = false;
        while self.all.first().is_some_and(|(until, _)| *until <= now) {
            self.all.pop_first();
            gone = true;
        }
        if gone {
            self.of.retain(|_, runs| {
                runs.retain(|(until, _)| *until > now);
                !runs.is_empty()
            });
        }
    }
}

fn room(runs: &BTreeSet<(Duration, String)>, most: usize, now: Duration) -> Room {
    match most.checked_sub(runs.len()) {
        Some(0) | None => {
            // So many must be forgotten before there is room for one.
            let place = runs.len().saturating_sub(most);
            Room::None(runs.iter().nth(place).map_or(Duration::ZERO, |(until, _)| until.saturating_sub(now)))
        }
        Some(free) => Room::For(free),
    }
}

/// The agent of a run.
fn key(run: &AgentRun) -> AgentKey {
    (run.namespace().unwrap_or_default(), run.spec.agent_ref.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn run(agent: &str, uid: &str) -> AgentRun {
        let spec = json!({ "agentRef": agent, "environmentRef": "e", "trigger": "manual" });
        let metadata = json!({ "namespace": "n", "name": uid, "uid": uid });
        serde_json::from_value(
            json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": metadata, "spec": spec }),
        )
        .unwrap()
    }

    fn of(agent: &str) -> AgentKey {
        ("n".to_owned(), agent.to_owned())
    }

    #[test]
    fn no_more_than_the_limits_within_any_hour_and_a_little_more_for_events() {
        let rates = Rates::new(Hourly { cluster: 3, per_agent: 2, burst: 1, window: SECOND * 3600 });
        let (manual, webhook) = (RunTrigger::Manual, RunTrigger::Webhook);
        rates.begins(&run("a", "1"), SECOND * 10);
        assert_eq!(rates.of_agent(&of("a"), manual, SECOND * 20), Room::For(1));
        rates.begins(&run("a", "2"), SECOND * 20);
        assert_eq!(rates.of_agent(&of("a"), manual, SECOND * 30), Room::None(SECOND * 3580));
        assert_eq!(rates.of_agent(&of("a"), webhook, SECOND * 30), Room::For(1));
        assert_eq!(rates.of_agent(&of("b"), manual, SECOND * 30), Room::For(2));
        assert_eq!(rates.of_cluster(manual, SECOND * 30), Room::For(1));
        rates.begins(&run("a", "3"), SECOND * 40);
        assert_eq!(rates.of_agent(&of("a"), manual, SECOND * 40), Room::None(SECOND * 3580), "two of three must be an hour ago");
        assert_eq!(rates.of_cluster(manual, SECOND * 40), Room::None(SECOND * 3570));
        assert_eq!(rates.of_cluster(webhook, SECOND * 40), Room::For(1));
        assert_eq!(rates.of_cluster(manual, SECOND * 3610), Room::For(1));
        assert_eq!(rates.of_agent(&of("a"), manual, SECOND * 3620), Room::For(1));
        assert_eq!(rates.of_agent(&of("a"), manual, SECOND * 4000), Room::For(2));
    }

    #[test]
    fn what_did_not_begin_does_not_count() {
        let rates = Rates::new(Hourly { cluster: 1, per_agent: 1, ..Hourly::default() });
        rates.begins(&run("a", "1"), SECOND);
        rates.did_not_begin(&run("a", "1"));
        assert_eq!(
            (rates.of_agent(&of("a"), RunTrigger::Manual, SECOND), rates.of_cluster(RunTrigger::Manual, SECOND)),
            (Room::For(1), Room::For(1))
        );
    }
}
