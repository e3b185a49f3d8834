//! `infraagent run`

use std::process::ExitCode;

/// Arguments of `infraagent run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs one agent once.
pub async fn main(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
