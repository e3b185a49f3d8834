//! `even`: agents whose hourly schedules are spread evenly over the minutes of the hour, as the operator spreads them within a minute: how late their runs are
//! created, and what that takes.
//!
//! The fleet is that of the whole hour, and so is the rate; what is measured is a few whole minutes of it. Lag is from the moment that an agent is due, its own jitter
//! included, until the API server has answered that the run exists, both in microseconds: the moment is computed here from the agent's schedule, and the
//! answer's time is that of the API server's log.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    common::{
        sample::Sample,
        table::{Goal, Row},
    },
    fleet::{Resident, growth, model, one},
    stage::{Stage, eventually},
};

/// Runs at a time.
const SIDE_BY_SIDE: usize = 16;
/// How much the medians of the halves of a window may differ, in MiB: pages that are given back late.
const NO_GROWTH: f64 = 4.0;

pub(crate) async fn run(quick: bool, agents: Option<usize>) -> anyhow::Result<Vec<Row>> {
    let (fleets, minutes) = if quick { (vec![600], 1) } else { (vec![1000, 10_000], 4) };
    let mut rows = Vec::new();
    for agents in agents.map_or(fleets, |agents| vec![agents]) {
        rows.extend(measured(agents, minutes).await?);
    }
    Ok(rows)
}

async fn measured(agents: usize, minutes: u32) -> anyhow::Result<Vec<Row>> {
    let stage = Stage::around(model()?.0).await?;
    stage.enroll_with(agents, |at| json!({ "cron": format!("{} * * * *", at % 60) })).await?;
    let operator = stage.operator(agents, SIDE_BY_SIDE).await?;
    // The first runs make the engine and load the skill. A minute of the schedule passes before anything is measured.
    let warm = Timestamp::now().as_second();
    until(warm.div_euclid(60) * 60 + 120).await;

    let (mark, cpu, resident, from) = (stage.mark()?, operator.cpu()?, Resident::watch(operator.process()), Timestamp::now());
    sleep(Duration::from_secs(60) * minutes).await;
    let (to, cpu, seen) = (Timestamp::now(), operator.cpu()? - cpu, resident.seen().await?);
    let requests = mark.requests(stage.plane.audit_log())?;
    eventually("every run is over", async || Ok(stage.is_calm().await?.then_some(()))).await?;
    let fired = stage.fired(mark, from, to).await?;
    anyhow::ensure!(fired.lost == 0 && fired.failed == 0, "{} runs are missing, {} failed", fired.lost, fired.failed);
    operator.end()?;

    let runs = fired.lags.len();
    let (lag, most) = (Sample::of(fired.lags.clone()), fired.lags.iter().copied().fold(0.0, f64::max));
    let name = |what: &str| format!("even: {what}, {agents} agents");
    let window = format!("{runs} runs in {minutes} min of an hour with {agents}; each minute's are due within its first 30 s");
    let note = format!("p99; p50 is {:.0} ms, the latest {most:.0} ms; {window}", lag.p50);
    let peak = seen.iter().copied().fold(0.0, f64::max);
    let writes = requests.writes() as f64 / runs as f64;
    Ok(vec![
        Row::new(name("lag"), one(lag.p99), None, "ms", Goal::AtMost(1000.0), note),
        Row::new(name("RSS"), one(peak), None, "MiB", Goal::AtMost(256.0), "the most that was seen in that time"),
        Row::new(name("growth"), one(growth(&seen)), None, "MiB", Goal::AtMost(NO_GROWTH), "RSS, second half against first half, medians"),
        Row::new(name("writes"), one(writes), None, "/run", Goal::Told, requests.per(runs)),
        Row::new(name("CPU"), one(cpu / runs as f64), None, "ms/run", Goal::Told, "of the operator, everything that it does in that time"),
    ])
}

/// Sleeps until this second since 1970.
pub(crate) async fn until(second: i64) {
    let left = second.saturating_mul(1000) - Timestamp::now().as_millisecond();
    sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
}
