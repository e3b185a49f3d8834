//! `infraagent audit`

use std::process::ExitCode;

/// Subcommands of `infraagent audit`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {}

/// Runs the subcommand.
pub fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {}
}
