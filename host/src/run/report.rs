//! What the record says about the whole run: phase, findings, usage, escalations, conditions. Pure: the record's entries are the truth.
//!
//! | phase | when |
//! |---|---|
//! | Failed | the conversation ended without a report, or nobody knows whether one of its changes happened |
//! | Escalated | it did not fail, and an escalation was recorded |
//! | Blocked | it did not fail, something was refused, and nothing was carried out |
//! | Succeeded | otherwise |
//!
//! An escalation is recorded when a call was refused or proposed for autonomy and the agent has `guardrails.escalation`, or when a reporting
//! rule says `escalate`. Where: the phase `Escalated` and the condition `Escalated`, which names what needs a person. The member `escalation` of an entry names
//! the channel that was really told, so it is written by whoever sends, before the entry is sealed; a run that sends nothing has none, its condition says
//! `NothingSent`, and `escalationsTriggered` counts only what somebody was really told.

pub mod events;
pub mod lines;
pub mod notice;

use std::collections::BTreeSet;

use infraagent_api::{
    Condition, Time,
    agent::{EscalationTarget, ReportRule, Reporting},
    run::{ActionRecord, ActionStatus, BudgetUsed, Finding, GuardrailSummary, RunPhase, Usage},
};
use infraagent_guard::checks::Code;
use jiff::Timestamp;

use super::{
    budget::Prices,
    converse::{Abort, Transcript},
    finding,
    validate::{ValidatedRun, Warning, WarningKind, autonomy_word},
};

/// The longest report, in bytes.
pub const MAX_REPORT: usize = 16 * 1024;
/// The longest message of a condition, in characters.
const MAX_CONDITION: usize = 256;
/// The condition that says whether somebody was told.
const ESCALATED: &str = "Escalated";
/// The reason of an entry that was written down for a person.
pub const PROPOSED: &str = "proposed";

/// What is written when a run ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// How it ended.
    pub phase: RunPhase,
    /// Why, if there is more to say than the phase.
    pub reason: Option<String>,
    /// The agent's report, at most [`MAX_REPORT`].
    pub report: Option<String>,
    /// Findings of the report's lines that were not recorded before, so that all fit into the record.
    pub findings: Vec<Finding>,
    /// What was used.
    pub usage: Usage,
    /// What the guardrails did.
    pub guardrails: GuardrailSummary,
    /// Who is to be told.
    pub escalations: Vec<Escalation>,
    /// Complete, GuardrailsEffective, Supported, Escalated.
    pub conditions: Vec<Condition>,
    /// Entries, counted.
    pub tally: Tally,
}

/// Somebody is to be told about something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// Why.
    pub cause: Cause,
    /// What to say.
    pub message: String,
    /// Whom, by the agent's guardrails; a reporting rule without them addresses a person.
    pub target: EscalationTarget,
    /// The channel, if the target is one.
    pub channel: Option<String>,
}

/// Why somebody is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The agent's autonomy was not enough for the call of this entry.
    Autonomy {
        /// Number of the entry.
        seq: i32,
    },
    /// `reporting.onFinding`.
    Finding,
    /// `reporting.onFailure`.
    Failure,
    /// `reporting.onSuccess`.
    Success,
}

/// The entries of a record, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that were decided: reads, and everything that has an entry with checks.
    pub decided: u32,
    /// Entries that were carried out: tool calls and changes.
    pub executed: u32,
    /// Changes that were carried out.
    pub changed: u32,
    /// Refused: changes, reads, and tool calls that were not run. A tool call that only passes a refusal on is not another one.
    pub blocked: u32,
    /// Written down for a person.
    pub proposed: u32,
    /// Escalations that were really sent.
    pub sent: u32,
}

