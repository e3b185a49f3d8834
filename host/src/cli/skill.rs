//! `infraagent skill`: make, build, look at and judge skills. One file per subcommand.

mod build;
mod check;
mod inspect;
mod new;
mod pack;
mod show;
mod wit;

use std::process::ExitCode;

/// Subcommands of `infraagent skill`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Begin a new skill in Rust, with tests that pass
    New(new::Args),
    /// Build a skill in Rust: one component with its manifest
    Build(build::Args),
    /// Add the manifest to a component of any toolchain
    Pack(pack::Args),
    /// Write the WIT world that exactly fits an action sheet, for other toolchains
    Wit(wit::Args),
    /// Show what a skill says of itself, without running or compiling it
    Inspect(inspect::Args),
    /// Say whether this host would admit a skill, with every reason
    Check(check::Args),
}

/// Runs the subcommand.
pub async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::New(args) => new::main(&args),
        Command::Build(args) => build::main(&args).await,
        Command::Pack(args) => pack::main(&args).await,
        Command::Wit(args) => wit::main(&args),
        Command::Inspect(args) => inspect::main(&args),
        Command::Check(args) => check::main(&args).await,
    }
}
