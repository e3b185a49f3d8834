//! The lines of a timeline: the same while a run goes on (`timeline`) and from its record (`runs/follow`).

use std::{fmt::Write as _, time::Duration};

use infraagent_api::names::{Severity, Tier};
use serde_json::Value;

use super::paint::{BAD, BOLD, DIM, GOOD, NOTE, ODD, badge, count, grouped, lasted, of_phase, paint, quoted, shown};
use crate::{
    audit::escape_terminal,
    llm::ToolStatus,
    run::event::{Ended, Outcome, Verdict},
};

/// Where the text of a decision ends and its meaning begins.
const COLUMN: usize = 58;
/// How wide the time is.
pub const STAMP: usize = 8;
/// Between what the agent says at the end and what this program says.
pub const RULE: &str = "────────────────────────────────────────────────────────────────────────────────";

/// So long after the beginning.
pub fn stamp(at: Duration) -> String {
    paint(DIM, format!("{:>7.2}s", at.as_secs_f64()))
}

/// The same where only whole seconds are known, as in a record.
pub fn seconds(at: Duration) -> String {
    paint(DIM, format!("{:>7}s", at.as_secs()))
}

/// What the model said.
pub fn said(out: &mut String, time: &str, text: &str) {
    let mut time = time.to_owned();
    for line in quoted(text) {
        let _ = writeln!(out, "{time}  {line}");
        time = " ".repeat(STAMP);
    }
}

/// A tool is called.
pub fn called(out: &mut String, time: &str, tool: &str, arguments: &str) {
    let _ = writeln!(out, "{time}  {} {}  {}", paint(NOTE, "▸"), paint(BOLD, shown(tool)), paint(DIM, shown(arguments)));
}

/// A call of a skill, and how it was decided.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// The call in canonical text.
    pub what: &'a str,
    /// Its tier, if it is known.
    pub tier: Option<Tier>,
    /// The action that it claims.
    pub action: Option<&'a str>,
    /// How it was decided.
    pub verdict: &'a Verdict,
}

/// A call was decided. `of` is the tool that it belongs to, painted, where that is not plain.
pub fn decided(out: &mut String, time: &str, of: &str, decided: &Decided<'_>) {
    let Decided { what, tier, action, verdict } = decided;
    let what = shown(what);
    let pad = " ".repeat(COLUMN.saturating_sub(what.chars().count()));
    let tier = tier.map(|tier| tier.to_string()).unwrap_or_default();
    let action = action.map(|action| format!(" by {}", shown(action))).unwrap_or_default();
    let _ = match verdict {
        Verdict::Allow => writeln!(out, "{time}    {of}  {} {what}{pad} {}", paint(GOOD, "✓"), paint(DIM, format!("{tier}{action}"))),
        Verdict::Propose => writeln!(
            out,
            "{time}    {of}  {} {what}{pad} {} {}",
            paint(ODD, "?"),
            paint(ODD, "proposed"),
            paint(DIM, format!("{tier}{action}"))
        ),
        Verdict::Deny { code, reason } => writeln!(
            out,
            "{time}    {of}  {} {what}{pad} {}\n{:>8}    {of}    {}",
            paint(BAD, "✗"),
            paint(BAD, format!("refused: {}", shown(code))),
            "",
            paint(DIM, shown(reason))
        ),
    };
}

/// A change was tried.
pub fn effect(out: &mut String, time: &str, of: &str, seq: u32, what: &str, outcome: &Outcome) {
    let (mark, style, text) = match outcome {
        Outcome::Changed => ("⚡", GOOD, "changed".to_owned()),
        Outcome::Unchanged => ("=", DIM, "was so already".to_owned()),
        Outcome::DryRun => ("~", ODD, "dry run".to_owned()),
        Outcome::Failed(why) => ("✗", BAD, format!("failed: {}", shown(why))),
    };
    let what = format!("#{seq} {}", shown(what));
    let pad = " ".repeat(COLUMN.saturating_sub(what.chars().count()));
    let _ = writeln!(out, "{time}    {of}  {} {what}{pad} {}", paint(style, mark), paint(style, text));
}

/// A tool call ended. `tool` is named where several run side by side.
pub fn returned(out: &mut String, time: &str, tool: Option<&str>, status: ToolStatus, took: Option<Duration>, summary: &str) {
    let name = tool.map(|tool| format!(" {}", shown(tool))).unwrap_or_default();
    let (word, style) = match status {
        ToolStatus::Ok => ("ok", GOOD),
        ToolStatus::Blocked => ("blocked", BAD),
        ToolStatus::Error => ("error", ODD),
    };
    let took = took.map(|took| format!(" {}", paint(DIM, format!("in {}", lasted(took))))).unwrap_or_default();
    let _ = writeln!(out, "{time}  {}{name} {}{took}  {}", paint(NOTE, "◂"), paint(style, word), shown(summary));
}

/// Something was noticed.
pub fn finding(out: &mut String, time: &str, severity: Severity, resource: Option<&str>, message: &str) {
    let resource = resource.map(|resource| format!(" {}:", shown(resource))).unwrap_or_default();
    let _ = writeln!(out, "{time}    {}{resource} {}", badge(severity), shown(message));
}

/// The run has ended.
pub fn ended(out: &mut String, ended: &Ended) {
    let Ended { phase, reason, report, usage, turns, cost, took, changed, blocked, proposed } = ended;
    if let Some(report) = report {
        let _ = writeln!(out, "\n{}", paint(DIM, RULE));
        for line in quoted(report.trim_end()) {
            let _ = writeln!(out, "{line}");
        }
    }
    let (mark, style) = of_phase(*phase);
    let (reason, details) = match reason.as_deref().map(|reason| reason.split_once('\n').unwrap_or((reason, ""))) {
        Some((reason, details)) => (format!(": {}", escape_terminal(reason)), details),
        None => (String::new(), ""),
    };
    let details: String = quoted(details).map(|line| format!("\n  {line}")).collect();
    let mut facts = vec![lasted(*took), count(u64::from(*turns), "turn", "turns"), format!("{} tokens", grouped(usage.total()))];
    facts.extend(cost.clone());
    facts.push(count(u64::from(*changed), "change", "changes"));
    facts.push(format!("{blocked} refused"));
    if *proposed > 0 {
        facts.push(format!("{proposed} proposed"));
    }
    let _ = writeln!(
        out,
        "{}\n{}{reason}{details}\n  {}",
        paint(DIM, RULE),
        paint(style.bold(), format!("{mark} {phase}")),
        paint(DIM, facts.join(" · "))
    );
}

/// `name=web replicas=3`: one line, however the arguments look.
pub fn brief(arguments: &Value) -> String {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match arguments {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}={}", one(value))).collect();
            entries.sort();
            entries.join(" ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => one(arguments),
    }
}
