use infraagent_guard::checks::Code;
use serde_json::{Value, json};

use super::*;
use crate::{
    cli::runs::follow::tests::{entry, run},
    run::fixture,
};

fn documents(agent: Value, policies: Vec<Value>) -> Documents {
    let mut own = fixture::agent();
    for (key, value) in agent.as_object().unwrap() {
        own["spec"][key] = value.clone();
    }
    let policy = |(at, spec): (usize, Value)| {
        let mut policy = fixture::policy();
        (policy["metadata"]["name"], policy["spec"]) = (json!(format!("policy-{at}")), spec);
        fixture::object(policy)
    };
    Documents {
        agent: Some(fixture::object(own)),
        environment: Some(fixture::object(fixture::environment())),
        policies: policies.into_iter().enumerate().map(policy).collect(),
        unread: None,
    }
}

fn refused(checks: &str, code: &str, status: &str, tier: &str) -> AgentRun {
    run(json!({ "phase": "Blocked", "actions": [
        entry(0, 1, ("restart_workload", "web"), "blocked", json!({ "reason": code, "result": "no" })),
        entry(1, 1, ("kubectl.rollout restart", "deployment/web -n shop"), status, json!({ "tier": tier, "checks": checks, "reason": code, "action": "restart" })),
    ]}))
}

fn only(run: &AgentRun, documents: &Documents) -> Reason {
    let mut reasons = answer(run, documents, "agents").reasons;
    assert_eq!(reasons.len(), 1, "{reasons:#?}");
    reasons.remove(0)
}

#[test]
fn autonomy_names_whichever_document_is_too_low() {
    let run = refused("action=pass autonomy=fail:tier-not-granted", "tier-not-granted", "blocked", "service-mutation");
    let reason =
        only(&run, &documents(json!({ "guardrails": { "autonomy": "observe" } }), vec![json!({ "maxAutonomy": "automate-destructive" })]));
    assert_eq!((reason.is, reason.check.as_deref(), reason.entry), ("refused", Some("autonomy"), Some(1)));
    let agent = fixture::object::<InfraAgent>(fixture::agent()).metadata.name.unwrap();
    assert_eq!(reason.bounds, [format!("InfraAgent {agent} spec.guardrails.autonomy: observe")]);
    assert_eq!(reason.change, format!("set InfraAgent {agent} spec.guardrails.autonomy to automate-safe"));

    let bounded = vec![json!({ "maxAutonomy": "recommend" }), json!({ "maxAutonomy": "automate-safe" }), json!({})];
    let reason = only(&run, &documents(json!({ "guardrails": { "autonomy": "automate-safe" } }), bounded));
    assert_eq!(reason.bounds, ["InfraAgentPolicy policy-0 spec.maxAutonomy: recommend"]);
    assert_eq!(reason.change, "ask the platform team to raise spec.maxAutonomy to automate-safe");

    let reason = only(&run, &documents(json!({ "guardrails": { "autonomy": "automate-safe" } }), vec![]));
    assert_eq!(reason.bounds, ["no InfraAgentPolicy of the namespace sets maxAutonomy, so agents only observe"]);

    let proposed = refused("action=pass autonomy=propose", "proposed", "skipped", "destructive-mutation");
    let reason = only(
        &proposed,
        &documents(json!({ "guardrails": { "autonomy": "automate-safe" } }), vec![json!({ "maxAutonomy": "automate-destructive" })]),
    );
    assert_eq!((reason.is, reason.code.as_str()), ("proposed", "approval-required"));
    assert!(reason.change.ends_with("spec.guardrails.autonomy to automate-destructive"), "{}", reason.change);
}

#[test]
fn what_is_allowed_by_now_says_so() {
    let run = refused("autonomy=fail:tier-not-granted", "tier-not-granted", "blocked", "service-mutation");
    let reason =
        only(&run, &documents(json!({ "guardrails": { "autonomy": "automate-safe" } }), vec![json!({ "maxAutonomy": "automate-safe" })]));
    assert_eq!((reason.bounds.len(), reason.change.as_str()), (0, "the documents allow it by now: order another run"));
}

#[test]
fn lists_and_switches_are_quoted_with_their_documents() {
    let run = refused("action=pass deny-list=fail:deny-listed platform=fail:suspended", "deny-listed", "blocked", "service-mutation");
    let reason = only(&run, &documents(json!({ "guardrails": { "deniedActions": ["kubectl.rollout restart *"] } }), vec![]));
    assert_eq!(reason.check.as_deref(), Some("deny-list"), "the first check that failed names the reason");
    assert!(reason.bounds[0].ends_with("spec.guardrails.deniedActions: kubectl.rollout restart *"), "{:?}", reason.bounds);
    let run = refused("platform=fail:suspended", "suspended", "blocked", "service-mutation");
    let reason = only(&run, &documents(json!({ "paused": true }), vec![json!({ "suspend": "mutations" })]));
    assert!(
        reason.bounds[0] == "InfraAgentPolicy policy-0 spec.suspend: mutations" && reason.bounds[1].ends_with("spec.paused: true"),
        "{:?}",
        reason.bounds
    );
}

