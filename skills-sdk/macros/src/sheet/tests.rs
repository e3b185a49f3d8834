//! The sheet's words, and what each mistake is told.

use super::{Sheet, Verb, type_name};

fn verbs(target: &str) -> Result<Vec<Verb>, String> {
    let text = format!("actions:\n  - id: a\n    {target}\n");
    Sheet::parse(&text).map(|sheet| sheet.actions.into_iter().flat_map(|action| action.verbs).collect())
}

fn error(text: &str) -> String {
    Sheet::parse(text).expect_err("the sheet is wrong")
}

#[test]
fn ids_become_type_names() {
    for (id, name) in [("restart-deployment", "RestartDeployment"), ("probe", "Probe"), ("http2-probe", "Http2Probe")] {
        assert_eq!(type_name(id).as_deref(), Ok(name));
    }
    for id in ["", "Restart", "restart_deployment", "a--b", "-a", "a-", "2fast", "self", "café", &"a".repeat(64)] {
        assert!(type_name(id).is_err(), "{id}");
    }
}

#[test]
fn every_target_form_declares_its_verbs() {
    use Verb::{
        Cordon, Delete, Evict, Get, HttpMutation, HttpRead, List, Logs, McpMutation, McpRead, Pause, RequestSync, Restart, Rollback, Scale,
        Wait,
    };
    let table: &[(&str, &[Verb])] = &[
        ("kubernetes: { verb: read, resources: [pods] }", &[Get, List, Wait]),
        ("kubernetes: { verb: [list, get, list], resources: [pods] }", &[Get, List]),
        ("kubernetes: { verb: logs }", &[Logs]),
        ("kubernetes: { verb: wait, resources: [jobs.batch] }", &[Wait]),
        ("kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps] }", &[Restart]),
        ("kubernetes: { verb: scale, resources: [deployments.apps], replicas: { min: 1, max: 5 } }", &[Scale]),
        ("kubernetes: { verb: pause, resources: [deployments.apps] }", &[Pause]),
        ("kubernetes: { verb: evict }", &[Evict]),
        ("kubernetes: { verb: cordon, nodes: { matchLabels: { pool: apps } } }", &[Cordon]),
        ("kubernetes: { verb: request-sync, resources: [applications.argoproj.io] }", &[RequestSync]),
        ("kubernetes: { verb: delete, resources: [jobs.batch] }", &[Delete]),
        ("kubernetes: { verb: rollback, resources: [deployments.apps] }", &[Rollback]),
        ("http: { endpoints: ['*'], methods: [GET, HEAD], paths: ['/**'] }", &[HttpRead]),
        ("http: { endpoints: [ci], methods: [POST, GET, PUT, PATCH], paths: ['/**'] }", &[HttpRead, HttpMutation]),
        ("mcp: { server: k8sgpt, tools: [analyze] }", &[McpRead, McpMutation]),
        ("tool: kubectl.get", &[Get, List, Wait]),
        ("tool: kubectl.rollout\n    targetPattern: kubectl.rollout restart deployment/*", &[Restart]),
        ("tool: kubectl.drain", &[Evict, Cordon]),
        ("tool: mcp.k8sgpt.analyze", &[McpRead, McpMutation]),
        ("tool: http.get", &[HttpRead]),
    ];
    for (target, expected) in table {
        assert_eq!(verbs(target).as_deref(), Ok(*expected), "{target}");
    }
}

#[test]
fn optional_fields_are_read_and_checked() {
    let sheet = "
state: true
actions:
  - id: restart-deployment
    description: Rolling restart
    kubernetes: { verb: restart, resources: [deployments.apps] }
    tier: destructive-mutation
    cooldown: 1h30m
    dataImpact: possible
    preConditions:
      - { cel: 'object.spec.replicas > 0', message: it runs }
    rollback: { description: kubectl rollout undo, automatic: false }
";
    let sheet = Sheet::parse(sheet).expect("a sheet");
    assert!(sheet.state);
    assert_eq!(sheet.actions.first().map(|action| action.description.as_str()), Some("Rolling restart"));
}

#[test]
fn mistakes_are_named() {
    let action = |rest: &str| format!("actions:\n  - id: a\n{rest}");
    let restart = "    kubernetes: { verb: restart, resources: [deployments.apps] }\n";
    let table = [
        ("actons: []\n".to_owned(), "actons"),
        ("{}".to_owned(), "actions"),
        (action("    kubernetes: { verb: get, resource: [pods] }"), "resource"),
        (action(&format!("{restart}    coolDown: 5m")), "coolDown"),
        (action("    kubernetes: { verb: patch, resources: [pods] }"), "unknown verb `patch`"),
        (action("    kubernetes: { verb: list, resources: ['*'] }"), "no `*`"),
        (action("    kubernetes: { verb: list }"), "`resources` is missing"),
        (action("    kubernetes: { verb: scale, resources: [deployments.apps] }"), "`scale` needs `replicas"),
        (action("    kubernetes: { verb: scale, resources: [deployments.apps], replicas: { min: 3, max: 1 } }"), "greater"),
        (action("    kubernetes: { verb: cordon }"), "`cordon` needs `nodes"),
        (action("    http: { endpoints: [a], methods: [DELETE], paths: ['/'] }"), "DELETE"),
        (action("    description: no target"), "exactly one target"),
        (action(&format!("{restart}    mcp: {{ server: s, tools: [t] }}")), "exactly one target"),
        (action(&format!("{restart}    tier: read")), "never lower"),
        (action(&format!("{restart}    cooldown: 1d")), "`cooldown: 1d` is not a duration"),
        (action(&format!("{restart}    rollback: {{ description: undo, automatic: true }}")), "automatic"),
        (action(&format!("{restart}    dataImpact: certain")), "certain"),
        (action("    tool: kubectl.rollout"), "needs a pattern"),
        (action("    tool: github.issues"), "can mean nothing"),
        (action("    tool: kubectl.get\n    pattern: kubectl.delete pod/*"), "does not begin"),
        (format!("{}  - id: a\n{restart}", action(restart)), "declared twice"),
        (format!("actions:\n  - id: a-1\n{restart}  - id: a1\n{restart}"), "both would be the type `A1`"),
    ];
    for (text, expected) in table {
        let message = error(&text);
        assert!(message.contains(expected), "{text}\n{message}");
    }
}
