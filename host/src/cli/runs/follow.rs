//! What happened in a run, told from its record: everything that is there, and then what is added to it, until it ends.
//!
//! Entries are told in their order. A tool call's own end comes after the changes that were made inside of it, as it was; its entry stands before theirs.

use std::{fmt::Write as _, time::Duration};

use anyhow::bail;
use futures::StreamExt as _;
use infraagent_api::{
    AgentRun,
    names::Tier,
    run::{ActionRecord, ActionStatus, RunPhase},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::Value;

use super::{condition, phase};
use crate::{
    cli::{
        cluster::Cluster,
        lines::{self, Decided},
        output,
        paint::{BOLD, DIM, ODD, clean, paint, shown},
    },
    llm::{ToolStatus, Usage},
    run::{
        event::{Ended, Outcome, Verdict},
        report::{PROPOSED, Tally},
    },
};

/// Tells what is new until the run has ended. Returns it.
pub async fn to_the_end(cluster: &Cluster, name: &str, told: &mut Told) -> anyhow::Result<AgentRun> {
    let mut changes = std::pin::pin!(cluster.follow::<AgentRun>(name));
    while let Some(seen) = changes.next().await {
        let Some(run) = seen? else { bail!("the run `{name}` was deleted") };
        let new = told.tell(&run);
        if !new.is_empty() {
            output::text(&new)?;
        }
        if phase(&run).is_terminal() {
            return Ok(run);
        }
    }
    bail!("the run `{name}` can no longer be watched")
}

/// Waits until the run has ended, in silence.
pub async fn end(cluster: &Cluster, name: &str) -> anyhow::Result<AgentRun> {
    let mut changes = std::pin::pin!(cluster.follow::<AgentRun>(name));
    while let Some(seen) = changes.next().await {
        let Some(run) = seen? else { bail!("the run `{name}` was deleted") };
        if phase(&run).is_terminal() {
            return Ok(run);
        }
    }
    bail!("the run `{name}` can no longer be watched")
}

/// How far an entry was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Nothing,
    Begin,
    All,
}

/// What was told of a run.
#[derive(Debug, Default)]
pub struct Told {
    waits: Option<String>,
    begun: bool,
    entries: Vec<Stage>,
    findings: usize,
    ended: bool,
}

impl Told {
    /// What is new in the record, as lines.
    pub fn tell(&mut self, run: &AgentRun) -> String {
        let mut out = String::new();
        let status = run.status.clone().unwrap_or_default();
        let from = status.start_time.as_ref().map(|time| time.0).or_else(|| run.creation_timestamp().map(|time| time.0));
        let at = |time: Timestamp| from.and_then(|from| Duration::try_from(time.duration_since(from)).ok()).unwrap_or_default();
        self.wait(&mut out, run);
        // Model and skills are written down with the first entries.
        let is_known = status.model.is_some() || !status.actions.is_empty();
        if !self.begun && (is_known || phase(run).is_terminal()) {
            self.begun = true;
            begin(&mut out, run);
        }
        self.entries.resize(status.actions.len().max(self.entries.len()), Stage::Nothing);
        let mut entries = status.actions.as_slice();
        let mut seq = 0;
        while let Some((first, rest)) = entries.split_first() {
            // A change outside of every tool call cannot be; if a record says so, it is told by itself.
            let inside = if is_change(first) { 0 } else { rest.iter().take_while(|entry| is_change(entry)).count() };
            let (changes, after) = rest.split_at(inside);
            if is_change(first) {
                self.change(&mut out, seq, first, at(first.timestamp.0));
            } else {
                self.tool(&mut out, seq, first, changes, &at);
            }
            seq += 1 + inside;
            entries = after;
        }
        for finding in status.findings.get(self.findings..).unwrap_or_default() {
            lines::finding(&mut out, &" ".repeat(lines::STAMP), finding.severity, finding.resource.as_deref(), &finding.message);
        }
        self.findings = self.findings.max(status.findings.len());
        if phase(run).is_terminal() && !self.ended {
            self.ended = true;
            lines::ended(&mut out, &ended(run));
        }
        out
    }

    /// What the run waits for, whenever that changes.
    fn wait(&mut self, out: &mut String, run: &AgentRun) {
        if phase(run) != RunPhase::Pending {
            return;
        }
        let now = condition(run, "Assigned").map_or_else(
            || "nobody has looked at it yet".to_owned(),
            |condition| match condition.status.as_str() {
                "True" => format!("assigned {}", condition.message),
                _ => format!("waits: {}: {}", condition.reason, condition.message),
            },
        );
        if self.waits.as_ref() != Some(&now) {
            let _ = writeln!(out, "{} {}  {}", paint(DIM, "…"), paint(BOLD, shown(&run.name_any())), paint(ODD, clean(&now)));
            self.waits = Some(now);
        }
    }

    fn reached(&mut self, seq: usize, stage: Stage) -> bool {
        match self.entries.get_mut(seq) {
            Some(told) if *told < stage => {
                *told = stage;
                true
            }
            Some(_) | None => false,
        }
    }

