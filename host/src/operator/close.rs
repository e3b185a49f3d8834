//! Ends runs that nobody executes: those whose replica is gone, and those that never began.

use std::{sync::Arc, time::Duration};

use infraagent_api::{
    AgentRun, InfraAgent,
    run::{ActionStatus, RunPhase, Usage},
};
use tracing::info;

use super::{
    Operator,
    conditions::{Holds, condition, merge},
    evidence, names,
};
use crate::{
    audit::{self, Closing, ClusterSink, Journal, Redactor, Setup, Sink},
    telemetry::Subject,
};

/// Why a run is ended by somebody who does not execute it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// One word for the condition.
    pub(super) reason: &'static str,
    /// What happened, and what to do.
    pub(super) message: String,
}

impl Verdict {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Closes the record of a run as Failed. A run that has ended is left alone, and one that has another holder than `run` says is refused.
///
/// Entries without outcome become what the cluster shows, else `unknown`. If somebody writes the record at the same time this fails, and the caller looks again.
pub(super) async fn close(operator: &Operator, agent: Option<&InfraAgent>, run: &AgentRun, verdict: &Verdict) -> Result<(), audit::Error> {
    let (namespace, name, uid) = names(run);
    let client = operator.connection.client.clone();
    let held = run.status.as_ref().and_then(|status| status.holder.as_ref());
    let (sink, run) = ClusterSink::hold(client.clone(), &namespace, &name, &uid).await.map_err(audit::sink::Error::from)?;
    let status = run.status.clone().unwrap_or_default();
    if status.phase.is_some_and(RunPhase::is_terminal) {
        return Ok(());
    }
    if status.holder.as_ref() != held {
        let why = "it was assigned to another replica meanwhile".to_owned();
        return Err(audit::sink::Error::from(audit::sink::cluster::Error::ClaimLost { run: sink.shown(), why }).into());
    }
    let setup = Setup {
        redactor: Arc::new(Redactor::new(std::iter::empty::<&str>())),
        key: Some(Arc::clone(&operator.key)),
        entries: 0,
        now: jiff::Timestamp::now,
    };
    let ended = run.clone();
    let journal = Journal::take_over(Sink::Cluster(sink), run, setup)?;
    for entry in status.actions.iter().filter(|entry| entry.status == ActionStatus::Intended) {
        let mark = format!("{uid}/{}", entry.seq);
        if let (Ok(seq), Some(outcome)) = (u32::try_from(entry.seq), evidence::find(&client, entry, &mark).await) {
            journal.outcome(seq, outcome).await?;
        }
    }
    let now = operator.clock.now();
    let took = status.start_time.as_ref().map_or(0, |start| now.duration_since(start.0).as_millis().max(0));
    let usage = Usage { wall_clock_ms: i64::try_from(took).unwrap_or(i64::MAX), ..status.usage.unwrap_or_default() };
    let complete = condition("Complete", Holds::No, verdict.reason, verdict.message.clone(), now, None);
    let conditions = merge(&status.conditions, vec![complete]);
    let guardrails = status.guardrails;
    journal.finish(Closing { phase: RunPhase::Failed, report: None, usage, guardrails, conditions }).await?;
    let began = status.start_time.is_some().then(|| Duration::from_millis(u64::try_from(took).unwrap_or(0)));
    operator.metrics.ended(&Subject::ordered(&ended, agent), RunPhase::Failed, began);
    info!(namespace, run = name, reason = verdict.reason, message = verdict.message, "the run is closed");
    Ok(())
}
