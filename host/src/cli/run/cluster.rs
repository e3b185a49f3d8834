//! What a run on a real cluster needs before it begins: a connection, the right environment, a ServiceAccount that exists, Secrets.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use infraagent_api::AgentEnvironment;
use infraagent_guard::name::{Namespace, ObjectName};
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    audit::Redactor,
    broker::{
        http::{Http, Secrets, Setup, names::Protected},
        kubernetes::{Identity, Kubernetes, cluster_id},
    },
    run::{
        dereference::{
            cluster::check_service_account,
            secrets::{self, SecretValue},
        },
        validate::{ValidatedRun, supported},
    },
};

/// How long the API server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Arguments about a cluster.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Flags {
    /// Kubeconfig of the cluster to act on. Its user looks and writes the record; what the agent does is done as the agent's ServiceAccount
    #[arg(long, value_name = "FILE", group = "world")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", requires = "kubeconfig", conflicts_with = "snapshot")]
    pub(super) context: Option<String>,
    /// InfraAgent in the cluster, with the environment that it names, the ModelTierConfigs and the policies that hold there
    #[arg(long, value_name = "NAME", group = "documents", requires = "kubeconfig", conflicts_with = "snapshot")]
    pub(super) agent_name: Option<String>,
    /// Namespace of the agent [default: that of the context]
    #[arg(short, long, value_name = "NAME", requires = "agent_name")]
    pub(super) namespace: Option<String>,
    /// Namespace of the operator, where the Secrets of models and the cooldowns are
    #[arg(long, value_name = "NAME", default_value = "infraagent-system")]
    pub(super) operator_namespace: String,
}

/// A cluster, as the user of the kubeconfig sees it.
pub(super) struct Connection {
    /// How it is reached.
    pub(super) config: Config,
    /// For what this user reads and writes himself. It tries nothing twice and waits for no answer for longer than [`ANSWER`].
    pub(super) client: kube::Client,
    /// The uid of `kube-system`.
    pub(super) id: String,
    /// Where the Secrets of models and the cooldowns are.
    pub(super) operator_namespace: Namespace,
    /// The values of the environment's credentials, once they were read.
    credentials: Secrets,
}

impl Connection {
    /// Connects, and asks the cluster who it is.
    pub(super) async fn open(kubeconfig: &std::path::Path, context: Option<String>, operator_namespace: &str) -> anyhow::Result<Self> {
        let shown = kubeconfig.display();
        let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read the kubeconfig `{shown}`"))?;
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let mut config =
            Config::from_custom_kubeconfig(file, &options).await.with_context(|| format!("the kubeconfig `{shown}` cannot be used"))?;
        config.default_retry = false;
        let id = cluster_id(&config).await?;
        let mut patient = config.clone();
        (patient.read_timeout, patient.reset_reader_on_write) = (Some(ANSWER), true);
        let client = kube::Client::try_from(patient).with_context(|| format!("the kubeconfig `{shown}` cannot be used"))?;
        let operator_namespace = Namespace::parse(operator_namespace).context("--operator-namespace")?;
        Ok(Self { config, client, id, operator_namespace, credentials: Secrets::default() })
    }

    /// Reads the Secrets of the environment's credentials.
    pub(super) async fn read_credentials(&mut self, environment: &AgentEnvironment) -> anyhow::Result<()> {
        let metadata = &environment.metadata;
        let (namespace, name) = (metadata.namespace.as_deref().unwrap_or("default"), metadata.name.as_deref().unwrap_or_default());
        for SecretValue { secret, key, value } in secrets::of_environment(&self.client, namespace, name, &environment.spec).await? {
            self.credentials.insert(&secret, &key, value.expose_secret());
        }
        Ok(())
    }

    /// What opens the cluster or an endpoint to whoever has it. None of it may leave.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let auth = &self.config.auth_info;
        let file = auth.token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).map(SecretString::from);
        [auth.token.clone(), auth.password.clone(), auth.client_key_data.clone(), file]
            .into_iter()
            .flatten()
            .chain(self.credentials.values())
            .filter(|secret| !secret.expose_secret().trim().is_empty())
            .collect()
    }

    /// That the run can act here at all: in the environment's cluster, as a ServiceAccount that exists.
    pub(super) async fn admit(&self, environment: &AgentEnvironment, run: &ValidatedRun) -> anyhow::Result<()> {
        if supported::is_remote(&environment.spec.connection) {
            let name = environment.metadata.name.as_deref().unwrap_or_default();
            bail!(
                "AgentEnvironment `{}/{name}`, `spec.connection.kind`: `kubeconfig` is not supported yet, so the environment is not Ready: use `in-cluster` to act on the cluster of --kubeconfig",
                run.agent.namespace
            );
        }
        Ok(check_service_account(&self.client, run.agent.namespace.as_str(), &run.agent.service_account).await?)
    }

    /// What asks the environment's endpoints. The API server is none of them.
    pub(super) fn http(&mut self, run: &ValidatedRun, redactor: Arc<Redactor>) -> Http {
        let url = &self.config.cluster_url;
        let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let api_server = Protected { what: "the API server of the cluster", host, port };
        Http::new(Setup::new((*run.policy().scope).clone(), std::mem::take(&mut self.credentials), redactor, vec![api_server]))
    }

    /// The executor of a run, acting as the agent's ServiceAccount.
    pub(super) fn executor(&self, run: &ValidatedRun) -> anyhow::Result<Kubernetes> {
        let identity = Identity {
            namespace: run.agent.namespace.clone(),
            service_account: ObjectName::parse(&run.agent.service_account)?,
            run: ObjectName::parse(&run.run.name)?,
        };
        Ok(Kubernetes::new(&self.config, (*run.policy().scope).clone(), identity)?)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("url", &self.config.cluster_url).field("id", &self.id).finish_non_exhaustive()
    }
}
