//! What the chain costs, as ratios against a baseline that is measured in the same run: `make bench`.
//!
//! Ours and baseline take turns in short rounds, so that whatever else the machine does falls on both. Every number is a median; the table also has the
//! 99th percentile. One table is printed, and written to `target/bench.json`. `--quick` takes fewer rounds, `--only NAME` one section, and `--check` fails if
//! a goal is missed.

mod bare;
mod cache;
mod capability;
mod client;
mod cluster;
mod decide;
mod density;
mod guest;
mod instance;
mod llm;
mod measure;
mod record;
mod size;
mod subprocess;
mod table;
mod world;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;

/// Measures the chain from a skill component to a decided, recorded effect.
#[derive(Debug, Parser)]
struct Args {
    /// Fewer rounds: to try things out
    #[arg(long)]
    quick: bool,
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

fn main() -> anyhow::Result<ExitCode> {
    let Args { quick, check, only, json, bench: _ } = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = runtime.block_on(measure_all(quick, only.as_deref()))?;
    println!("{}", table::render(&rows));
    let missed: Vec<_> = rows.iter().filter(|row| !row.is_ok()).map(|row| row.name.as_str()).collect();
    match missed.as_slice() {
        [] => println!("every goal is met"),
        missed => println!("MISSED: {}", missed.join(", ")),
    }
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&table::json(&rows))?;
        std::fs::write(&path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(if check && !missed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure_all(quick: bool, only: Option<&str>) -> anyhow::Result<Vec<table::Row>> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let say = |name: &str| eprintln!("measuring {name}");
    let skills = guest::Skills::build()?;
    let mut rows = Vec::new();
    // First: what is measured is how the process grows, and everything below leaves memory behind that would be used again.
    if wanted("density") {
        say("density");
        rows.extend(density::run(&skills, quick).await?);
    }
    if wanted("instance") {
        say("instance");
        rows.extend(instance::run(&skills, quick).await?);
    }
    if wanted("capability") {
        say("capability");
        rows.extend(capability::run(&skills.scratch, quick).await?);
    }
    if wanted("decide") {
        say("decide");
        rows.extend(decide::run(quick)?);
    }
    if wanted("subprocess") {
        say("subprocess");
        rows.extend(subprocess::run(&skills, quick).await?);
    }
    if wanted("cache") {
        say("cache");
        rows.extend(cache::run(&skills, quick)?);
    }
    if wanted("size") {
        say("size");
        rows.extend(size::run(&skills));
    }
    if wanted("record") {
        say("record");
        rows.extend(record::run(&skills, quick).await?);
    }
    if wanted("llm-bytes") {
        say("llm-bytes");
        rows.extend(llm::run(&skills, quick).await?);
    }
    Ok(rows)
}
