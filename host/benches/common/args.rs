//! The arguments of a benchmark, and how it ends.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Parser;

use super::table::{self, Row};

/// Measures, and compares with a baseline of the same run.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Fewer rounds: to try things out
    #[arg(long)]
    pub(crate) quick: bool,
    /// So many agents, in the sections `even` and `herd` of scale
    #[arg(long, value_name = "NUMBER")]
    pub(crate) agents: Option<usize>,
    /// Exit with 1 if a goal is missed
    #[arg(long)]
    check: bool,
    /// Only the section of this name
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Where the numbers are written
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    /// Whether the section of this name is to be measured. If so, that is said.
    pub(crate) fn wants(&self, section: &str) -> bool {
        let wanted = self.only.as_deref().is_none_or(|only| only == section);
        if wanted {
            eprintln!("measuring {section}");
        }
        wanted
    }

    /// Prints the table and writes the list.
    pub(crate) fn conclude(self, rows: &[Row]) -> anyhow::Result<ExitCode> {
        if let (Some(only), []) = (&self.only, rows) {
            bail!("there is no section `{only}`: see the first lines of the benchmark's main.rs");
        }
        println!("{}", table::render(rows));
        let missed: Vec<_> = rows.iter().filter(|row| !row.is_ok()).map(|row| row.name.as_str()).collect();
        match missed.as_slice() {
            [] => println!("every goal is met"),
            missed => println!("MISSED: {}", missed.join(", ")),
        }
        if let Some(path) = self.json {
            let text = serde_json::to_string_pretty(&table::json(rows))?;
            std::fs::write(&path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))?;
            println!("written to {}", path.display());
        }
        Ok(if self.check && !missed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
