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
#[path = "../common/mod.rs"]
mod common;
mod decide;
mod density;
mod guest;
mod instance;
mod llm;
mod measure;
mod record;
mod size;
mod subprocess;
mod world;

use std::process::ExitCode;

use clap::Parser as _;
use common::{args::Args, table};

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = runtime.block_on(measure_all(&args))?;
    args.conclude(&rows)
}

async fn measure_all(args: &Args) -> anyhow::Result<Vec<table::Row>> {
    let quick = args.quick;
    let skills = guest::Skills::build()?;
    let mut rows = Vec::new();
    // First: what is measured is how the process grows, and everything below leaves memory behind that would be used again.
    if args.wants("density") {
        rows.extend(density::run(&skills, quick).await?);
    }
    if args.wants("instance") {
        rows.extend(instance::run(&skills, quick).await?);
    }
    if args.wants("capability") {
        rows.extend(capability::run(&skills.scratch, quick).await?);
    }
    if args.wants("decide") {
        rows.extend(decide::run(quick)?);
    }
    if args.wants("subprocess") {
        rows.extend(subprocess::run(&skills, quick).await?);
    }
    if args.wants("cache") {
        rows.extend(cache::run(&skills, quick)?);
    }
    if args.wants("size") {
        rows.extend(size::run(&skills));
    }
    if args.wants("record") {
        rows.extend(record::run(&skills, quick).await?);
    }
    if args.wants("llm-bytes") {
        rows.extend(llm::run(&skills, quick).await?);
    }
    Ok(rows)
}
