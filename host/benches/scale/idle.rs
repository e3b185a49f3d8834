//! `idle`: what a replica costs that has nothing to do, without agents and with a hundred of them: memory, CPU time, and what it asks of the API server.

use std::time::Duration;

use infraagent_tests::model_server::Script;
use tokio::time::sleep;

use crate::{
    common::{
        sample::Sample,
        table::{Goal, Row},
    },
    stage::Stage,
};

/// With so many agents at most so many MB may be resident.
const GOALS: [(usize, f64); 2] = [(0, 36.0), (100, 40.0)];

pub(crate) async fn run(quick: bool) -> anyhow::Result<Vec<Row>> {
    let idle = Duration::from_secs(if quick { 10 } else { 60 });
    let stage = Stage::start(Script::default()).await?;
    let mut rows = Vec::new();
    for (agents, most) in GOALS {
        stage.enroll(agents).await?;
        let operator = stage.operator(agents, 10).await?;
        // What is still on its way from the beginning.
        sleep(Duration::from_secs(5)).await;
        let (mark, cpu) = (stage.mark()?, operator.cpu()?);
        sleep(idle).await;
        let requests = mark.requests(stage.plane.audit_log())?;
        let (cpu, resident) = (operator.cpu()? - cpu, operator.resident()? * 1024.0 / 1e6);
        let per_minute = 60.0 / idle.as_secs_f64();
        let one = |number: f64| Sample { p50: number, p99: number };
        let name = |what: &str| format!("idle: {what}, {agents} agents");
        let told = format!("after {} s without anything to do", idle.as_secs());
        rows.push(Row::new(name("RSS"), one(resident), None, "MB", Goal::AtMost(most), told));
        rows.push(Row::new(name("CPU"), one(cpu / 1000.0 * per_minute), None, "s/min", Goal::Told, "in steps of 10 ms"));
        let asked = requests.total() as f64 * per_minute;
        rows.push(Row::new(name("requests"), one(asked), None, "/min", Goal::Told, requests.per(1)));
        let needless = requests.needless();
        let what = "neither watches nor renewals of Leases";
        let note = if needless.is_empty() { what.to_owned() } else { format!("{what}: {}", needless.join(", ")) };
        rows.push(Row::new(name("needless requests"), one(needless.len() as f64), None, "kinds", Goal::AtMost(0.0), note));
        operator.end()?;
    }
    Ok(rows)
}
