use std::collections::BTreeSet;

use infraagent_sandbox::admission;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::run::schema::Schema;

const DOCUMENT: &str = "---\nname: ops\ndescription: Looks after workloads.\n---\nLook before you act.\n";

fn of(actions: &str) -> Result<Manifest, String> {
    let folder = Folder::without_code(DOCUMENT, Some(actions)).map_err(|error| error.to_string())?;
    manifest(&folder).map_err(|error| error.to_string())
}

fn action(target: &str) -> Manifest {
    of(&format!("actions:\n  - id: act\n    description: Acts.\n    {target}\n")).unwrap_or_else(|error| panic!("{target}: {error}"))
}

fn names(manifest: &Manifest) -> Vec<&str> {
    manifest.tools.iter().map(|tool| tool.name.as_str()).collect()
}

/// Whether the only tool of a skill takes these arguments.
fn takes(manifest: &Manifest, arguments: Value) -> bool {
    let [tool] = manifest.tools.as_slice() else { panic!("{:?}", names(manifest)) };
    let schema = Schema::load(tool.input_schema.clone()).unwrap_or_else(|error| panic!("{error}"));
    schema.check(&arguments).is_ok()
}

#[test]
fn each_action_is_a_tool_and_each_verb_of_several_is_one() {
    let manifest = of("\
actions:
  - { id: pods, description: Shows pods., kubernetes: { verb: read, resources: [pods], namespaces: [apps] } }
  - { id: restart-web, description: Restarts., kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps] } }
  - { id: issues, description: Issues., http: { endpoints: [github], methods: [GET, POST], paths: ['/repos/*/issues'] } }
")
    .unwrap();
    assert_eq!(names(&manifest), ["pods__get", "pods__list", "pods__wait", "restart_web", "issues__read", "issues__write"]);
    assert_eq!(manifest.tools[0].description, "Shows pods. (get)");
    assert_eq!(manifest.tools[3].actions, ["restart-web"]);
    assert_eq!((manifest.version.as_str(), manifest.instructions.as_str()), ("0.0.0", "Look before you act."));
}

/// Actions that are accepted, shared with the SDK.
#[derive(Deserialize)]
struct Table {
    good: Vec<Good>,
}

#[derive(Deserialize)]
struct Good {
    action: String,
    functions: Vec<String>,
}

#[test]
fn whatever_a_sheet_can_say_is_admitted_and_imports_what_it_says_and_no_more() {
    let table: Table = serde_saphyr::from_str(include_str!("../../../../skills-sdk/macros/src/sheet/table.yaml")).unwrap();
    assert!(table.good.len() > 10);
    for Good { action, functions } in table.good {
        let fields = action.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(&action).trim();
        let comma = if fields.is_empty() { "" } else { ", " };
        let whole = of(&format!("actions:\n  - {{ id: act, description: Acts.{comma}{fields} }}\n"))
            .unwrap_or_else(|error| panic!("{action}: {error}"));
        let mut imported = BTreeSet::new();
        let parts = parts(&whole);
        for part in &parts {
            let admitted = admission::admit(&part.bytes().unwrap()).unwrap_or_else(|refusals| panic!("{action}: {refusals:?}"));
            let [(interface, function)] = admitted.imports() else { panic!("{action}: {:?}", admitted.imports()) };
            assert!(imported.insert(format!("{interface}.{function}")), "{action}: one component for each function");
            assert!(admitted.warnings().is_empty(), "{action}: {:?}", admitted.warnings());
            assert!(admitted.manifest().instructions.is_empty(), "instructions are said once");
        }
        let expected: BTreeSet<String> = functions.into_iter().filter(|function| function != "mcp-mutation.call-tool").collect();
        assert_eq!(imported, expected, "{action}");
        let tools: usize = parts.iter().map(|part| part.manifest.tools.len()).sum();
        assert_eq!(tools, whole.tools.len(), "{action}: each tool is in one component");
        for tool in &whole.tools {
            Schema::load(tool.input_schema.clone()).unwrap_or_else(|error| panic!("{action}: {error}"));
        }
    }
}

