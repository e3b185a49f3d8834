//! `infraagent skill inspect`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use super::show::{self, Format};
use crate::skill::{inspect::Inspection, source::Component};

/// Arguments of `infraagent skill inspect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is shown is what the component says of itself; `infraagent skill check` says whether this host would admit it.

Examples:
  infraagent skill inspect my-skill.wasm
  infraagent skill inspect example-skills/restart-hung-workloads
  infraagent skill inspect my-skill.wasm -o json | jq .imports"
)]
pub struct Args {
    /// The component, or the directory of a skill without code
    file: PathBuf,
    /// Print a document instead of tables
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Runs it.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { file, output } = args;
    let skill = if file.is_dir() { Inspection::of_skill(&Component::read(file)?) } else { Inspection::of(&show::read(file)?) };
    let skill = skill.with_context(|| format!("`{}`", file.display()))?;
    match output {
        Some(format) => format.print(&skill)?,
        None => show::inspection(&skill),
    }
    Ok(ExitCode::SUCCESS)
}
