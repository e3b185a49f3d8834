//! Who is told what when a run ends. Pure: [`events`](super::events) sends it.
//!
//! | rule | what it does |
//! |---|---|
//! | silent | only the record |
//! | log | a line in the log |
//! | notify | and a Normal Event on the agent |
//! | escalate | and a Warning Event on the agent, recorded as an escalation |

use infraagent_api::{
    agent::{ReportRule, Reporting},
    names::Severity,
    run::{Finding, RunPhase},
};

use super::{Cause, Conclusion};
use crate::run::validate::ValidatedRun;

/// The longest message of an Event, in bytes.
const MAX_NOTE: usize = 1000;

/// Something that somebody is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about, in one word.
    pub reason: &'static str,
    /// How loudly; never `silent`.
    pub rule: ReportRule,
    /// What is said, at most 1000 bytes.
    pub message: String,
}

/// What is told about a run with this conclusion; `recorded` are the findings that were in the record before it.
pub fn notices(run: &ValidatedRun, conclusion: &Conclusion, recorded: &[Finding]) -> Vec<Notice> {
    let mut notices = Vec::new();
    let name = &run.run.name;
    let mut add = |rule: ReportRule, reason, message: String| match rule {
        ReportRule::Silent => {}
        ReportRule::Log | ReportRule::Notify | ReportRule::Escalate => notices.push(Notice { reason, rule, message: short(&message) }),
    };
    let waiting: Vec<&str> = conclusion
        .escalations
        .iter()
        .filter(|escalation| match escalation.cause {
            Cause::Autonomy { seq: _ } => true,
            Cause::Finding | Cause::Failure | Cause::Success => false,
        })
        .map(|escalation| escalation.message.as_str())
        .collect();
    if let Some(first) = waiting.first() {
        let more = if waiting.len() > 1 { format!(" (and {} more)", waiting.len() - 1) } else { String::new() };
        add(ReportRule::Escalate, "NeedsPerson", format!("run {name}: {first}{more}"));
    }
    let Reporting { on_success, on_failure, on_finding } = &run.reporting;
    let findings: Vec<&Finding> = recorded.iter().chain(&conclusion.findings).collect();
    if let Some(worst) = findings.iter().max_by_key(|finding| rank(finding.severity)) {
        let resource = worst.resource.as_deref().map(|resource| format!("{resource}: ")).unwrap_or_default();
        let more = if findings.len() > 1 { format!(" (and {} more)", findings.len() - 1) } else { String::new() };
        add(*on_finding, "Findings", format!("run {name}: {}: {resource}{}{more}", worst.severity, worst.message));
    }
    let why = conclusion.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match conclusion.phase {
        RunPhase::Failed => add(*on_failure, "RunFailed", format!("run {name} failed{why}")),
        phase @ (RunPhase::Succeeded | RunPhase::Escalated | RunPhase::Blocked | RunPhase::Pending | RunPhase::Running) => {
            add(*on_success, "RunEnded", format!("run {name} ended {phase}{why}"));
        }
    }
    notices
}

fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Critical => 2,
    }
}

fn short(message: &str) -> String {
    if message.len() <= MAX_NOTE { message.to_owned() } else { format!("{}…", &message[..message.floor_char_boundary(MAX_NOTE - 3)]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        llm::Usage,
        run::{
            converse::{Abort, Transcript},
            fixture,
            report::conclude,
        },
    };

    fn told(reporting: serde_json::Value, end: Result<&str, Abort>, recorded: &[Finding]) -> Vec<(&'static str, ReportRule, String)> {
        let run = fixture::run(|documents| documents.agent["spec"]["reporting"] = reporting);
        let end = end.map(str::to_owned);
        let transcript = Transcript { end, last_words: None, usage: Usage::default(), turns: 1, took: std::time::Duration::ZERO };
        let conclusion = conclude(&run, &transcript, &[], recorded, jiff::Timestamp::UNIX_EPOCH);
        notices(&run, &conclusion, recorded).into_iter().map(|Notice { reason, rule, message }| (reason, rule, message)).collect()
    }

    fn finding(severity: Severity, message: &str) -> Finding {
        Finding { severity, resource: Some("pod/web-1 -n shop".to_owned()), message: message.to_owned() }
    }

    #[test]
    fn each_rule_tells_about_its_own_and_silence_tells_nothing() {
        let quiet = json!({ "onSuccess": "silent", "onFailure": "silent", "onFinding": "silent" });
        assert_eq!(told(quiet.clone(), Ok("fine"), &[finding(Severity::Critical, "x")]), []);
        assert_eq!(told(quiet, Err(Abort::WallClock), &[]), []);
        let loud = json!({ "onSuccess": "notify", "onFailure": "escalate", "onFinding": "notify" });
        assert_eq!(told(loud.clone(), Ok("fine"), &[]), [("RunEnded", ReportRule::Notify, "run forge-1 ended Succeeded".to_owned())]);
        let failed = "run forge-1 failed: wall-clock timeout exceeded".to_owned();
        assert_eq!(told(loud.clone(), Err(Abort::WallClock), &[]), [("RunFailed", ReportRule::Escalate, failed)]);
        let found = [finding(Severity::Info, "small"), finding(Severity::Critical, "large")];
        let first = told(loud, Ok("fine"), &found).remove(0);
        assert_eq!(first, ("Findings", ReportRule::Notify, "run forge-1: critical: pod/web-1 -n shop: large (and 1 more)".to_owned()));
    }

    #[test]
    fn a_message_fits_into_an_event() {
        let long = finding(Severity::Critical, &"ü".repeat(1024));
        let all = told(json!({ "onSuccess": "silent", "onFailure": "silent", "onFinding": "escalate" }), Ok("fine"), &[long]);
        assert_eq!(all.len(), 1);
        assert!(all[0].2.len() <= 1000 && all[0].2.ends_with('…'));
    }
}
