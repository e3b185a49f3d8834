use infraagent_api::{
    names::{Severity, Tier},
    run::{ActionEscalation, Reads},
};
use serde_json::json;

use super::*;
use crate::{llm, run::fixture};

fn now() -> Timestamp {
    "2026-11-22T16:30:51Z".parse().unwrap()
}

fn ended(end: Result<&str, Abort>) -> Transcript {
    Transcript {
        end: end.map(str::to_owned),
        last_words: None,
        usage: llm::Usage { input: 1000, output: 80, cached: 400, cache_written: 0 },
        turns: 3,
        took: std::time::Duration::from_millis(1500),
    }
}

fn entry(status: ActionStatus, tier: Tier, reason: Option<&str>) -> ActionRecord {
    let mut entry: ActionRecord = fixture::object(json!({
        "seq": 0, "timestamp": "2026-11-22T16:30:51Z", "tool": "kubectl.scale", "target": "deployment/web -n shop", "tier": tier.as_str(),
        "status": status.as_str(), "call": "kubectl.scale deployment/web -n shop --replicas=2",
    }));
    entry.reason = reason.map(str::to_owned);
    entry.checks = (tier > Tier::Read).then(|| "autonomy=ok".to_owned());
    entry
}

const READ: Tier = Tier::Read;
const CHANGE: Tier = Tier::ServiceMutation;

#[test]
fn the_phase_follows_from_the_record() {
    use ActionStatus::{Blocked, Executed, Failed, Intended, Skipped, Unknown};
    let done = || Ok("Report.");
    let outage = || Err(Abort::Provider("down".to_owned()));
    let (plain, asking) = (false, true);
    for (name, end, escalation, entries, phase) in [
        ("nothing happened", done(), plain, vec![], RunPhase::Succeeded),
        ("only looked", done(), plain, vec![entry(Executed, READ, None)], RunPhase::Succeeded),
        ("changed", done(), plain, vec![entry(Executed, CHANGE, None)], RunPhase::Succeeded),
        ("refused, nothing done", done(), plain, vec![entry(Blocked, CHANGE, Some("deny-listed"))], RunPhase::Blocked),
        (
            "refused, something failed",
            done(),
            plain,
            vec![entry(Blocked, CHANGE, Some("cooldown")), entry(Failed, READ, None)],
            RunPhase::Blocked,
        ),
        (
            "refused, something done",
            done(),
            plain,
            vec![entry(Blocked, CHANGE, Some("cooldown")), entry(Executed, READ, None)],
            RunPhase::Succeeded,
        ),
        ("proposed", done(), plain, vec![entry(Skipped, CHANGE, Some("proposed"))], RunPhase::Succeeded),
        ("proposed, somebody is asked", done(), asking, vec![entry(Skipped, CHANGE, Some("proposed"))], RunPhase::Escalated),
        (
            "refused for autonomy, somebody is asked",
            done(),
            asking,
            vec![entry(Blocked, CHANGE, Some("tier-not-granted"))],
            RunPhase::Escalated,
        ),
        ("refused for autonomy, nobody is asked", done(), plain, vec![entry(Blocked, CHANGE, Some("tier-not-granted"))], RunPhase::Blocked),
        (
            "refused for data, somebody would be asked",
            done(),
            asking,
            vec![entry(Blocked, CHANGE, Some("data-protection"))],
            RunPhase::Blocked,
        ),
        ("shadow", done(), asking, vec![entry(Skipped, CHANGE, Some("shadow"))], RunPhase::Succeeded),
        ("outage after a refusal", outage(), plain, vec![entry(Blocked, CHANGE, Some("cooldown"))], RunPhase::Failed),
        ("outage after an escalation", outage(), asking, vec![entry(Blocked, CHANGE, Some("tier-not-granted"))], RunPhase::Failed),
        ("outage after a change", outage(), plain, vec![entry(Executed, CHANGE, None)], RunPhase::Failed),
        ("unknown outcome", done(), plain, vec![entry(Executed, CHANGE, None), entry(Unknown, CHANGE, None)], RunPhase::Failed),
        ("unknown outcome, somebody is asked", done(), asking, vec![entry(Unknown, CHANGE, None)], RunPhase::Failed),
        ("an intent that is open", done(), plain, vec![entry(Intended, CHANGE, None)], RunPhase::Succeeded),
    ] {
        let run = fixture::run(|documents| {
            if escalation {
                documents.agent["spec"]["guardrails"]["escalation"] = json!({ "target": "human" });
            }
        });
        assert_eq!(conclude(&run, &ended(end), &entries, &[], now()).phase, phase, "{name}");
    }
}

