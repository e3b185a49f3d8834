//! `density`: how much the process grows per live instance. Each is in the middle of a tool call, waiting for an answer of the host.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use infraagent::compile::{CompileLimits, Compiler};
use infraagent_sandbox::{
    broker::{Answer, Answering, Broker, Request},
    compiled::Authentic,
    engine::{Engine, EngineConfig},
    instance::Skill,
    limits::Limits,
};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use crate::{
    common::process::resident,
    guest::{self, PROGRAM, Skills},
    instance::SITE,
    measure::Sample,
    table::{Goal, Row},
};

const LIVE: usize = 1000;

/// Answers nobody until the gate opens.
struct Waiting {
    arrived: AtomicUsize,
    gate: Semaphore,
}

impl Broker for Waiting {
    fn perform(&self, _request: Request) -> Answering<'_> {
        Box::pin(async {
            self.arrived.fetch_add(1, Ordering::Relaxed);
            let _ = self.gate.acquire().await;
            Ok(Answer::Json(SITE.to_owned()))
        })
    }
}

pub(crate) async fn run(skills: &Skills, _quick: bool) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (pooling, goal) in [(true, Goal::AtMost(64.0)), (false, Goal::Told)] {
        let engine = Engine::new(EngineConfig { instances: LIVE as u32, pooling })?;
        let pooled = engine.is_pooled();
        let grown = grown(skills, &engine).await?;
        let (name, note) = match (pooling, pooled) {
            (true, true) => ("density", "RSS per live instance, 1,000 of them, pool"),
            (true, false) => ("density", "RSS per live instance, 1,000 of them, NO POOL on this machine"),
            (false, _) => ("density, on demand", "where slots cannot be reserved"),
        };
        rows.push(Row::new(name, Sample { p50: grown, p99: grown }, None, "KiB", goal, note));
    }
    Ok(rows)
}

/// KiB of resident memory per live instance.
async fn grown(skills: &Skills, engine: &Engine) -> anyhow::Result<f64> {
    // Compiled in a child: the compiler would leave memory behind in this process, in which instances would then hide.
    let code = Compiler::with_program(PROGRAM, CompileLimits::default()).in_child(&skills.hello).await?;
    let skill = Arc::new(Skill::load(engine, guest::admit(&skills.hello)?, &Authentic::from_compiler(code))?);
    let broker = Arc::new(Waiting { arrived: AtomicUsize::new(0), gate: Semaphore::new(0) });
    let before = resident(std::process::id())?;
    let mut calls = JoinSet::new();
    for _ in 0..LIVE {
        let (skill, broker) = (Arc::clone(&skill), Arc::clone(&broker) as Arc<dyn Broker>);
        let limits = Limits { wall: Duration::from_secs(600), ..Limits::DEFAULT };
        calls.spawn(async move { skill.invoke("greet", "{}", "run-1", &limits, broker).await });
    }
    while broker.arrived.load(Ordering::Relaxed) < LIVE {
        anyhow::ensure!(calls.len() == LIVE, "{:?}", calls.join_next().await);
        sleep(Duration::from_millis(10)).await;
        if let Some(ended) = calls.try_join_next() {
            anyhow::bail!("a call ended early: {:?}", ended?.result);
        }
    }
    let after = resident(std::process::id())?;
    broker.gate.close();
    while let Some(ended) = calls.join_next().await {
        ended?.result?;
    }
    Ok((after - before) / LIVE as f64)
}
