//! Which cluster a run on the command line acts on.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use infraagent_guard::name::Namespace;

use crate::{cli::cluster, run::connection::Connection};

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

/// Connects to the cluster of a kubeconfig.
pub(super) async fn connect(kubeconfig: &Path, context: Option<String>, operator_namespace: &str) -> anyhow::Result<Connection> {
    let config = cluster::config(Some(kubeconfig.to_owned()), context).await?;
    let operator_namespace = Namespace::parse(operator_namespace).context("--operator-namespace")?;
    Ok(Connection::open(config, operator_namespace).await?)
}
