//! `infraagent skill build`

use std::{path::PathBuf, process::ExitCode};

use infraagent_sandbox::{
    describe,
    engine::{Engine, EngineConfig},
};

use super::pack::{evaluator, ship};
use crate::skill::{
    build::{Platform, Project},
    folder::Folder,
    pack,
};

/// Arguments of `infraagent skill build`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Builds twice with the cargo in CARGO, or `cargo`: the component that ships, and a describer that is asked once for tools and schemas.

Examples:
  infraagent skill build
  infraagent skill build my-skill -o my-skill.wasm
  infraagent skill build --target wasm32-wasip2"
)]
pub struct Args {
    /// The directory of the skill
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write the component here instead of `target/<name>.wasm`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What the component is built for
    #[arg(long, value_enum, value_name = "TARGET", default_value_t)]
    target: Platform,
}

/// Runs it.
pub(super) async fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { dir, output, target } = args;
    let source = Folder::read(dir)?;
    let project = Project::find(dir)?;
    let (name, version) = (&source.document.name, &source.document.version);

    anstream::eprintln!("[1/3] building the describer of {name} {version}");
    let describer = project.describer()?;
    anstream::eprintln!("[2/3] building {name} {version} for {target}");
    let component = project.component(*target)?;
    anstream::eprintln!("[3/3] asking the describer, checking the component");
    let engine = Engine::new(EngineConfig { instances: 1, pooling: false })?;
    let tools = describe::describe(&engine, &describer).await?;

    let package = pack::join(&component, &source, tools, &evaluator(engine)).await?;
    if project.version != *version {
        anstream::eprintln!("warning: SKILL.md says version {version}, Cargo.toml says {}", project.version);
    }
    let file = output.clone().unwrap_or_else(|| project.target.join(format!("{name}.wasm")));
    ship(&package, &file)
}
