//! `herd`: every agent of a fleet is due in the same minute. Nothing may be lost, what waits must be bounded, and whoever else asks the API server should hardly
//! notice.
//!
//! What waits is bounded by construction: an agent whose run is not over gets no other one of its schedule, so there are at most as many runs as agents. They wait as
//! AgentRuns, on the API server; of each the operator has its place in the queue in memory, and the object in the cache of its watch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use infraagent_api::AgentEnvironment;
use jiff::Timestamp;
use serde_json::json;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    common::{
        sample::Sample,
        table::{Goal, Row},
    },
    even::until,
    fleet::{Resident, model, one},
    stage::{Stage, eventually},
};

/// Runs at a time.
const SIDE_BY_SIDE: usize = 16;
/// Between two requests of the other client.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(quick: bool, agents: Option<usize>) -> anyhow::Result<Vec<Row>> {
    let (fleet, idle) = if quick { (500, 10) } else { (10_000, 60) };
    let agents = agents.unwrap_or(fleet);
    let (model, asked) = model()?;
    let stage = Stage::around(model).await?;
    let began = Instant::now();
    stage.enroll(agents).await?;
    let operator = stage.operator(agents, SIDE_BY_SIDE).await?;
    // To give each its schedule takes no longer than to create it and look at it did.
    let soon = Timestamp::now().as_second() + i64::try_from(began.elapsed().as_secs() + idle)? + 30;
    let minute = soon.div_euclid(60) + 1;
    stage.schedule(agents, &json!({ "cron": format!("{} * * * *", minute.rem_euclid(60)) })).await?;
    sleep(Duration::from_secs(5)).await;
    let calm = Neighbour::start(&stage);
    sleep(Duration::from_secs(idle)).await;
    let calm = calm.end().await?;
    let left = minute * 60 - Timestamp::now().as_second();
    anyhow::ensure!(left > 0, "the machine is too slow: {agents} agents were ready {} s after they were due", -left);
    eprintln!("{agents} agents are due in {left} s");
    until(minute * 60).await;

    let (mark, cpu, from) = (stage.mark()?, operator.cpu()?, Timestamp::from_second(minute * 60)?);
    let (resident, busy) = (Resident::watch(operator.process()), Neighbour::start(&stage));
    // Before that not all of them exist.
    sleep(Duration::from_secs(31)).await;
    let to = Timestamp::now();
    eventually("every run is there and over", async || {
        // Each run asks its model, and that is known without asking the API server.
        if asked.load(Ordering::Relaxed) < agents {
            return Ok(None);
        }
        Ok(stage.is_calm().await?.then_some(()))
    })
    .await?;
    let (busy, seen, cpu) = (busy.end().await?, resident.seen().await?, operator.cpu()? - cpu);
    let requests = mark.requests(stage.plane.audit_log())?;
    let fired = stage.fired(mark, from, to).await?;
    operator.end()?;

    let lag = Sample::of(fired.lags.clone());
    let name = |what: &str| format!("herd: {what}");
    let gets = format!("p99 of one GET after another, {} ms apart; p50 {:.1} ms, idle {:.1} ms", PAUSE.as_millis(), busy.p50, calm.p50);
    let peak = seen.iter().copied().fold(0.0, f64::max);
    let drained = format!("{} agents, all due within 30 s; {:.1} runs/s; {SIDE_BY_SIDE} at a time", agents, agents as f64 / fired.until);
    let queue = "most runs at a time that were not over; each agent has at most one";
    Ok(vec![
        Row::new(
            name("lost"),
            one((fired.lost + fired.failed) as f64),
            None,
            "runs",
            Goal::AtMost(0.0),
            format!("of {agents}: missing or failed"),
        ),
        Row::new(name("queue"), one(fired.open as f64), None, "runs", Goal::AtMost(agents as f64), queue),
        Row::new(name("GET of another client"), one(busy.p99), Some(one(calm.p99)), "ms", Goal::Times(2.0), gets),
        Row::new(name("time to drain"), one(fired.until), None, "s", Goal::Told, drained),
        Row::new(name("lag"), lag, None, "ms", Goal::Told, "from the moment that an agent was due until its run existed"),
        Row::new(name("RSS"), one(peak), None, "MiB", Goal::AtMost(256.0), "the most that was seen until all were over"),
        Row::new(name("writes"), one(requests.writes() as f64 / agents as f64), None, "/run", Goal::Told, requests.per(agents)),
        Row::new(
            name("CPU"),
            one(cpu / agents as f64),
            None,
            "ms/run",
            Goal::Told,
            "of the operator, everything that it does in that time",
        ),
    ])
}

/// Another client of the API server, who reads the same object again and again.
struct Neighbour {
    enough: Arc<AtomicBool>,
    asking: JoinHandle<anyhow::Result<Vec<f64>>>,
}

impl Neighbour {
    fn start(stage: &Stage) -> Self {
        let (enough, api) = (Arc::new(AtomicBool::new(false)), stage.api::<AgentEnvironment>());
        let until = Arc::clone(&enough);
        let asking = tokio::spawn(async move {
            let mut took = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let began = Instant::now();
                api.get("shop").await?;
                took.push(began.elapsed().as_secs_f64() * 1000.0);
                sleep(PAUSE).await;
            }
            Ok(took)
        });
        Self { enough, asking }
    }

    /// Milliseconds per request.
    async fn end(self) -> anyhow::Result<Sample> {
        self.enough.store(true, Ordering::Relaxed);
        Ok(Sample::of(self.asking.await??))
    }
}
