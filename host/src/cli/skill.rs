//! `infraagent skill`

use std::process::ExitCode;

/// Subcommands of `infraagent skill`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {}

/// Runs the subcommand.
pub async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {}
}
