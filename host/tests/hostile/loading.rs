//! Artifacts that are refused before anything of them runs.

use infraagent::{
    compile::{CompileLimits, Compiler},
    llm::ToolStatus,
    run::schema::Schema,
    skill::load,
};
use infraagent_sandbox::manifest::Manifest;
use serde_json::{Value, json};

use crate::{
    chain::{Chain, World, failed, manifest_of, packed},
    guest::{DEPLOYMENT, Guest},
    support::{self, ENGINE},
};

/// The word for which the real way of loading refuses it. Nothing is compiled: the compiler would fail by another name.
async fn refusal(bytes: &[u8]) -> String {
    let compiler = Compiler::new(CompileLimits::default());
    match load::load(bytes, &ENGINE, None, &compiler).await {
        Ok(_) => "loads".to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

fn importing(fields: &str) -> Vec<u8> {
    let text = format!(r#"(component {fields} (instance $s) (export "infraagent:skill/skill@0.1.0" (instance $s)))"#);
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[tokio::test]
async fn imports_that_nobody_granted() {
    for (code, import) in [
        ("unknown-interface", r#"(import "infraagent:skill/data-mutation@0.1.0" (instance (export "drop" (func))))"#),
        ("unknown-function", r#"(import "infraagent:skill/kubernetes-read@0.1.0" (instance (export "delete" (func))))"#),
        ("import-not-allowed", r#"(import "infraagent:skill/log@0.1.999" (instance))"#),
        ("import-not-allowed", r#"(import "evil:types/only@0.1.0" (instance (export "t" (type (sub resource)))))"#),
        ("import-not-allowed", r#"(import "wasi:sockets/tcp@0.2.6" (instance))"#),
        ("import-not-allowed", r#"(import "wasi:http/outgoing-handler@0.2.6" (instance))"#),
    ] {
        assert_eq!(refusal(&packed(&importing(import), |_| ())).await, code, "{import}");
    }
    // A function of the contract that the sheet does not declare: the component is honest, its sheet is not.
    let restarting = Guest::new().restart("restart", DEPLOYMENT, "shop", "web").build();
    let undeclared = packed(&restarting, |manifest| {
        manifest["sheet"]["actions"] =
            json!([{ "id": "look", "kubernetes": { "verb": "get", "resources": ["pods"], "namespaces": ["apps"] } }]);
        manifest["tools"] = json!([{ "name": "work", "description": "Works", "inputSchema": { "type": "object" }, "actions": ["look"] }]);
    });
    assert_eq!(refusal(&undeclared).await, "import-not-declared");
    let stateless = packed(&Guest::new().put("key", 1).build(), |manifest| manifest["sheet"]["state"] = json!(false));
    assert_eq!(refusal(&stateless).await, "state-not-declared");
}

#[tokio::test]
async fn manifests_that_are_missing_doubled_or_too_large() {
    let component = Guest::new().build();
    let once = packed(&component, |_| ());
    let twice = [once.clone(), once[component.len()..].to_vec()].concat();
    assert_eq!(refusal(&component).await, "manifest-missing");
    assert_eq!(refusal(&twice).await, "manifest-duplicate");
    let mut padded = component.clone();
    section(&mut padded, &vec![b' '; 2 << 20]);
    assert_eq!(refusal(&padded).await, "manifest-too-large");
    let mut deep = component.clone();
    section(&mut deep, format!("{}{}", "[".repeat(50_000), "]".repeat(50_000)).as_bytes());
    assert_eq!(refusal(&deep).await, "manifest-malformed");
    let mut unknown = manifest_of(&World::default());
    unknown["deniedActionz"] = json!([]);
    let mut misspelled = component.clone();
    section(&mut misspelled, unknown.to_string().as_bytes());
    assert_eq!(refusal(&misspelled).await, "manifest-malformed");
}

/// A component with a manifest that nobody checked.
fn unchecked(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut manifest = manifest_of(&World::default());
    change(&mut manifest);
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    let mut component = Guest::new().build();
    section(&mut component, manifest.to_canonical_json().as_bytes());
    component
}

const NAME: &str = "infraagent:skill-manifest";

/// Appends a custom section.
fn section(component: &mut Vec<u8>, bytes: &[u8]) {
    let mut body = leb(NAME.len());
    body.extend_from_slice(NAME.as_bytes());
    body.extend_from_slice(bytes);
    component.push(0);
    component.extend(leb(body.len()));
    component.extend(body);
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        bytes.push(if number == 0 { byte } else { byte | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}

#[tokio::test]
async fn sheets_that_ask_for_what_cannot_be() {
    let action = |fields: Value| {
        unchecked(move |manifest| {
            let mut action = json!({ "id": "x" });
            action.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            manifest["sheet"]["actions"] = json!([action]);
            manifest["tools"] = json!([{ "name": "work", "description": "Works", "inputSchema": { "type": "object" }, "actions": ["x"] }]);
        })
    };
    let kubernetes = |verb: &str, resource: &str| json!({ "verb": verb, "resources": [resource], "namespaces": ["apps"] });
    for fields in [
        json!({ "kubernetes": kubernetes("get", "secrets") }),
        json!({ "kubernetes": kubernetes("get", "*") }),
        json!({ "kubernetes": kubernetes("delete", "persistentvolumeclaims") }),
        json!({ "kubernetes": kubernetes("delete", "namespaces") }),
        json!({ "kubernetes": kubernetes("restart", "deployments.apps"), "tier": "read" }),
        json!({ "kubernetes": kubernetes("scale", "deployments.apps") }),
        json!({ "kubernetes": kubernetes("restart", "deployments.apps"), "rollback": { "description": "x", "automatic": true } }),
        json!({ "kubernetes": kubernetes("restart", "deployments.apps"), "cooldown": "1d" }),
        json!({ "http": { "endpoints": ["*"], "methods": ["GET"], "paths": ["../**"] } }),
    ] {
        assert_eq!(refusal(&action(fields.clone())).await, "manifest-invalid", "{fields}");
    }
    // A tool cannot list what another skill declares.
    let foreign = unchecked(|manifest| manifest["tools"][0]["actions"] = json!(["friend-restart"]));
    assert_eq!(refusal(&foreign).await, "manifest-invalid");
}

#[tokio::test]
async fn schemas_that_reach_out_or_explode() {
    for target in ["http://127.0.0.1:1/x.json", "https://evil.example/x.json", "file:///etc/passwd", "x.json", "//evil.example/x"] {
        let schema = json!({ "type": "object", "properties": { "a": { "$ref": target } } });
        let bytes = unchecked(|manifest| manifest["tools"][0]["inputSchema"] = schema.clone());
        assert_eq!(refusal(&bytes).await, "manifest-invalid", "{target}");
        assert!(Schema::load(schema).is_err(), "and once more where arguments are checked: {target}");
    }
    let doubling = (1..30).fold(json!({ "d0": { "type": "string" } }), |mut defs, at| {
        let below = format!("#/$defs/d{}", at - 1);
        defs[format!("d{at}")] = json!({ "allOf": [{ "$ref": below }, { "$ref": below }] });
        defs
    });
    assert!(Schema::load(json!({ "type": "object", "$defs": doubling, "properties": { "a": { "$ref": "#/$defs/d29" } } })).is_err());
    assert!(Schema::load(json!({ "type": "object", "properties": { "a": { "$ref": "#" } } })).is_err());
    assert!(Schema::load(json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": "(?=a)(a+)+$" } } })).is_err());
}

#[tokio::test]
async fn a_start_function_cannot_run_longer_than_a_tool() {
    let guest = support::guest("", "(func $start (loop $forever (br $forever))) (start $start)", "");
    let chain = Chain::open(World::default(), &guest).await;
    failed(&chain.attack().await, ToolStatus::Error, "cpu-budget");
    chain.assert_unchanged().await;
    chain.close().await;
}
