//! `infraagent runs logs`: the timeline of a run, from its record.

use std::process::ExitCode;

use infraagent_api::AgentRun;

use super::follow::{self, Told};
use crate::cli::{
    cluster::{Cluster, Flags},
    output,
};

/// Arguments of `infraagent runs logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent runs logs forge-1a2b3c4d-5678 -n agents
  infraagent runs logs -f forge-1a2b3c4d-5678 -n agents

It is made of the record: reads of a turn appear when the turn has ended, changes as they are intended and carried out.
What the model said in between is in no record.")]
pub struct Logs {
    /// Name of the AgentRun
    #[arg(value_name = "RUN")]
    name: String,
    /// Go on until the run has ended
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    cluster: Flags,
}

/// Prints.
pub async fn main(args: Logs) -> anyhow::Result<ExitCode> {
    let Logs { name, follow, cluster } = args;
    let cluster = Cluster::connect(&cluster).await?;
    let run = cluster.get::<AgentRun>(&name).await?;
    let mut told = Told::default();
    output::text(&told.tell(&run))?;
    if follow {
        follow::to_the_end(&cluster, &name, &mut told).await?;
    }
    Ok(ExitCode::SUCCESS)
}