#[test]
fn nobody_calls_it_a_success_when_nobody_knows_what_a_change_did() {
    let mut change = entry(ActionStatus::Unknown, CHANGE, Some("timeout"));
    change.seq = 4;
    let concluded = |entry| conclude(&fixture::run(|_| ()), &ended(Ok("All is well.")), &[entry], &[], now());
    let unknown = concluded(change.clone());
    let why = "nobody knows whether the change of entry 4 happened: kubectl.scale deployment/web -n shop";
    assert_eq!((unknown.phase, unknown.reason.as_deref(), unknown.report.as_deref()), (RunPhase::Failed, Some(why), Some("All is well.")));
    let complete = unknown.conditions.iter().find(|condition| condition.type_ == "Complete").unwrap();
    assert_eq!((complete.status.as_str(), complete.reason.as_str(), complete.message.as_str()), ("False", "OutcomeUnknown", why));
    change.status = ActionStatus::Executed;
    assert_eq!(concluded(change).phase, RunPhase::Succeeded);
}

#[test]
fn a_denied_read_counts_as_refused() {
    let mut call = entry(ActionStatus::Failed, READ, None);
    call.reads = Some(Reads { count: 3, denied: 1, calls: Vec::new(), digest: None });
    let conclusion =
        conclude(&fixture::run(|_| ()), &ended(Ok("Report.")), &[call, entry(ActionStatus::Blocked, CHANGE, None)], &[], now());
    assert_eq!((conclusion.guardrails.checks_performed, conclusion.guardrails.actions_blocked), (4, 2));
    assert_eq!(conclusion.phase, RunPhase::Blocked);
    assert_eq!(conclusion.reason.as_deref(), Some("2 calls refused, nothing carried out"));
}

#[test]
fn a_refusal_that_a_tool_call_passes_on_is_one_refusal() {
    use ActionStatus::{Blocked, Executed, Failed, Skipped};
    let call = |reason, reads: Option<i32>| {
        let mut call = entry(Blocked, READ, Some(reason));
        call.reads = reads.map(|denied| Reads { count: 3, denied, calls: Vec::new(), digest: None });
        call
    };
    let change = |status, reason| entry(status, CHANGE, reason);
    for (name, entries, blocked, proposed, escalations) in [
        ("a change, and its call", vec![call("cooldown", None), change(Blocked, Some("cooldown"))], 1, 0, 0),
        ("a read, and its call", vec![call("out-of-scope", Some(1))], 1, 0, 0),
        ("a call that was not run", vec![call("unknown-tool", None)], 1, 0, 0),
        ("a proposal, and its call", vec![call("approval-required", None), change(Skipped, Some("proposed"))], 0, 1, 1),
        ("a change for autonomy, and its call", vec![call("tier-not-granted", None), change(Blocked, Some("tier-not-granted"))], 1, 0, 1),
        ("a read for autonomy, and its call", vec![call("tier-not-granted", Some(1))], 1, 0, 1),
        ("a change that the cluster refused, and its call", vec![call("forbidden", None), change(Failed, Some("forbidden"))], 0, 0, 0),
        (
            "two changes of one call",
            vec![call("cooldown", None), change(Blocked, Some("cooldown")), change(Blocked, Some("cooldown"))],
            2,
            0,
            0,
        ),
        (
            "two calls of which only the second had a change",
            vec![call("cooldown", None), call("cooldown", None), change(Blocked, Some("cooldown"))],
            2,
            0,
            0,
        ),
        ("a call that recovered from a refusal", vec![entry(Executed, READ, None), change(Blocked, Some("cooldown"))], 1, 0, 0),
        ("another code", vec![call("unknown-tool", None), change(Blocked, Some("cooldown"))], 2, 0, 0),
    ] {
        let entries: Vec<_> = (0..).zip(entries).map(|(seq, entry)| ActionRecord { seq, ..entry }).collect();
        let run = fixture::run(|documents| documents.agent["spec"]["guardrails"]["escalation"] = json!({ "target": "human" }));
        let conclusion = conclude(&run, &ended(Ok("r")), &entries, &[], now());
        let Conclusion { tally, escalations: due, .. } = conclusion;
        assert_eq!((tally.blocked, tally.proposed, due.len()), (blocked, proposed, escalations), "{name}");
    }
}

