//! The definitions: what is committed is what the types say, and the API server can take it.

use std::{fs, path::Path};

use infraagent_api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use regex::Regex;
use serde_json::Value;

/// Every schema with its path.
fn schemas() -> Vec<(String, Value)> {
    fn collect(schema: &Value, path: String, found: &mut Vec<(String, Value)>) {
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            collect(property, format!("{path}.{name}"), found);
        }
        for (key, mark) in [("items", "[]"), ("additionalProperties", ".*")] {
            if let Some(inner) = schema.get(key) {
                collect(inner, format!("{path}{mark}"), found);
            }
        }
        found.push((path, schema.clone()));
    }
    let mut found = Vec::new();
    for definition in crds() {
        let schema = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        collect(&serde_json::to_value(schema).unwrap(), definition.spec.names.kind.clone(), &mut found);
    }
    assert!(found.len() > 300, "{}", found.len());
    found
}

fn schema(path: &str) -> Value {
    schemas().into_iter().find(|(own, _)| own == path).unwrap_or_else(|| panic!("no {path}")).1
}

fn pattern(path: &str) -> Regex {
    Regex::new(schema(path)["pattern"].as_str().unwrap()).unwrap()
}

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    for definition in crds() {
        let file = folder.join(format!("{}.yaml", definition.spec.names.plural));
        let committed: Option<CustomResourceDefinition> =
            fs::read_to_string(&file).ok().and_then(|text| serde_saphyr::from_str(&text).ok());
        assert!(committed == Some(definition), "{} is out of date: run `cargo run -p infraagent-api --example crds`", file.display());
    }
    let files = fs::read_dir(&folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ext| ext == "yaml"));
    assert_eq!(files.count(), crds().len(), "a definition in `crds/` has no kind");
}

#[test]
fn names_scopes_and_field_selectors_are_those_people_type() {
    let table: Vec<_> = crds()
        .into_iter()
        .map(|definition| {
            let names = definition.spec.names;
            assert_eq!(names.categories.as_deref(), Some(["infraagent-all".to_owned()].as_slice()));
            (names.kind, names.short_names.unwrap_or_default().join(","), definition.spec.scope)
        })
        .collect();
    let expected = [
        ("InfraAgent", "ia", "Namespaced"),
        ("AgentEnvironment", "aenv", "Namespaced"),
        ("ModelTierConfig", "mtc", "Cluster"),
        ("AgentRun", "arun", "Namespaced"),
        ("InfraAgentPolicy", "iap", "Cluster"),
        ("ActionApproval", "aapp", "Namespaced"),
    ];
    assert_eq!(table, expected.map(|(kind, short, scope)| (kind.to_owned(), short.to_owned(), scope.to_owned())));
    let run = &crds()[3].spec.versions[0];
    let selectable: Vec<_> = run.selectable_fields.iter().flatten().map(|field| field.json_path.as_str()).collect();
    assert_eq!(selectable, [".status.phase", ".spec.agentRef"]);
    assert!(run.subresources.as_ref().unwrap().status.is_some());
}

#[test]
fn every_field_is_described() {
    for (path, schema) in schemas() {
        let is_item = path.ends_with("[]") || path.ends_with(".*") || path.ends_with(".status") || path.ends_with(".spec");
        if !is_item {
            assert!(schema.get("description").and_then(Value::as_str).is_some_and(|text| text.len() >= 4), "{path} has no description");
        }
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        assert!(!text.contains("[`") && !text.contains("Auto-generated"), "{path}: {text}");
    }
}

#[test]
fn defaults_and_ranges_of_specs_are_described() {
    for (path, schema) in schemas().into_iter().filter(|(path, _)| path.contains(".spec.")) {
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        if let (Some(default), true) = (schema.get("default"), schema["type"] != "object") {
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            assert!(text.contains(&format!("Default: {default}")), "{path} does not name its default {default}: {text}");
        }
        if let (Some(_), Some(most)) = (schema.get("minimum").and_then(Value::as_f64), schema.get("maximum").and_then(Value::as_f64))
            && most <= 1_000_000.0
            && !path.ends_with(".seq")
            && !path.ends_with(".recordVersion")
        {
            assert!(text.replace(',', "").contains(&format!("{most}")), "{path} does not name its limit {most}: {text}");
        }
    }
}

#[test]
fn nothing_is_nullable_and_a_status_has_no_defaults() {
    for (path, schema) in schemas() {
        assert!(schema.get("nullable").is_none(), "{path}");
        assert!(!path.contains(".status") || schema.get("default").is_none(), "{path}");
        let format = schema.get("format").and_then(Value::as_str).unwrap_or("int32");
        assert!(["int32", "int64", "date-time"].contains(&format), "{path}: the API server warns about format {format}");
    }
}

