//! What is to be said about an agent: whether it is accepted, whether it could run now, and what of it has no effect. Everything comes from caches; the only
//! question that is asked now and then is whether its ServiceAccount exists.

use std::sync::Arc;

use infraagent_api::{AgentEnvironment, Condition, InfraAgent, InfraAgentPolicy, ModelTierConfig, agent::ResolvedSkill, policy::Suspend};
use jiff::Timestamp;

use super::{
    conditions::{Holds, condition},
    spending::{Allowance, Spent, at_most},
};
use crate::{
    run::{
        report,
        validate::{self, Inputs, RunIdentity, SkillInput, ValidatedRun},
    },
    skill::source::{Component, Unresolved},
};

/// What an agent refers to, as far as it was found.
pub(super) struct References {
    pub(super) environment: Option<AgentEnvironment>,
    pub(super) models: Vec<ModelTierConfig>,
    /// Those that select its namespace; an error if one of them selects nothing that has a meaning.
    pub(super) policies: Result<Vec<InfraAgentPolicy>, String>,
    pub(super) skills: Vec<Result<Component, Unresolved>>,
    /// An error if it does not exist.
    pub(super) account: Result<(), String>,
}

/// What is to be said about an agent.
pub(super) struct Assessment {
    /// Accepted, Ready, Supported, GuardrailsEffective.
    pub(super) conditions: Vec<Condition>,
    /// Why no run of it can start. None: it can.
    pub(super) obstacle: Option<Obstacle>,
    /// Which artifact each skill is.
    pub(super) skills: Vec<ResolvedSkill>,
    /// Why it does not run although it could.
    pub(super) paused: Option<String>,
    /// The most that one run of it can use.
    pub(super) at_most: Spent,
    /// What the platform allows the agents of its namespace per day.
    pub(super) allowance: Allowance,
    /// It may become ready without anybody changing anything that is watched.
    pub(super) ask_again: bool,
}

/// Why no run of an agent can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Looks at everything, and says it.
pub(super) fn assess(agent: &InfraAgent, references: References, cluster: &str, now: Timestamp) -> Assessment {
    let generation = agent.metadata.generation;
    let say = |kind: &str, holds, reason: &str, message: String| condition(kind, holds, reason, message, now, generation);
    let References { environment, models, policies, skills, account } = references;
    let namespace = agent.metadata.namespace.as_deref().unwrap_or_default();
    let mut missing = Vec::new();
    let mut lacks = |reason, message: String| missing.push(Obstacle { reason, message });
    if environment.is_none() {
        let name = &agent.spec.environment_ref;
        lacks(
            "EnvironmentNotFound",
            format!("spec.environmentRef: there is no AgentEnvironment `{namespace}/{name}`: create it, or correct the reference"),
        );
    }
    if models.is_empty() {
        lacks(
            "ModelTierNotFound",
            "there is no ModelTierConfig: create one that maps the agent's tier to a provider and a model".to_owned(),
        );
    }
    if let Err(message) = &policies {
        lacks("PolicyInvalid", message.clone());
    }
    let mut ask_again = false;
    let mut components = Vec::new();
    for skill in skills {
        match skill {
            Ok(component) => components.push(component),
            Err(Unresolved { reason, message, transient }) => {
                ask_again |= transient;
                lacks(reason, message);
            }
        }
    }
    let resolved = components
        .iter()
        .map(|one| ResolvedSkill {
            name: one.manifest.name.clone(),
            version: Some(one.manifest.version.to_string()),
            digest: one.digest.clone(),
        })
        .collect();
    let paused = paused(agent, policies.as_deref().unwrap_or_default());
    let allowance = Allowance::of(policies.as_deref().unwrap_or_default());
    let mut most = Spent::default();
    let (accepted, obstacle, standing) = match (environment, policies, missing.into_iter().next()) {
        (Some(environment), Ok(policies), None) => {
            let skills =
                components.iter().map(|one| SkillInput { manifest: Arc::clone(&one.manifest), digest: one.digest.clone() }).collect();
            let remote = validate::supported::is_remote(&environment.spec.connection);
            let inputs = Inputs {
                agent: agent.clone(),
                environment,
                models,
                policies,
                skills,
                cluster: cluster.to_owned(),
                run: RunIdentity { name: String::new(), uid: String::new(), input: None },
            };
            match validate::validate(inputs) {
                Err(invalid) => {
                    let message = invalid.to_string().replace('\n', "; ");
                    let obstacle = Obstacle { reason: "NotAccepted", message: message.clone() };
                    (say("Accepted", Holds::No, "Invalid", message), Some(obstacle), Vec::new())
                }
                Ok(run) => {
                    most = at_most(run.limits.tokens, run.model.prices);
                    ask_again |= account.is_err();
                    let obstacle = match account {
                        Err(message) => Some(Obstacle { reason: "ServiceAccountNotFound", message }),
                        Ok(()) if remote => Some(Obstacle {
                            reason: "EnvironmentNotReady",
                            message: "the AgentEnvironment has `spec.connection.kind: kubeconfig`, which is not supported yet".to_owned(),
                        }),
                        Ok(()) if allowance.nanos.is_some() && run.model.prices.is_none() => Some(Obstacle {
                            reason: "NoPrice",
                            message: format!(
                                "a policy limits the cost per day, and `{}` has no price: add it to the ModelTierConfig",
                                run.model.id()
                            ),
                        }),
                        Ok(()) => None,
                    };
                    let accepted = say("Accepted", Holds::Yes, "Valid", "the spec and what it refers to have a meaning".to_owned());
                    (accepted, obstacle, standing(&run, now, generation))
                }
            }
        }
        (_, _, missing) => {
            let obstacle = missing.unwrap_or(Obstacle { reason: "ReferencesMissing", message: String::new() });
            (say("Accepted", Holds::Unknown, "ReferencesMissing", obstacle.message.clone()), Some(obstacle), Vec::new())
        }
    };
    let ready = match (&obstacle, &paused) {
        (Some(Obstacle { reason, message }), _) => say("Ready", Holds::No, reason, message.clone()),
        (None, Some(why)) => say("Ready", Holds::Yes, "Paused", why.clone()),
        (None, None) => say("Ready", Holds::Yes, "Ready", "runs can start, by the schedule and when they are ordered".to_owned()),
    };
    let mut conditions = vec![accepted, ready];
    conditions.extend(standing);
    Assessment { conditions, obstacle, skills: resolved, paused, at_most: most, allowance, ask_again }
}

/// What stands whether or not the agent runs.
fn standing(run: &ValidatedRun, now: Timestamp, generation: Option<i64>) -> Vec<Condition> {
    let mut conditions = report::standing(run, now);
    for condition in &mut conditions {
        condition.observed_generation = generation;
    }
    conditions
}

/// Why an agent that could run does not.
fn paused(agent: &InfraAgent, policies: &[InfraAgentPolicy]) -> Option<String> {
    if agent.spec.paused {
        return Some("spec.paused is true".to_owned());
    }
    let suspending = policies.iter().find(|policy| match policy.spec.suspend {
        Suspend::All => true,
        Suspend::None | Suspend::Mutations => false,
    });
    suspending.map(|policy| format!("InfraAgentPolicy `{}` suspends everything", policy.metadata.name.as_deref().unwrap_or_default()))
}
