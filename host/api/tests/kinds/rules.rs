//! Every cross-field rule that a file can break, broken: the message is the one that the API server would give.

use infraagent_api::{AgentEnvironment, InfraAgent, InfraAgentPolicy, ModelTierConfig, Problem, Rules, definition};
use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{check::with, data};

fn broken<K: Rules + DeserializeOwned>(document: &Value) -> Vec<Problem> {
    serde_json::from_value::<K>(document.clone()).unwrap().broken_rules()
}

/// Breaks each rule of the kind's spec once; none may be left over, and the intact document breaks none.
fn covers<K: Rules + DeserializeOwned + CustomResourceExt>(name: &str, cases: &[(&str, Value, &str)]) {
    assert_eq!(broken::<K>(&data(name)), []);
    let mut messages = Vec::new();
    for (pointer, value, path) in cases {
        let problems = broken::<K>(&with(name, pointer, value.clone()));
        assert_eq!(problems.len(), 1, "{pointer}: {problems:?}");
        assert_eq!(problems[0].path, *path, "{pointer}");
        messages.push(problems[0].message.clone());
    }
    let schema = serde_json::to_value(&definition::<K>().spec.versions[0].schema).unwrap();
    let mut expected = Vec::new();
    collect(schema.pointer("/openAPIV3Schema/properties/spec").unwrap(), &mut expected);
    for list in [&mut messages, &mut expected] {
        list.sort();
        list.dedup();
    }
    assert_eq!(messages, expected, "{name}");
}

fn collect(schema: &Value, messages: &mut Vec<String>) {
    for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
        messages.push(rule["message"].as_str().unwrap().to_owned());
    }
    for property in schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|properties| properties.values()) {
        collect(property, messages);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key) {
            collect(inner, messages);
        }
    }
}

#[test]
fn every_rule_of_an_agent_holds_offline() {
    covers::<InfraAgent>(
        "agent-forge.yaml",
        &[
            ("/spec/schedule/interval", json!("59s"), "spec.schedule"),
            ("/spec/schedule/triggers/1", json!({ "type": "webhook" }), "spec.schedule.triggers[1]"),
            ("/spec/model/timeout", json!("999ms"), "spec.model.timeout"),
            ("/spec/model/timeout", json!("24h1s"), "spec.model.timeout"),
            ("/spec/startingDeadline", json!("0s"), "spec.startingDeadline"),
            ("/spec/guardrails/escalation", json!({ "target": "channel" }), "spec.guardrails.escalation"),
        ],
    );
}

#[test]
fn every_rule_of_an_environment_holds_offline() {
    covers::<AgentEnvironment>(
        "environment.yaml",
        &[
            ("/spec/connection", json!({ "kind": "kubeconfig" }), "spec.connection"),
            ("/spec/connection", json!({ "kubeconfig": { "secretRef": "s" } }), "spec.connection"),
            ("/spec/endpoints/github/data", json!("database"), "spec.endpoints.github"),
            ("/spec/credentials/github-pat/header", json!("X-Key"), "spec.credentials.github-pat"),
        ],
    );
}

#[test]
fn every_rule_of_the_models_holds_offline() {
    covers::<ModelTierConfig>(
        "models.yaml",
        &[
            ("/spec/defaultAuth", json!({ "type": "oauth" }), "spec.defaultAuth"),
            ("/spec/tiers/0/auth", json!({ "type": "apiKey" }), "spec.tiers[0].auth"),
            ("/spec/tiers/2/baseURL", json!("http://x"), "spec.tiers[2]"),
        ],
    );
}

#[test]
fn every_rule_of_a_policy_holds_offline() {
    covers::<InfraAgentPolicy>(
        "policy.yaml",
        &[
            ("/spec/signatures", json!({ "mode": "warn" }), "spec.signatures"),
            ("/spec/limits/timeout", json!("1ms"), "spec.limits"),
            ("/spec/limits/skillCpu", json!("11s"), "spec.limits"),
            ("/spec/limits/skillTimeout", json!("1ns"), "spec.limits"),
            ("/spec/freezeWindows/0/duration", json!("59s"), "spec.freezeWindows[0]"),
        ],
    );
}
