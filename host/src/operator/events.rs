//! Triggers of type `kubernetes-event`: the leader watches the Events of the namespaces that agents with such triggers work in, and starts their runs.
//!
//! # Guarantees
//!
//! * An agent is started only by Events that its own ServiceAccount may list, in namespaces of its environment.
//! * Events from before the operator started, or before the agent existed, start nothing; nor do those that this product emits about its own kinds.
//! * The same Event starts a run of an agent once, whoever leads and however often leaders change: its name is a hash of object, reason and time.
//! * Each trigger starts at most one run in 30 seconds, and none while a run that an Event started waits. What comes meanwhile is counted, and one more run is
//!   started for all of it. So a storm costs the leader little, and the agents two runs.
//!
//! # Caveats
//!
//! * An Event that is older than two minutes when the leader learns of it starts nothing: a new leader does not carry out what happened before its time.

mod access;
mod occurrence;
mod pace;
mod subscriptions;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _};
use infraagent_api::{
    InfraAgent,
    agent::{Trigger, TriggerKind},
    run::RunTrigger,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use tokio::{sync::watch, task::AbortHandle, task::JoinSet};

use self::{
    access::Access,
    occurrence::Occurrence,
    pace::{Pace, Place},
    subscriptions::{Subscriptions, subscriptions},
};
use super::{
    assign,
    conditions::said,
    lead::Leader,
    orders::{Order, Placed},
    trigger::{self, filters::Verdict},
};
use crate::telemetry::metrics::triggers::{Came, Kind};

/// How often it is looked which agents there are, and what is due.
const BEAT: Duration = Duration::from_secs(1);
/// How old an Event may be when the leader learns of it, in seconds.
const FRESH: i64 = 120;

/// What the watches of namespaces share.
struct Watch {
    leader: Arc<Leader>,
    pace: Pace,
    subscriptions: watch::Receiver<Arc<Subscriptions>>,
    /// Before that nothing counts.
    since: Timestamp,
}

/// Starts runs for Events until it is dropped.
pub(super) async fn follow(leader: Arc<Leader>) {
    let (announce, announced) = watch::channel(Arc::<Subscriptions>::default());
    let since = leader.operator.began;
    let watch = Arc::new(Watch { leader: Arc::clone(&leader), pace: Pace::default(), subscriptions: announced, since });
    let access = Access::default();
    let (mut tasks, mut watched) = (JoinSet::new(), HashMap::<String, AbortHandle>::new());
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let now = Arc::new(subscriptions(&leader, &access).await);
        watched.retain(|namespace, task| {
            let wanted = now.contains_key(namespace) && !task.is_finished();
            if !wanted {
                task.abort();
            }
            wanted
        });
        announce.send_replace(Arc::clone(&now));
        for namespace in now.keys().filter(|namespace| !watched.contains_key(*namespace)).cloned().collect::<BTreeSet<_>>() {
            let task = tasks.spawn(Arc::clone(&watch).namespace(namespace.clone()));
            watched.insert(namespace, task);
        }
        while tasks.try_join_next().is_some() {}
        let agents = now.values().flatten().filter_map(|agent| agent.uid()).collect();
        watch.pace.keep(&agents);
        leader.operator.metrics.event_subscriptions(now.values().map(Vec::len).sum());
        watch.carry_out_what_is_due(&now).await;
    }
}

