//! `infraagent runs cancel`: orders that a run ends. Whoever holds it ends it; nothing is deleted.

use std::process::ExitCode;

use infraagent_api::{ANNOTATION_CANCEL, AgentRun};
use serde_json::json;

use super::phase;
use crate::cli::{
    cluster::{Cluster, Flags},
    output,
    paint::clean,
    runs::follow,
};

/// Arguments of `infraagent runs cancel`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent runs cancel forge-1a2b3c4d-5678 -n agents
  infraagent runs cancel forge-1a2b3c4d-5678 -n agents --wait

A change that is under way is finished and recorded; nothing begins after it. The run ends Failed (Cancelled).")]
pub struct Cancel {
    /// Names of the AgentRuns
    #[arg(required = true, value_name = "RUN")]
    names: Vec<String>,
    /// Wait until they have ended
    #[arg(short, long)]
    wait: bool,
    #[command(flatten)]
    cluster: Flags,
}

/// Cancels.
pub async fn main(args: Cancel) -> anyhow::Result<ExitCode> {
    let Cancel { names, wait, cluster } = args;
    let cluster = Cluster::connect(&cluster).await?;
    for name in &names {
        let run = cluster.get::<AgentRun>(name).await?;
        if phase(&run).is_terminal() {
            output::text(&format!("{} has ended already: {}", clean(name), phase(&run)))?;
            continue;
        }
        let patch = json!({ "metadata": { "annotations": { ANNOTATION_CANCEL: "true" } } });
        cluster.merge::<AgentRun>(name, &patch).await?;
        if wait {
            let ended = follow::end(&cluster, name).await?;
            output::text(&format!("{} is over: {}", clean(name), phase(&ended)))?;
        } else {
            output::text(&format!("{} is being cancelled", clean(name)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
