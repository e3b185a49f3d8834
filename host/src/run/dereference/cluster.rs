//! Reads the documents of a run from a cluster: the agent by its name, its environment, the policies of the platform that select its namespace, and the
//! ModelTierConfigs.
//!
//! Every request is a quorum read (no resourceVersion is asked for), so the answer is what held when it was asked. What cannot be read ends the run, or denies the
//! call that it was read for: nothing is guessed, and a policy whose selector means nothing is not skipped.

use std::sync::Arc;

use infraagent_api::{AgentEnvironment, InfraAgent, InfraAgentPolicy, ModelTierConfig};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Resource,
    api::ListParams,
    core::{PartialObjectMeta, Selector, SelectorExt as _},
};
use serde::de::DeserializeOwned;

/// Whose documents are read, and with which rights.
#[derive(Clone)]
pub struct Reader {
    client: kube::Client,
    namespace: String,
    agent: String,
}

/// What may change while a run goes on, and holds for the next call when it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Governing {
    /// The agent.
    pub agent: InfraAgent,
    /// The environment that it names. Shared by runs that read the same.
    pub environment: Arc<AgentEnvironment>,
    /// The policies that select its namespace, by name. Shared too.
    pub policies: Arc<Vec<InfraAgentPolicy>>,
}

/// What could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("there is no {kind} `{name}`: {hint}")]
    Missing {
        /// Its kind.
        kind: String,
        /// Its name, with its namespace if it has one.
        name: String,
        /// What to do.
        hint: String,
    },
    /// The API server did not answer, or said no.
    #[error("cannot read {what}: {message}")]
    Unreadable {
        /// What was asked for.
        what: String,
        /// What the API server said.
        message: String,
    },
    /// A policy selects namespaces in words that mean nothing.
    #[error("InfraAgentPolicy `{policy}`, `spec.namespaceSelector`: {message}")]
    Selector {
        /// The policy.
        policy: String,
        /// What is wrong.
        message: String,
    },
    /// A Secret has no such key.
    #[error("Secret `{secret}` has no key `{key}` ({has}), which {needs} needs: add it")]
    Key {
        /// The Secret, with its namespace.
        secret: String,
        /// The key.
        key: String,
        /// The keys that it has.
        has: String,
        /// What it is for.
        needs: String,
    },
}

impl Reader {
    /// A reader for one agent.
    pub fn new(client: kube::Client, namespace: &str, agent: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), agent: agent.to_owned() }
    }

    /// The documents that decisions rest on, as they are now.
    pub async fn governing(&self) -> Result<Governing, Error> {
        let (agent, policies) = tokio::try_join!(self.agent(), self.policies())?;
        let environment = self.environment(&agent).await?;
        Ok(Governing { agent, environment: Arc::new(environment), policies: Arc::new(policies) })
    }

    /// The same, with an agent that was just read.
    pub async fn governing_of(&self, agent: InfraAgent) -> Result<Governing, Error> {
        let (environment, policies) = tokio::try_join!(self.environment(&agent), self.policies())?;
        Ok(Governing { agent, environment: Arc::new(environment), policies: Arc::new(policies) })
    }

    /// The agent alone.
    pub async fn agent(&self) -> Result<InfraAgent, Error> {
        named(&self.client, &self.namespace, &self.agent, "create it, or correct --agent-name and --namespace").await
    }

    /// The environment that the agent names.
    pub(super) async fn environment(&self, agent: &InfraAgent) -> Result<AgentEnvironment, Error> {
        let hint = format!("InfraAgent `{}` names it in `spec.environmentRef`: create it, or correct the reference", self.shown());
        named(&self.client, &self.namespace, &agent.spec.environment_ref, &hint).await
    }

    /// The policies that select the agent's namespace.
    pub(super) async fn policies(&self) -> Result<Vec<InfraAgentPolicy>, Error> {
        policies(&self.client, &self.namespace).await
    }

    /// Every ModelTierConfig.
    pub async fn models(&self) -> Result<Vec<ModelTierConfig>, Error> {
        listed(&Api::all(self.client.clone())).await
    }

    /// The agent's namespace.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Namespace and name of the agent.
    pub fn shown(&self) -> String {
        format!("{}/{}", self.namespace, self.agent)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client: _, namespace, agent } = self;
        f.debug_struct("Reader").field("namespace", namespace).field("agent", agent).finish_non_exhaustive()
    }
}

/// That the ServiceAccount exists, whose rights a run acts with. A run never falls back to the rights of whoever started it.
pub async fn check_service_account(client: &kube::Client, namespace: &str, name: &str) -> Result<(), Error> {
    let hint =
        "the agent acts with its rights and with nobody else's: create it and bind roles to it, or correct `spec.serviceAccountName`";
    let found = metadata::<ServiceAccount>(&Api::namespaced(client.clone(), namespace), name).await?;
    match found {
        Some(account) if account.deletion_timestamp.is_none() => Ok(()),
        Some(_) | None => {
            Err(Error::Missing { kind: "ServiceAccount".to_owned(), name: format!("{namespace}/{name}"), hint: hint.to_owned() })
        }
    }
}

