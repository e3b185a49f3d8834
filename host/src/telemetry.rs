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

use infraagent_api::{AgentRun, InfraAgent, agent::Observability};

use self::{metrics::Metrics, trace::Traces};
use crate::run::validate::ValidatedRun;

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
    /// A run as it was ordered. If its agent cannot be read, it is told about as agents are that say nothing about it.
    pub fn ordered(run: &AgentRun, agent: Option<&InfraAgent>) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            namespace: text(&run.metadata.namespace),
            agent: run.spec.agent_ref.clone(),
            agent_uid: agent.and_then(|agent| agent.metadata.uid.clone()),
            run: text(&run.metadata.name),
            uid: text(&run.metadata.uid),
            observability: agent.map(|agent| agent.spec.observability.clone()).unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::fixture;

    #[test]
    fn a_run_is_told_about_as_its_agent_says_and_without_one_by_default() {
        let order: AgentRun = fixture::object(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
            "metadata": { "name": "forge-1", "namespace": "agents", "uid": "run-uid" },
            "spec": { "agentRef": "forge", "environmentRef": "site-a", "trigger": "manual" },
        }));
        let mut agent = fixture::agent();
        agent["spec"]["observability"] = json!({ "metrics": false });
        let subject = Subject::ordered(&order, Some(&fixture::object(agent.clone())));
        let run = fixture::run(|documents| documents.agent = agent);
        assert_eq!(subject, Subject::from(&run), "before and after it was validated");
        assert!(!subject.observability.metrics && subject.observability.tracing);
        assert_eq!(Subject::ordered(&order, None), Subject { agent_uid: None, observability: Observability::default(), ..subject });
    }
}
