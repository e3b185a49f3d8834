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
        ("kubernetes: { verb: read, resources: [pods], namespaces: [apps] }", &[Get, List, Wait]),
        ("kubernetes: { verb: [list, get, list], resources: [pods], namespaces: [apps] }", &[Get, List]),
        ("kubernetes: { verb: logs, namespaces: [apps] }", &[Logs]),
        ("kubernetes: { verb: wait, resources: [jobs.batch], namespaces: [apps] }", &[Wait]),
        ("kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps] }", &[Restart]),
        ("kubernetes: { verb: scale, resources: [deployments.apps], replicas: { min: 1, max: 5 }, namespaces: [apps] }", &[Scale]),
        ("kubernetes: { verb: pause, resources: [deployments.apps], namespaces: [apps] }", &[Pause]),
        ("kubernetes: { verb: evict, namespaces: [apps] }", &[Evict]),
        ("kubernetes: { verb: cordon, nodes: { matchLabels: { pool: apps } } }", &[Cordon]),
        ("kubernetes: { verb: request-sync, resources: [applications.argoproj.io], namespaces: [apps] }", &[RequestSync]),
        ("kubernetes: { verb: delete, resources: [jobs.batch], namespaces: [apps] }", &[Delete]),
        ("kubernetes: { verb: rollback, resources: [deployments.apps], namespaces: [apps] }", &[Rollback]),
        ("http: { endpoints: ['*'], methods: [GET, HEAD], paths: ['/**'] }", &[HttpRead]),
        ("http: { endpoints: [ci], methods: [POST, GET, PUT, PATCH], paths: ['/**'] }", &[HttpRead, HttpMutation]),
        ("mcp: { server: k8sgpt, tools: [analyze] }", &[McpRead, McpMutation]),
        ("tool: kubectl.get\n    pattern: kubectl.get pods", &[Get, List, Wait]),
        ("tool: kubectl.rollout\n    targetPattern: kubectl.rollout restart deployment/*", &[Restart]),
        ("tool: mcp.k8sgpt.analyze", &[McpRead, McpMutation]),
        ("tool: http.get", &[HttpRead]),
    ];
    for (target, expected) in table {
        assert_eq!(verbs(target).as_deref(), Ok(*expected), "{target}");
    }
}

/// See `table.yaml`.
#[derive(serde::Deserialize)]
struct Table {
    good: Vec<Good>,
    bad: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Good {
    action: String,
    functions: Vec<String>,
}

#[test]
fn the_sheet_is_read_as_the_host_reads_it() {
    let table: Table = serde_saphyr::from_str(include_str!("table.yaml")).expect("the table");
    let sheet = |action: &str| {
        let fields = action.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(action).trim();
        let comma = if fields.is_empty() { "" } else { ", " };
        Sheet::parse(&format!("actions:\n  - {{ id: act, description: Acts.{comma}{fields} }}\n"))
    };
    let mut seen = std::collections::BTreeSet::new();
    for Good { action, functions } in table.good {
        let sheet = sheet(&action).unwrap_or_else(|error| panic!("{action}: {error}"));
        let mut found: Vec<String> = sheet.actions.iter().flat_map(|action| &action.verbs).map(|verb| verb.function()).collect();
        let mut expected = functions;
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{action}");
        seen.extend(found);
    }
    assert!(table.bad.len() > 50);
    for action in table.bad {
        assert!(sheet(&action).is_err(), "{action}");
    }
    assert_eq!(seen, Verb::ALL.into_iter().map(Verb::function).collect(), "every verb of the macros is in the table");
}

#[test]
fn optional_fields_are_read_and_checked() {
    let sheet = "
state: true
actions:
  - id: restart-deployment
    description: Rolling restart
    kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps] }
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
    let restart = "    kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps] }\n";
    let table = [
        ("actons: []\n".to_owned(), "actons"),
        ("{}".to_owned(), "actions"),
        (action("    kubernetes: { verb: get, resource: [pods] }"), "resource"),
        (action(&format!("{restart}    coolDown: 5m")), "coolDown"),
        (action("    kubernetes: { verb: patch, resources: [pods] }"), "unknown verb `patch`"),
        (action("    kubernetes: { verb: list, resources: ['*'] }"), "no `*`"),
        (action("    kubernetes: { verb: list }"), "`resources` is missing"),
        (action("    kubernetes: { verb: scale, resources: [deployments.apps], namespaces: [apps] }"), "`scale` needs `replicas"),
        (
            action("    kubernetes: { verb: scale, resources: [deployments.apps], namespaces: [apps], replicas: { min: 3, max: 1 } }"),
            "greater",
        ),
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
