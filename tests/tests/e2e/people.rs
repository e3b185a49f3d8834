//! The commands for people, where no operator runs: what is there is shown, and what is not is explained.

use std::{
    path::Path,
    process::{Command, Output},
};

use infraagent_tests::{ControlPlane, Programs, apply, binary, control_plane, documents};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}\n{}\n{}", self.code, self.out, self.err)
    }
}

fn person(kubeconfig: &Path, arguments: &[&str]) -> Said {
    Command::new(binary()).args(arguments).arg("--kubeconfig").arg(kubeconfig).output().unwrap().into()
}

fn run(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": {"name": name, "namespace": namespace},
        "spec": {"agentRef": "forge", "environmentRef": "site", "trigger": "manual"},
    })
}

#[tokio::test]
async fn without_definitions_everybody_is_told_how_to_install_them_and_doctor_sees_when_they_are() {
    let plane = ControlPlane::start(Programs::ApiServer);
    for command in [
        &["runs", "list"][..],
        &["runs", "show", "x"],
        &["agents", "list", "-A"],
        &["agents", "run", "x"],
        &["why-blocked", "x"],
        &["status"],
    ] {
        let said = person(plane.kubeconfig(), command);
        assert_eq!(said.code, Some(2), "{command:?} {said:?}");
        assert!(said.err.contains("infraagent crds | kubectl apply --server-side -f -"), "{command:?} {said:?}");
    }
    let said = person(plane.kubeconfig(), &["doctor"]);
    assert!(said.code == Some(1) && said.out.contains("missing: ") && said.out.contains("agentruns.core.infraagent.io"), "{said:?}");

    plane.install_crds().await;
    let said = person(plane.kubeconfig(), &["runs", "list", "-A"]);
    assert!(said.code == Some(0) && said.err.contains("no runs"), "{said:?}");
    let found = |said: &Said, area: &str| -> Vec<Value> {
        let all: Vec<Value> = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error} {said:?}"));
        all.into_iter().filter(|found| found["area"] == area).collect()
    };
    let verdicts =
        |said: &Said, area: &str| found(said, area).iter().map(|found| found["verdict"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let said = person(plane.kubeconfig(), &["doctor", "-o", "json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(verdicts(&said, "definitions"), ["good"], "{said:?}");
    assert_eq!(verdicts(&said, "clock"), ["good"], "{said:?}");
    for area in ["admission", "rights"] {
        assert_eq!(verdicts(&said, area), ["bad"], "{said:?}");
    }
    assert_eq!(verdicts(&said, "operator"), ["bad", "bad"], "{said:?}");

    let admin = plane.admin().await;
    for document in [documents("deploy/rbac.yaml"), documents("deploy/admission.yaml")].concat() {
        apply(&admin, &document).await.unwrap();
    }
    let said = person(plane.kubeconfig(), &["doctor", "-o", "json"]);
    assert_eq!(verdicts(&said, "admission"), ["good"], "{said:?}");
    // No controller aggregates here, so of everything that the operator may do only looking at workloads is missing.
    let rights = found(&said, "rights");
    let lacks = rights[0]["says"].as_str().unwrap();
    assert!(
        lacks.contains("list pods") && !lacks.contains("infraagents") && !lacks.contains("leases") && !lacks.contains("impersonate"),
        "{lacks}"
    );

    // Somebody edits a definition: its rules are not those of this program any more.
    let definitions = Api::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>::all(admin);
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/x-kubernetes-validations/0";
    let removal = serde_json::from_value(json!([{"op": "remove", "path": path}])).unwrap();
    definitions.patch("agentruns.core.infraagent.io", &PatchParams::default(), &Patch::Json::<()>(removal)).await.unwrap();
    let said = person(plane.kubeconfig(), &["doctor", "-o", "json"]);
    let edited = found(&said, "definitions");
    let says = edited[0]["says"].as_str().unwrap();
    assert!(
        edited[0]["verdict"] == "bad" && says.contains("agentruns.core.infraagent.io: `") && says.contains("x-kubernetes-validations"),
        "{says}"
    );
}

#[tokio::test]
async fn who_may_not_look_is_told_which_rule_is_missing_and_who_reaches_nobody_what_to_name() {
    let plane = control_plane();
    plane.install_crds().await;
    let namespace = plane.namespace("people").await;
    let stranger = plane.kubeconfig_for(&namespace, "stranger").await;
    let said = person(&stranger, &["runs", "list", "-n", &namespace]);
    let rule = r#"{ apiGroups: ["core.infraagent.io"], resources: [agentruns], verbs: [list] }"#;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains(&format!("user `system:serviceaccount:{namespace}:stranger` may not list agentruns in namespace `{namespace}`")),
        "{said:?}"
    );
    assert!(said.err.contains(rule), "{said:?}");
    for command in [&["agents", "pause", "x"][..], &["runs", "cancel", "x"], &["why-blocked", "x"], &["status"]] {
        let said = person(&stranger, &[command, &["-n", &namespace]].concat());
        assert!(said.code == Some(2) && said.err.contains("ask for a role with the rule"), "{command:?} {said:?}");
    }
    let said = person(&stranger, &["doctor", "-n", &namespace]);
    assert!(said.out.contains("not checked: ") && said.out.contains("--own-rights"), "{said:?}");
    assert!(!said.out.contains('✔') || !said.out.lines().any(|line| line.starts_with("✔ rights")), "{said:?}");

    let said = person(Path::new("/nowhere/kubeconfig"), &["runs", "list"]);
    assert!(said.code == Some(2) && said.err.contains("the kubeconfig `/nowhere/kubeconfig` cannot be used"), "{said:?}");
    let folder = tempfile::tempdir().unwrap();
    let away = folder.path().join("away.kubeconfig");
    let mut kubeconfig = serde_json::to_value(kube::config::Kubeconfig::read_from(plane.kubeconfig()).unwrap()).unwrap();
    kubeconfig["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:9");
    std::fs::write(&away, kubeconfig.to_string()).unwrap();
    let said = person(&away, &["runs", "list"]);
    assert!(
        said.code == Some(2) && said.err.contains("`https://127.0.0.1:9` cannot be reached") && said.err.contains("--context"),
        "{said:?}"
    );
    let said = person(plane.kubeconfig(), &["runs", "list", "--context", "elsewhere"]);
    assert!(said.code == Some(2) && said.err.contains("context"), "{said:?}");
}

#[tokio::test]
async fn runs_are_shown_in_every_form_and_a_misspelled_one_is_guessed() {
    let plane = control_plane();
    plane.install_crds().await;
    let namespace = plane.namespace("people").await;
    let client = plane.admin().await;
    for name in ["forge-one", "forge-two"] {
        apply(&client, &run(&namespace, name)).await.unwrap();
    }
    let evil = "web\u{1b}[2J\n✔ authentic";
    let status = json!({"status": {"phase": "Running", "startTime": "2026-11-22T10:00:00Z", "findings": [{"severity": "info", "message": evil}], "actions": [{
        "seq": 0, "timestamp": "2026-11-22T10:00:01Z", "tool": "look", "target": evil, "tier": "read", "call": "look {}", "nonce": "n", "intentHash": "h", "status": "intended",
    }]}});
    let runs = Api::<infraagent_api::AgentRun>::namespaced(client, &namespace);
    runs.patch_status("forge-one", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let ask = |arguments: &[&str]| person(plane.kubeconfig(), &[arguments, &["-n", &namespace]].concat());

    let said = ask(&["runs", "list"]);
    assert!(said.code == Some(0) && said.out.starts_with("NAME") && said.out.contains("forge-one  forge  Running"), "{said:?}");
    assert!(!said.out.contains('\u{1b}'), "no colours where nobody sees them: {said:?}");
    assert_eq!(ask(&["runs", "list", "--phase", "running", "-o", "name"]).out, "agentrun.core.infraagent.io/forge-one\n");
    assert_eq!(ask(&["runs", "list", "--limit", "1"]).out.lines().count(), 2);
    let list: Value = serde_json::from_str(&ask(&["runs", "list", "-o", "json"]).out).unwrap();
    assert_eq!((list["kind"].as_str(), list["items"].as_array().map(Vec::len)), (Some("List"), Some(2)));
    assert!(list["items"][0]["metadata"].get("managedFields").is_none());
    assert!(ask(&["runs", "list", "-o", "wide"]).out.contains("REPLICA"));
    assert!(ask(&["runs", "list", "--agent", "another"]).err.contains("no runs of agent `another`"));
    assert!(person(plane.kubeconfig(), &["runs", "list", "-A"]).out.lines().any(|line| line.starts_with(&namespace)));

    let page = ask(&["runs", "show", "forge-one"]);
    assert!(page.out.contains("Running") && page.out.contains("web\\u{1b}[2J\\n✔ authentic") && !page.out.contains('\u{1b}'), "{page:?}");
    let lines = ask(&["runs", "logs", "forge-one"]);
    assert!(lines.out.contains("▸ look") && lines.out.contains("● info") && !lines.out.contains('\u{1b}'), "{lines:?}");
    let object: Value = serde_json::from_str(&ask(&["runs", "show", "forge-one", "-o", "json"]).out).unwrap();
    assert_eq!(object["status"]["actions"][0]["target"], json!(evil), "data is as it is");

    let colourful = |name: &str, value: &str| {
        let mut command = Command::new(binary());
        command
            .args(["runs", "show", "forge-one", "-n", &namespace, "--kubeconfig"])
            .arg(plane.kubeconfig())
            .env("CLICOLOR_FORCE", "1")
            .env(name, value);
        Said::from(command.output().unwrap()).out.contains('\u{1b}')
    };
    assert!(colourful("UNRELATED", "1") && !colourful("NO_COLOR", "1"));

    let said = ask(&["runs", "show", "forge-ome"]);
    let guessed = format!("there is no AgentRun `forge-ome` in namespace `{namespace}`: did you mean one of `forge-one`, `forge-two`?");
    assert!(said.code == Some(2) && said.err.contains(&guessed), "{said:?}");
    assert!(ask(&["runs", "logs", "-f", "forge"]).err.contains("did you mean one of `forge-one`, `forge-two`?"));
    assert!(ask(&["agents", "run", "forge"]).err.contains("there is no InfraAgent `forge`"));
    assert!(ask(&["explain", "agent", "forge"]).err.contains("there is no InfraAgent `forge`"));
    let said = ask(&["why-blocked", "forge-two"]);
    assert!(
        said.code == Some(0) && said.out.contains("no operator has looked at it yet") && said.out.contains("infraagent status"),
        "{said:?}"
    );

    assert!(ask(&["runs", "cancel", "forge-two"]).out.contains("forge-two is being cancelled"));
    let cancelled = runs.get("forge-two").await.unwrap();
    assert_eq!(cancelled.metadata.annotations.unwrap()["infraagent.io/cancel"], "true");
}

#[tokio::test]
async fn kubectl_finds_it_as_a_plugin_and_its_help_says_what_to_type() {
    let plane = control_plane();
    plane.install_crds().await;
    let namespace = plane.namespace("people").await;
    apply(&plane.admin().await, &run(&namespace, "forge-one")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(binary(), folder.path().join("kubectl-infraagent")).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let kubectl = |arguments: &[&str]| -> Said {
        let program = plane.kubectl().get_program().to_owned();
        let mut command = Command::new(program);
        command.arg("infraagent").args(arguments).env("PATH", &path).env("KUBECONFIG", plane.kubeconfig());
        command.output().unwrap().into()
    };
    let said = kubectl(&["runs", "list", "-n", &namespace]);
    assert!(said.code == Some(0) && said.out.contains("forge-one"), "{said:?}");
    let help = kubectl(&["runs", "list", "--help"]).out;
    assert!(help.contains("Usage: kubectl infraagent runs list") && help.contains("  kubectl infraagent runs list -n agents"), "{help}");
    let said = kubectl(&["why-blocked", "forge-one", "-n", &namespace]);
    assert!(said.out.contains("`kubectl infraagent status`"), "{said:?}");
    let own = Said::from(Command::new(binary()).args(["runs", "list", "--help"]).output().unwrap());
    assert!(own.out.contains("Usage: infraagent runs list") && !own.out.contains("kubectl infraagent"), "{own:?}");
}
