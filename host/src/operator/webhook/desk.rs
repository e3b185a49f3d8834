//! Takes deliveries: who sent it, what it says, whether it is new, whom it concerns, and only then the runs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use http::HeaderMap;
use infraagent_api::{
    AgentRun, InfraAgent,
    run::{RunInput, RunTrigger},
};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    answer::Answer,
    auth::{Credential, Proof},
    keyring::Keyring,
    payload::{self, Payload},
    subscribers::{Subscribers, filters},
};
use crate::{
    operator::{
        Operator,
        backlog::Space,
        conditions::said,
        orders::{Order, Placed},
        shared_watch::Listening,
        trigger::{
            self, Hash, WINDOW,
            filters::{Filters, Verdict},
            hash,
            recent::Recent,
        },
    },
    telemetry::metrics::triggers::{Came, Kind},
};

/// Deliveries that are worked on at a time.
const AT_A_TIME: usize = 32;
/// Runs of one delivery that are created at a time.
const SIDE_BY_SIDE: usize = 8;
/// How long the filters of one delivery may take together.
const THINKING: Duration = Duration::from_secs(15);
/// How many runs of an agent may wait until no more are taken.
const MOST_WAITING: usize = 16;
/// How long signed deliveries are remembered by this replica, and how many.
const REPLAYS: (Duration, usize) = (Duration::from_secs(900), 16_384);
/// How many deliveries are remembered for [`WINDOW`].
const MOST_DEBOUNCED: usize = 16_384;

/// What this replica needs to take deliveries.
pub(super) struct Desk {
    operator: Arc<Operator>,
    keyring: Keyring,
    subscribers: Arc<Subscribers>,
    filters: Filters,
    turns: Semaphore,
    debounced: Recent,
    replays: Recent,
    /// Whom nobody can claim to be: so a source that does not exist takes as much work as one that does.
    nobody: Credential,
}

/// What came of one agent's part.
enum Started {
    New,
    /// It was there already.
    Before,
    /// Too many of its runs wait.
    Full,
    /// Nobody knows.
    Failed,
}

impl Desk {
    pub(super) fn new(operator: Arc<Operator>) -> Result<Self, getrandom::Error> {
        Ok(Self {
            operator,
            keyring: Keyring::default(),
            subscribers: Arc::default(),
            filters: Filters::new(),
            turns: Semaphore::new(AT_A_TIME),
            debounced: Recent::new(Duration::from_secs(WINDOW), MOST_DEBOUNCED),
            replays: Recent::new(REPLAYS.0, REPLAYS.1),
            nobody: Credential::nobody()?,
        })
    }

    /// Follows what the desk must know, as long as what is returned lives.
    pub(super) fn follow(&self) -> Listening<InfraAgent> {
        self.subscribers.follow(&self.operator)
    }

    /// Counts an answer.
    pub(super) fn answered(&self, answer: Answer) {
        self.operator.metrics.webhook_answered(answer.as_str());
    }

