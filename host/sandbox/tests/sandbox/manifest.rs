//! The manifest in its section, and the action sheet's meaning: what is accepted, what is refused and with which words.

use std::collections::BTreeMap;

use infraagent_guard::policy::{Grant, Method, Tier, Verb};
use infraagent_sandbox::manifest::{self, ActionSpec, MAX_MANIFEST, Manifest, ManifestError, SECTION, Sheet, ToolDescription};
use serde_json::{Value, json};

/// An empty component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn action(fields: Value) -> ActionSpec {
    let mut action = json!({ "id": "a" });
    action.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(action).unwrap_or_else(|error| panic!("{fields}: {error}"))
}

fn manifest() -> Manifest {
    Manifest {
        name: "greeter".into(),
        version: "1.0.0".into(),
        description: "Greets".into(),
        license: None,
        tags: vec![],
        instructions: "Greet.".into(),
        contract: "0.1.0".into(),
        minimum_host: Some("0.2.0".into()),
        tools: vec![ToolDescription {
            name: "greet".into(),
            description: "Greets".into(),
            input_schema: json!({ "type": "object", "b": 1, "a": { "z": [1.5, null, "ü\n"] } }),
            actions: vec!["a".into()],
        }],
        sheet: Sheet {
            state: false,
            actions: vec![action(json!({ "kubernetes": { "verb": "read", "resources": ["pods"], "namespaces": ["*"] } }))],
        },
        limits: None,
    }
}

