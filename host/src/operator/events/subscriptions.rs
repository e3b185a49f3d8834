//! Which agents wait for Events of which namespaces.

use std::{collections::BTreeMap, sync::Arc};

use infraagent_api::{InfraAgent, agent::TriggerKind};
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use super::access::Access;
use crate::{operator::lead::Leader, run::validate::supported::is_remote};

/// In how many namespaces Events are watched.
const MOST: usize = 512;

/// Namespaces, and the agents that wait for their Events.
pub(super) type Subscriptions = BTreeMap<String, Vec<Arc<InfraAgent>>>;

/// Those of the agents that run, and may read the Events.
pub(super) async fn subscriptions(leader: &Leader, access: &Access) -> Subscriptions {
    let mut found = Subscriptions::new();
    let waits = |agent: &InfraAgent| agent.spec.schedule.triggers.iter().any(|trigger| trigger.kind == TriggerKind::KubernetesEvent);
    for agent in leader.caches.agents.state() {
        let home = agent.namespace().unwrap_or_default();
        if !waits(&agent) || agent.spec.paused || agent.metadata.deletion_timestamp.is_some() || !leader.watches(&home) {
            continue;
        }
        let environment = leader.caches.environments.get(&ObjectRef::new(&agent.spec.environment_ref).within(&home));
        // What happens in another cluster is not seen here.
        let Some(environment) = environment.filter(|environment| !is_remote(&environment.spec.connection)) else { continue };
        let namespaces = environment.spec.namespaces.groups().flat_map(|(_, members)| members).collect::<std::collections::BTreeSet<_>>();
        for namespace in namespaces {
            if !access.allows(&leader.operator, &agent, namespace).await {
                continue;
            }
            if found.len() >= MOST && !found.contains_key(namespace) {
                tracing::warn!(namespace, "Events of so many namespaces are not watched");
                continue;
            }
            found.entry(namespace.clone()).or_default().push(Arc::clone(&agent));
        }
    }
    found
}
