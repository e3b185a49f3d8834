//! Verdicts on components made for it.

use infraagent_sandbox::{
    engine::{Engine, EngineConfig},
    manifest,
};

use super::*;
use crate::skill::folder::Folder;

const GET: &str = r#"(import "infraagent:skill/kubernetes-read@0.1.0" (instance (export "get" (func))))"#;
const EXPORT: &str = r#"(instance $skill) (export "infraagent:skill/skill@0.1.0" (instance $skill))"#;
const LOOK: &str = "{ id: look, kubernetes: { verb: get, resources: [pods], namespaces: [apps] } }";

async fn verdict(parts: &[&str], sheet: &str) -> Verdict {
    let component = wat::parse_str(format!("(component {})", parts.join("\n"))).unwrap();
    let source = Folder::parse("---\nname: hello\ndescription: Says hello.\nversion: 1.2.3\n---\n", sheet).unwrap();
    let actions: Vec<_> = source.sheet.actions.iter().map(|action| action.id.clone()).collect();
    let tools = serde_json::json!([{ "name": "act", "description": "Acts.", "inputSchema": { "type": "object" }, "actions": actions }]);
    let bytes = manifest::append(&component, &source.manifest(serde_json::from_value(tools).unwrap()).unwrap()).unwrap();
    on(&bytes).await
}

async fn on(bytes: &[u8]) -> Verdict {
    let engine = Engine::new(EngineConfig { instances: 1, pooling: false }).unwrap();
    Verdict::on(bytes, &Evaluator::new(engine)).await
}

fn codes(verdict: &Verdict) -> Vec<&str> {
    verdict.reasons.iter().map(|reason| reason.code).collect()
}

#[tokio::test]
async fn what_is_within_its_sheet_is_admitted() {
    let verdict = verdict(&[GET, EXPORT], &format!("actions: [{LOOK}]")).await;
    assert_eq!((verdict.admitted, verdict.skill.as_deref()), (true, Some("hello 1.2.3")), "{verdict:?}");
    assert!(verdict.reasons.is_empty() && verdict.warnings.is_empty() && !verdict.compat, "{verdict:?}");
}

#[tokio::test]
async fn every_reason_is_named() {
    let list = GET.replace("get", "list");
    let verdict = verdict(&[&list, r#"(import "wasi:sockets/tcp@0.2.6" (instance))"#], &format!("actions: [{LOOK}]")).await;
    assert!(!verdict.admitted);
    assert_eq!(codes(&verdict), ["import-not-allowed", "export-missing", "import-not-declared"], "{verdict:?}");
    assert_eq!(verdict.skill.as_deref(), Some("hello 1.2.3"));
}

#[tokio::test]
async fn what_is_declared_and_never_used_is_a_warning() {
    let sheet = format!("state: true\nactions: [{LOOK}, {{ id: probe, http: {{ endpoints: ['*'], methods: [GET], paths: ['/**'] }} }}]");
    let verdict = verdict(&[GET, EXPORT], &sheet).await;
    assert!(verdict.admitted && verdict.warnings.len() == 2, "{verdict:?}");
}

#[tokio::test]
async fn a_pre_condition_that_does_not_parse_is_a_reason() {
    let restart = GET.replace("get", "restart").replace("kubernetes-read", "kubernetes-service-mutation");
    let sheet = |cel: &str| {
        format!(
            "actions: [{{ id: act, kubernetes: {{ verb: restart, resources: [deployments.apps], namespaces: [apps] }}, preConditions: [{{ cel: '{cel}', message: m }}] }}]"
        )
    };
    let good = verdict(&[&restart, EXPORT], &sheet("object.spec.paused == false")).await;
    assert!(good.admitted, "{good:?}");
    let bad = verdict(&[&restart, EXPORT], &sheet("object.spec.paused = false")).await;
    assert_eq!(codes(&bad), ["pre-condition-invalid"]);
    assert!(bad.reasons[0].message.contains("`act`"), "{bad:?}");
}

#[tokio::test]
async fn files_that_are_no_skills_are_refused_with_a_reason() {
    let bare = wat::parse_str("(component)").unwrap();
    let module = wat::parse_str("(module)").unwrap();
    for bytes in [b"".as_slice(), b"hello", &module, &bare, &bare[..6]] {
        let verdict = on(bytes).await;
        assert!(!verdict.admitted && !verdict.reasons.is_empty() && verdict.skill.is_none(), "{verdict:?}");
    }
}
