//! `infraagent skill check`

use std::{path::PathBuf, process::ExitCode};

use super::{
    pack::{engine, evaluator},
    show::{self, Format},
};
use crate::{
    audit::escape_terminal,
    skill::{source::Component, verdict::Verdict},
};

/// Arguments of `infraagent skill check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The same decision is made before a skill is run: what a component imports must be within what its sheet declares, function by function.
Ends with 0 if the skill would be admitted, with 1 if it would not.

Examples:
  infraagent skill check my-skill.wasm
  infraagent skill check example-skills/restart-hung-workloads
  infraagent skill check my-skill.wasm -o json | jq -r .reasons[].code"
)]
pub struct Args {
    /// The component, or the directory of a skill without code
    file: PathBuf,
    /// Print a document instead of text
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Runs it.
pub(super) async fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { file, output } = args;
    let evaluator = evaluator(engine()?);
    let verdict = if file.is_dir() {
        Verdict::on_skill(&Component::read(file)?, &evaluator).await?
    } else {
        Verdict::on(&show::read(file)?, &evaluator).await
    };
    match output {
        Some(format) => format.print(&verdict)?,
        None => print(&verdict),
    }
    Ok(if verdict.admitted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the verdict and every reason.
pub(super) fn print(verdict: &Verdict) {
    let Verdict { admitted, skill, digest, size, compat, reasons, warnings: _ } = verdict;
    let skill = escape_terminal(skill.as_deref().unwrap_or("a file that is no skill"));
    let (style, word) = if *admitted { (anstyle::AnsiColor::Green, "admitted") } else { (anstyle::AnsiColor::Red, "refused") };
    let style = style.on_default().bold();
    anstream::println!("{style}{word}{style:#}  {skill}  {}  {digest}", show::size(*size));
    if *compat {
        anstream::println!("it runs under the compat profile: clocks, random and captured output; an empty environment and file system");
    }
    for reason in reasons {
        anstream::println!("  {}: {}", reason.code, escape_terminal(&reason.message));
    }
    warn(verdict);
}

/// Prints what is odd.
pub(super) fn warn(verdict: &Verdict) {
    for warning in &verdict.warnings {
        anstream::eprintln!("warning: {}", escape_terminal(warning));
    }
}
