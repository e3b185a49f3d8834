//! The tools on a fake host: no cluster, no WebAssembly.

use skills_sdk::prelude::*;
use skills_sdk::testing::Host;

use crate::SKILL;

const PODS: &str = "
{apiVersion: v1, kind: Pod, metadata: {namespace: apps, name: web-1, labels: {app: web}}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: apps, name: web-2, labels: {app: web}}, status: {phase: Pending}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: jobs, name: import}, status: {phase: Succeeded}}
";

#[test]
fn greets_whoever_is_named_and_names_the_site() {
    let host = Host::new(SKILL).site(json!({ "name": "lab" })).install();
    let output = host.call("greet", json!({ "name": "Ada" })).unwrap();
    assert_eq!(output.summary, "Hello, Ada!");
    assert_eq!(output.content, json!({ "greeting": "Hello, Ada!", "site": { "name": "lab" } }));
    assert_eq!(host.call("greet", json!({})).unwrap().summary, "Hello, world!");
}

#[test]
fn lists_pods_of_all_namespaces_page_by_page() {
    let host = Host::new(SKILL).yaml(PODS).page_size(1).install();
    let output = host.call("list_pods", json!({})).unwrap();
    assert_eq!(output.summary, "3 pods, 1 of them not well");
    assert_eq!(output.content["complete"], json!(true));
    assert_eq!(
        output.content["pods"][0],
        json!({ "namespace": "apps", "name": "web-1", "phase": "Running", "ready": true, "restarts": 0 })
    );
    assert_eq!(host.calls().len(), 3, "one call per page");
    assert!(host.calls().iter().all(|call| call.action.as_deref() == Some("list-pods")));
}

#[test]
fn narrows_the_list_by_namespace_and_labels() {
    let host = Host::new(SKILL).yaml(PODS).install();
    let names = |arguments: Value| {
        let pods = host.call("list_pods", arguments).unwrap().content["pods"].clone();
        pods.as_array().unwrap().iter().map(|pod| pod["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(json!({ "namespace": "jobs" })), ["import"]);
    assert_eq!(names(json!({ "labels": "app=web" })), ["web-1", "web-2"]);
}

#[test]
fn a_denial_reaches_the_model() {
    let host = Host::new(SKILL).deny("list-pods", "out-of-scope", "the namespace is not yours").install();
    assert!(host.call("list_pods", json!({ "namespace": "kube-system" })).unwrap_err().is_denied());
}

#[test]
fn unknown_arguments_are_refused() {
    let host = Host::new(SKILL).install();
    let error = host.call("list_pods", json!({ "name_space": "apps" })).unwrap_err();
    assert!(error.to_string().contains("name_space"), "{error}");
}

#[test]
fn the_manifest_will_say_which_actions_each_tool_uses() {
    let tools = (SKILL.describe)();
    let actions: Vec<_> = tools.iter().map(|tool| (tool.name, tool.actions)).collect();
    assert_eq!(actions, [("greet", [].as_slice()), ("list_pods", ["list-pods"].as_slice())]);
    for tool in tools {
        assert_eq!(tool.input_schema["additionalProperties"], json!(false), "{}", tool.name);
    }
}
