//! `infraagent agents pause` and `resume`: sets `spec.paused`.

use std::process::ExitCode;

use infraagent_api::InfraAgent;
use serde_json::json;

use super::holds_back;
use crate::cli::{
    cluster::{Cluster, Flags},
    output,
    paint::clean,
};

/// Arguments of `infraagent agents pause`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  infraagent agents pause forge -n agents

It holds from the next call on: a run that goes on may look and report, and changes nothing. `runs cancel` ends it.")]
pub struct Pause {
    /// Names of the InfraAgents
    #[arg(required = true, value_name = "AGENT")]
    names: Vec<String>,
    #[command(flatten)]
    cluster: Flags,
}

/// Arguments of `infraagent agents resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  infraagent agents resume forge -n agents")]
pub struct Resume {
    /// Names of the InfraAgents
    #[arg(required = true, value_name = "AGENT")]
    names: Vec<String>,
    #[command(flatten)]
    cluster: Flags,
}

/// Pauses.
pub async fn pause(args: Pause) -> anyhow::Result<ExitCode> {
    let Pause { names, cluster } = args;
    set(&names, &cluster, true).await
}

/// Resumes.
pub async fn resume(args: Resume) -> anyhow::Result<ExitCode> {
    let Resume { names, cluster } = args;
    set(&names, &cluster, false).await
}

async fn set(names: &[String], cluster: &Flags, paused: bool) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::connect(cluster).await?;
    for name in names {
        let before = cluster.get::<InfraAgent>(name).await?;
        let word = if paused { "paused" } else { "resumed" };
        if before.spec.paused == paused {
            let word = if paused { "is paused already" } else { "is not paused" };
            output::text(&format!("{} {word}", clean(name)))?;
            continue;
        }
        let after = cluster.merge::<InfraAgent>(name, &json!({ "spec": { "paused": paused } })).await?;
        output::text(&format!("{} is {word}", clean(name)))?;
        let active = after.status.as_ref().and_then(|status| status.active_run.as_ref());
        if let Some(active) = active.filter(|_| paused) {
            anstream::eprintln!("its run {} goes on, and changes nothing", clean(&active.name));
        }
        // What the operator says of it is from before, so only what it does not say by itself is repeated.
        let suspended = holds_back(&after).filter(|why| !paused && why.contains("InfraAgentPolicy"));
        if let Some(why) = suspended {
            anstream::eprintln!("it is held back all the same: {}", clean(&why));
        }
    }
    Ok(ExitCode::SUCCESS)
}