impl Tally {
    /// Counts.
    pub fn of(record: &[ActionRecord]) -> Self {
        let mut tally = Self::default();
        let refused = refused_themselves(record);
        for entry in record {
            let reads = entry.reads.as_ref();
            let count = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
            let denied = count(reads.map(|reads| reads.denied));
            tally.decided += count(reads.map(|reads| reads.count)) + u32::from(entry.checks.is_some());
            tally.blocked += denied;
            tally.sent += u32::from(entry.escalation.is_some());
            match entry.status {
                ActionStatus::Executed => {
                    tally.executed += 1;
                    tally.changed += u32::from(entry.tier > infraagent_api::names::Tier::Read && entry.checks.is_some());
                }
                // A refused read has no entry but its tool call's.
                ActionStatus::Blocked => tally.blocked += u32::from(denied == 0 && refused.contains(&entry.seq)),
                ActionStatus::Skipped => tally.proposed += u32::from(entry.reason.as_deref() == Some(PROPOSED)),
                ActionStatus::Intended | ActionStatus::Failed | ActionStatus::Unknown => {}
            }
        }
        tally
    }
}

/// Numbers of the blocked entries that are about a refusal of their own. A tool call often ends with the refusal of a change inside of it: that change has an
/// entry of its own, after the tool call's and with the same code, and each such entry explains one tool call.
fn refused_themselves(record: &[ActionRecord]) -> BTreeSet<i32> {
    let code = |entry: &ActionRecord| match (entry.status, entry.reason.as_deref()) {
        (ActionStatus::Blocked | ActionStatus::Failed, Some(reason)) => Some(reason.to_owned()),
        (ActionStatus::Skipped, Some(PROPOSED)) => Some(Code::ApprovalRequired.as_str().to_owned()),
        (ActionStatus::Skipped, _)
        | (ActionStatus::Blocked | ActionStatus::Failed, None)
        | (ActionStatus::Intended | ActionStatus::Executed | ActionStatus::Unknown, _) => None,
    };
    let (changes, calls): (Vec<&ActionRecord>, Vec<&ActionRecord>) = record.iter().partition(|entry| entry.checks.is_some());
    let mut explaining: Vec<(i32, String)> = changes.iter().filter_map(|change| Some((change.seq, code(change)?))).collect();
    let mut refused: BTreeSet<i32> =
        changes.iter().filter(|change| change.status == ActionStatus::Blocked).map(|change| change.seq).collect();
    // The last tool call first: what comes after it can only be its own, or that of one before.
    for call in calls.into_iter().rev().filter(|call| call.status == ActionStatus::Blocked) {
        let explains = explaining.iter().position(|(seq, code)| *seq > call.seq && Some(code.as_str()) == call.reason.as_deref());
        if let Some(explains) = explains {
            explaining.remove(explains);
        } else {
            refused.insert(call.seq);
        }
    }
    refused
}

/// Draws the conclusion. `found` are the findings that are in the record already.
pub fn conclude(run: &ValidatedRun, transcript: &Transcript, record: &[ActionRecord], found: &[Finding], now: Timestamp) -> Conclusion {
    let Transcript { end, last_words, usage: tokens, turns, took } = transcript;
    let tally = Tally::of(record);
    let report = end.as_ref().ok().or(last_words.as_ref());
    let findings = match end {
        Ok(report) => new_findings(report, found),
        Err(_) => Vec::new(),
    };
    let has_findings = !found.is_empty() || !findings.is_empty();
    let failure = failure(end.as_ref().err(), record);
    let escalations = escalations(run, failure.as_ref(), record, has_findings);
    let phase = phase(failure.is_some(), tally, !escalations.is_empty());
    let reason = match (&failure, phase) {
        (Some(Failure { reason: _, message }), _) => Some(message.clone()),
        (None, RunPhase::Blocked) => Some(format!("{} refused, nothing carried out", calls(tally.blocked))),
        (None, RunPhase::Escalated) => escalations.first().map(|escalation| escalation.message.clone()),
        (None, RunPhase::Succeeded | RunPhase::Failed | RunPhase::Pending | RunPhase::Running) => None,
    };
    let wall_clock_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
    let number = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    let turns_used = i32::try_from(*turns).unwrap_or(i32::MAX);
    let usage = Usage {
        tokens_in: number(tokens.input),
        cached_tokens_in: number(tokens.cached),
        tokens_out: number(tokens.output),
        total_tokens: number(tokens.total()),
        iterations: turns_used,
        wall_clock_ms,
        estimated_cost: run.model.prices.map(|prices: Prices| prices.cost(*tokens)),
    };
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let guardrails = GuardrailSummary {
        checks_performed: count(tally.decided),
        actions_blocked: count(tally.blocked),
        escalations_triggered: count(tally.sent),
        autonomy_ceiling: Some(autonomy_word(run.effective_autonomy())),
        budget_used: Some(BudgetUsed {
            tokens_used: number(tokens.total()),
            token_budget: number(run.limits.tokens),
            iterations_used: turns_used,
            max_iterations: count(run.limits.turns),
            wall_clock_ms,
            timeout_ms: i64::try_from(run.limits.wall.as_millis()).unwrap_or(i64::MAX),
        }),
    };
    let conditions = conditions(run, failure.as_ref(), &escalations, tally, now);
    Conclusion { phase, reason, report: report.map(|report| cut(report)), findings, usage, guardrails, escalations, conditions, tally }
}

