//! The definitions on a real API server: it takes them, serves manifests unchanged, and refuses what the rules forbid, in words that help.

use std::{
    collections::BTreeSet,
    process::{Command, Output},
};

use infraagent_api::{AgentRun, InfraAgent, run::RunPhase};
use infraagent_tests::{ControlPlane, apply, binary, control_plane, documents};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Error,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// A manifest of the kinds' own tests, under a name and in a namespace of this test.
fn manifest(name: &str, namespace: &str) -> Value {
    let mut document = documents(format!("host/api/tests/data/{name}.yaml")).remove(0);
    let metadata = document["metadata"].as_object_mut().unwrap();
    if metadata.contains_key("namespace") {
        metadata.insert("namespace".into(), namespace.into());
    } else {
        metadata.insert("name".into(), namespace.into());
    }
    document
}

/// Puts a value at a JSON pointer.
fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(entries) => drop(entries.insert(key.to_owned(), value)),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{parent} is {other}"),
    }
    document
}

/// What the API server says to a document that it must refuse as invalid.
async fn refusal(client: &Client, document: &Value) -> String {
    match apply(client, document).await {
        Err(Error::Api(status)) if status.code == 422 => status.message,
        other => panic!("{}: {other:?}", document["kind"]),
    }
}

/// Messages of the rules that a definition has at and below a part of its schema.
pub(crate) fn messages(plural: &str, part: &str) -> BTreeSet<String> {
    fn collect(schema: &Value, found: &mut BTreeSet<String>) {
        let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        found.extend(rules.map(|rule| rule["message"].as_str().unwrap().to_owned()));
        schema["properties"].as_object().into_iter().flatten().for_each(|(_, property)| collect(property, found));
        ["items", "additionalProperties"].iter().filter_map(|key| schema.get(key)).for_each(|inner| collect(inner, found));
    }
    let definition = documents(format!("crds/{plural}.yaml")).remove(0);
    let mut found = BTreeSet::new();
    collect(definition.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema{part}")).unwrap(), &mut found);
    found
}

fn kubectl(plane: &ControlPlane, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = plane.kubectl().args(arguments).output().expect("kubectl runs");
    assert!(status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

#[tokio::test]
async fn the_api_server_takes_every_definition_without_a_warning() {
    let plane = control_plane();
    plane.install_crds().await;
    let definitions = Api::<CustomResourceDefinition>::all(plane.admin().await);
    let served = definitions.list(&ListParams::default()).await.unwrap();
    let ours: Vec<_> = served.iter().filter(|definition| definition.spec.group == infraagent_api::GROUP).collect();
    assert_eq!(ours.len(), documents("crds").len());
    for definition in ours {
        for condition in definition.status.as_ref().and_then(|status| status.conditions.as_ref()).unwrap() {
            let healthy = ["Established", "NamesAccepted"].contains(&condition.type_.as_str());
            assert_eq!(condition.status, if healthy { "True" } else { "False" }, "{:?}: {condition:?}", definition.metadata.name);
        }
    }
    let crds = infraagent_tests::repository().join("crds");
    let output =
        plane.kubectl().args(["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f"]).arg(crds).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn kubectl_applies_what_the_program_prints() {
    let plane = control_plane();
    plane.install_crds().await;
    let printed = Command::new(binary()).arg("crds").output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let file = plane.dir().join("printed.yaml");
    std::fs::write(&file, printed.stdout).unwrap();
    let output =
        plane.kubectl().args(["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f"]).arg(file).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), documents("crds").len());
}

#[tokio::test]
async fn every_manifest_applies_unchanged() {
    let plane = control_plane();
    plane.install_crds().await;
    let (client, namespace) = (plane.admin().await, plane.namespace("manifests").await);
    let names =
        ["agent-forge", "agent-new", "agent-tribune", "agent-watchman-light", "environment", "models", "policy", "run", "run-original"];
    for name in names {
        let written = manifest(name, &namespace);
        let applied = apply(&client, &written).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_said(&written["spec"], &applied.data["spec"], name);
        assert!(applied.data.get("status").is_none(), "{name}: a status is not a matter of applying");
    }
}

/// Whatever was written is still said; defaults may have been added.
fn assert_said(written: &Value, served: &Value, path: &str) {
    match (written, served) {
        (Value::Object(written), Value::Object(served)) => {
            for (key, value) in written {
                let path = format!("{path}.{key}");
                assert_said(value, served.get(key).unwrap_or_else(|| panic!("{path} is lost")), &path);
            }
        }
        (Value::Array(written), Value::Array(served)) => {
            assert_eq!(written.len(), served.len(), "{path}");
            written.iter().zip(served).for_each(|(written, served)| assert_said(written, served, path));
        }
        _ => assert_eq!(written, served, "{path}"),
    }
}

#[tokio::test]
async fn every_rule_refuses_and_names_field_and_fix() {
    let plane = control_plane();
    plane.install_crds().await;
    let (client, namespace) = (plane.admin().await, plane.namespace("rules").await);
    // Manifest, place, value, and the field that the API server must name.
    let cases = [
        ("agent-forge", "/spec/schedule/interval", json!("59s"), "spec.schedule"),
        ("agent-forge", "/spec/schedule/triggers/1", json!({"type": "webhook"}), "spec.schedule.triggers[1]"),
        ("agent-forge", "/spec/model/timeout", json!("999ms"), "spec.model.timeout"),
        ("agent-forge", "/spec/model/timeout", json!("24h1s"), "spec.model.timeout"),
        ("agent-forge", "/spec/startingDeadline", json!("0s"), "spec.startingDeadline"),
        ("agent-forge", "/spec/guardrails/escalation", json!({"target": "channel"}), "spec.guardrails.escalation"),
        ("environment", "/spec/connection", json!({"kind": "kubeconfig"}), "spec.connection"),
        ("environment", "/spec/connection", json!({"kubeconfig": {"secretRef": "s"}}), "spec.connection"),
        ("environment", "/spec/endpoints/github/data", json!("database"), "spec.endpoints[github]"),
        ("environment", "/spec/credentials/github-pat/header", json!("X-Key"), "spec.credentials[github-pat]"),
        ("models", "/spec/defaultAuth", json!({"type": "oauth"}), "spec.defaultAuth"),
        ("models", "/spec/tiers/0/auth", json!({"type": "apiKey"}), "spec.tiers[0].auth"),
        ("models", "/spec/tiers/2/baseURL", json!("http://x"), "spec.tiers[2]"),
        ("policy", "/spec/signatures", json!({"mode": "warn"}), "spec.signatures"),
        ("policy", "/spec/limits/timeout", json!("1ms"), "spec.limits"),
        ("policy", "/spec/limits/skillCpu", json!("11s"), "spec.limits"),
        ("policy", "/spec/limits/skillTimeout", json!("1ns"), "spec.limits"),
        ("policy", "/spec/freezeWindows/0/duration", json!("59s"), "spec.freezeWindows[0]"),
        ("run", "/spec/trigger", json!("approval"), "spec"),
        ("run", "/spec/attempt", json!(2), "spec"),
        ("approval", "/spec/decision", json!({"verdict": "deny", "by": "bob"}), "spec"),
    ];
    let plurals = ["infraagents", "agentenvironments", "modeltierconfigs", "infraagentpolicies", "agentruns", "actionapprovals"];
    let mut open: BTreeSet<String> = plurals.iter().flat_map(|plural| messages(plural, "/properties/spec")).collect();
    for (name, pointer, value, field) in cases {
        let said = refusal(&client, &with(manifest(name, &namespace), pointer, value)).await;
        assert!(said.contains(&format!(" {field}: Invalid value")), "{name} {pointer}: {said}");
        open.retain(|message| !said.contains(message));
    }

    // Rules about changes: first what they are about.
    let run = manifest("run", &namespace);
    apply(&client, &run).await.unwrap();
    let said = refusal(&client, &with(run, "/spec/trigger", json!("manual"))).await;
    open.retain(|message| !said.contains(message));

    let mut approval = manifest("approval", &namespace);
    let decision = approval["spec"].as_object_mut().unwrap().remove("decision").unwrap();
    apply(&client, &approval).await.unwrap();
    let said = refusal(&client, &with(approval.clone(), "/spec/request/call", json!("kubectl.delete pod/web-2 -n shop"))).await;
    open.retain(|message| !said.contains(message));
    let decided = with(approval, "/spec/decision", decision);
    apply(&client, &decided).await.unwrap();
    let said = refusal(&client, &with(decided, "/spec/decision/verdict", json!("deny"))).await;
    open.retain(|message| !said.contains(message));

    assert!(open.is_empty(), "no case for {open:?}");
}

#[tokio::test]
async fn a_proposal_is_carried_out_once_and_stays_closed() {
    let plane = control_plane();
    plane.install_crds().await;
    let (client, namespace) = (plane.admin().await, plane.namespace("proposal").await);
    let mut approval = manifest("approval", &namespace);
    approval["spec"].as_object_mut().unwrap().remove("decision");
    apply(&client, &approval).await.unwrap();
    let approvals = Api::<infraagent_api::ActionApproval>::namespaced(client, &namespace);
    let name = approval["metadata"]["name"].as_str().unwrap();
    let write = async |status: Value| {
        approvals
            .patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status})))
            .await
            .map_err(|error| error.to_string())
    };
    write(json!({"phase": "Executed", "run": {"name": "a", "uid": "1"}})).await.unwrap();
    let mut open = messages("actionapprovals", "/properties/status");
    for change in [json!({"phase": "Pending"}), json!({"run": {"name": "b", "uid": "2"}})] {
        let said = write(change).await.unwrap_err();
        open.retain(|message| !said.contains(message));
    }
    assert!(open.is_empty(), "no case for {open:?}");
}