#[test]
fn every_code_of_the_guard_has_a_meaning_and_something_to_do() {
    let platform = json!({
        "maxAutonomy": "observe", "suspend": "all", "allowedEndpoints": ["https://*.example.com"],
        "freezeWindows": [{ "name": "night", "cron": "0 22 * * *", "duration": "8h" }],
    });
    let documents = documents(json!({}), vec![platform]);
    for code in Code::ALL {
        let reason = only(&refused(&format!("action=fail:{}", code.as_str()), code.as_str(), "blocked", "service-mutation"), &documents);
        assert_eq!(reason.means, code.message());
        assert!(!reason.change.is_empty());
        assert!(code == Code::Malformed || !reason.bounds.is_empty(), "{code:?}");
    }
    for code in ["forbidden", "unknown-tool", "invalid-arguments", "of-the-skill"] {
        assert!(!meaning(code).is_empty());
    }
}

#[test]
fn refused_reads_and_tools_that_do_not_exist_are_explained() {
    let run = run(json!({ "phase": "Succeeded", "actions": [
        entry(0, 1, ("look", "web"), "executed", json!({ "reads": { "count": 3, "denied": 2, "calls":
            ["kubectl.get pods -n shop", "kubectl.get pods -n secret denied:out-of-scope", "kubectl.get pods -n other denied:out-of-scope"] } })),
        entry(1, 1, ("drop_table", ""), "blocked", json!({ "reason": "unknown-tool", "result": "there is no tool" })),
        entry(2, 1, ("fine", ""), "executed", json!({})),
    ]}));
    let reasons = answer(&run, &documents(json!({}), vec![]), "agents").reasons;
    let told: Vec<_> = reasons.iter().map(|reason| (reason.entry, reason.code.as_str(), reason.what.as_str())).collect();
    assert_eq!(told, [(Some(0), "out-of-scope", "kubectl.get pods -n secret (in look)"), (Some(1), "unknown-tool", "drop_table")]);
}

#[test]
fn a_run_that_waits_says_for_what_and_what_to_do() {
    let waits = |reason: &str| {
        run(json!({ "phase": "Pending", "conditions": [
        { "type": "Assigned", "status": "False", "reason": reason, "message": "the operator's words", "lastTransitionTime": "2026-11-22T10:00:00Z" }] }))
    };
    let paused = documents(json!({ "paused": true }), vec![]);
    let reason = only(&waits("Paused"), &paused);
    assert!(reason.bounds[0].ends_with("spec.paused: true") && reason.change.contains("infraagent agents resume"), "{reason:?}");
    let budget = documents(json!({}), vec![json!({ "dailyBudget": { "tokens": 500, "cost": "2.50" } })]);
    assert_eq!(
        only(&waits("DailyBudget"), &budget).bounds,
        ["InfraAgentPolicy policy-0 spec.dailyBudget.tokens: 500", "InfraAgentPolicy policy-0 spec.dailyBudget.cost: $2.50"]
    );
    for reason in ["AgentBusy", "BackOff", "NoReplica", "ClusterLimit", "ServiceAccountNotFound", "SomethingNew"] {
        let told = only(&waits(reason), &paused);
        assert_eq!((told.code.as_str(), told.said.as_deref(), told.is), (reason, Some("the operator's words"), "waits"));
        assert!(!told.change.is_empty() && !told.bounds.is_empty() || reason == "AgentBusy", "{told:?}");
    }
    assert_eq!(only(&run(Value::Null), &paused).code, "NotLookedAt");
}

#[test]
fn a_page_of_reasons_moves_no_cursor() {
    let evil = "x\u{1b}[2J\n#9 kubectl.delete";
    let run = run(json!({ "phase": "Blocked", "actions": [
        entry(0, 1, (evil, evil), "blocked", json!({ "tier": "service-mutation", "checks": "data=fail:data-protection", "reason": "data-protection", "result": evil })),
    ]}));
    let text = anstream::adapter::strip_str(&page(&answer(&run, &documents(json!({}), vec![]), "agents"))).to_string();
    assert!(!text.chars().any(|character| character != '\n' && character.is_control()), "{text:?}");
    assert_eq!(text.lines().filter(|line| line.starts_with("#9")).count(), 0, "{text}");
    let nothing = answer(&self::run(json!({ "phase": "Succeeded" })), &documents(json!({}), vec![]), "agents");
    assert!(page(&nothing).contains("nothing of it was refused"));
}
