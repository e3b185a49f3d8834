//! What is said about the documents that agents refer to: environments, tiers of models, policies.

use std::sync::Arc;

use infraagent_api::{AgentEnvironment, InfraAgentPolicy, ModelTierConfig};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use super::lead::Leader;

/// A document whose status may no longer be right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Dirty {
    Environment(ObjectRef<AgentEnvironment>),
    Models(ObjectRef<ModelTierConfig>),
    Policy(ObjectRef<InfraAgentPolicy>),
}

/// Writes statuses, one document after the other.
pub(super) async fn keep(leader: Arc<Leader>, mut dirty: mpsc::UnboundedReceiver<Dirty>) {
    let _ = &leader;
    while let Some(document) = dirty.recv().await {
        tracing::trace!(?document, "changed");
    }
}