#[test]
fn reporting_rules_escalate() {
    let with = |field: &str| {
        let field = field.to_owned();
        fixture::run(move |documents| {
            documents.agent["spec"]["reporting"] = json!({ "onFailure": "log", "onFinding": "log", field: "escalate" })
        })
    };
    let finding = [Finding { severity: Severity::Info, resource: None, message: "m".to_owned() }];
    let causes = |run: &ValidatedRun, end, found: &[Finding]| {
        let conclusion = conclude(run, &ended(end), &[], found, now());
        (conclusion.phase, conclusion.escalations.iter().map(|escalation| escalation.cause).collect::<Vec<_>>())
    };
    assert_eq!(causes(&with("onSuccess"), Ok("r"), &[]), (RunPhase::Escalated, vec![Cause::Success]));
    assert_eq!(causes(&with("onSuccess"), Err(Abort::WallClock), &[]), (RunPhase::Failed, vec![]));
    assert_eq!(causes(&with("onFailure"), Err(Abort::WallClock), &[]), (RunPhase::Failed, vec![Cause::Failure]));
    assert_eq!(causes(&with("onFailure"), Ok("r"), &[]), (RunPhase::Succeeded, vec![]));
    assert_eq!(causes(&with("onFinding"), Ok("r"), &finding), (RunPhase::Escalated, vec![Cause::Finding]));
    assert_eq!(causes(&with("onFinding"), Ok("CRITICAL: down"), &[]), (RunPhase::Escalated, vec![Cause::Finding]));
    assert_eq!(causes(&with("onFinding"), Ok("r"), &[]), (RunPhase::Succeeded, vec![]));
}

#[test]
fn an_escalation_that_nobody_sent_is_not_counted_as_sent() {
    let run = fixture::run(|documents| documents.agent["spec"]["guardrails"]["escalation"] = json!({ "target": "human" }));
    let mut refused = entry(ActionStatus::Blocked, CHANGE, Some("tier-not-granted"));
    let conclusion = conclude(&run, &ended(Ok("r")), std::slice::from_ref(&refused), &[], now());
    assert_eq!(conclusion.escalations.len(), 1);
    assert_eq!(conclusion.escalations[0].message, "needs a person: kubectl.scale deployment/web -n shop --replicas=2");
    assert_eq!(conclusion.guardrails.escalations_triggered, 0);
    let condition = |conclusion: &Conclusion| {
        conclusion.conditions.iter().find(|c| c.type_ == "Escalated").map(|c| (c.status.clone(), c.reason.clone()))
    };
    assert_eq!(condition(&conclusion), Some(("False".to_owned(), "NothingSent".to_owned())));

    refused.escalation = Some(ActionEscalation { channel: "ops".to_owned(), message: "m".to_owned(), timestamp: Time(now()) });
    let conclusion = conclude(&run, &ended(Ok("r")), &[refused], &[], now());
    assert_eq!(conclusion.guardrails.escalations_triggered, 1);
    assert_eq!(condition(&conclusion), Some(("True".to_owned(), "Sent".to_owned())));
}