#[test]
fn an_mcp_action_that_changes_something_says_so() {
    let interface = |tier: &str| {
        let whole = action(&format!("mcp: {{ server: k8sgpt, tools: [analyze] }}\n    {tier}"));
        parts(&whole).iter().map(|part| part.generic.interface).collect::<Vec<_>>()
    };
    assert_eq!(interface(""), ["mcp-read"]);
    assert_eq!(interface("tier: read"), ["mcp-read"]);
    assert_eq!(interface("tier: service-mutation"), ["mcp-mutation"]);
    assert_eq!(interface("tier: destructive-mutation"), ["mcp-mutation"]);
}

#[test]
fn arguments_that_the_sheet_does_not_cover_do_not_fit() {
    let restart = action(
        "kubernetes: { verb: restart, resources: [deployments.apps, pods], namespaces: [apps], names: [web, 'api-*'] }"
            .replace(", pods", "")
            .as_str(),
    );
    let with = |field: &str, value: Value| {
        let mut arguments = json!({ "kind": "deployments.apps", "namespace": "shop", "name": "web", "reason": "it hangs" });
        arguments[field] = value;
        arguments
    };
    assert!(takes(&restart, with("name", json!("web"))));
    assert!(takes(&restart, with("name", json!("api-2"))));
    for (field, value) in [
        ("kind", json!("statefulsets.apps")),
        ("kind", json!("Deployments.apps")),
        ("kind", json!("pods/../secrets")),
        ("name", json!("webs")),
        ("name", json!("api-x/../../secrets")),
        ("name", json!("api-%2f")),
        ("name", json!("api-\u{ff41}")),
        ("name", json!("web\n")),
        ("name", json!(["web"])),
        ("name", Value::Null),
        ("namespace", json!("Shop")),
        ("namespace", json!("shop/../kube-system")),
        ("namespace", json!("")),
        ("namespace", json!("shop ")),
        ("reason", json!("")),
        ("reason", json!("x".repeat(257))),
        ("replicas", json!(0)),
        ("action", json!("delete")),
        ("verb", json!("delete")),
    ] {
        assert!(!takes(&restart, with(field, value.clone())), "{field}: {value}");
    }

    let scale = action("kubernetes: { verb: scale, resources: [deployments.apps], namespaces: [apps], replicas: { min: 1, max: 5 } }");
    let to =
        |replicas: Value| json!({ "kind": "deployments.apps", "namespace": "shop", "name": "web", "replicas": replicas, "reason": "load" });
    assert!(takes(&scale, to(json!(1))) && takes(&scale, to(json!(5))));
    for wrong in [json!(0), json!(6), json!(-1), json!("3"), json!(2.5), Value::Null, json!(4_294_967_297_u64)] {
        assert!(!takes(&scale, to(wrong.clone())), "{wrong}");
    }
    assert!(!takes(&scale, json!({ "kind": "deployments.apps", "namespace": "shop", "name": "web", "reason": "load" })), "never a default");
}

#[test]
fn requests_that_the_sheet_does_not_cover_do_not_fit() {
    let read = action("http: { endpoints: [github, 'grafana-*'], methods: [GET], paths: ['/repos/*/issues', '/health/**'] }");
    let to = |endpoint: &str, method: &str, path: &str| json!({ "endpoint": endpoint, "method": method, "path": path });
    assert!(takes(&read, to("github", "GET", "/repos/shop/issues")));
    assert!(takes(&read, to("grafana-eu", "GET", "/health/a/b")));
    for (endpoint, method, path) in [
        ("github", "POST", "/repos/shop/issues"),
        ("github", "DELETE", "/repos/shop/issues"),
        ("github", "get", "/repos/shop/issues"),
        ("gitlab", "GET", "/repos/shop/issues"),
        ("https://evil.example", "GET", "/repos/shop/issues"),
        ("github", "GET", "/repos/a/b/issues"),
        ("github", "GET", "/repos/shop/issues/1"),
        ("github", "GET", "repos/shop/issues"),
        ("github", "GET", "https://evil.example/repos/x/issues"),
    ] {
        assert!(!takes(&read, to(endpoint, method, path)), "{endpoint} {method} {path}");
    }
    let mut forged = to("github", "GET", "/health/x");
    forged["headers"] = json!({ "x-http-method-override": "DELETE" });
    assert!(!takes(&read, forged), "headers are none of its arguments");
}