    /// Takes a delivery, or says why not.
    pub(super) async fn deliver(&self, source: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
        let Some(mut agents) = self.subscribers.of(source) else { return Answer::Unavailable };
        // Of a source that no agent names the API server is not asked: whoever invents sources makes no requests.
        let credential = match agents.is_empty() {
            true => None,
            false => match self.keyring.of(&self.operator, source).await {
                Ok(credential) => credential,
                Err(_) => return Answer::Unavailable,
            },
        };
        let now = self.operator.clock.now();
        let proof = credential.as_deref().unwrap_or(&self.nobody).verify(headers, body, now.as_second());
        let (Some(credential), Some(proof)) = (credential, proof) else { return Answer::Unauthorized };
        let Ok(_turn) = self.turns.try_acquire() else { return Answer::Busy { again: Duration::from_secs(1) } };
        let payload = match payload::read(headers, body) {
            Ok(payload) => payload,
            Err(invalid) => return Answer::Invalid(invalid),
        };
        agents.retain(|agent| credential.reaches(&agent.namespace().unwrap_or_default()));
        let count = agents.len();
        let elapsed = self.operator.clock.elapsed();
        let said = hash([b"said".as_slice(), source.as_bytes(), &payload.fingerprint]);
        let sent = hash([b"sent".as_slice(), source.as_bytes(), body]);
        if self.debounced.knows(&said, elapsed) || (proof != Proof::Token && self.replays.knows(&sent, elapsed)) {
            self.operator.metrics.trigger(Kind::Webhook, Came::Repeated, count);
            return Answer::Accepted { agents: count, triggered: 0 };
        }
        // The evaluator starts slowly, once; that is no filter's fault. Should it not start, every filter says so.
        let _ = self.operator.workshop.evaluator().await;
        let Ok(concerned) = timeout(THINKING, self.concerned(agents, source, &payload)).await else {
            tracing::warn!(source, "the filters of a webhook took too long");
            return Answer::Unavailable;
        };
        let names = Names::of(source, body, proof, &payload, now);
        let event =
            trigger::told(&format!("webhook {source}"), payload.event, &self.operator.connection.redactor([credential.secret().clone()]));
        let starting = concerned.into_iter().map(|agent| self.start(agent, &names, &event, now));
        let started: Vec<_> = stream::iter(starting).buffer_unordered(SIDE_BY_SIDE).collect().await;
        let many = |what: fn(&Started) -> bool| started.iter().filter(|started| what(started)).count();
        let triggered = many(|started| matches!(started, Started::New));
        let metrics = &self.operator.metrics;
        metrics.trigger(Kind::Webhook, Came::Fired, triggered);
        metrics.trigger(Kind::Webhook, Came::Repeated, many(|started| matches!(started, Started::Before)));
        metrics.trigger(Kind::Webhook, Came::Full, many(|started| matches!(started, Started::Full)));
        metrics.trigger(Kind::Webhook, Came::Failed, many(|started| matches!(started, Started::Failed)));
        if many(|started| matches!(started, Started::Failed)) > 0 {
            return Answer::Unavailable;
        }
        if many(|started| matches!(started, Started::Full)) > 0 {
            return Answer::Busy { again: Duration::from_secs(10) };
        }
        self.debounced.remember(said, elapsed);
        if proof != Proof::Token {
            self.replays.remember(sent, elapsed);
        }
        tracing::info!(source, agents = count, triggered, "a webhook was accepted");
        Answer::Accepted { agents: count, triggered }
    }

    /// The agents that the event counts for. Agents with the same filter share its verdict.
    async fn concerned(&self, agents: Vec<Arc<InfraAgent>>, source: &str, payload: &Payload) -> Vec<Arc<InfraAgent>> {
        let mut verdicts = HashMap::<Option<String>, Verdict>::new();
        let mut concerned = Vec::new();
        for agent in agents {
            if agent.spec.paused {
                continue;
            }
            let (mut passes, mut broken) = (false, false);
            for filter in filters(&agent, source) {
                let known = verdicts.get(&filter.map(str::to_owned)).copied();
                let verdict = match known {
                    Some(known) => known,
                    None => {
                        let verdict = self.filters.ask(&self.operator, filter, &payload.event).await;
                        verdicts.insert(filter.map(str::to_owned), verdict);
                        verdict
                    }
                };
                match verdict {
                    Verdict::Pass => passes = true,
                    Verdict::Ignore => {}
                    Verdict::Broken => broken = true,
                }
            }
            match (passes, broken) {
                (true, _) => concerned.push(agent),
                (false, true) => self.operator.metrics.trigger(Kind::Webhook, Came::Broken, 1),
                (false, false) => self.operator.metrics.trigger(Kind::Webhook, Came::Filtered, 1),
            }
        }
        concerned
    }

    /// Sees to it that the run of an agent exists.
    async fn start(&self, agent: Arc<InfraAgent>, names: &Names, event: &RunInput, now: Timestamp) -> Started {
        match self.try_to_start(&agent, names, event, now).await {
            Ok(started) => started,
            Err(error) => {
                let (namespace, agent) = (agent.namespace(), agent.name_any());
                tracing::warn!(error = said(&error), namespace, agent, "the run that a webhook starts cannot be created");
                Started::Failed
            }
        }
    }

