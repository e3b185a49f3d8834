//! Orders become AgentRuns. The name of a run says which order it carries out, so whoever carries the same order out again finds it done: neither a failover nor
//! two replicas start anything twice.
//!
//! | order | name of the run |
//! |---|---|
//! | the schedule | `<agent>-<uid8>-<unix minute of the tick>` |
//! | run-now | `<agent>-<uid8>-<resourceVersion of the annotated agent>` |
//! | a webhook or an Event | `<agent>-<uid8>-<hash of what happened>` ([`super::trigger`]) |
//! | a retry | `<first run>-r<attempt>` |
//!
//! What a webhook or an Event says goes into the order (`spec.input`), which never changes and is part of the record's hashes. It is data from the world: cut, with the
//! digest of the whole, and shown to the model as untrusted.

use infraagent_api::{
    AgentRun, AgentRunSpec, InfraAgent, LABEL_AGENT, ObjectMeta,
    run::{RECORD_VERSION, RunInput, RunTrigger},
};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::PostParams};

use super::MANAGER;
use crate::schedule::Due;

/// On a scheduled run: the tick of the schedule that it was created for.
pub(super) const TICK: &str = "infraagent.io/tick";

/// A run that is to be created.
#[derive(Debug, Clone)]
pub struct Order {
    name: String,
    namespace: String,
    spec: AgentRunSpec,
    tick: Option<Timestamp>,
}

/// What came of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The run was created.
    New,
    /// A run of this name was there: somebody carried the order out before.
    Before,
}

impl Order {
    /// By the annotation run-now, on this version of the agent.
    pub fn now(agent: &InfraAgent) -> Self {
        Self::of(agent, RunTrigger::Manual, &agent.resource_version().unwrap_or_default())
    }

    /// By the agent's schedule.
    pub fn scheduled(agent: &InfraAgent, due: Due) -> Self {
        Self { tick: Some(due.tick), ..Self::of(agent, RunTrigger::Scheduled, &due.minute().to_string()) }
    }

    /// The same order again: a rehearsal stays one, whatever the agent does by itself.
    pub fn again(run: &AgentRun) -> Self {
        let first = run.spec.retry_of.clone().unwrap_or_else(|| run.name_any());
        let attempt = run.spec.attempt.saturating_add(1);
        Self {
            name: format!("{first}-r{attempt}"),
            namespace: run.namespace().unwrap_or_default(),
            spec: AgentRunSpec { retry_of: Some(first), attempt, record_version: RECORD_VERSION, ..run.spec.clone() },
            tick: None,
        }
    }

    /// By something that happened, which the key names.
    pub(super) fn triggered(agent: &InfraAgent, trigger: RunTrigger, key: &str, input: RunInput) -> Self {
        let mut order = Self::of(agent, trigger, key);
        order.spec.input = Some(input);
        order
    }

    fn of(agent: &InfraAgent, trigger: RunTrigger, key: &str) -> Self {
        let name = agent.name_any();
        let uid8: String = agent.uid().unwrap_or_default().chars().take(8).collect();
        Self {
            name: format!("{}-{uid8}-{key}", stem(&name)),
            namespace: agent.namespace().unwrap_or_default(),
            spec: AgentRunSpec {
                agent_ref: name,
                agent_uid: agent.uid(),
                environment_ref: agent.spec.environment_ref.clone(),
                trigger,
                model_used: None,
                mode: agent.spec.mode,
                retry_of: None,
                attempt: 1,
                input: None,
                approval_ref: None,
                record_version: RECORD_VERSION,
            },
            tick: None,
        }
    }

    /// What the run is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates the run, unless it is there.
    pub async fn place(self, client: &kube::Client) -> Result<Placed, kube::Error> {
        let Self { name, namespace, spec, tick } = self;
        let metadata = ObjectMeta {
            name: Some(name),
            namespace: Some(namespace.clone()),
            labels: Some([(LABEL_AGENT.to_owned(), stem(&spec.agent_ref))].into()),
            annotations: tick.map(|tick| [(TICK.to_owned(), tick.to_string())].into()),
            ..ObjectMeta::default()
        };
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match Api::namespaced(client.clone(), &namespace).create(&parameters, &AgentRun { metadata, spec, status: None }).await {
            Ok(_) => Ok(Placed::New),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Placed::Before),
            Err(error) => Err(error),
        }
    }
}

/// The tick that a run was created for.
pub(super) fn tick(run: &AgentRun) -> Option<Timestamp> {
    run.annotations().get(TICK)?.parse().ok()
}

/// A name can be longer than the value of a label, or than what leaves room for what follows.
fn stem(name: &str) -> String {
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn agent(name: &str) -> InfraAgent {
        let spec = json!({ "description": "d", "schedule": {}, "skills": [{ "name": "s" }], "environmentRef": "e", "mode": "shadow" });
        let metadata = json!({ "namespace": "agents", "name": name, "uid": "0123456789ab", "resourceVersion": "77" });
        serde_json::from_value(
            json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent", "metadata": metadata, "spec": spec }),
        )
        .unwrap()
    }

    #[test]
    fn a_run_is_called_after_its_order() {
        let tick: Timestamp = "2026-11-23T11:00:00Z".parse().unwrap();
        let due = Due { tick, at: tick + jiff::SignedDuration::from_secs(29) };
        assert_eq!(Order::scheduled(&agent("forge"), due).name(), format!("forge-01234567-{}", tick.as_second() / 60));
        assert_eq!(Order::now(&agent("forge")).name(), "forge-01234567-77");
        let long = "a".repeat(62) + "-" + &"b".repeat(190);
        assert_eq!(Order::now(&agent(&long)).name(), format!("{}-01234567-77", "a".repeat(62)));
    }

    #[test]
    fn a_retry_is_the_same_order_and_its_retry_too() {
        let Order { name, namespace, spec, tick: _ } = Order::now(&agent("forge"));
        let metadata = ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() };
        let first = AgentRun { metadata, spec, status: None };
        let again = Order::again(&first);
        assert_eq!((again.name(), again.spec.attempt, again.spec.mode), ("forge-01234567-77-r2", 2, first.spec.mode));
        let metadata = ObjectMeta { name: Some(again.name.clone()), ..first.metadata.clone() };
        let second = AgentRun { metadata, spec: again.spec, status: None };
        let third = Order::again(&second);
        assert_eq!((third.name(), third.spec.retry_of.as_deref()), ("forge-01234567-77-r3", Some("forge-01234567-77")));
    }
}
