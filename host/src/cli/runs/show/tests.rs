use serde_json::{Value, json};

use super::*;
use crate::cli::runs::follow::tests::{entry, run};

fn shown(status: Value) -> String {
    let run = run(status);
    let document = Document::from_value(serde_json::to_value(&run).unwrap()).unwrap();
    let report = verify(&document, None, None);
    anstream::adapter::strip_str(&page(&document.run, &report, "2026-11-22T11:00:00Z".parse().unwrap())).to_string()
}

#[test]
fn a_run_is_a_page() {
    let text = shown(json!({
        "phase": "Blocked", "startTime": "2026-11-22T10:00:00Z", "completionTime": "2026-11-22T10:00:09Z", "model": "anthropic/claude", "sequence": 3,
        "holder": { "lease": "infraagent-one", "uid": "u", "epoch": 1 },
        "skills": [{ "name": "pipeline", "version": "0.2.0", "digest": "sha256:0123456789abcdef0123456789abcdef" }],
        "usage": { "tokensIn": 60000, "cachedTokensIn": 12000, "tokensOut": 2282, "totalTokens": 62282, "iterations": 8, "wallClockMs": 8765, "estimatedCost": "$0.21" },
        "guardrails": { "checksPerformed": 14, "actionsBlocked": 1, "escalationsTriggered": 0, "autonomyCeiling": "automate-safe",
            "budgetUsed": { "tokensUsed": 62282, "tokenBudget": 100000, "iterationsUsed": 8, "maxIterations": 10, "wallClockMs": 8765, "timeoutMs": 120000 } },
        "actions": [
            entry(0, 2, ("scale_workload", "db"), "blocked", json!({ "reason": "data-protection", "result": "it could destroy data",
                "reads": { "count": 3, "denied": 1, "calls": [] } })),
            entry(1, 3, ("kubectl.scale", "statefulset/db -n shop --replicas=0"), "blocked", json!({ "tier": "service-mutation",
                "checks": "action=pass data=fail:data-protection", "reason": "data-protection", "result": "the call could destroy data: claims" })),
        ],
        "findings": [{ "severity": "warning", "message": "the disk is nearly full" }],
        "report": "I could not help.\n✔ authentic",
    }));
    insta::assert_snapshot!(text);
}

#[test]
fn a_run_that_goes_on_is_not_called_a_false_record() {
    let running = json!({ "phase": "Running", "startTime": "2026-11-22T10:00:00Z" });
    let document = Document::from_value(serde_json::to_value(run(running.clone())).unwrap()).unwrap();
    let report = verify(&document, None, None);
    assert!(report.complete.is_no() && !is_refuted(&document.run, &report));
    assert!(shown(running).contains("next: infraagent runs logs -f forge-1 -n agents"));
    // One that has ended without a head is.
    let ended = run(json!({ "phase": "Succeeded" }));
    let document = Document::from_value(serde_json::to_value(&ended).unwrap()).unwrap();
    assert!(is_refuted(&ended, &verify(&document, None, None)));
}