    async fn try_to_start(&self, agent: &InfraAgent, names: &Names, event: &RunInput, now: Timestamp) -> Result<Started, kube::Error> {
        let client = &self.operator.connection.client;
        let runs = Api::<AgentRun>::namespaced(client.clone(), &agent.namespace().unwrap_or_default());
        let order = |key: &Hash| Order::triggered(agent, RunTrigger::Webhook, &trigger::key(key), event.clone());
        if let Some(before) = &names.before {
            let found = runs.get_metadata_opt(order(before).name()).await?;
            let created = found.and_then(|run| run.metadata.creation_timestamp).map(|time| time.0.as_second());
            if created.is_some_and(|created| now.as_second().saturating_sub(created) < i64::try_from(WINDOW).unwrap_or(i64::MAX)) {
                return Ok(Started::Before);
            }
        }
        let order = order(&names.now);
        let (key, run) = ((agent.namespace().unwrap_or_default(), agent.name_any()), order.name().to_owned());
        let backlog = &self.operator.backlog;
        // One of them may have begun.
        let space = backlog.reserve(&key, &run, MOST_WAITING + 1);
        match space {
            Space::Reserved | Space::Known => {}
            Space::None => return Ok(if runs.get_metadata_opt(&run).await?.is_some() { Started::Before } else { Started::Full }),
            Space::Unknown => return Ok(Started::Failed),
        }
        let placed = order.place(client).await;
        if space == Space::Reserved && !matches!(placed, Ok(Placed::New)) {
            // Nobody knows whether it is there after an error; if it is, the watch shows it.
            backlog.forget(&key, &run);
        }
        Ok(match placed? {
            Placed::New => Started::New,
            Placed::Before => Started::Before,
        })
    }
}

/// What runs of a delivery are called.
struct Names {
    now: Hash,
    /// What they were called if it came just before, in the window before this one.
    before: Option<Hash>,
}

impl Names {
    fn of(source: &str, body: &[u8], proof: Proof, payload: &Payload, now: Timestamp) -> Self {
        let once = |what: &[u8]| Self { now: hash([b"once".as_slice(), source.as_bytes(), what]), before: None };
        let within = |seconds: i64| {
            let window = trigger::window(seconds);
            let at = |window: u64| hash([b"window".as_slice(), source.as_bytes(), &payload.fingerprint, &window.to_be_bytes()]);
            Self { now: at(window), before: window.checked_sub(1).map(at) }
        };
        match (proof, &payload.identity) {
            (_, Some(identity)) => once(identity),
            (Proof::Body, None) => once(body),
            (Proof::Timed(sent), None) => within(sent),
            (Proof::Token, None) => within(now.as_second()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str, headers: &[(&'static str, &'static str)], proof: Proof, now: i64) -> Names {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        let payload = payload::read(&headers, body.as_bytes()).unwrap();
        Names::of("ci", body.as_bytes(), proof, &payload, Timestamp::from_second(now).unwrap())
    }

    #[test]
    fn what_is_known_of_a_delivery_says_for_how_long_it_counts_once() {
        let token = |body, now| names(body, &[], Proof::Token, now);
        assert_eq!(token("{}", 60).now, token("{}", 89).now);
        assert_ne!(token("{}", 60).now, token("{\"a\":1}", 60).now);
        assert_eq!(token("{}", 90).before, Some(token("{}", 89).now), "on the other side of the edge it is still known");

        let signed = |now| names("{}", &[], Proof::Body, now);
        assert_eq!((signed(60).now, signed(60).before), (signed(999_999).now, None));
        let timed = |now| names("{}", &[], Proof::Timed(60), now);
        assert_eq!(timed(60).now, timed(359).now, "a replay has the time that was signed");

        let cloud = [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/ci"), ("ce-type", "t")];
        let event = |body, proof, now| names(body, &cloud, proof, now).now;
        assert_eq!(event("{}", Proof::Token, 60), event("{\"retried\":true}", Proof::Token, 9_999));
        assert_ne!(event("{}", Proof::Token, 60), token("{}", 60).now);
    }
}