#[test]
fn a_deletion_names_what_was_looked_at() {
    let delete = action("kubernetes: { verb: delete, resources: [pods, jobs.batch], namespaces: [apps] }");
    let victim = json!({ "kind": "pods", "namespace": "shop", "name": "web-1", "uid": "u", "resourceVersion": "7", "reason": "stuck" });
    assert!(takes(&delete, victim.clone()));
    for field in ["uid", "resourceVersion", "reason", "namespace", "kind", "name"] {
        let mut without = victim.clone();
        without.as_object_mut().unwrap().remove(field);
        assert!(!takes(&delete, without), "{field}");
    }
}

#[test]
fn objects_outside_of_namespaces_take_none() {
    let nodes = action("kubernetes: { verb: get, resources: [nodes] }");
    assert!(takes(&nodes, json!({ "kind": "nodes", "name": "node-1" })));
    assert!(!takes(&nodes, json!({ "kind": "nodes", "namespace": "apps", "name": "node-1" })));
    let cordon = action("kubernetes: { verb: cordon, nodes: { matchLabels: { pool: spot } } }");
    assert!(takes(&cordon, json!({ "name": "node-1", "unschedulable": true, "reason": "drain" })));
    assert!(!takes(&cordon, json!({ "name": "node-1", "unschedulable": "true", "reason": "drain" })));
}

#[test]
fn what_cannot_be_is_refused_with_the_action_that_says_it() {
    let read = "kubernetes: { verb: get, resources: [pods], namespaces: [apps] }";
    for (sheet, words) in [
        (format!("state: true\nactions: [{{ id: a, description: A., {read} }}]"), "`state: true`"),
        ("actions: []".to_owned(), "declare one"),
        (format!("actions: [{{ id: a, {read} }}]"), "`description` is missing"),
        (format!("actions: [{{ id: a--b, description: A., {read} }}]"), "`--`"),
        (format!("actions: [{{ id: 2nd, description: A., {read} }}]"), "tool name `2nd`"),
        (format!("actions: [{{ id: a, description: A., {read} }}, {{ id: a, description: A., {read} }}]"), "declared twice"),
        (format!("tools: []\nactions: [{{ id: a, description: A., {read} }}]"), "tools"),
        (format!("actions: [{{ id: a, description: A., code: x.wasm, {read} }}]"), "code"),
    ] {
        let error = of(&sheet).unwrap_err();
        assert!(error.contains(words), "{sheet}\n=> {error}");
    }
    let many: String = (0..70).map(|n| format!("  - {{ id: a{n}, description: A., {read} }}\n")).collect();
    assert!(of(&format!("actions:\n{many}")).unwrap_err().contains("1 to 64 tools"));
}

#[test]
fn the_digest_changes_with_the_text_and_with_the_sheet_and_with_nothing_else() {
    let sheet = "actions: [{ id: a, description: A., kubernetes: { verb: get, resources: [pods], namespaces: [apps] } }]";
    let digest_of = |document: &str, sheet: &str| digest(&manifest(&Folder::without_code(document, Some(sheet)).unwrap()).unwrap());
    let first = digest_of(DOCUMENT, sheet);
    assert!(first.starts_with("sha256:") && first.len() == 71);
    assert_eq!(first, digest_of(DOCUMENT, &format!("# a note\n{sheet}")));
    let others = [
        digest_of(&DOCUMENT.replace("Look before", "Look well before"), sheet),
        digest_of(DOCUMENT, &sheet.replace("[apps]", "[shop]")),
        digest_of(DOCUMENT, &sheet.replace("[pods]", "[services]")),
        digest_of(DOCUMENT, &sheet.replace("verb: get", "verb: list")),
    ];
    assert_eq!(others.iter().chain([&first]).collect::<BTreeSet<_>>().len(), 5, "{others:?}");
    let manifest_alone = Sha256::digest(of(sheet).unwrap().to_canonical_json());
    let alone = manifest_alone.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    assert_ne!(first, alone, "the code counts");
}