/// Why a run failed.
struct Failure {
    /// One word.
    reason: &'static str,
    /// One sentence.
    message: String,
}

/// A conversation without a report is a failure. So is a change of which nobody knows whether it happened, whatever the report says: a person has to look.
fn failure(abort: Option<&Abort>, record: &[ActionRecord]) -> Option<Failure> {
    if let Some(abort) = abort {
        return Some(Failure { reason: abort.reason(), message: abort.to_string() });
    }
    let first = record.iter().find(|entry| entry.status == ActionStatus::Unknown)?;
    let message = format!("nobody knows whether the change of entry {} happened: {} {}", first.seq, first.tool, first.target);
    Some(Failure { reason: "OutcomeUnknown", message })
}

fn phase(failed: bool, tally: Tally, escalated: bool) -> RunPhase {
    match (failed, escalated) {
        (true, _) => RunPhase::Failed,
        (false, true) => RunPhase::Escalated,
        (false, false) if tally.blocked > 0 && tally.executed == 0 => RunPhase::Blocked,
        (false, false) => RunPhase::Succeeded,
    }
}

/// Of the report's lines, what the model did not record already, up to what the record still takes.
fn new_findings(report: &str, found: &[Finding]) -> Vec<Finding> {
    let mut new: Vec<Finding> = Vec::new();
    for finding in lines::parse(report) {
        let same = |other: &Finding| other.severity == finding.severity && other.message.trim() == finding.message.trim();
        if !found.iter().chain(&new).any(same) {
            new.push(finding);
        }
    }
    new.truncate(finding::MAX.saturating_sub(found.len()));
    new
}

fn escalations(run: &ValidatedRun, failure: Option<&Failure>, record: &[ActionRecord], has_findings: bool) -> Vec<Escalation> {
    let mut due = Vec::new();
    let (target, channel) = match &run.escalation {
        Some(escalation) => (escalation.target, escalation.channel.clone()),
        None => (EscalationTarget::Human, None),
    };
    let mut add = |cause, message: String| due.push(Escalation { cause, message, target, channel: channel.clone() });
    if run.escalation.is_some() {
        let refused = refused_themselves(record);
        for entry in record {
            let code = entry.reason.as_deref().unwrap_or_default();
            let autonomy = match entry.status {
                ActionStatus::Blocked if !refused.contains(&entry.seq) => false,
                ActionStatus::Blocked => code == Code::TierNotGranted.as_str() || code == Code::ApprovalRequired.as_str(),
                ActionStatus::Skipped => code == PROPOSED || code == Code::ApprovalRequired.as_str(),
                ActionStatus::Intended | ActionStatus::Executed | ActionStatus::Failed | ActionStatus::Unknown => false,
            };
            if autonomy {
                let what = if entry.call.is_empty() { format!("{} {}", entry.tool, entry.target) } else { entry.call.clone() };
                add(Cause::Autonomy { seq: entry.seq }, format!("needs a person: {what}"));
            }
        }
    }
    let Reporting { on_success, on_failure, on_finding } = &run.reporting;
    let escalates = |rule: &ReportRule| match rule {
        ReportRule::Escalate => true,
        ReportRule::Silent | ReportRule::Log | ReportRule::Notify => false,
    };
    if has_findings && escalates(on_finding) {
        add(Cause::Finding, "the run has findings".to_owned());
    }
    match failure {
        Some(Failure { reason: _, message }) if escalates(on_failure) => add(Cause::Failure, format!("the run failed: {message}")),
        None if escalates(on_success) => add(Cause::Success, "the run ended with a report".to_owned()),
        Some(_) | None => {}
    }
    due
}