    fn tool(&mut self, out: &mut String, seq: usize, entry: &ActionRecord, changes: &[ActionRecord], at: &impl Fn(Timestamp) -> Duration) {
        let time = lines::seconds(at(entry.timestamp.0));
        let blank = " ".repeat(lines::STAMP);
        if self.reached(seq, Stage::Begin) {
            lines::called(out, &time, &entry.tool, &arguments(entry));
        }
        for (more, change) in changes.iter().enumerate() {
            self.change(out, seq + 1 + more, change, at(change.timestamp.0));
        }
        let over = match entry.status {
            ActionStatus::Intended => None,
            ActionStatus::Executed => Some(ToolStatus::Ok),
            ActionStatus::Blocked => Some(ToolStatus::Blocked),
            ActionStatus::Failed | ActionStatus::Skipped | ActionStatus::Unknown => Some(ToolStatus::Error),
        };
        let Some(over) = over else { return };
        if !self.reached(seq, Stage::All) {
            return;
        }
        if let Some(reads) = &entry.reads {
            for call in &reads.calls {
                read(out, &blank, call);
            }
            let listed = i32::try_from(reads.calls.len()).unwrap_or(i32::MAX);
            if reads.count > listed {
                let _ = writeln!(out, "{blank}      {}", paint(DIM, format!("and {} more reads", reads.count - listed)));
            }
        }
        let reason = entry.reason.as_ref().map(|reason| format!("{reason}: ")).unwrap_or_default();
        lines::returned(out, &blank, None, over, None, &format!("{reason}{}", entry.result.as_deref().unwrap_or_default()));
    }

    fn change(&mut self, out: &mut String, seq: usize, entry: &ActionRecord, at: Duration) {
        let (time, blank) = (lines::seconds(at), " ".repeat(lines::STAMP));
        let what = what(entry);
        let reason = entry.reason.clone().unwrap_or_default();
        let result = entry.result.clone().unwrap_or_default();
        let (verdict, outcome) = match entry.status {
            ActionStatus::Intended => (Verdict::Allow, None),
            ActionStatus::Executed if result.starts_with("was already so") => (Verdict::Allow, Some(Outcome::Unchanged)),
            ActionStatus::Executed => (Verdict::Allow, Some(Outcome::Changed)),
            ActionStatus::Blocked => (Verdict::Deny { code: reason, reason: result }, None),
            ActionStatus::Skipped if reason == PROPOSED => (Verdict::Propose, None),
            ActionStatus::Skipped => (Verdict::Allow, Some(Outcome::DryRun)),
            ActionStatus::Failed => (Verdict::Allow, Some(Outcome::Failed(format!("{reason}: {result}")))),
            ActionStatus::Unknown => (Verdict::Allow, Some(Outcome::Failed(format!("nobody knows whether it happened: {result}")))),
        };
        if self.reached(seq, Stage::Begin) {
            let decided = Decided { what: &what, tier: Some(entry.tier), action: entry.action.as_deref(), verdict: &verdict };
            lines::decided(out, &time, "", &decided);
        }
        if let Some(outcome) = outcome
            && self.reached(seq, Stage::All)
        {
            lines::effect(out, &blank, "", u32::try_from(entry.seq).unwrap_or_default(), &what, &outcome);
        }
    }
}

/// A change, and no tool call: only a change was checked.
pub(crate) fn is_change(entry: &ActionRecord) -> bool {
    entry.checks.is_some()
}

/// What an entry asked for, without the reason that the skill gave.
pub(crate) fn what(entry: &ActionRecord) -> String {
    format!("{} {}", entry.tool, entry.target).trim_end().to_owned()
}

/// The arguments of a tool call. The record may have cut them.
fn arguments(entry: &ActionRecord) -> String {
    let text = entry.call.strip_prefix(&entry.tool).unwrap_or(&entry.call).trim();
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |arguments| lines::brief(&arguments))
}

/// A read as the record lists it: a refused one ends in its code.
fn read(out: &mut String, time: &str, call: &str) {
    let refused = call.rsplit_once(" denied:").filter(|(_, code)| !code.contains(' '));
    let (what, verdict) = match refused {
        Some((what, code)) => (what, Verdict::Deny { code: code.to_owned(), reason: crate::cli::why_blocked::meaning(code).to_owned() }),
        None => (call, Verdict::Allow),
    };
    lines::decided(out, time, "", &Decided { what, tier: Some(Tier::Read), action: None, verdict: &verdict });
}

fn begin(out: &mut String, run: &AgentRun) {
    let status = run.status.clone().unwrap_or_default();
    let agent = format!("{}/{}", run.namespace().unwrap_or_default(), run.spec.agent_ref);
    let _ = writeln!(out, "{}  {}", paint(BOLD, shown(&agent)), paint(DIM, shown(&run.name_any())));
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(out, "{}{}", paint(DIM, format!("  {name:<12}")), shown(value));
    };
    field("environment", &run.spec.environment_ref);
    if let Some(model) = &status.model {
        field("model", model);
    }
    field("trigger", run.spec.trigger.as_str());
    if run.spec.mode != infraagent_api::names::Mode::Live {
        field("mode", run.spec.mode.as_str());
    }
    for skill in &status.skills {
        field("skill", &format!("{} {}", skill.name, skill.version.as_deref().unwrap_or_default()));
    }
    out.push('\n');
}

/// How a run ended, as the timeline of a run that goes on says it.
pub(crate) fn ended(run: &AgentRun) -> Ended {
    let status = run.status.clone().unwrap_or_default();
    let tally = Tally::of(&status.actions);
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    let usage = status.usage.clone().unwrap_or_default();
    let complete = condition(run, "Complete").filter(|condition| condition.status != "True");
    Ended {
        phase: phase(run),
        reason: complete.map(|condition| format!("{}: {}", condition.reason, condition.message)),
        report: status.report.clone(),
        usage: Usage {
            input: number(usage.tokens_in),
            output: number(usage.tokens_out),
            cached: number(usage.cached_tokens_in),
            cache_written: 0,
        },
        turns: u32::try_from(usage.iterations).unwrap_or_default(),
        cost: usage.estimated_cost,
        took: Duration::from_millis(number(usage.wall_clock_ms)),
        changed: tally.changed,
        blocked: tally.blocked,
        proposed: tally.proposed,
    }
}

#[cfg(test)]
pub(crate) mod tests;