/// The policies that hold in a namespace, by name.
async fn policies(client: &kube::Client, namespace: &str) -> Result<Vec<InfraAgentPolicy>, Error> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let policies = Api::<InfraAgentPolicy>::all(client.clone());
    let (found, policies) = tokio::try_join!(metadata(&namespaces, namespace), listed(&policies))?;
    let Some(found) = found else {
        return Err(Error::Missing { kind: "Namespace".to_owned(), name: namespace.to_owned(), hint: "correct --namespace".to_owned() });
    };
    let labels = found.labels.unwrap_or_default();
    let mut holding = Vec::new();
    for policy in policies {
        if selects(&policy, &labels)? {
            holding.push(policy);
        }
    }
    holding.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok(holding)
}

/// Whether a policy binds the agents of a namespace with these labels. Without a selector it binds all.
pub fn selects(policy: &InfraAgentPolicy, labels: &std::collections::BTreeMap<String, String>) -> Result<bool, Error> {
    let Some(selector) = policy.spec.namespace_selector.clone() else { return Ok(true) };
    let wrong = |message: String| Error::Selector { policy: policy.metadata.name.clone().unwrap_or_default(), message };
    Ok(Selector::try_from(selector).map_err(|error| wrong(error.to_string()))?.matches(labels))
}

async fn named<K>(client: &kube::Client, namespace: &str, name: &str, hint: &str) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + std::fmt::Debug,
{
    let what = format!("{} `{namespace}/{name}`", K::kind(&()));
    match Api::<K>::namespaced(client.clone(), namespace).get(name).await {
        Ok(found) => Ok(light(found)),
        Err(kube::Error::Api(status)) if status.code == 404 && status.details.is_some() => {
            Err(Error::Missing { kind: K::kind(&()).into_owned(), name: format!("{namespace}/{name}"), hint: hint.to_owned() })
        }
        Err(error) => Err(unreadable(what, &error)),
    }
}

async fn listed<K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug>(api: &Api<K>) -> Result<Vec<K>, Error> {
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(list.items.into_iter().map(light).collect()),
        Err(error) => Err(unreadable(K::plural(&()).into_owned(), &error)),
    }
}

/// Without who changed what when: nobody asks, a run keeps its documents, and it is the largest part of them.
fn light<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

async fn metadata<K>(api: &Api<K>, name: &str) -> Result<Option<ObjectMeta>, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
{
    match api.get_metadata_opt(name).await {
        Ok(found) => Ok(found.map(|PartialObjectMeta { metadata, .. }| metadata)),
        Err(error) => Err(unreadable(format!("{} `{name}`", K::kind(&())), &error)),
    }
}

/// In the API server's words; a definition that is not installed is not in them.
pub(super) fn unreadable(what: String, error: &kube::Error) -> Error {
    let message = match error {
        kube::Error::Api(status) if status.code == 404 => {
            "the API server does not know this kind: install the definitions with `infraagent crds | kubectl apply --server-side -f -`"
                .to_owned()
        }
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    Error::Unreadable { what, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::fixture::{object, policy};

    fn with_selector(selector: serde_json::Value) -> InfraAgentPolicy {
        let mut policy = policy();
        policy["spec"]["namespaceSelector"] = selector;
        object(policy)
    }

    #[test]
    fn a_policy_binds_the_namespaces_that_it_selects() {
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let production = labels(&[("env", "production"), ("team", "shop")]);
        let bare = labels(&[]);
        let by_label = with_selector(json!({ "matchLabels": { "env": "production" } }));
        assert!(selects(&by_label, &production).unwrap() && !selects(&by_label, &bare).unwrap());
        let by_expression = with_selector(json!({ "matchExpressions": [{ "key": "env", "operator": "NotIn", "values": ["production"] }] }));
        assert!(!selects(&by_expression, &production).unwrap() && selects(&by_expression, &bare).unwrap());
        assert!(selects(&object(policy()), &bare).unwrap(), "without a selector it binds all");
        assert!(selects(&with_selector(json!({})), &bare).unwrap(), "an empty selector selects everything");
    }

    #[test]
    fn a_selector_that_means_nothing_is_an_error_and_no_policy_is_skipped() {
        let odd = with_selector(json!({ "matchExpressions": [{ "key": "env", "operator": "Like", "values": ["prod*"] }] }));
        assert!(selects(&odd, &[].into()).unwrap_err().to_string().starts_with("InfraAgentPolicy `platform`, `spec.namespaceSelector`"));
    }
}
