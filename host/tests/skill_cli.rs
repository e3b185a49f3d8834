//! `infraagent skill` from outside: what an author and a platform engineer type.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn skill(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_infraagent")).arg("skill").args(arguments).current_dir(folder).output().expect("infraagent starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = skill(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A folder for `pack`: a component that exports `skill` and imports this, with one tool.
fn foreign(folder: &Path, imports: &str, description: &str) {
    let component = format!(r#"(component {imports} (instance $s) (export "infraagent:skill/skill@0.1.0" (instance $s)))"#);
    fs::write(folder.join("app.wasm"), wat::parse_str(component).unwrap()).unwrap();
    fs::write(folder.join("SKILL.md"), "---\nname: foreign\ndescription: From elsewhere.\nversion: 1.0.0\n---\nUse it.\n").unwrap();
    let sheet = "actions: [{ id: look, kubernetes: { verb: get, resources: [pods], namespaces: [apps] } }]\n";
    fs::write(folder.join("actions.yaml"), sheet).unwrap();
    let tools =
        serde_json::json!([{ "name": "look", "description": description, "inputSchema": { "type": "object" }, "actions": ["look"] }]);
    fs::write(folder.join("tools.json"), tools.to_string()).unwrap();
}

const GET: &str = r#"(import "infraagent:skill/kubernetes-read@0.1.0" (instance (export "get" (func))))"#;

#[test]
fn a_component_of_another_toolchain_is_packed_inspected_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    foreign(folder.path(), &format!(r#"{GET} (import "wasi:clocks/wall-clock@0.2.6" (instance))"#), "Looks.");
    succeeds(folder.path(), &["pack", "app.wasm", "--dir", "."]);
    let inspection: serde_json::Value = serde_json::from_str(&succeeds(folder.path(), &["inspect", "foreign.wasm", "-o", "json"])).unwrap();
    assert_eq!(inspection["name"], "foreign");
    assert_eq!(inspection["imports"]["infraagent:skill/kubernetes-read@0.1.0"], serde_json::json!(["get"]));
    let verdict: serde_json::Value = serde_json::from_str(&succeeds(folder.path(), &["check", "foreign.wasm", "-o", "json"])).unwrap();
    assert_eq!((&verdict["admitted"], &verdict["compat"]), (&true.into(), &true.into()));
    assert_eq!(verdict["digest"], inspection["digest"]);
    let again = skill(folder.path(), &["pack", "foreign.wasm", "--dir", "."]);
    assert!(!again.status.success() && text(&again.stderr).contains("more than one"), "{}", text(&again.stderr));
}

#[test]
fn a_component_beyond_its_sheet_is_not_packed_and_every_reason_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let list = GET.replace("get", "list");
    foreign(folder.path(), &format!(r#"{list} (import "wasi:sockets/tcp@0.2.6" (instance))"#), "Looks.");
    let output = skill(folder.path(), &["pack", "app.wasm", "--dir", "."]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    for word in ["refused", "wasi:sockets", "kubernetes-read.list"] {
        assert!(told.contains(word), "{told}");
    }
    assert!(!folder.path().join("foreign.wasm").exists());
    let output = skill(folder.path(), &["check", "app.wasm"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("manifest-missing"));
}

#[test]
fn what_a_component_says_cannot_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    foreign(folder.path(), GET, "Looks.\u{1b}[2J\u{1b}[31m \u{202e}admitted\nadmitted  everything");
    succeeds(folder.path(), &["pack", "app.wasm", "--dir", "."]);
    for arguments in [["inspect", "foreign.wasm"], ["check", "foreign.wasm"]] {
        let told = succeeds(folder.path(), &arguments);
        assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
    }
}

#[test]
fn the_fitted_world_is_written() {
    let folder = tempfile::tempdir().unwrap();
    foreign(folder.path(), GET, "Looks.");
    let printed = succeeds(folder.path(), &["wit"]);
    succeeds(folder.path(), &["wit", ".", "-o", "wit"]);
    assert_eq!(printed, fs::read_to_string(folder.path().join("wit/skill.wit")).unwrap());
    assert!(printed.contains("world fitted") && printed.contains("get: func") && !printed.contains("restart: func"));
}

#[test]
fn a_skill_without_code_is_inspected_and_checked_as_a_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-skills/restart-hung-workloads");
    let inspection: serde_json::Value = serde_json::from_str(&succeeds(&folder, &["inspect", ".", "-o", "json"])).unwrap();
    assert_eq!(inspection["imports"]["infraagent:skill/kubernetes-read@0.1.0"], serde_json::json!(["get", "list", "logs"]));
    assert_eq!(inspection["imports"]["infraagent:skill/kubernetes-service-mutation@0.1.0"], serde_json::json!(["restart", "scale"]));
    assert_eq!(inspection["tools"].as_array().unwrap().len(), 5);
    let verdict: serde_json::Value = serde_json::from_str(&succeeds(&folder, &["check", ".", "-o", "json"])).unwrap();
    assert_eq!((&verdict["admitted"], &verdict["warnings"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(verdict["digest"], inspection["digest"]);

    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join("SKILL.md"), copy.path().join("SKILL.md")).unwrap();
    let sheet = fs::read_to_string(folder.join("actions.yaml")).unwrap();
    fs::write(copy.path().join("actions.yaml"), sheet.replace("!has(object.spec.paused)", "!has((object.spec.paused)")).unwrap();
    let output = skill(copy.path(), &["check", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("pre-condition-invalid"), "{}", text(&output.stdout));
    for (file, change, words) in [
        ("actions.yaml", sheet.replace("verb: logs", "verbs: logs"), "verbs"),
        ("actions.yaml", format!("state: true\n{sheet}"), "`state: true`"),
        ("Cargo.toml", String::new(), "infraagent skill build"),
    ] {
        fs::write(copy.path().join("actions.yaml"), &sheet).unwrap();
        fs::write(copy.path().join(file), change).unwrap();
        let output = skill(copy.path(), &["check", "."]);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(text(&output.stderr).contains(words), "{file}: {}", text(&output.stderr));
    }
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (vec!["build"], "SKILL.md"),
        (vec!["inspect", "none.wasm"], "cannot read `none.wasm`"),
        (vec!["new", "Bad_Name"], "a-z and 0-9"),
        (vec!["new", "fine", "--sdk", "."], "not the source of skills-sdk"),
        (vec!["pack", "none.wasm", "--dir", "none"], "not a directory"),
    ] {
        let output = skill(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
    }
}

/// The slow one: cargo builds a new skill three times, natively for its tests and twice for wasm32.
#[test]
fn a_new_skill_passes_its_tests_and_builds() {
    let parent = tempfile::tempdir().unwrap();
    succeeds(parent.path(), &["new", "brand-new"]);
    let folder = parent.path().join("brand-new");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // A stable target directory, so that a second run of this test is quick.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-skill");
    let tests = Command::new(cargo).arg("test").current_dir(&folder).env("CARGO_TARGET_DIR", &target).output().expect("cargo starts");
    assert!(tests.status.success(), "{}{}", text(&tests.stdout), text(&tests.stderr));

    let build = |extra: &[&str]| {
        let mut infraagent = Command::new(env!("CARGO_BIN_EXE_infraagent"));
        infraagent.args(["skill", "build"]).args(extra).current_dir(&folder).env("CARGO_TARGET_DIR", &target);
        let output = infraagent.output().expect("infraagent starts");
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    };
    build(&[]);
    let file = target.join("brand-new.wasm");
    let told = succeeds(parent.path(), &["inspect", file.to_str().unwrap()]);
    for word in ["brand-new 0.1.0", "find_unready", "watch-pods", "kubernetes-read", "report"] {
        assert!(told.contains(word), "{told}");
    }
    assert!(succeeds(parent.path(), &["check", file.to_str().unwrap()]).starts_with("admitted"));
    // Both builds write one file of cargo's; a second time must not take the describer for the skill.
    let first = fs::read(&file).unwrap();
    build(&["-o", "again.wasm"]);
    assert_eq!(first, fs::read(folder.join("again.wasm")).unwrap(), "the same source gives the same skill");
}
