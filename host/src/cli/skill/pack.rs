//! `infraagent skill pack`, and the end that it shares with `build`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use infraagent_sandbox::engine::{Engine, EngineConfig};

use super::{check, show};
use crate::{
    audit::escape_terminal,
    cel::Evaluator,
    skill::{
        folder::{self, Folder},
        pack::{self, Package},
    },
};

/// Arguments of `infraagent skill pack`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The directory holds SKILL.md, actions.yaml, and tools.json: a list of
  {\"name\": \"...\", \"description\": \"...\", \"inputSchema\": {...}, \"actions\": [\"...\"]}
Components for wasm32-wasip2 are admitted as long as they use no sockets and no http.

Examples:
  infraagent skill pack app.wasm --dir my-skill
  infraagent skill pack app.wasm --dir . -o dist/my-skill.wasm")]
pub struct Args {
    /// The component, as the other toolchain made it
    component: PathBuf,
    /// The directory with SKILL.md, actions.yaml and tools.json
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Write the skill here instead of `<name>.wasm`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs it.
pub(super) async fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { component, dir, output } = args;
    let source = Folder::read(dir)?;
    let tools = folder::tools(dir)?;
    let file = output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.wasm", source.document.name)));
    let bytes = show::read(component)?;
    let package = pack::join(&bytes, &source, tools, &evaluator(engine()?)).await.with_context(|| format!("`{}`", component.display()))?;
    ship(&package, &file)
}

/// An engine for one thing at a time.
pub(super) fn engine() -> anyhow::Result<Engine> {
    Ok(Engine::new(EngineConfig { instances: 1, pooling: false })?)
}

/// Evaluates, so to say, the pre-conditions of a sheet.
pub(super) fn evaluator(engine: Engine) -> Evaluator {
    Evaluator::new(engine)
}

/// Writes a package that is admitted, and says what it is; says why if it is not.
pub(super) fn ship(package: &Package, file: &Path) -> anyhow::Result<ExitCode> {
    let Package { bytes, manifest, verdict } = package;
    if !verdict.admitted {
        check::print(verdict);
        return Ok(ExitCode::FAILURE);
    }
    let unwritable = || format!("cannot write `{}`", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(unwritable)?;
    }
    std::fs::write(file, bytes).with_context(unwritable)?;
    check::warn(verdict);
    let tools: Vec<_> = manifest.tools.iter().map(|tool| tool.name.as_str()).collect();
    let mut facts = show::table(&[]);
    facts.add_row(["skill", &escape_terminal(&format!("{} {}", manifest.name, manifest.version))]);
    facts.add_row(["tools", &escape_terminal(&tools.join(", "))]);
    facts.add_row(["size", &show::size(bytes.len())]);
    facts.add_row(["digest", &verdict.digest]);
    facts.add_row(["file", &file.display().to_string()]);
    anstream::println!("{facts}");
    Ok(ExitCode::SUCCESS)
}
