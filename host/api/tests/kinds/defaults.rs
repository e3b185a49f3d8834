//! Defaults: what the decoder fills in and what the API server fills in must be the same values, and the documented ones.

use infraagent_api::{AgentEnvironment, AgentRun, InfraAgent, InfraAgentPolicy, ModelTierConfig, definition};
use kube::CustomResourceExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// What the API server does before it stores an object.
fn apply_defaults(value: &mut Value, schema: &Value) {
    if let (Some(entries), Some(properties)) = (value.as_object_mut(), schema.get("properties").and_then(Value::as_object)) {
        for (key, property) in properties {
            if let (false, Some(default)) = (entries.contains_key(key), property.get("default")) {
                entries.insert(key.clone(), default.clone());
            }
            if let Some(entry) = entries.get_mut(key) {
                apply_defaults(entry, property);
            }
        }
    }
    if let (Some(entries), Some(inner)) = (value.as_object_mut(), schema.get("additionalProperties")) {
        entries.values_mut().for_each(|entry| apply_defaults(entry, inner));
    }
    if let (Some(items), Some(inner)) = (value.as_array_mut(), schema.get("items")) {
        items.iter_mut().for_each(|item| apply_defaults(item, inner));
    }
}

/// The spec as stored by an API server; it must be what our own decoder and encoder make of the same manifest.
fn stored<K: CustomResourceExt + DeserializeOwned + Serialize>(spec: Value) -> Value {
    let schema = serde_json::to_value(&definition::<K>().spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema).unwrap();
    let manifest = json!({ "metadata": {}, "spec": spec });
    let mut by_server = manifest.clone();
    apply_defaults(&mut by_server, &schema);
    let by_us = serde_json::to_value(serde_json::from_value::<K>(manifest).unwrap()).unwrap();
    assert_eq!(by_server["spec"], by_us["spec"]);
    by_us["spec"].clone()
}

#[test]
fn an_agent_gets_the_documented_defaults() {
    let spec = stored::<InfraAgent>(json!({
        "description": "x", "schedule": {"triggers": [{"type": "webhook", "source": "a"}]}, "skills": [{"name": "a"}],
        "guardrails": {"escalation": {}}, "environmentRef": "e",
    }));
    for (path, expected) in [
        ("/schedule/timezone", json!("UTC")),
        ("/model/tier", json!("standard")),
        ("/model/tokenBudget", json!(50_000)),
        ("/model/timeout", json!("120s")),
        ("/skills/0/source", json!("bundled")),
        ("/skills/0/update", json!("on-change")),
        ("/guardrails/autonomy", json!("observe")),
        ("/guardrails/maxIterations", json!(10)),
        ("/guardrails/maxRetries", json!(2)),
        ("/guardrails/escalation/target", json!("human")),
        ("/guardrails/escalation/timeout", json!("300s")),
        ("/guardrails/escalation/onTimeout", json!("cancel")),
        ("/observability/metrics", json!(true)),
        ("/observability/tracing", json!(true)),
        ("/observability/logLevel", json!("info")),
        ("/reporting/onSuccess", json!("silent")),
        ("/reporting/onFailure", json!("escalate")),
        ("/reporting/onFinding", json!("log")),
        ("/paused", json!(false)),
        ("/mode", json!("live")),
        ("/concurrencyPolicy", json!("Forbid")),
    ] {
        assert_eq!(spec.pointer(path), Some(&expected), "{path}");
    }
}

#[test]
fn an_agent_without_model_or_guardrails_gets_them_whole() {
    let spec = stored::<InfraAgent>(json!({ "description": "x", "schedule": {}, "skills": [{"name": "a"}], "environmentRef": "e" }));
    assert_eq!(spec["guardrails"], json!({ "autonomy": "observe", "maxIterations": 10, "maxRetries": 2 }));
    assert_eq!(spec["model"], json!({ "tier": "standard", "tokenBudget": 50_000, "timeout": "120s" }));
}

#[test]
fn the_other_kinds_get_the_documented_defaults() {
    let environment = stored::<AgentEnvironment>(json!({
        "endpoints": {"a": {"url": "https://a"}}, "connection": {"kind": "kubeconfig", "kubeconfig": {"secretRef": "s"}},
    }));
    assert_eq!(environment["connection"]["kubeconfig"]["key"], "kubeconfig");
    assert_eq!(environment["endpoints"]["a"]["internal"], false);
    assert_eq!(environment["dataResources"]["backupMaxAge"], "24h");
    assert_eq!(stored::<AgentEnvironment>(json!({}))["connection"]["kind"], "in-cluster");

    let models =
        stored::<ModelTierConfig>(json!({ "defaultAuth": {"type": "none"}, "tiers": [{"tier": "fast", "provider": "p", "model": "m"}] }));
    assert_eq!(models["defaultAuth"]["secretKey"], "api-key");

    let run = stored::<AgentRun>(json!({ "agentRef": "a", "environmentRef": "e", "trigger": "manual" }));
    assert_eq!((&run["mode"], &run["attempt"], &run["recordVersion"]), (&json!("live"), &json!(1), &json!(1)));

    let policy =
        stored::<InfraAgentPolicy>(json!({ "freezeWindows": [{"name": "n", "cron": "@daily", "duration": "1h"}], "signatures": {} }));
    assert_eq!(policy["freezeWindows"][0]["timeZone"], "UTC");
    assert_eq!((&policy["suspend"], &policy["signatures"]["mode"]), (&json!("none"), &json!("require")));
}
