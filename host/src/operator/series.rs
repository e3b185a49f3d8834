//! Every replica has series of the agents whose runs it executed, and the leader of those that it looks after. Agents go, and their series with them: otherwise
//! Prometheus is told for ever of what is no more.

use std::{collections::HashSet, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _};
use infraagent_api::InfraAgent;
use kube::{
    Api, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt as _, watcher},
};

use super::{Operator, hold::Holder};

/// Namespace and name of an agent.
pub(super) type AgentKey = (String, String);

/// Follows which agents there are, by their metadata, and keeps none of it.
pub(super) async fn follow(operator: Arc<Operator>, holder: Arc<Holder>) {
    let api = Api::<PartialObjectMeta<InfraAgent>>::all(operator.watching.clone());
    let mut changes = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut listed = HashSet::new();
    loop {
        match changes.try_next().await {
            Ok(Some(watcher::Event::Init)) => listed.clear(),
            Ok(Some(watcher::Event::InitApply(agent))) => {
                listed.insert(key(&agent));
            }
            // Whoever went while nobody watched is missing in the list.
            Ok(Some(watcher::Event::InitDone)) => {
                let listed = std::mem::take(&mut listed);
                operator.metrics.agents().into_iter().filter(|agent| !listed.contains(agent)).for_each(|agent| holder.agent_went(agent));
            }
            Ok(Some(watcher::Event::Apply(agent))) => holder.agent_is_there(&key(&agent)),
            Ok(Some(watcher::Event::Delete(agent))) => holder.agent_went(key(&agent)),
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, "agents cannot be watched"),
        }
    }
}

fn key(agent: &PartialObjectMeta<InfraAgent>) -> AgentKey {
    (agent.namespace().unwrap_or_default(), agent.name_any())
}