#[tokio::test]
async fn a_misspelled_guardrail_survives_and_any_other_unknown_key_is_an_error() {
    let plane = control_plane();
    plane.install_crds().await;
    let (client, namespace) = (plane.admin().await, plane.namespace("unknown").await);
    let misspelled = with(manifest("agent-forge", &namespace), "/spec/guardrails/deniedActoins", json!(["kubectl.delete *"]));
    let agent = apply(&client, &misspelled).await.unwrap();
    assert_eq!(agent.data["spec"]["guardrails"]["deniedActoins"], json!(["kubectl.delete *"]));

    let elsewhere = with(manifest("agent-new", &namespace), "/spec/skils", json!([]));
    let said = apply(&client, &elsewhere).await.unwrap_err().to_string();
    assert!(said.contains("spec.skils"), "{said}");
    // Who does not ask for strict validation loses the key; that is why guardrails keep theirs.
    let agent: InfraAgent = serde_json::from_value(elsewhere.clone()).unwrap();
    let created = Api::<InfraAgent>::namespaced(client, &namespace).create(&PostParams::default(), &agent).await.unwrap();
    assert!(serde_json::to_value(&created).unwrap()["spec"].get("skils").is_none());
}

#[tokio::test]
async fn kubectl_explains_every_guardrail() {
    let plane = control_plane();
    plane.install_crds().await;
    let text = kubectl(plane, &["explain", "infraagent.spec.guardrails", "--recursive"]);
    for field in ["autonomy", "allowedActions", "deniedActions", "escalation", "channelName", "maxIterations", "maxRetries"] {
        assert!(text.contains(field), "{field}: {text}");
    }
    let text = kubectl(plane, &["explain", "arun.status.actions.intentHash"]);
    assert!(text.contains("Hash of the entry before this one"), "{text}");
}

