//! `in-flight`: how much the operator grows per run that waits for its model. All agents exist and have been looked at before; one run has come and gone, so the
//! engine and the skill are there.

use std::time::Duration;

use infraagent_tests::model_server::{Fault, Reply, Script, Step, Usage};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    common::{
        sample::Sample,
        table::{Goal, Row},
    },
    stage::{Stage, eventually},
};

/// Bytes of a short transcript.
const SHORT: usize = 4 << 10;
/// Bytes of one that has 50,000 tokens, of four bytes each.
const LONG: usize = 200_000;

pub(crate) async fn run(quick: bool) -> anyhow::Result<Vec<Row>> {
    let many = if quick { 100 } else { 1000 };
    let mut rows = vec![grown("in-flight: 4 KiB", many, SHORT, Goal::AtMost(64.0)).await?];
    rows.push(grown("in-flight: 50k tokens", if quick { 20 } else { 100 }, LONG, Goal::Told).await?);
    Ok(rows)
}

async fn grown(name: &str, runs: usize, transcript: usize, goal: Goal) -> anyhow::Result<Row> {
    let stage = Stage::start(conversation(transcript)).await?;
    stage.enroll(runs).await?;
    let operator = stage.operator(runs, runs).await?;

    let first = stage.order("warm", 0..1).await?;
    // The second question is the one that is never answered.
    eventually("the first run waits", async || Ok((stage.model.asked() == 2).then_some(()))).await?;
    for run in &first {
        stage.cancel(run.metadata.name.as_deref().unwrap_or_default()).await?;
    }
    stage.all_over("warm").await?;
    sleep(Duration::from_secs(5)).await;
    let before = operator.resident()?;

    stage.order("many", 0..runs).await?;
    eventually("every run waits", async || Ok((stage.model.asked() >= 2 + 2 * runs).then_some(()))).await?;
    sleep(Duration::from_secs(5)).await;
    let after = operator.resident()?;
    anyhow::ensure!(stage.model.asked() == 2 + 2 * runs, "a question was asked again: the machine is too slow for so many runs");
    let seen = stage.model.seen();
    let asked = seen.last().map_or(0, |request| request.body.to_string().len());
    let sent = seen.last().map_or(0, |request| request.body["messages"].to_string().len());
    let grown = (after - before) / runs as f64;
    let note = format!(
        "RSS per run waiting for its model, {runs} of them: {:.1} MB before, {:.1} MB after; each question has {asked} bytes, {sent} of them messages",
        before * 1024.0 / 1e6,
        after * 1024.0 / 1e6,
    );
    Ok(Row::new(name, Sample { p50: grown, p99: grown }, None, "KiB", goal, note))
}

/// The model says much and calls a tool; then it is never heard of again.
fn conversation(transcript: usize) -> Script {
    let words = "Nothing is known yet, so everything is looked at. ";
    // The task, the call and its result are about this long.
    let text: String = words.chars().cycle().take(transcript.saturating_sub(1200)).collect();
    let mut reply = Reply::says(&text).calls("greet", json!({ "name": "shop" }));
    reply.usage = Some(Usage { input: 1000, output: 100, cached: 0, cache_written: 0 });
    Script { steps: vec![Step::Reply(reply), Step::Fault(Fault::Hang)], ..Script::default() }.for_each_conversation()
}
