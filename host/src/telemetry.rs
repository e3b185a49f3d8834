//! What the program tells about itself while it works: logs, metrics, traces and health. None of it decides anything, and losing all of it changes no run.
//!
//! | file | what it tells, and whom |
//! |---|---|
//! | [`log`] | one line per thing that happened, on standard error, redacted |
//! | [`metrics`] | counters for Prometheus, without any text of the world in a label |
//! | [`health`] | whether the process lives and is ready, for the kubelet |
//! | [`http`] | the two small servers for metrics and health |

pub mod health;
pub mod http;
pub mod log;
pub mod metrics;

use infraagent_api::{InfraAgent, agent::Observability};

use crate::run::validate::RunIdentity;

/// Which run is told about, and what its agent wants to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Namespace of agent and run.
    pub namespace: String,
    /// Name of the agent.
    pub agent: String,
    /// Uid of the agent, if it is an object of a cluster.
    pub agent_uid: Option<String>,
    /// Name of the run.
    pub run: String,
    /// Uid of the run.
    pub uid: String,
    /// What is counted, traced and logged.
    pub observability: Observability,
}

impl Subject {
    /// A run of this agent.
    pub fn of(agent: &InfraAgent, run: &RunIdentity) -> Self {
        Self {
            namespace: agent.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            agent: agent.metadata.name.clone().unwrap_or_default(),
            agent_uid: agent.metadata.uid.clone(),
            run: run.name.clone(),
            uid: run.uid.clone(),
            observability: agent.spec.observability.clone(),
        }
    }
}