#[tokio::test]
async fn kubectl_lists_by_short_name_category_and_phase() {
    let plane = control_plane();
    plane.install_crds().await;
    let (client, namespace) = (plane.admin().await, plane.namespace("columns").await);
    for name in ["agent-forge", "environment", "run"] {
        apply(&client, &manifest(name, &namespace)).await.unwrap();
    }
    let run = manifest("run", &namespace);
    let runs = Api::<AgentRun>::namespaced(client, &namespace);
    let running = json!({"status": {"phase": RunPhase::Running}});
    runs.patch_status(run["metadata"]["name"].as_str().unwrap(), &PatchParams::default(), &Patch::Merge(running)).await.unwrap();

    let header = |kind: &str| {
        let table = kubectl(plane, &["get", kind, "-n", &namespace]);
        assert_eq!(table.lines().count(), 2, "{table}");
        table.lines().next().unwrap().split("  ").map(str::trim).filter(|column| !column.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    for (short, plural) in [("ia", "infraagents"), ("aenv", "agentenvironments"), ("arun", "agentruns")] {
        let columns = documents(format!("crds/{plural}.yaml")).remove(0);
        let columns = columns["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap().clone();
        let expected: Vec<_> = columns.iter().filter(|column| column["priority"].as_i64().unwrap_or(0) == 0).collect();
        let expected: Vec<_> = expected.iter().map(|column| column["name"].as_str().unwrap().to_uppercase()).collect();
        assert_eq!(header(short)[1..], expected, "{short}");
    }
    let all = kubectl(plane, &["get", "infraagent-all", "-n", &namespace, "-o", "name"]);
    assert_eq!(
        all.lines().filter(|name| !name.starts_with("modeltierconfig") && !name.starts_with("infraagentpolicy")).count(),
        3,
        "{all}"
    );
    // A category of the name of a kind would take its place here.
    assert_eq!(kubectl(plane, &["get", "infraagent", "forge", "-n", &namespace, "-o", "name"]).lines().count(), 1);

    let of_phase = |phase: &str| {
        kubectl(plane, &["get", "arun", "-n", &namespace, "-o", "name", "--field-selector", &format!("status.phase={phase}")])
    };
    assert_eq!((of_phase("Running").lines().count(), of_phase("Failed").lines().count()), (1, 0));
    let of_agent = |agent: &str| {
        kubectl(plane, &["get", "arun", "-n", &namespace, "-o", "name", "--field-selector", &format!("spec.agentRef={agent}")])
    };
    assert_eq!((of_agent("forge").lines().count(), of_agent("tribune").lines().count()), (1, 0));
}
