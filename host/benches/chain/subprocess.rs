//! `subprocess`: a tool call as a run makes it (entry of the record, fresh instance, door, redaction, sealed entry) against starting a program, which is what
//! agents do that call `kubectl`.

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent::{
    llm::{ToolCall, ToolStatus},
    run::{
        execute::{Loaded, SkillTools},
        tools::Tools as _,
    },
};
use infraagent_sandbox::{
    engine::{Engine, EngineConfig},
    limits::Limits,
};
use serde_json::json;

use crate::{
    guest::{self, Skills},
    measure::{Sample, micros},
    table::{Goal, Row},
    world::{RUN, World},
};

/// Tool calls of one round: fewer than a record takes.
const CALLS: usize = 100;

pub(crate) async fn run(skills: &Skills, quick: bool) -> anyhow::Result<Vec<Row>> {
    let engine = Engine::new(EngineConfig::default())?;
    let admitted = guest::admit(&skills.hello)?;
    let world = World::new(&skills.scratch, &engine, &[admitted.manifest()])?;
    let (mut calls, mut trues, mut kubectls) = (Vec::new(), Vec::new(), Vec::new());
    let kubectl = succeeds("kubectl", &["version", "--client"]);
    for round in 0..if quick { 5 } else { 40 } {
        let shared = world.open().await?;
        let loaded = Loaded { skill: Arc::new(guest::load(&engine, &skills.hello)?), limits: Limits::DEFAULT };
        let tools = SkillTools::new(Arc::clone(&shared), RUN, vec![loaded]);
        let call = ToolCall { id: "call-1".to_owned(), name: "greet".to_owned(), arguments: json!({ "name": "bench" }).into() };
        let until = Instant::now() + Duration::from_secs(600);
        for _ in 0..CALLS {
            let started = Instant::now();
            let outcome = tools.call(&call, until).await;
            calls.push(micros(started));
            anyhow::ensure!(outcome.status == ToolStatus::Ok, "{outcome:?}");
        }
        for _ in 0..CALLS / 5 {
            trues.push(started("/bin/true", &[])?);
        }
        if kubectl && round % 4 == 0 {
            kubectls.push(started("kubectl", &["version", "--client"])?);
        }
    }
    let ours = Sample::of(calls);
    let note = "entry, instance, door, redaction, sealed entry";
    let mut rows = vec![Row::new("subprocess: /bin/true", ours, Some(Sample::of(trues)), "us", Goal::Cheaper(20.0), note)];
    if kubectl {
        rows.push(Row::new(
            "subprocess: kubectl",
            ours,
            Some(Sample::of(kubectls)),
            "us",
            Goal::Cheaper(500.0),
            "kubectl version --client",
        ));
    } else {
        rows.push(Row::new("subprocess: kubectl", ours, None, "us", Goal::Told, "skipped: no kubectl on this machine"));
    }
    Ok(rows)
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    command(program, arguments).status().is_ok_and(|status| status.success())
}

/// Microseconds from starting a program to its end.
fn started(program: &str, arguments: &[&str]) -> anyhow::Result<f64> {
    let started = Instant::now();
    let status = command(program, arguments).status()?;
    let took = micros(started);
    anyhow::ensure!(status.success(), "`{program}` failed");
    Ok(took)
}
