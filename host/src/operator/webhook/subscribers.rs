//! Which agents a webhook can start. Every replica follows them by itself, since any replica may be asked; of agents without such a trigger nothing is kept.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use futures::{StreamExt as _, TryStreamExt as _};
use infraagent_api::{
    InfraAgent,
    agent::{Trigger, TriggerKind},
};
use kube::{
    Api, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};

use crate::operator::Operator;

type Known = HashMap<(String, String), Arc<InfraAgent>>;

/// The agents that have a trigger of type webhook.
#[derive(Debug, Default)]
pub(super) struct Subscribers(RwLock<Option<Known>>);

impl Subscribers {
    /// Those that name the source, in a stable order. None before the agents are known.
    pub(super) fn of(&self, source: &str) -> Option<Vec<Arc<InfraAgent>>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = known.as_ref()?.iter().filter(|(_, agent)| filters(agent, source).next().is_some()).collect();
        found.sort_by_key(|(key, _)| *key);
        Some(found.into_iter().map(|(_, agent)| Arc::clone(agent)).collect())
    }

    /// Follows them as long as it is polled.
    pub(super) async fn follow(&self, operator: &Operator) {
        let gate = operator.health.gate("webhooks");
        let api = Api::<InfraAgent>::all(operator.watching.clone());
        let mut changes = watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut listed = Known::new();
        loop {
            match changes.try_next().await {
                Ok(Some(watcher::Event::Init)) => listed.clear(),
                Ok(Some(watcher::Event::InitApply(agent))) => keep(&mut listed, operator, agent),
                Ok(Some(watcher::Event::InitDone)) => {
                    *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(std::mem::take(&mut listed));
                    gate.open();
                }
                Ok(Some(watcher::Event::Apply(agent))) => {
                    if let Some(known) = self.0.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
                        keep(known, operator, agent);
                    }
                }
                Ok(Some(watcher::Event::Delete(agent))) => {
                    if let Some(known) = self.0.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
                        known.remove(&key(&agent));
                    }
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "agents cannot be watched for webhooks"),
            }
        }
    }
}

/// The filters of the triggers of this source.
pub(super) fn filters<'a>(agent: &'a InfraAgent, source: &'a str) -> impl Iterator<Item = Option<&'a str>> {
    agent.spec.schedule.triggers.iter().filter_map(move |trigger| {
        let Trigger { kind, source: named, filter, resources: _, reasons: _ } = trigger;
        match kind {
            TriggerKind::Webhook => (named.as_deref() == Some(source)).then_some(filter.as_deref()),
            TriggerKind::KubernetesEvent => None,
        }
    })
}

fn key(agent: &InfraAgent) -> (String, String) {
    (agent.namespace().unwrap_or_default(), agent.name_any())
}

/// Only of the spec is anything needed later.
fn keep(known: &mut Known, operator: &Operator, mut agent: InfraAgent) {
    let key = key(&agent);
    let listens = agent.spec.schedule.triggers.iter().any(|trigger| trigger.kind == TriggerKind::Webhook);
    if !listens || agent.metadata.deletion_timestamp.is_some() || !operator.settings.watches(&key.0) {
        known.remove(&key);
        return;
    }
    (agent.status, agent.metadata.managed_fields, agent.metadata.annotations) = (None, None, None);
    known.insert(key, Arc::new(agent));
}
