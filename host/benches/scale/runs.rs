//! `runs-per-second`: how many short runs the operator carries out while it has a queue of them, each of an agent of its own and with a model that reports at
//! once, against a client that makes the same writes and does nothing else.
//!
//! Creating the runs is nobody's: for ours they are created while the operator stands still, and for the bare client beforehand, while no operator is there.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use infraagent_api::{AgentRun, InfraAgent};
use infraagent_tests::{OPERATOR, client_of};
use kube::{ResourceExt, api::ListParams};

use crate::{
    bare::{Sequence, Watching},
    common::{
        sample::Sample,
        table::{Goal, Row},
    },
    fleet::model,
    requests::Requests,
    stage::{Stage, eventually},
};

/// Runs, and requests of the bare client, at a time.
const SIDE_BY_SIDE: usize = 16;

pub(crate) async fn run(quick: bool) -> anyhow::Result<Vec<Row>> {
    let (rounds, runs) = if quick { (1, 60) } else { (2, 300) };
    let (model, asked) = model()?;
    let stage = Stage::around(model).await?;
    stage.enroll(runs).await?;
    let sequence = sampled(&stage, runs).await?;

    let (mut ours, mut bare, mut requests) = (Vec::new(), Vec::new(), Requests::default());
    for round in 0..rounds {
        bare.push(bare_rate(&stage, &sequence, &format!("bare{round}"), runs).await?);
        let (rate, asked) = own_rate(&stage, &asked, &format!("own{round}"), runs).await?;
        ours.push(rate);
        requests.add(asked);
    }
    bare.push(bare_rate(&stage, &sequence, "bare", runs).await?);

    let one = |number: f64| Sample { p50: number, p99: number };
    let each = requests.total() as f64 / (rounds * runs) as f64;
    Ok(vec![
        Row::new(
            "runs-per-second",
            Sample::of(ours),
            Some(Sample::of(bare)),
            "runs/s",
            Goal::AtLeast(0.8),
            format!("{runs} runs, {SIDE_BY_SIDE} at a time; baseline: a client that makes the same {} writes of each run", sequence.len()),
        ),
        Row::new("runs-per-second: requests", one(each), Some(one(sequence.len() as f64)), "/run", Goal::Told, requests.per(rounds * runs)),
    ])
}

/// What the operator writes in one run.
async fn sampled(stage: &Stage, agents: usize) -> anyhow::Result<Sequence> {
    let operator = stage.operator(agents, SIDE_BY_SIDE).await?;
    warm(stage, "warm").await?;
    let mark = stage.mark()?;
    let agent = Stage::agent(1);
    let watching = Watching::start(stage.api(), stage.api(), &agent, &format!("{agent}-sample")).await?;
    stage.order("sample", 1..2).await?;
    stage.all_succeeded("sample").await?;
    // The agent's own status may come after that of its run.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sequence = watching.sequence(&mark.events(stage.plane.audit_log())?).await?;
    operator.end()?;
    Ok(sequence)
}

/// The first run of a process makes the engine and loads the skill.
async fn warm(stage: &Stage, batch: &str) -> anyhow::Result<()> {
    stage.order(batch, 0..1).await?;
    stage.all_succeeded(batch).await.map(drop)
}

/// Runs per second of an operator of its own.
async fn own_rate(stage: &Stage, model: &AtomicUsize, batch: &str, runs: usize) -> anyhow::Result<(f64, Requests)> {
    let operator = stage.operator(runs, SIDE_BY_SIDE).await?;
    // Every agent has had a run of this process: from here on it goes on as it goes on for days.
    let before = format!("{batch}before");
    stage.order(&before, 0..runs).await?;
    stage.all_succeeded(&before).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    operator.stand_still()?;
    stage.order(batch, 0..runs).await?;
    let (mark, asked, began) = (stage.mark()?, model.load(Ordering::Relaxed), Instant::now());
    operator.go_on()?;
    // Whether the model was asked is known without asking the API server.
    eventually("every run asks its model", async || Ok((model.load(Ordering::Relaxed) >= asked + runs).then_some(()))).await?;
    stage.all_over(batch).await?;
    let took = began.elapsed();
    stage.all_succeeded(batch).await?;
    let requests = mark.requests(stage.plane.audit_log())?;
    operator.end()?;
    Ok((runs as f64 / took.as_secs_f64(), requests))
}

/// Runs per second of the bare client, as the operator's user.
async fn bare_rate(stage: &Stage, sequence: &Sequence, batch: &str, runs: usize) -> anyhow::Result<f64> {
    let client = client_of(&stage.plane.kubeconfig_for(OPERATOR.0, OPERATOR.1).await).await;
    let mut orders: Vec<AgentRun> = stage.order(batch, 0..runs).await?;
    let mut agents: Vec<InfraAgent> = stage.api().list(&ListParams::default()).await?.items;
    orders.sort_by_key(|run| run.spec.agent_ref.clone());
    agents.sort_by_key(ResourceExt::name_any);
    let pairs: Vec<_> = agents.into_iter().zip(orders).collect();
    let began = Instant::now();
    sequence.repeat(&client, pairs, SIDE_BY_SIDE).await?;
    Ok(runs as f64 / began.elapsed().as_secs_f64())
}
