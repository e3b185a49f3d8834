//! `infraagent skill wit`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use crate::skill::{folder::Folder, world};

/// Arguments of `infraagent skill wit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The world has only the functions that the declared actions can go through. Toolchains that import a world as a whole need that:
a component that imports more than its sheet declares is not admitted.

Examples:
  infraagent skill wit                      print it
  infraagent skill wit my-skill -o wit      write wit/skill.wit
  componentize-py -d wit -w fitted componentize app -o app.wasm --stub-wasi"
)]
pub struct Args {
    /// The directory with SKILL.md and actions.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write `skill.wit` into this directory instead of printing it
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Runs it.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { dir, output } = args;
    let text = world::fitted(&Folder::read(dir)?.sheet)?;
    match output {
        None => anstream::print!("{text}"),
        Some(folder) => {
            let file = folder.join("skill.wit");
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
            std::fs::write(&file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
            anstream::eprintln!("wrote {}: build against world `{}`, then `infraagent skill pack`", file.display(), world::WORLD);
        }
    }
    Ok(ExitCode::SUCCESS)
}
