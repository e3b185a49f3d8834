//! The child process that compiles untrusted components under resource limits.

use std::process::ExitCode;

/// Arguments of the child.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Compiles standard input to standard output.
pub fn main(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
