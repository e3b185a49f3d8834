//! Which agents a webhook can start. Every replica follows them by itself, since any replica may be asked; of agents without such a trigger nothing is kept.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use infraagent_api::{
    InfraAgent,
    agent::{Trigger, TriggerKind},
};
use kube::ResourceExt as _;

use crate::operator::{
    Operator, Settings,
    shared_watch::{Listening, Sight},
};

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

    /// Follows them as long as what is returned lives.
    pub(super) fn follow(self: &Arc<Self>, operator: &Arc<Operator>) -> Listening<InfraAgent> {
        let gate = operator.health.gate("webhooks");
        let (subscribers, settings) = (Arc::clone(self), operator.settings.clone());
        operator.agents.listen(move |sight| {
            let mut all = subscribers.0.write().unwrap_or_else(PoisonError::into_inner);
            match sight {
                Sight::All(agents) => {
                    let listening = agents.iter().filter(|agent| listens(agent, &settings));
                    *all = Some(listening.map(|agent| (key(agent), Arc::clone(agent))).collect());
                    gate.open();
                }
                Sight::There(agent) => {
                    let Some(known) = all.as_mut() else { return };
                    if listens(agent, &settings) {
                        known.insert(key(agent), Arc::clone(agent));
                    } else {
                        known.remove(&key(agent));
                    }
                }
                Sight::Gone(agent) => {
                    if let Some(known) = all.as_mut() {
                        known.remove(&key(agent));
                    }
                }
            }
        })
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

fn listens(agent: &InfraAgent, settings: &Settings) -> bool {
    let is_named = agent.spec.schedule.triggers.iter().any(|trigger| trigger.kind == TriggerKind::Webhook);
    is_named && agent.metadata.deletion_timestamp.is_none() && settings.watches(&agent.namespace().unwrap_or_default())
}
