use std::collections::BTreeMap;

use super::*;
use crate::skill::source::fixture::{DOCUMENT, SHEET, component};

fn place(key: Option<&str>, skill: &str) -> Place {
    Place { namespace: "agents".to_owned(), name: "skills".to_owned(), key: key.map(str::to_owned), skill: skill.to_owned() }
}

fn map(texts: &[(&str, &str)], binaries: &[(&str, Vec<u8>)]) -> ConfigMap {
    ConfigMap {
        data: Some(texts.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()),
        binary_data: Some(binaries.iter().map(|(key, bytes)| ((*key).to_owned(), ByteString(bytes.clone()))).collect::<BTreeMap<_, _>>()),
        ..ConfigMap::default()
    }
}

fn refused(place: &Place, map: ConfigMap) -> (&'static str, String) {
    let Unresolved { reason, message, transient } = parse(place, map).expect_err("unresolved");
    assert!(!transient && message.starts_with("ConfigMap agents/skills"), "{message}");
    (reason, message)
}

#[test]
fn a_skill_without_code_is_two_keys() {
    let found = parse(&place(None, "restarts"), map(&[("SKILL.md", DOCUMENT), ("actions.yaml", SHEET)], &[])).unwrap();
    let tools: Vec<_> = found.manifest.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["look__get", "look__list", "restart_deployment"]);
    assert_eq!(found.manifest.instructions, "Look before you act.");
    assert!(found.shown.contains("agents/skills"), "{}", found.shown);
}

#[test]
fn a_key_names_the_text_and_the_actions_may_stand_in_it() {
    let actions = "actions: [{ id: look, description: Looks., kubernetes: { verb: get, resources: [pods], namespaces: [apps] } }]";
    let one = DOCUMENT.replace("version: 1.0.0", actions);
    let found = parse(&place(Some("triage.md"), "restarts"), map(&[("triage.md", &one), ("other.md", "x")], &[])).unwrap();
    assert_eq!((found.manifest.tools.len(), found.manifest.version.as_str()), (1, "0.0.0"));
    let shared = parse(&place(Some("triage.md"), "restarts"), map(&[("triage.md", DOCUMENT), ("actions.yaml", SHEET)], &[]));
    assert_eq!(shared.unwrap().manifest.tools.len(), 3);
}

#[test]
fn a_component_stands_under_binary_data() {
    let bytes = component("rollouts", "1.0.0");
    for key in [None, Some("rollouts.wasm")] {
        let found = parse(&place(key, "rollouts"), map(&[("README", "x")], &[("rollouts.wasm", bytes.clone())])).unwrap();
        assert_eq!(found.digest, infraagent_sandbox::admission::digest(&bytes));
    }
    let (_, message) = refused(&place(Some("x.wasm"), "rollouts"), map(&[("x.wasm", "AGFzbQ==")], &[]));
    assert!(message.contains("`binaryData`"), "{message}");
    let (_, message) = refused(&place(None, "rollouts"), map(&[], &[("x.wasm", vec![0; MAX_COMPONENT + 1])]));
    assert!(message.contains("1048577 bytes"), "{message}");
    let (_, message) = refused(&place(None, "rollouts"), map(&[], &[("x.wasm", b"no component".to_vec())]));
    assert!(message.contains("not a WebAssembly component"), "{message}");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let texts = |document: &str, sheet: &str| map(&[("SKILL.md", document), ("actions.yaml", sheet)], &[]);
    let twice = format!("{SHEET}{}", SHEET.strip_prefix("actions:\n").unwrap());
    let long = format!("{DOCUMENT}{}", "x".repeat(600_000));
    for (place, map, reason, words) in [
        (place(None, "restarts"), texts(&DOCUMENT.replace("version", "versions"), SHEET), "SkillInvalid", "versions"),
        (place(None, "restarts"), texts(DOCUMENT, &SHEET.replace("verb:", "verbs:")), "SkillInvalid", "verbs"),
        (place(None, "restarts"), texts(DOCUMENT, &format!("state: true\n{SHEET}")), "SkillInvalid", "`state: true`"),
        (place(None, "restarts"), texts(DOCUMENT, &twice), "SkillInvalid", "declared twice"),
        (place(None, "restarts"), texts(DOCUMENT, "actions: []"), "SkillInvalid", "declare one"),
        (place(None, "restarts"), texts(&long, SHEET), "SkillInvalid", "shorten"),
        (place(None, "other"), texts(DOCUMENT, SHEET), "SkillNameMismatch", "`restarts`"),
        (place(None, "restarts"), map(&[("SKILL.md", DOCUMENT)], &[]), "SkillInvalid", "no action sheet"),
        (place(None, "restarts"), map(&[("README.md", "x")], &[]), "SkillInvalid", "`README.md`"),
        (place(None, "restarts"), map(&[], &[("SKILL.md", DOCUMENT.into())]), "SkillInvalid", "`SKILL.md`"),
        (place(Some("SKILL.md"), "restarts"), map(&[], &[("SKILL.md", DOCUMENT.into())]), "SkillInvalid", "a text"),
        (place(Some("x.md"), "restarts"), texts(DOCUMENT, SHEET), "SkillInvalid", "key x.md"),
        (place(Some("actions.yaml"), "restarts"), texts(DOCUMENT, SHEET), "SkillInvalid", "is the action sheet"),
        (place(None, "restarts"), map(&[("SKILL.md", DOCUMENT)], &[("x.wasm", Vec::new())]), "SkillInvalid", "several"),
    ] {
        let (found, message) = refused(&place, map);
        assert!(found == reason && message.contains(words), "{found}: {message}: `{words}`");
    }
}