/// What is said about a run that could not start.
pub fn not_started(why: &str, now: Timestamp) -> Condition {
    condition("Complete", false, "NotStarted", format!("the run could not start: {why}"), now)
}

fn condition(kind: &str, holds: bool, reason: &str, message: String, now: Timestamp) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(MAX_CONDITION).collect(),
        last_transition_time: Time(now),
        observed_generation: None,
    }
}

fn conditions(run: &ValidatedRun, failure: Option<&Failure>, escalations: &[Escalation], tally: Tally, now: Timestamp) -> Vec<Condition> {
    let condition = |kind: &str, holds: bool, reason: &str, message: String| condition(kind, holds, reason, message, now);
    let mut conditions = vec![match failure {
        None => condition("Complete", true, "Completed", "the run ended with a report".to_owned()),
        Some(Failure { reason, message }) => condition("Complete", false, reason, message.clone()),
    }];
    conditions.extend(standing(run, now));
    if let Some(first) = escalations.first() {
        let more = if escalations.len() > 1 { format!(" (and {} more)", escalations.len() - 1) } else { String::new() };
        let reason = if tally.sent > 0 { "Sent" } else { "NothingSent" };
        conditions.push(condition(ESCALATED, tally.sent > 0, reason, format!("{}{more}", first.message)));
    }
    conditions
}

/// What stands whatever comes of a run: GuardrailsEffective and Supported.
pub fn standing(run: &ValidatedRun, now: Timestamp) -> Vec<Condition> {
    let condition = |kind: &str, holds: bool, reason: &str, message: String| condition(kind, holds, reason, message, now);
    let mut conditions = Vec::new();
    let ineffective: Vec<_> = run
        .warnings
        .iter()
        .filter(|warning: &&Warning| warning.kind == WarningKind::Guardrail)
        .map(|warning| warning.message.as_str())
        .collect();
    conditions.push(if ineffective.is_empty() {
        condition("GuardrailsEffective", true, "AllEffective", "every entry of the agent's lists can match a call".to_owned())
    } else {
        condition("GuardrailsEffective", false, "Ineffective", ineffective.join("; "))
    });
    conditions.push(if run.unsupported.is_empty() {
        condition("Supported", true, "AllSupported", "every field that is set has its effect".to_owned())
    } else {
        condition("Supported", false, "NotSupportedYet", listed("no effect yet: ", &run.unsupported))
    });
    conditions
}

/// Names, as many as fit into a condition, and how many do not.
fn listed(start: &str, names: &[String]) -> String {
    let mut text = start.to_owned();
    for (index, name) in names.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let rest = format!(" and {} more", names.len() - index);
        if text.chars().count() + separator.len() + name.chars().count() + rest.len() > MAX_CONDITION {
            return text + &rest;
        }
        text.push_str(separator);
        text.push_str(name);
    }
    text
}

impl Conclusion {
    /// Somebody was told about these escalations: the record says so.
    pub fn escalated(&mut self, sent: &[notice::Notice], to: &str) {
        if sent.is_empty() {
            return;
        }
        self.tally.sent += u32::try_from(sent.len()).unwrap_or(u32::MAX);
        self.guardrails.escalations_triggered = i32::try_from(self.tally.sent).unwrap_or(i32::MAX);
        for condition in self.conditions.iter_mut().filter(|condition| condition.type_ == ESCALATED) {
            let reasons: Vec<&str> = sent.iter().map(|notice| notice.reason).collect();
            let message = format!("{to}: {}; {}", reasons.join(", "), condition.message);
            (condition.status, condition.reason) = ("True".to_owned(), "Sent".to_owned());
            condition.message = message.chars().take(MAX_CONDITION).collect();
        }
    }
}

fn calls(count: u32) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

fn cut(report: &str) -> String {
    const MARK: &str = "\n[cut: the report was longer]";
    if report.len() <= MAX_REPORT {
        return report.to_owned();
    }
    format!("{}{MARK}", &report[..report.floor_char_boundary(MAX_REPORT - MARK.len())])
}

#[cfg(test)]
mod tests;