impl Watch {
    /// Looks at every Event of a namespace, one after the other. None is kept.
    async fn namespace(self: Arc<Self>, namespace: String) {
        let api = Api::<Event>::namespaced(self.leader.operator.watching.clone(), &namespace);
        let mut changes = watcher(api, watcher::Config::default()).default_backoff().boxed();
        loop {
            match changes.try_next().await {
                Ok(Some(watcher::Event::Apply(event) | watcher::Event::InitApply(event))) => self.look(&namespace, event).await,
                Ok(Some(watcher::Event::Init | watcher::Event::InitDone | watcher::Event::Delete(_))) => {}
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, namespace, "Events cannot be watched"),
            }
        }
    }

    async fn look(&self, namespace: &str, event: Event) {
        let now = self.leader.operator.clock.now();
        let Some(occurrence) = Occurrence::of(&event) else { return };
        // Most Events tell their time in whole seconds.
        if occurrence.at.as_second() < self.since.as_second() || occurrence.at.as_second() + FRESH < now.as_second() {
            return;
        }
        let subscribed = self.subscriptions.borrow().get(namespace).cloned().unwrap_or_default();
        let occurrence = Arc::new(occurrence);
        // Most Events concern nobody: they are made JSON only if somebody wants them.
        let mut told = None;
        for agent in subscribed {
            for (at, trigger) in agent.spec.schedule.triggers.iter().enumerate() {
                if !wants(trigger, &occurrence) || occurrence.at < born(&agent) {
                    continue;
                }
                let place = Place { agent: agent.uid().unwrap_or_default(), trigger: at };
                if self.pace.count(&place) {
                    self.came(Came::Kept);
                    continue;
                }
                if told.is_none() {
                    told = serde_json::to_value(&event).ok();
                }
                let Some(event) = &told else { return };
                match self.leader.filters.ask(&self.leader.operator, trigger.filter.as_deref(), event).await {
                    Verdict::Pass => {}
                    Verdict::Ignore => {
                        self.came(Came::Filtered);
                        continue;
                    }
                    Verdict::Broken => {
                        self.came(Came::Broken);
                        continue;
                    }
                }
                if self.pace.admit(&place, &occurrence, self.leader.operator.clock.elapsed(), self.has_waiting_run(&agent)) {
                    self.start(&agent, &place, &occurrence, 0).await;
                } else {
                    self.came(Came::Kept);
                }
            }
        }
    }

    /// One run for all that came while none could be started.
    async fn carry_out_what_is_due(&self, subscriptions: &Subscriptions) {
        let elapsed = self.leader.operator.clock.elapsed();
        for (place, occurrence, more) in self.pace.due(elapsed) {
            let agent = subscriptions.values().flatten().find(|agent| agent.uid().as_deref() == Some(place.agent.as_str()));
            let Some(agent) = agent else { continue };
            if self.has_waiting_run(agent) {
                self.pace.put_back(&place, &occurrence, more, elapsed);
            } else {
                self.start(agent, &place, &occurrence, more).await;
            }
        }
    }

    async fn start(&self, agent: &InfraAgent, place: &Place, occurrence: &Arc<Occurrence>, more: u32) {
        let operator = &self.leader.operator;
        let key = trigger::key(&occurrence.hash());
        let mut event = occurrence.told();
        if more > 0 {
            event["moreOfThem"] = json!(more);
        }
        let event = trigger::told(&format!("event {}", occurrence.kind), event, &operator.connection.redactor([]));
        match Order::triggered(agent, RunTrigger::Event, &key, event).place(&operator.connection.client).await {
            Ok(Placed::New) => {
                self.came(Came::Fired);
                let (namespace, agent) = (agent.namespace(), agent.name_any());
                tracing::info!(namespace, agent, kind = occurrence.kind, reason = occurrence.reason, more, "an Event starts a run");
            }
            Ok(Placed::Before) => self.came(Came::Repeated),
            Err(error) => {
                self.came(Came::Failed);
                tracing::warn!(error = said(&error), agent = agent.name_any(), "the run that an Event starts cannot be created yet");
                self.pace.put_back(place, occurrence, more, operator.clock.elapsed());
            }
        }
    }

    /// It will look at the world as it is then.
    fn has_waiting_run(&self, agent: &InfraAgent) -> bool {
        let open = self.leader.open_runs(&agent.namespace().unwrap_or_default(), &agent.name_any());
        open.iter().any(|run| run.spec.trigger == RunTrigger::Event && assign::is_waiting(run))
    }

    fn came(&self, came: Came) {
        self.leader.operator.metrics.trigger(Kind::Event, came, 1);
    }
}

/// Whether an Event of this kind and reason is what the trigger waits for.
fn wants(trigger: &Trigger, occurrence: &Occurrence) -> bool {
    let Trigger { kind, source: _, filter: _, resources, reasons } = trigger;
    let names = |list: &[String], name: &str| list.is_empty() || list.iter().any(|listed| listed.eq_ignore_ascii_case(name));
    match kind {
        TriggerKind::Webhook => false,
        TriggerKind::KubernetesEvent => names(resources, &occurrence.kind) && names(reasons, &occurrence.reason),
    }
}

fn born(agent: &InfraAgent) -> Timestamp {
    agent.creation_timestamp().map_or(Timestamp::MAX, |time| time.0)
}
