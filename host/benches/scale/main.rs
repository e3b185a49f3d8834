//! What the operator costs when it waits, when many runs wait, when many runs come and go, and when ten thousand agents live by their schedules: `make bench-scale`.
//!
//! Every section starts a control plane of its own with what an administrator installs, and the released program as a process. Memory and CPU time are what the
//! system says about that process, requests what the API server's own log says about its user. `--quick` takes fewer agents and less time, `--only NAME` one
//! section (`idle`, `in-flight`, `runs-per-second`, `even`, `herd`, `webhooks`), and `--check` fails if a goal is missed.

mod bare;
#[path = "../common/mod.rs"]
mod common;
mod even;
mod fleet;
mod herd;
mod idle;
mod in_flight;
mod operator;
mod requests;
mod runs;
mod stage;
mod webhooks;

use std::process::ExitCode;

use clap::Parser as _;
use common::{args::Args, table::Row};

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let rows = runtime.block_on(measure_all(&args))?;
    args.conclude(&rows)
}

async fn measure_all(args: &Args) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    if args.wants("idle") {
        rows.extend(idle::run(args.quick).await?);
    }
    if args.wants("in-flight") {
        rows.extend(in_flight::run(args.quick).await?);
    }
    if args.wants("runs-per-second") {
        rows.extend(runs::run(args.quick).await?);
    }
    if args.wants("even") {
        rows.extend(even::run(args.quick, args.agents).await?);
    }
    if args.wants("herd") {
        rows.extend(herd::run(args.quick, args.agents).await?);
    }
    if args.wants("webhooks") {
        rows.extend(webhooks::run(args.quick).await?);
    }
    Ok(rows)
}
