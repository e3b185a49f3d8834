//! A cluster, as this program's own user sees it: what all runs on it share, and what each of them needs before it begins.

use std::sync::Arc;

use infraagent_api::AgentEnvironment;
use infraagent_guard::name::{Namespace, ObjectName};
use kube::Config;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    dereference::{
        cluster,
        recent::Recent,
        secrets::{self, SecretValue},
    },
    validate::{ValidatedRun, supported},
};
use crate::{
    audit::{Redactor, Redactors},
    broker::{
        cooldown::Leases,
        http::{Http, Secrets, Setup, names::Protected},
        kubernetes::{Access, ConnectError, EFFECT_TIMEOUT, Identity, Kubernetes, turns},
    },
};

/// How long the API server may take to answer.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(10);

/// A cluster, as this program's own user sees it. Clones share its connections.
#[derive(Clone)]
pub struct Connection {
    /// For what this user reads and writes himself. It tries nothing twice, waits for no answer for longer than ten seconds, and
    /// sends a limited number of requests at a time.
    pub client: kube::Client,
    /// The same for Leases, which cannot wait until others had their turn.
    pub leases: kube::Client,
    /// What runs that begin at about the same time read in common.
    pub recent: Arc<Recent>,
    /// For what runs look at and change.
    pub access: Access,
    /// The uid of `kube-system`.
    pub id: String,
    /// Where the Secrets of models and the cooldowns are.
    pub operator_namespace: Namespace,
    /// The longest that an effect may take; the fence of a run counts on it.
    pub effect: std::time::Duration,
    config: Arc<Config>,
    redactors: Arc<Redactors>,
}

/// Why a run cannot act here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment is another cluster.
    #[error(
        "AgentEnvironment `{0}`, `spec.connection.kind`: `kubeconfig` is not supported yet, so the environment is not Ready: use `in-cluster` to act on the cluster that is connected to"
    )]
    Remote(String),
    /// A document cannot be read.
    #[error(transparent)]
    Document(#[from] cluster::Error),
    /// The cluster cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The ServiceAccount has a name that no ServiceAccount can have.
    #[error("`spec.serviceAccountName`: {0}")]
    ServiceAccount(String),
}

impl Connection {
    /// Connects, and asks the cluster who it is.
    pub async fn open(mut config: Config, operator_namespace: Namespace) -> Result<Self, ConnectError> {
        config.default_retry = false;
        let access = Access::connect(&config)?;
        let id = access.id().await?;
        let mut patient = config.clone();
        (patient.read_timeout, patient.reset_reader_on_write) = (Some(ANSWER), true);
        let (leases, client) = (kube::Client::try_from(patient.clone())?, turns::client(patient)?);
        let recent = Arc::default();
        Ok(Self {
            client,
            leases,
            recent,
            access,
            id,
            operator_namespace,
            effect: EFFECT_TIMEOUT,
            config: Arc::new(config),
            redactors: Arc::default(),
        })
    }

    /// How the cluster is reached.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the Secrets of the environment's credentials.
    pub async fn credentials(&self, environment: &AgentEnvironment) -> Result<Secrets, Error> {
        let metadata = &environment.metadata;
        let (namespace, name) = (metadata.namespace.as_deref().unwrap_or("default"), metadata.name.as_deref().unwrap_or_default());
        let mut credentials = Secrets::default();
        for SecretValue { secret, key, value } in secrets::of_environment(&self.client, namespace, name, &environment.spec).await? {
            credentials.insert(&secret, &key, value.expose_secret());
        }
        Ok(credentials)
    }

    /// What opens the cluster to whoever has it. None of it may leave.
    pub fn secrets(&self) -> Vec<SecretString> {
        let auth = &self.config.auth_info;
        let file = auth.token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).map(SecretString::from);
        [auth.token.clone(), auth.password.clone(), auth.client_key_data.clone(), file]
            .into_iter()
            .flatten()
            .filter(|secret| !secret.expose_secret().trim().is_empty())
            .collect()
    }

    /// The redactor of a run that also knows these secrets. Runs that know the same share it.
    pub fn redactor(&self, more: impl IntoIterator<Item = SecretString>) -> Arc<Redactor> {
        let mut known = self.secrets();
        known.extend(more);
        self.redactors.of(&known)
    }

    /// That the run can act here at all: in the environment's cluster, as a ServiceAccount that exists.
    pub async fn admit(&self, environment: &AgentEnvironment, run: &ValidatedRun) -> Result<(), Error> {
        if supported::is_remote(&environment.spec.connection) {
            let name = environment.metadata.name.as_deref().unwrap_or_default();
            return Err(Error::Remote(format!("{}/{name}", run.agent.namespace)));
        }
        Ok(self.recent.check_service_account(&self.client, run.agent.namespace.as_str(), &run.agent.service_account).await?)
    }

    /// What asks the environment's endpoints. The API server is none of them.
    pub fn http(&self, run: &ValidatedRun, credentials: Secrets, redactor: Arc<Redactor>) -> Http {
        let url = &self.config.cluster_url;
        let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let api_server = Protected { what: "the API server of the cluster", host, port };
        Http::new(Setup::new((*run.policy().scope).clone(), credentials, redactor, vec![api_server]))
    }

    /// The executor of a run, acting as the agent's ServiceAccount.
    pub fn executor(&self, run: &ValidatedRun) -> Result<Kubernetes, Error> {
        let identity = Identity {
            namespace: run.agent.namespace.clone(),
            service_account: ObjectName::parse(&run.agent.service_account).map_err(|error| Error::ServiceAccount(error.to_string()))?,
            run: ObjectName::parse(&run.run.name).map_err(|error| Error::ServiceAccount(error.to_string()))?,
        };
        Ok(Kubernetes::new(&self.access, (*run.policy().scope).clone(), identity, self.effect)?)
    }

    /// The cooldowns of the cluster, as a run uses them.
    pub fn cooldowns(&self, run: &ValidatedRun) -> Leases {
        Leases::new(self.client.clone(), self.operator_namespace.clone(), &run.run.uid)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("url", &self.config.cluster_url).field("id", &self.id).finish_non_exhaustive()
    }
}
