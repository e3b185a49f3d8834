//! What is wrong in a file is named, and what is right beside it is not.

use infraagent_api::{AgentEnvironment, AgentRun, InfraAgent, InfraAgentPolicy, ModelTierConfig, check, unknown_fields};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::data;

/// Puts a value at a JSON pointer; the last part may be a new key.
pub(crate) fn with(name: &str, pointer: &str, value: Value) -> Value {
    let mut document = data(name);
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(entries) => drop(entries.insert(key.to_owned(), value)),
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{parent} is {other}"),
    }
    document
}

fn problems<K: CustomResourceExt>(document: &Value) -> Vec<String> {
    check::<K>(document).iter().map(ToString::to_string).collect()
}

#[test]
fn a_misspelled_guardrail_is_kept_by_decoding_and_named() {
    let document = with("agent-forge.yaml", "/spec/guardrails/deniedActoins", json!(["kubectl.delete *"]));
    let agent: InfraAgent = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(agent.spec.guardrails.unknown.keys().collect::<Vec<_>>(), ["deniedActoins"]);
    assert_eq!(serde_json::to_value(&agent).unwrap()["spec"]["guardrails"]["deniedActoins"], json!(["kubectl.delete *"]));
    assert_eq!(unknown_fields::<InfraAgent>(&document), ["spec.guardrails.deniedActoins"]);
    assert_eq!(problems::<InfraAgent>(&document), ["`spec.guardrails.deniedActoins`: unknown field: did you mean `deniedActions`?"]);
}

#[test]
fn unknown_keys_are_named_at_every_depth_of_every_kind() {
    for (name, pointer, path) in [
        ("agent-forge.yaml", "/sepc", "sepc"),
        ("agent-forge.yaml", "/spec/skills/0/sauce", "spec.skills[0].sauce"),
        ("agent-forge.yaml", "/spec/guardrails/escalation/channel", "spec.guardrails.escalation.channel"),
        ("agent-forge.yaml", "/spec/model/Tier", "spec.model.Tier"),
    ] {
        assert_eq!(unknown_fields::<InfraAgent>(&with(name, pointer, json!(1))), [path]);
    }
    assert_eq!(
        unknown_fields::<AgentEnvironment>(&with("environment.yaml", "/spec/endpoints/grafana/write", json!([]))),
        ["spec.endpoints.grafana.write"]
    );
    assert_eq!(unknown_fields::<ModelTierConfig>(&with("models.yaml", "/spec/tiers/0/baseUrl", json!("x"))), ["spec.tiers[0].baseUrl"]);
    assert_eq!(unknown_fields::<InfraAgentPolicy>(&with("policy.yaml", "/spec/freezeWindow", json!([]))), ["spec.freezeWindow"]);
    assert_eq!(unknown_fields::<AgentRun>(&with("run.yaml", "/status/actions/0/forged", json!(1))), ["status.actions[0].forged"]);
}

#[test]
fn what_users_may_name_freely_is_no_unknown_key() {
    let document = with("environment.yaml", "/spec/endpoints/any-name", json!({ "url": "https://a" }));
    assert_eq!(problems::<AgentEnvironment>(&document), [] as [&str; 0]);
    let document = with("agent-forge.yaml", "/metadata/annotations", json!({ "infraagent.io/run-now": "true" }));
    assert_eq!(problems::<InfraAgent>(&document), [] as [&str; 0]);
}

#[test]
fn ranges_end_where_they_are_documented() {
    for (pointer, good, bad) in [
        ("/spec/model/tokenBudget", vec![1, 10_000_000], vec![0, 10_000_001, -1]),
        ("/spec/guardrails/maxIterations", vec![1, 100], vec![0, 101]),
        ("/spec/guardrails/maxRetries", vec![0, 10], vec![-1, 11]),
    ] {
        for value in good {
            assert_eq!(problems::<InfraAgent>(&with("agent-forge.yaml", pointer, json!(value))), [] as [&str; 0], "{pointer} {value}");
        }
        for value in bad {
            let problems = problems::<InfraAgent>(&with("agent-forge.yaml", pointer, json!(value)));
            assert_eq!(problems.len(), 1, "{pointer} {value}");
            assert!(problems[0].contains(&pointer[1..].replace('/', ".")) && problems[0].contains(&value.to_string()), "{problems:?}");
        }
    }
}

#[test]
fn words_outside_a_vocabulary_are_refused_by_check_and_by_decoding() {
    for (pointer, word) in [
        ("/spec/guardrails/autonomy", "automate"),
        ("/spec/guardrails/escalation/target", "boss"),
        ("/spec/guardrails/escalation/onTimeout", "allow"),
        ("/spec/model/tier", "Fast"),
        ("/spec/reporting/onFailure", "shout"),
        ("/spec/observability/logLevel", "trace"),
        ("/spec/schedule/triggers/0/type", "cron"),
        ("/spec/mode", "dry-run"),
        ("/spec/concurrencyPolicy", "Allow"),
        ("/spec/skills/0/update", "never"),
    ] {
        let document = with("agent-forge.yaml", pointer, json!(word));
        let problems = problems::<InfraAgent>(&document);
        assert!(problems.len() == 1 && problems[0].contains(&format!("unknown value \"{word}\": use one of")), "{pointer}: {problems:?}");
        let error = serde_json::from_value::<InfraAgent>(document).unwrap_err().to_string();
        assert!(error.contains(&format!("`{word}`: use one of")), "{error}");
    }
}

#[test]
fn missing_duplicate_and_mistyped_fields_are_named() {
    let duplicate = with("agent-forge.yaml", "/spec/skills/-", json!({ "name": "deployment-pipeline", "source": "configmap" }));
    assert_eq!(problems::<InfraAgent>(&duplicate), ["`spec.skills[1]`: \"deployment-pipeline\" is there already: remove one"]);
    let empty = with("agent-forge.yaml", "/spec/skills", json!([]));
    assert_eq!(problems::<InfraAgent>(&empty), ["`spec.skills`: the number of its items must be at least 1, not 0"]);
    let mistyped = with("agent-forge.yaml", "/spec/guardrails/maxIterations", json!("3"));
    assert_eq!(problems::<InfraAgent>(&mistyped), ["`spec.guardrails.maxIterations`: must be of type integer, not string"]);
    let mut missing = data("agent-forge.yaml");
    missing["spec"].as_object_mut().unwrap().remove("environmentRef");
    assert_eq!(problems::<InfraAgent>(&missing), ["`spec.environmentRef`: is missing"]);
}

#[test]
fn a_document_of_another_kind_or_group_is_refused() {
    let problems = problems::<InfraAgent>(&data("environment.yaml"));
    assert!(problems.contains(&"`kind`: is `AgentEnvironment`, but `InfraAgent` is needed here".to_owned()), "{problems:?}");
    let other = with("agent-forge.yaml", "/apiVersion", json!("example.com/v1"));
    assert_eq!(check::<InfraAgent>(&other)[0].path, "apiVersion");
}