fn with_section(component: &[u8], content: &[u8]) -> Vec<u8> {
    let leb = |mut n: usize| {
        let mut out = Vec::new();
        while n > 0x7f {
            out.push((n as u8 & 0x7f) | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    };
    let body = [leb(SECTION.len()), SECTION.as_bytes().to_vec(), content.to_vec()].concat();
    [component.to_vec(), vec![0], leb(body.len()), body].concat()
}

#[test]
fn what_was_appended_is_read_back() {
    let packed = manifest::append(COMPONENT, &manifest()).unwrap();
    assert_eq!(manifest::read(&packed), Ok(manifest()));
    assert!(packed.starts_with(COMPONENT));
    let text = manifest().to_canonical_json();
    assert!(text.starts_with(r#"{"contract":"0.1.0","description":"Greets","instructions""#), "{text}");
    assert!(text.contains(r#""inputSchema":{"a":{"z":[1.5,null,"ü\n"]},"b":1,"type":"object"}"#), "{text}");
}

#[test]
fn a_section_that_is_not_exactly_right_is_refused() {
    let json = manifest().to_canonical_json();
    let packed = manifest::append(COMPONENT, &manifest()).unwrap();
    let unknown = json.replacen("{\"contract\"", "{\"colour\":1,\"contract\"", 1);
    let repeated = json.replacen("{\"contract\"", "{\"contract\":\"0.1.0\",\"contract\"", 1);
    let repeated_in_schema = json.replacen("\"b\":1,", "\"b\":2,\"b\":1,", 1);
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("not-a-component", b"\x7fELF".to_vec()),
        ("not-a-component", b"\0asm\x01\0\0\0".to_vec()),
        ("not-a-component", [COMPONENT, &[0, 200]].concat()),
        ("manifest-missing", COMPONENT.to_vec()),
        ("manifest-duplicate", with_section(&packed, json.as_bytes())),
        ("manifest-too-large", with_section(COMPONENT, &vec![b' '; MAX_MANIFEST + 1])),
        ("manifest-malformed", with_section(COMPONENT, b"{")),
        ("manifest-malformed", with_section(COMPONENT, unknown.as_bytes())),
        ("manifest-malformed", with_section(COMPONENT, repeated.as_bytes())),
        ("manifest-not-canonical", with_section(COMPONENT, repeated_in_schema.as_bytes())),
        ("manifest-not-canonical", with_section(COMPONENT, format!(" {json}").as_bytes())),
        ("manifest-malformed", with_section(COMPONENT, "[".repeat(100_000).as_bytes())),
    ];
    for (code, bytes) in table {
        assert_eq!(manifest::read(&bytes).map_err(|error| error.code()), Err(code));
    }
    assert_eq!(manifest::append(&packed, &manifest()), Err(ManifestError::Duplicate));
    assert_eq!(manifest::read(&with_section(COMPONENT, json.as_bytes())), Ok(manifest()), "the same section by hand");
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    type Change = fn(&mut Manifest);
    let table: &[(&str, Change)] = &[
        ("RFC 1123", |m| m.name = "Greeter".into()),
        ("`1.2`", |m| m.version = "1.2".into()),
        ("contract `0.1.999`", |m| m.contract = "0.1.999".into()),
        ("contract `1.0.0`", |m| m.contract = "1.0.0".into()),
        ("needs infraagent 99.0.0", |m| m.minimum_host = Some("99.0.0".into())),
        ("1 to 64 tools", |m| m.tools.clear()),
        ("1 to 64 tools", |m| m.tools = vec![m.tools[0].clone(); 65]),
        ("`greet` is declared twice", |m| m.tools.push(m.tools[0].clone())),
        ("tool name `Greet`", |m| m.tools[0].name = "Greet".into()),
        ("`b`, which the sheet does not declare", |m| m.tools[0].actions.push("b".into())),
        ("`a` is declared twice", |m| m.sheet.actions.push(m.sheet.actions[0].clone())),
        ("more than 1000", |m| m.sheet.actions = vec![m.sheet.actions[0].clone(); 1001]),
        ("more than 16384", |m| m.tools[0].input_schema = json!({ "description": "x".repeat(20_000) })),
        ("deeper than 8", |m| m.tools[0].input_schema = (0..8).fold(json!({}), |inner, _| json!({ "properties": inner }))),
        ("`http://evil.example/x`", |m| m.tools[0].input_schema = json!({ "$ref": "http://evil.example/x" })),
        ("`file:///etc/passwd`", |m| m.tools[0].input_schema = json!({ "items": [{ "$ref": "file:///etc/passwd" }] })),
        ("not a JSON object", |m| m.tools[0].input_schema = json!(true)),
    ];
    assert_eq!(manifest().problems(), Vec::<String>::new());
    for (expected, change) in table {
        let mut changed = manifest();
        change(&mut changed);
        let problems = changed.problems();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
        assert!(manifest::append(COMPONENT, &changed).is_err(), "{expected}");
    }
}

#[test]
fn every_mistake_in_an_action_is_named() {
    let restart = || json!({ "verb": "restart", "resources": ["deployments.apps"], "namespaces": ["apps"] });
    let table = [
        (json!({}), "exactly one target"),
        (json!({ "kubernetes": restart(), "mcp": { "server": "s", "tools": ["t"] } }), "exactly one target"),
        (json!({ "kubernetes": restart(), "pattern": "x" }), "belong to the form with `tool`"),
        (json!({ "kubernetes": { "verb": [], "resources": ["pods"] } }), "`verb` is empty"),
        (json!({ "kubernetes": { "verb": "list", "resources": ["*"] } }), "listed one by one"),
        (json!({ "kubernetes": { "verb": "list" } }), "`resources` is missing"),
        (json!({ "kubernetes": { "verb": "list", "resources": ["pods"] } }), "`namespaces` is missing"),
        (json!({ "kubernetes": { "verb": "list", "resources": ["nodes"], "namespaces": ["apps"] } }), "leave `namespaces` out"),
        (json!({ "kubernetes": { "verb": "list", "resources": ["nodes", "pods"], "namespaces": ["apps"] } }), "an action of its own"),
        (json!({ "kubernetes": { "verb": "list", "resources": ["pods"], "namespaces": ["prod-*"] } }), "names of groups"),
        (json!({ "kubernetes": { "verb": "read", "resources": ["secrets"], "namespaces": ["apps"] } }), "secrets"),
        (json!({ "kubernetes": { "verb": "delete", "resources": ["pvc"], "namespaces": ["apps"] } }), "no verb of this action"),
        (
            json!({ "kubernetes": { "verb": "delete", "resources": ["jobs", "clusters.postgresql.cnpg.io"], "namespaces": ["a"] } }),
            "clusters.postgresql",
        ),
        (
            json!({ "kubernetes": { "verb": ["get", "restart"], "resources": ["pods"], "namespaces": ["apps"] } }),
            "`restart` can be used on none",
        ),
        (json!({ "kubernetes": { "verb": "scale", "resources": ["deployments"], "namespaces": ["apps"] } }), "`scale` needs `replicas"),
        (
            json!({ "kubernetes": { "verb": "scale", "resources": ["deployments"], "namespaces": ["a"], "replicas": { "min": 3, "max": 1 } } }),
            "greater",
        ),
        (
            json!({ "kubernetes": { "verb": "get", "resources": ["pods"], "namespaces": ["a"], "replicas": { "min": 0, "max": 1 } } }),
            "belongs to the verb",
        ),
        (json!({ "kubernetes": { "verb": "cordon" } }), "`cordon` needs `nodes"),
        (json!({ "kubernetes": restart(), "tier": "read" }), "never lower"),
        (json!({ "http": { "endpoints": ["a"], "methods": ["POST"], "paths": ["/"] }, "tier": "read" }), "never lower"),
        (json!({ "kubernetes": restart(), "cooldown": "1d" }), "`cooldown: 1d`"),
        (json!({ "kubernetes": restart(), "cooldown": "200h" }), "168h"),
        (json!({ "kubernetes": restart(), "rollback": { "description": "undo", "automatic": true } }), "not possible"),
        (json!({ "kubernetes": restart(), "preConditions": [{ "cel": "", "message": "m" }] }), "needs `cel`"),
        (
            json!({ "http": { "endpoints": ["a"], "methods": ["PUT"], "paths": ["/"] }, "preConditions": [{ "cel": "true", "message": "m" }] }),
            "look at the object",
        ),
        (json!({ "http": { "endpoints": ["a"], "methods": ["GET"], "paths": ["/"] }, "cooldown": "5m" }), "changes something"),
        (json!({ "http": { "endpoints": [], "methods": ["GET"], "paths": ["/"] } }), "`http` needs"),
        (json!({ "http": { "endpoints": ["a"], "methods": ["GET"], "paths": ["x"] } }), "not a path"),
        (json!({ "mcp": { "server": "S", "tools": ["t"] } }), "endpoint `S`"),
        (json!({ "tool": "kubectl.get" }), "names no kind"),
        (json!({ "tool": "kubectl.rollout" }), "rollout restart"),
        (json!({ "tool": "kubectl.exec", "pattern": "kubectl.exec pod/x" }), "can mean nothing"),
        (json!({ "tool": "kubectl.delete", "pattern": "kubectl.delete namespace/*" }), "can mean nothing"),
        (json!({ "tool": "kubectl.scale", "pattern": "kubectl.scale deployment/*" }), "--replicas=N"),
        (json!({ "tool": "kubectl.drain", "pattern": "kubectl.drain node/x" }), "which nodes"),
        (json!({ "tool": "github.issues" }), "can mean nothing"),
        (json!({ "tool": "kubectl.get", "pattern": "kubectl.delete pod/*" }), "does not begin"),
        (json!({ "tool": "kubectl.get", "pattern": "kubectl.getaway pod/*" }), "does not begin"),
        (json!({ "tool": "kubectl.get", "pattern": "kubectl.get pod", "targetPattern": "kubectl.get pod" }), "keep one"),
        (json!({ "tool": "http.delete" }), "can mean nothing"),
        (json!({ "tool": "http.get", "pattern": "http.get https://a.example/x" }), "never URLs"),
    ];
    for (fields, expected) in table {
        let error = action(fields.clone()).validate().expect_err(&fields.to_string()).to_string();
        assert!(error.starts_with("action `a`: ") && error.contains(expected), "{fields}\n{error}");
    }
    for bad in [
        json!({ "id": "a", "kubernetes": { "verb": "patch", "resources": ["pods"] } }),
        json!({ "id": "a", "kubernetes": { "verb": "get", "resource": ["pods"] } }),
        json!({ "id": "a", "coolDown": "5m" }),
        json!({ "id": "a", "tier": "data-mutation" }),
        json!({ "id": "a", "http": { "endpoints": ["a"], "methods": ["DELETE"], "paths": ["/"] } }),
    ] {
        assert!(serde_json::from_value::<ActionSpec>(bad.clone()).is_err(), "{bad}");
    }
    assert!(action(json!({ "id": "A_b", "tool": "http.get" })).validate().is_err());
}

#[test]
fn groups_become_namespaces_and_other_names_stay() {
    let groups =
        BTreeMap::from([("apps".to_owned(), vec!["web".to_owned(), "api".to_owned()]), ("data".to_owned(), vec!["db".to_owned()])]);
    let namespaces = |names: Value| {
        let action =
            action(json!({ "kubernetes": { "verb": "restart", "resources": ["deploy"], "namespaces": names } })).resolve(&groups).unwrap();
        match action.grant {
            Grant::Kubernetes(grant) => grant.namespaces.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(namespaces(json!(["apps"])), ["api", "web"]);
    assert_eq!(namespaces(json!(["apps", "other", "web"])), ["api", "other", "web"]);
    assert_eq!(namespaces(json!(["*"])), ["api", "db", "web"]);
    let bad = action(json!({ "kubernetes": { "verb": "logs", "namespaces": ["Not_A_Namespace"] } }));
    assert!(bad.validate().is_ok(), "it could be a group");
    assert!(bad.resolve(&groups).is_err());
}

#[test]
fn both_forms_mean_the_same() {
    let groups = BTreeMap::from([("apps".to_owned(), vec!["web".to_owned()])]);
    let pairs = [
        (
            json!({ "tool": "kubectl.rollout", "targetPattern": "kubectl.rollout restart deployment/*" }),
            json!({ "kubernetes": { "verb": "restart", "resources": ["deployments.apps"], "namespaces": ["*"] } }),
        ),
        (
            json!({ "tool": "kubectl.get", "pattern": "kubectl.get nodes" }),
            json!({ "kubernetes": { "verb": "read", "resources": ["nodes"] } }),
        ),
        (
            json!({ "tool": "kubectl.delete", "pattern": "kubectl.delete pod/web-* -n web" }),
            json!({ "kubernetes": { "verb": "delete", "resources": ["pods"], "namespaces": ["web"], "names": ["web-*"] } }),
        ),
        (
            json!({ "tool": "kubectl.scale", "pattern": "kubectl.scale sts/db --replicas=2" }),
            json!({ "kubernetes": { "verb": "scale", "resources": ["statefulsets.apps"], "namespaces": ["*"], "names": ["db"], "replicas": { "min": 2, "max": 2 } } }),
        ),
        (json!({ "tool": "http.get" }), json!({ "http": { "endpoints": ["*"], "methods": ["GET"], "paths": ["/**"] } })),
        (
            json!({ "tool": "http.post", "pattern": "http.post /api/*" }),
            json!({ "http": { "endpoints": ["*"], "methods": ["POST"], "paths": ["/api/**"] } }),
        ),
        (json!({ "tool": "mcp.k8sgpt.analyze" }), json!({ "mcp": { "server": "k8sgpt", "tools": ["analyze"] } })),
    ];
    for (string, typed) in pairs {
        assert_eq!(action(string.clone()).resolve(&groups), action(typed).resolve(&groups), "{string}");
    }
}

#[test]
fn functions_and_effects_follow_from_the_target() {
    type Case = (Value, &'static [(&'static str, &'static str)], bool);
    let cases: [Case; 4] = [
        (
            json!({ "kubernetes": { "verb": "read", "resources": ["pods"], "namespaces": ["a"] } }),
            &[("kubernetes-read", "get"), ("kubernetes-read", "list"), ("kubernetes-read", "wait")],
            true,
        ),
        (
            json!({ "kubernetes": { "verb": ["rollback", "pause"], "resources": ["deploy"], "namespaces": ["a"] } }),
            &[("kubernetes-destructive-mutation", "rollback"), ("kubernetes-service-mutation", "pause")],
            false,
        ),
        (
            json!({ "http": { "endpoints": ["a"], "methods": ["GET", "POST"], "paths": ["/"] } }),
            &[("http-mutation", "send"), ("http-read", "send")],
            false,
        ),
        (json!({ "mcp": { "server": "a", "tools": ["*"] } }), &[("mcp-mutation", "call-tool"), ("mcp-read", "call-tool")], false),
    ];
    for (fields, functions, reads) in cases {
        let action = action(fields);
        assert_eq!(action.functions().unwrap().into_iter().collect::<Vec<_>>(), functions);
        assert_eq!(action.only_reads(), Ok(reads));
    }
    let resolved = action(json!({ "http": { "endpoints": ["a"], "methods": ["POST", "GET"], "paths": ["/"] }, "tier": "destructive-mutation", "cooldown": "90s", "dataImpact": "possible" }))
        .resolve(&BTreeMap::new())
        .unwrap();
    assert_eq!((resolved.raise, resolved.cooldown_seconds, resolved.data_impact), (Some(Tier::DestructiveMutation), 90, true));
    assert!(matches!(resolved.grant, Grant::Http(grant) if grant.methods == [Method::Get, Method::Post]));
    assert_eq!(Verb::RequestSync.as_str(), "request-sync");
}
