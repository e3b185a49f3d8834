//! What is said about the documents that agents refer to: environments, tiers of models, policies. One document after the other, and nothing is written that
//! stands there already.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Debug,
    sync::Arc,
    time::Duration,
};

use infraagent_api::{
    AgentEnvironment, Condition, InfraAgentPolicy, ModelTierConfig,
    environment::{AgentEnvironmentStatus, EnvironmentPhase},
    model_tier::ModelTierConfigStatus,
    policy::InfraAgentPolicyStatus,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Resource, ResourceExt as _, api::PostParams, runtime::reflector::ObjectRef};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;

use super::{
    conditions::{self, Holds, condition, merge, said},
    lead::Leader,
};
use crate::run::{
    dereference::cluster::selects,
    validate::{SecretKey, alone, supported},
};

/// When a configuration that lacks a Secret is looked at again: nobody watches Secrets.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// A document whose status may no longer be right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Dirty {
    Environment(ObjectRef<AgentEnvironment>),
    Models(ObjectRef<ModelTierConfig>),
    Policy(ObjectRef<InfraAgentPolicy>),
}

/// Writes statuses.
pub(super) async fn keep(leader: Arc<Leader>, mut dirty: mpsc::UnboundedReceiver<Dirty>) {
    let mut again: BTreeMap<String, Dirty> = BTreeMap::new();
    loop {
        let mut due = Vec::new();
        tokio::select! {
            received = dirty.recv_many(&mut due, 1024) => if received == 0 { return },
            () = tokio::time::sleep(ASK_AGAIN), if !again.is_empty() => due.extend(std::mem::take(&mut again).into_values()),
        }
        let mut done = HashSet::new();
        for document in due {
            if !done.insert(document.clone()) {
                continue;
            }
            let settled = match &document {
                Dirty::Environment(environment) => say_environment(&leader, environment).await,
                Dirty::Models(models) => say_models(&leader, models).await,
                Dirty::Policy(policy) => say_policy(&leader, policy).await,
            };
            match settled {
                Ok(true) => {}
                Ok(false) => drop(again.insert(format!("{document:?}"), document.clone())),
                Err(error) if conditions::is_conflict(&error) => drop(again.insert(format!("{document:?}"), document.clone())),
                Err(error) => {
                    tracing::warn!(error = said(&error), ?document, "a status could not be written");
                    again.insert(format!("{document:?}"), document.clone());
                }
            }
        }
    }
}

/// False: it is to be looked at again in a while.
async fn say_environment(leader: &Leader, reference: &ObjectRef<AgentEnvironment>) -> Result<bool, kube::Error> {
    let Some(found) = leader.caches.environments.get(reference) else { return Ok(true) };
    let namespace = found.namespace().unwrap_or_default();
    if !leader.watches(&namespace) {
        return Ok(true);
    }
    let (now, generation) = (leader.operator.clock.now(), found.metadata.generation);
    let name = found.name_any();
    let of_it =
        leader.caches.agents.state_filter(|agent| agent.spec.environment_ref == name && agent.namespace().as_deref() == Some(&namespace));
    let mut referenced_by: Vec<String> = of_it.iter().map(|agent| agent.name_any()).collect();
    referenced_by.sort();
    let checked = alone::environment(&found).map_err(|invalid| invalid.to_string().replace('\n', "; "));
    let accepted = accepted(&checked, now, generation);
    let ready = match &checked {
        Err(message) => condition("Ready", Holds::No, "NotAccepted", message.clone(), now, generation),
        Ok(()) if supported::is_remote(&found.spec.connection) => {
            let message = "spec.connection.kind: kubeconfig is not supported yet: use in-cluster";
            condition("Ready", Holds::No, "NotSupportedYet", message, now, generation)
        }
        Ok(()) => condition("Ready", Holds::Yes, "Ready", "agents can use it", now, generation),
    };
    let phase = if ready.status == "True" { EnvironmentPhase::Ready } else { EnvironmentPhase::Error };
    let supported = supported_condition(&supported::of_environment(&found.spec), now, generation);
    let before = found.status.clone().unwrap_or_default();
    let status = AgentEnvironmentStatus {
        observed_generation: generation,
        phase: Some(phase),
        endpoint_count: i32::try_from(found.spec.endpoints.len()).ok(),
        referenced_by,
        conditions: merge(&before.conditions, vec![accepted, ready, supported]),
    };
    if before != status {
        let api = Api::<AgentEnvironment>::namespaced(leader.operator.connection.client.clone(), &namespace);
        write(&api, &AgentEnvironment { status: Some(status), ..(*found).clone() }).await?;
    }
    Ok(true)
}