#[test]
fn usage_cost_and_budgets_are_reported() {
    let conclusion = conclude(&fixture::run(|_| ()), &ended(Ok("r")), &[], &[], now());
    assert_eq!(
        conclusion.usage,
        Usage {
            tokens_in: 1000,
            cached_tokens_in: 400,
            tokens_out: 80,
            total_tokens: 1080,
            iterations: 3,
            wall_clock_ms: 1500,
            estimated_cost: Some("$0.0042".to_owned()),
        }
    );
    let budget = conclusion.guardrails.budget_used.unwrap();
    assert_eq!((budget.tokens_used, budget.token_budget, budget.iterations_used, budget.max_iterations), (1080, 10_000, 3, 5));
    assert_eq!((budget.wall_clock_ms, budget.timeout_ms), (1500, 60_000));
    assert_eq!(conclusion.guardrails.autonomy_ceiling, Some(infraagent_api::names::Autonomy::AutomateSafe));
}

#[test]
fn the_reason_of_a_failure_is_a_condition() {
    for (abort, reason, message) in [
        (Abort::Tokens { used: 12, budget: 10 }, "TokenBudgetExhausted", "token budget exhausted: 12/10 used"),
        (Abort::Iterations(5), "MaxIterationsExhausted", "max iterations exhausted (5)"),
        (Abort::WallClock, "Timeout", "wall-clock timeout exceeded"),
        (Abort::Provider("x".repeat(1000)), "ProviderFailed", "the model could not be asked: xxx"),
    ] {
        let conclusion = conclude(&fixture::run(|_| ()), &ended(Err(abort)), &[], &[], now());
        let complete = &conclusion.conditions[0];
        assert_eq!((complete.type_.as_str(), complete.status.as_str(), complete.reason.as_str()), ("Complete", "False", reason));
        assert!(complete.message.starts_with(message) && complete.message.chars().count() <= 256, "{}", complete.message);
    }
}

#[test]
fn lines_of_the_report_add_to_what_was_recorded() {
    let found =
        [Finding { severity: Severity::Critical, resource: Some("deployment/web -n shop".to_owned()), message: "web is down".to_owned() }];
    let report = "CRITICAL: web is down\nWARNING: disk\nWARNING: disk\n> CRITICAL: quoted";
    let conclusion = conclude(&fixture::run(|_| ()), &ended(Ok(report)), &[], &found, now());
    assert_eq!(conclusion.findings, [Finding { severity: Severity::Warning, resource: None, message: "disk".to_owned() }]);
    let many: String = (0..50).map(|number| format!("INFO: {number}\n")).collect();
    assert_eq!(conclude(&fixture::run(|_| ()), &ended(Ok(&many)), &[], &found, now()).findings.len(), 31);
}

#[test]
fn a_long_report_is_cut_and_says_so() {
    let report = "ü".repeat(MAX_REPORT);
    let conclusion = conclude(&fixture::run(|_| ()), &ended(Ok(&report)), &[], &[], now());
    let report = conclusion.report.unwrap();
    assert!(report.len() <= MAX_REPORT && report.ends_with("[cut: the report was longer]"));
}

#[test]
fn entries_that_match_nothing_are_a_condition() {
    let run = fixture::run(|documents| documents.agent["spec"]["guardrails"]["deniedActions"] = json!(["github.delete *"]));
    let conclusion = conclude(&run, &ended(Ok("r")), &[], &[], now());
    let condition = conclusion.conditions.iter().find(|condition| condition.type_ == "GuardrailsEffective").unwrap();
    assert_eq!(condition.status, "False");
    assert!(condition.message.contains("`github.delete *`"), "{}", condition.message);
}
