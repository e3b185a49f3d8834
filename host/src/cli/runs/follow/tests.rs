use serde_json::{Value, json};

use super::*;

pub(crate) fn entry(seq: i32, second: u32, what: (&str, &str), status: &str, more: Value) -> Value {
    let (tool, target) = what;
    let mut entry = json!({
        "seq": seq, "timestamp": format!("2026-11-22T10:00:{second:02}Z"), "tool": tool, "target": target, "tier": "read", "call": "", "nonce": "n",
        "intentHash": "h", "status": status,
    });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

pub(crate) fn run(status: Value) -> AgentRun {
    serde_json::from_value(json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
        "metadata": { "name": "forge-1", "namespace": "agents", "creationTimestamp": "2026-11-22T09:59:58Z" },
        "spec": { "agentRef": "forge", "environmentRef": "site", "trigger": "manual" }, "status": status,
    }))
    .unwrap()
}

const RESTART: (&str, &str) = ("kubectl.rollout restart", "deployment/web -n shop");

fn tool(status: &str, more: Value) -> Value {
    let mut call = json!({ "call": r#"restart_workload {"name":"web","namespace":"shop"}"# });
    call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry(0, 2, ("restart_workload", "web"), status, call)
}

fn change(status: &str, more: Value) -> Value {
    let mut own = json!({ "tier": "service-mutation", "action": "restart", "checks": "action=pass" });
    own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry(1, 3, RESTART, status, own)
}

fn running(actions: Value) -> Value {
    json!({
        "phase": "Running", "startTime": "2026-11-22T10:00:01Z", "model": "anthropic/claude", "actions": actions,
        "skills": [{ "name": "pipeline", "version": "0.2.0", "digest": "sha256:0" }],
    })
}

fn finished() -> Value {
    let read = json!({ "reads": { "count": 34, "denied": 1, "calls": ["kubectl.get deployments.apps -n shop", "kubectl.get pods -n secret denied:out-of-scope"] },
        "result": "restarted" });
    let mut status = running(json!([
        tool("executed", read),
        change("executed", json!({ "result": "changed, now at version 7" })),
        entry(
            2,
            5,
            ("scale_workload", "db"),
            "blocked",
            json!({ "call": "scale_workload {cut…", "reason": "data-protection", "result": "it could destroy data" })
        ),
        entry(
            3,
            5,
            ("kubectl.scale", "statefulset/db -n shop --replicas=0"),
            "blocked",
            json!({
            "tier": "service-mutation", "checks": "action=pass data=fail:data-protection", "reason": "data-protection", "result": "the call could destroy data: claims" })
        ),
        entry(4, 6, ("undo", "x"), "blocked", json!({ "reason": "approval-required", "result": "proposed" })),
        entry(
            5,
            6,
            ("kubectl.rollout undo", "deployment/x -n shop"),
            "skipped",
            json!({
            "tier": "destructive-mutation", "checks": "autonomy=propose", "reason": "proposed" })
        ),
        entry(
            6,
            7,
            ("kubectl.evict", "pod/x -n shop"),
            "unknown",
            json!({ "checks": "action=pass", "reason": "timeout", "result": "no answer" })
        ),
    ]));
    status["phase"] = json!("Succeeded");
    status["completionTime"] = json!("2026-11-22T10:00:09Z");
    status["usage"] =
        json!({ "tokensIn": 1000, "tokensOut": 200, "totalTokens": 1200, "iterations": 3, "wallClockMs": 8000, "estimatedCost": "$0.01" });
    status["findings"] = json!([{ "severity": "critical", "resource": "statefulset/db", "message": "it is full" }]);
    status["report"] = json!("All is well.\n✔ Succeeded");
    status["conditions"] = json!([{ "type": "Complete", "status": "True", "reason": "Completed", "message": "m", "lastTransitionTime": "2026-11-22T10:00:09Z" }]);
    status
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn a_record_is_told_as_it_was() {
    insta::assert_snapshot!(plain(&Told::default().tell(&run(finished()))));
}

#[test]
fn what_is_added_is_told_once_and_in_its_order() {
    let waiting = |reason: &str| {
        json!({ "phase": "Pending", "conditions": [
        { "type": "Assigned", "status": "False", "reason": reason, "message": "m", "lastTransitionTime": "2026-11-22T10:00:00Z" }] })
    };
    let steps = [
        waiting("AgentBusy"),
        waiting("AgentBusy"),
        waiting("ClusterLimit"),
        running(json!([])),
        running(json!([tool("intended", json!({}))])),
        running(json!([tool("intended", json!({})), change("intended", json!({}))])),
        running(json!([tool("intended", json!({})), change("executed", json!({ "result": "changed" }))])),
        running(json!([tool("executed", json!({ "result": "done" })), change("executed", json!({ "result": "changed" }))])),
    ];
    let mut told = Told::default();
    let lines: Vec<usize> = steps.iter().map(|status| told.tell(&run(status.clone())).lines().count()).collect();
    assert_eq!(lines, [1, 0, 1, 6, 1, 1, 1, 1]);

    // Told at once or bit by bit: it is the same text.
    let mut bit_by_bit = Told::default();
    let text: String = steps.iter().skip(3).map(|status| bit_by_bit.tell(&run(status.clone()))).collect();
    let at_once = Told::default().tell(&run(steps[7].clone()));
    assert_eq!(plain(&text), plain(&at_once));
}

#[test]
fn nothing_of_the_world_is_active_or_starts_a_line() {
    let evil = "x\u{1b}[2J\n✔ Succeeded\u{202e}";
    let mut status = finished();
    for entry in status["actions"].as_array_mut().unwrap() {
        for field in ["tool", "target", "call", "reason", "result"] {
            entry[field] = json!(evil);
        }
        entry["reads"] = json!({ "count": 1, "denied": 0, "calls": [evil] });
    }
    status["findings"] = json!([{ "severity": "info", "resource": evil, "message": evil }]);
    (status["report"], status["model"]) = (json!(evil), json!(evil));
    status["phase"] = json!("Failed");
    status["conditions"] =
        json!([{ "type": "Complete", "status": "False", "reason": "X", "message": evil, "lastTransitionTime": "2026-11-22T10:00:09Z" }]);
    let text = plain(&Told::default().tell(&run(status)));
    assert!(!text.chars().any(|character| character != '\n' && (character.is_control() || character == '\u{202e}')), "{text:?}");
    assert_eq!(text.lines().filter(|line| line.starts_with("✔ Succeeded")).count(), 0, "{text}");
}
