//! What the program tells about itself while it works: logs, metrics, traces and health. None of it decides anything, and losing all of it changes no run.
//!
//! | file | what it tells, and whom |
//! |---|---|
//! | [`log`] | one line per thing that happened, on standard error, redacted |
//! | [`metrics`] | counters for Prometheus, without any text of the world in a label |
//! | [`health`] | whether the process lives and is ready, for the kubelet |
//! | [`trace`] | spans of runs for an OpenTelemetry collector, without content |
//! | [`run`] | all of it for one run: what whoever executes runs works with |
//! | [`http`] | the two small servers for metrics and health |

pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod run;
pub mod trace;

use infraagent_api::{InfraAgent, agent::Observability};

use self::{metrics::Metrics, trace::Traces};
use crate::run::validate::{RunIdentity, ValidatedRun};

/// What runs are told with. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Counts them; none: nobody asks.
    pub metrics: Option<Metrics>,
    /// Traces them.
    pub traces: Traces,
}

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

impl From<&ValidatedRun> for Subject {
    fn from(run: &ValidatedRun) -> Self {
        Self {
            namespace: run.agent.namespace.to_string(),
            agent: run.agent.name.clone(),
            agent_uid: run.agent.uid.clone(),
            run: run.run.name.clone(),
            uid: run.run.uid.clone(),
            observability: run.observability.clone(),
        }
    }
}

/// The longest name in a label or attribute, in bytes.
const MAX_LABEL: usize = 128;

/// A name that somebody chose, such as a model's, so that it is a name for sure: ASCII letters, digits and a few marks, and not long.
fn label(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_./:@+".contains(c) { c } else { '_' };
    name.chars().map(plain).take(MAX_LABEL).collect()
}
