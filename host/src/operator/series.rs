//! Every replica has series of the agents whose runs it executed, and the leader of those that it looks after. Agents go, and their series with them: otherwise
//! Prometheus is told for ever of what is no more.

use std::{collections::HashSet, sync::Arc};

use infraagent_api::InfraAgent;
use kube::ResourceExt as _;

use super::{
    Operator,
    hold::Holder,
    shared_watch::{Listening, Sight},
};

/// Namespace and name of an agent.
pub(super) type AgentKey = (String, String);

/// Follows which agents there are, as long as what is returned lives.
pub(super) fn follow(operator: &Operator, holder: &Arc<Holder>) -> Listening<InfraAgent> {
    let (metrics, holder) = (operator.metrics.clone(), Arc::clone(holder));
    operator.agents.listen(move |sight| match sight {
        // Whoever went while nobody watched is missing in the list.
        Sight::All(agents) => {
            let there: HashSet<AgentKey> = agents.iter().map(|agent| key(agent)).collect();
            metrics.agents().into_iter().filter(|agent| !there.contains(agent)).for_each(|agent| holder.agent_went(agent));
        }
        Sight::There(agent) => holder.agent_is_there(&key(agent)),
        Sight::Gone(agent) => holder.agent_went(key(agent)),
    })
}

fn key(agent: &InfraAgent) -> AgentKey {
    (agent.namespace().unwrap_or_default(), agent.name_any())
}