async fn say_models(leader: &Leader, reference: &ObjectRef<ModelTierConfig>) -> Result<bool, kube::Error> {
    let Some(found) = leader.caches.models.get(reference) else { return Ok(true) };
    let (now, generation) = (leader.operator.clock.now(), found.metadata.generation);
    let mut tier_status = BTreeMap::new();
    let (mut invalid, mut missing) = (Vec::new(), Vec::new());
    for (tier, checked) in alone::tiers(&found) {
        let said = match checked {
            Err(problems) => {
                let message = problems.to_string().replace('\n', "; ");
                invalid.push(message.clone());
                message
            }
            Ok(None) => "ready".to_owned(),
            Ok(Some(SecretKey { secret, key })) => match lacks(leader, &secret, &key).await? {
                None => "ready".to_owned(),
                Some(message) => {
                    missing.push(message.clone());
                    message
                }
            },
        };
        tier_status.insert(tier.to_string(), said);
    }
    let checked = if invalid.is_empty() { Ok(()) } else { Err(invalid.join("; ")) };
    let accepted = accepted(&checked, now, generation);
    let ready = match (&checked, missing.first()) {
        (Err(message), _) => condition("Ready", Holds::No, "NotAccepted", message.clone(), now, generation),
        (Ok(()), Some(message)) => condition("Ready", Holds::No, "SecretMissing", message.clone(), now, generation),
        (Ok(()), None) => condition("Ready", Holds::Yes, "Ready", "every tier can be used", now, generation),
    };
    let settled = missing.is_empty();
    let supported = supported_condition(&supported::of_models(std::slice::from_ref(&*found)), now, generation);
    let before = found.status.clone().unwrap_or_default();
    let status = ModelTierConfigStatus {
        observed_generation: generation,
        ready: Some(ready.status == "True"),
        tier_status,
        conditions: merge(&before.conditions, vec![accepted, ready, supported]),
    };
    if before != status {
        let api = Api::<ModelTierConfig>::all(leader.operator.connection.client.clone());
        write(&api, &ModelTierConfig { status: Some(status), ..(*found).clone() }).await?;
    }
    Ok(settled)
}

/// What of a Secret in the operator's namespace is missing. Its value is not kept.
async fn lacks(leader: &Leader, secret: &str, key: &str) -> Result<Option<String>, kube::Error> {
    let connection = &leader.operator.connection;
    let namespace = connection.operator_namespace.as_str();
    let found = Api::<Secret>::namespaced(connection.client.clone(), namespace).get_opt(secret).await?;
    Ok(match found.and_then(|found| found.data) {
        None => Some(format!("there is no Secret `{namespace}/{secret}`: create it with the key `{key}`")),
        Some(data) if !data.contains_key(key) => Some(format!("Secret `{namespace}/{secret}` has no key `{key}`: add it")),
        Some(_) => None,
    })
}

async fn say_policy(leader: &Leader, reference: &ObjectRef<InfraAgentPolicy>) -> Result<bool, kube::Error> {
    let Some(found) = leader.caches.policies.get(reference) else { return Ok(true) };
    let (now, generation) = (leader.operator.clock.now(), found.metadata.generation);
    let mut checked = alone::policy(&found).map_err(|invalid| invalid.to_string().replace('\n', "; "));
    let mut bound = 0;
    for namespace in leader.caches.namespaces.state() {
        match selects(&found, namespace.labels()) {
            Ok(true) => bound += 1,
            Ok(false) => {}
            Err(error) => checked = Err(error.to_string()),
        }
    }
    let accepted = accepted(&checked, now, generation);
    let ready = match &checked {
        Err(message) => condition("Ready", Holds::No, "NotAccepted", message.clone(), now, generation),
        Ok(()) => condition("Ready", Holds::Yes, "Ready", "it holds in the namespaces that it selects", now, generation),
    };
    let supported = supported_condition(&alone::unsupported_of_policy(&found), now, generation);
    let before = found.status.clone().unwrap_or_default();
    let status = InfraAgentPolicyStatus {
        observed_generation: generation,
        namespace_count: Some(bound),
        conditions: merge(&before.conditions, vec![accepted, ready, supported]),
    };
    if before != status {
        let api = Api::<InfraAgentPolicy>::all(leader.operator.connection.client.clone());
        write(&api, &InfraAgentPolicy { status: Some(status), ..(*found).clone() }).await?;
    }
    Ok(true)
}

fn accepted(checked: &Result<(), String>, now: jiff::Timestamp, generation: Option<i64>) -> Condition {
    match checked {
        Ok(()) => condition("Accepted", Holds::Yes, "Valid", "the spec has a meaning", now, generation),
        Err(message) => condition("Accepted", Holds::No, "Invalid", message.clone(), now, generation),
    }
}

fn supported_condition(without_effect: &[String], now: jiff::Timestamp, generation: Option<i64>) -> Condition {
    if without_effect.is_empty() {
        condition("Supported", Holds::Yes, "AllSupported", "every field that is set has its effect", now, generation)
    } else {
        condition("Supported", Holds::No, "NotSupportedYet", format!("no effect yet: {}", without_effect.join(", ")), now, generation)
    }
}

async fn write<K>(api: &Api<K>, object: &K) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    api.replace_status(&object.name_any(), &PostParams::default(), object).await.map(drop)
}