/// The API server multiplies the worst case of every rule; a list or text without a bound makes it refuse the definition.
#[test]
fn everything_that_a_record_holds_is_bounded() {
    for (path, schema) in schemas().into_iter().filter(|(path, _)| path.starts_with("AgentRun.") && !path.contains(".conditions")) {
        match schema["type"].as_str() {
            Some("string") if schema.get("enum").is_none() && schema.get("format").is_none() => {
                assert!(schema.get("maxLength").is_some(), "{path}");
            }
            Some("array") => assert!(schema.get("maxItems").is_some(), "{path}"),
            _ => {}
        }
    }
    assert_eq!(schema("AgentRun.status.actions")["maxItems"], 128);
    assert_eq!(schema("AgentRun.status.actions")["x-kubernetes-list-type"], "atomic");
    assert_eq!(schema("AgentRun.status.findings")["maxItems"], 32);
    assert_eq!(schema("AgentRun.status.findings[].message")["maxLength"], 1024);
    assert_eq!(schema("AgentRun.status.report")["maxLength"], 16_384);
}

#[test]
fn every_rule_says_what_to_do_about_which_field() {
    let mut count = 0;
    for (path, schema) in schemas() {
        for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            let message = rule["message"].as_str().unwrap();
            assert!(message.len() > 10 && message.len() < 200 && !message.ends_with('.'), "{path}: {message}");
            assert_eq!(rule["rule"].as_str().unwrap().matches('(').count(), rule["rule"].as_str().unwrap().matches(')').count(), "{path}");
            count += 1;
        }
    }
    assert!(count >= 35, "{count} rules");
}

#[test]
fn guardrails_keep_unknown_keys_at_every_depth_and_nothing_else_does() {
    let keeping: Vec<_> = schemas()
        .into_iter()
        .filter(|(_, schema)| schema.get("x-kubernetes-preserve-unknown-fields").is_some())
        .map(|(path, _)| path)
        .collect();
    assert_eq!(keeping, ["InfraAgent.spec.guardrails.escalation", "InfraAgent.spec.guardrails"]);
}

#[test]
fn a_schedule_is_five_fields_or_a_nickname() {
    let cron = pattern("InfraAgent.spec.schedule.cron");
    for good in
        ["*/5 * * * *", "0 8-18/2 * * 1-5", "0,30 9 1,15 * ?", "59 23 31 12 7", "0 0 * JAN-MAR MON,FRI", "@daily", "0-59/10  * * * *"]
    {
        assert!(cron.is_match(good), "{good}");
    }
    for bad in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 32 * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "@every 5m",
        "5 m",
    ] {
        assert!(!cron.is_match(bad), "{bad}");
    }
}

#[test]
fn a_duration_pattern_admits_what_decoding_admits() {
    let duration = pattern("InfraAgent.spec.model.timeout");
    for text in ["24h", "120s", "1h30m", "1.5h", "250ms", "1d", "", "-5s", "10", "5 s", "1h-5m", ".5s"] {
        assert_eq!(duration.is_match(text), text.parse::<infraagent_api::GoDuration>().is_ok(), "{text}");
    }
    let dollars = pattern("ModelTierConfig.spec.tiers[].costPerMillionInput");
    for text in ["0.80", "15", "$1", "-1", ".5", "1.", "1e3"] {
        assert_eq!(dollars.is_match(text), text.parse::<infraagent_api::Dollars>().is_ok(), "{text}");
    }
}

#[test]
fn a_skill_comes_from_a_known_scheme() {
    let source = pattern("InfraAgent.spec.skills[].source");
    for good in [
        "bundled",
        "configmap",
        "configmap://triage/SKILL.md",
        "configmap://triage",
        "git://github.com/acme/skills#x@v1",
        "oci://ghcr.io/acme/x:1.0",
        "oci://localhost:5000/x@sha256:ab",
    ] {
        assert!(source.is_match(good), "{good}");
    }
    for bad in ["", "http://x/y", "file:///etc", "oci://", "git://", "OCI://x/y", "oci://x/y z", "bundled/x", "configmap:///x"] {
        assert!(!source.is_match(bad), "{bad}");
    }
}

#[test]
fn a_url_has_no_user_and_no_other_scheme() {
    for path in
        ["AgentEnvironment.spec.endpoints.*.url", "AgentEnvironment.spec.mcpServers.*.endpoint", "ModelTierConfig.spec.tiers[].endpoint"]
    {
        let url = pattern(path);
        for good in ["https://api.github.com", "http://alertmanager.monitoring:9093/x?y=1", "https://[::1]:8443/", "http://10.0.0.1"] {
            assert!(url.is_match(good), "{path} {good}");
        }
        for bad in [
            "https://api.github.com@evil.example/",
            "ftp://x",
            "https://",
            "https://a b",
            "//x",
            "https://x#y",
            "HTTPS://x",
            "https://x:y@z",
        ] {
            assert!(!url.is_match(bad), "{path} {bad}");
        }
    }
}
