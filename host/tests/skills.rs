//! The example skills through everything: built as their authors would, admitted, run in the sandbox, decided by the guard, on the demo's snapshot.
//!
//! A test says which tools the model calls. It looks at what the tools answered and at what the record says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_infraagent");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The component of an example skill, built once.
fn component(skill: &'static str, built: &'static OnceLock<PathBuf>) -> &'static Path {
    built.get_or_init(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = scratch.join(format!("{skill}.wasm"));
        let output = Command::new(PROGRAM)
            .args(["skill", "build"])
            .arg(repository().join("example-skills").join(skill))
            .arg("-o")
            .arg(&file)
            .env("CARGO_TARGET_DIR", scratch.join("skills"))
            .output()
            .expect("infraagent starts");
        assert!(output.status.success(), "{skill}: {}", String::from_utf8_lossy(&output.stderr));
        file
    })
}

fn deployment_pipeline() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    component("deployment-pipeline", &BUILT)
}

fn hello_world() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    component("hello-world", &BUILT)
}

/// What came of a run.
struct Run {
    /// What each call was answered: JSON of a tool, or words of the host.
    answers: Vec<Value>,
    /// The entries of the record.
    entries: Vec<Value>,
}

impl Run {
    /// Status and reason of the entry of this tool or verb, on a target that starts like this.
    fn entry(&self, tool: &str, target: &str) -> (&str, &str) {
        let text = |entry: &'_ Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let found = self.entries.iter().find(|entry| text(entry, "tool") == tool && text(entry, "target").starts_with(target));
        let entry = found.unwrap_or_else(|| panic!("no entry of `{tool}` on `{target}` in {:#?}", self.entries));
        (entry["status"].as_str().unwrap_or_default(), entry["reason"].as_str().unwrap_or_default())
    }

    /// How many changes were made.
    fn changes(&self) -> usize {
        self.entries.iter().filter(|entry| entry["status"] == "executed" && entry["tier"] != "read").count()
    }
}

/// Runs the demo's agent with a skill. The model makes these calls, one a turn.
fn run(skill: &str, component: &Path, autonomy: &str, calls: &[(&str, Value)]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let demo = repository().join("demo");
    for name in ["agent.yaml", "policy.yaml"] {
        let text = fs::read_to_string(demo.join(name)).unwrap();
        let text = text.replace("automate-safe", autonomy).replace("name: deployment-pipeline", &format!("name: {skill}"));
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut turns: Vec<Value> =
        calls.iter().map(|(name, arguments)| json!({ "reply": { "calls": [{ "name": name, "arguments": arguments }] } })).collect();
    turns.push(json!({ "reply": { "text": "Done." } }));
    let conversation = folder.path().join("conversation.yaml");
    fs::write(&conversation, json!({ "conversation": 1, "turns": turns }).to_string()).unwrap();

    let mut command = Command::new(PROGRAM);
    command.arg("run").arg("--agent").arg(folder.path().join("agent.yaml")).arg("--policy").arg(folder.path().join("policy.yaml"));
    command.arg("--environment").arg(demo.join("environment.yaml")).arg("--models").arg(demo.join("models.yaml"));
    command.arg("--skill").arg(component).arg("--snapshot").arg(demo.join("snapshot"));
    command.arg("--replay").arg(&conversation).arg("--update-replay").arg("--record-to").arg(folder.path().join("run.agentrun.yaml"));
    let output = command.args(["-o", "json"]).current_dir(folder.path()).output().expect("infraagent starts");
    let record: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(record["status"]["conditions"][0]["type"], "Complete", "{record:#}");

    let recorded: Value = serde_saphyr::from_str(&fs::read_to_string(&conversation).unwrap()).unwrap();
    let answers = recorded["turns"].as_array().unwrap().iter().skip(1).map(|turn| {
        let content = turn["request"]["messages"][0]["content"][0]["result"]["text"].as_str().unwrap_or_default();
        let json = content.lines().filter(|line| !line.starts_with('<') && !line.starts_with("</")).collect::<String>();
        serde_json::from_str(&json).unwrap_or_else(|_| Value::from(content))
    });
    Run { answers: answers.collect(), entries: record["status"]["actions"].as_array().cloned().unwrap_or_default() }
}

fn pipeline(autonomy: &str, calls: &[(&str, Value)]) -> Run {
    let run = run("deployment-pipeline", deployment_pipeline(), autonomy, calls);
    assert_eq!(run.answers.len(), calls.len());
    run
}

fn workload(kind: &str, namespace: &str, name: &str) -> Value {
    json!({ "kind": kind, "namespace": namespace, "name": name })
}

fn because(mut arguments: Value, more: Value) -> Value {
    arguments["reason"] = json!("a test wants it");
    for (key, value) in more.as_object().unwrap() {
        arguments[key] = value.clone();
    }
    arguments
}

/// The causes that `find_broken_rollouts` told, by workload.
fn broken(answer: &Value) -> Vec<(String, String)> {
    let told = answer["broken"].as_array().unwrap_or_else(|| panic!("{answer:#}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    told.iter().map(|one| (format!("{}/{}", text(&one["namespace"]), text(&one["name"])), text(&one["cause"]))).collect()
}

#[test]
fn hello_world_greets_and_lists_the_pods_of_the_environment() {
    let calls = [
        ("greet", json!({ "name": "Ada" })),
        ("list_pods", json!({})),
        ("list_pods", json!({ "namespace": "orders", "labels": "app=orders-db" })),
    ];
    let run = run("hello-world", hello_world(), "automate-safe", &calls);
    assert_eq!(run.answers[0]["greeting"], "Hello, Ada!");
    assert_eq!(run.answers[0]["site"]["name"], "northwind", "{:#}", run.answers[0]);
    let pods = run.answers[1]["pods"].as_array().unwrap();
    assert_eq!(run.answers[1]["complete"], true);
    let unwell: Vec<&str> = pods.iter().filter(|pod| pod["ready"] == false).map(|pod| pod["name"].as_str().unwrap()).collect();
    assert_eq!(unwell.len(), 2, "{unwell:?}");
    assert!(unwell[0].starts_with("checkout-") && unwell[1].starts_with("recommendations-"), "{unwell:?}");
    assert!(pods.iter().any(|pod| pod["namespace"] == "kube-system"), "the sheet covers every namespace of the environment");
    assert_eq!(run.answers[2]["pods"].as_array().unwrap().len(), 3);
    assert_eq!(run.changes(), 0);
}

#[test]
fn the_three_broken_rollouts_are_found_with_their_causes() {
    let run = pipeline("observe", &[("find_broken_rollouts", json!({})), ("find_broken_rollouts", json!({ "namespace": "orders" }))]);
    let expected =
        [("orders/invoice-worker", "quota-exceeded"), ("shop/checkout", "crash-loop"), ("shop/recommendations", "image-not-found")];
    assert_eq!(broken(&run.answers[0]), expected.map(|(name, cause)| (name.to_owned(), cause.to_owned())));
    assert_eq!(
        (&run.answers[0]["healthy"], &run.answers[0]["progressing"], &run.answers[0]["complete"]),
        (&json!(5), &json!([]), &json!(true))
    );
    assert_eq!(broken(&run.answers[1]).len(), 1);
}

#[test]
fn a_crash_loop_is_diagnosed_with_its_last_words_and_with_what_changed_since() {
    let run = pipeline("observe", &[("diagnose_rollout", workload("deployment", "shop", "checkout"))]);
    let told = &run.answers[0];
    assert_eq!((&told["verdict"], &told["causes"][0]["cause"]), (&json!("broken"), &json!("crash-loop")), "{told:#}");
    assert_eq!(told["causes"][0]["line"], "container app: exits with code 1 (9 restarts)");
    let log = told["logs"][0]["lines"].as_array().unwrap();
    assert!(log.last().unwrap().as_str().unwrap().ends_with("FATAL config checkout-flags v17 not found"), "{log:?}");
    assert_eq!(told["logs"][0]["previous"], true);
    let related = told["related"][0].as_str().unwrap();
    assert!(related.contains("ConfigMap/checkout-flags") && related.contains("v17 published"), "{related}");
    let revisions: Vec<&str> = told["revisions"].as_array().unwrap().iter().map(|it| it["revision"].as_str().unwrap()).collect();
    assert_eq!(revisions, ["42", "41"]);
    assert_eq!(told["pods"].as_array().unwrap().len(), 4);
}

#[test]
fn a_wrong_tag_and_a_quota_are_diagnosed_and_what_is_healthy_is_called_so() {
    let calls = [
        ("diagnose_rollout", workload("deployment", "shop", "recommendations")),
        ("diagnose_rollout", workload("deployment", "orders", "invoice-worker")),
        ("diagnose_rollout", workload("deployment", "shop", "storefront")),
        ("diagnose_rollout", workload("stateful-set", "orders", "orders-db")),
    ];
    let run = pipeline("observe", &calls);
    let line = run.answers[0]["causes"][0]["line"].as_str().unwrap();
    assert_eq!(line, "container app: the image registry.northwind.example/recommendations:2.31.O does not exist in the registry");
    assert!(run.answers[0]["nextStep"].as_str().unwrap().starts_with("do not restart"));
    assert_eq!(run.answers[1]["causes"][0]["cause"], "quota-exceeded");
    assert_eq!(run.answers[1]["quotas"][0]["used"][0], "requests.memory: 11Gi of 12Gi");
    assert_eq!((&run.answers[2]["verdict"], &run.answers[3]["verdict"]), (&json!("healthy"), &json!("healthy")));
}

#[test]
fn a_restart_cures_checkout_once_and_then_rests() {
    let restart = because(workload("deployment", "shop", "checkout"), json!({}));
    let calls =
        [("restart_workload", restart.clone()), ("find_broken_rollouts", json!({ "namespace": "shop" })), ("restart_workload", restart)];
    let run = pipeline("automate-safe", &calls);
    assert_eq!((&run.answers[0]["rolledOut"], &run.answers[0]["ready"], &run.answers[0]["wanted"]), (&json!(true), &json!(3), &json!(3)));
    assert_eq!(broken(&run.answers[1]), [("shop/recommendations".to_owned(), "image-not-found".to_owned())]);
    assert!(run.answers[2].as_str().unwrap().contains("cooldown"), "{}", run.answers[2]);
    assert_eq!(run.entry("kubectl.rollout restart", "deployment/checkout"), ("executed", ""));
    assert_eq!(run.changes(), 1);
}

#[test]
fn a_restart_does_not_cure_a_wrong_tag() {
    let run = pipeline("automate-safe", &[("restart_workload", because(workload("deployment", "shop", "recommendations"), json!({})))]);
    assert_eq!((&run.answers[0]["changed"], &run.answers[0]["rolledOut"]), (&json!(true), &json!(false)));
}

#[test]
fn a_deployment_is_scaled_and_a_database_whose_claims_would_go_is_not() {
    let calls = [
        ("scale_workload", because(workload("deployment", "shop", "cart"), json!({ "replicas": 3 }))),
        ("scale_workload", because(workload("stateful-set", "orders", "orders-db"), json!({ "replicas": 0 }))),
        ("scale_workload", because(workload("stateful-set", "orders", "orders-db"), json!({ "replicas": 2 }))),
        ("scale_workload", because(workload("deployment", "shop", "search"), json!({ "replicas": 21 }))),
        ("scale_workload", because(workload("deployment", "shop", "search"), json!({}))),
        ("scale_workload", because(workload("deployment", "shop", "search"), json!({ "replicas": "3" }))),
    ];
    let run = pipeline("automate-safe", &calls);
    assert_eq!((&run.answers[0]["before"], &run.answers[0]["ready"]), (&json!(2), &json!(3)));
    for answer in &run.answers[1..3] {
        assert!(answer.as_str().unwrap().contains("data-protection"), "{answer}");
    }
    assert_eq!(run.entry("kubectl.scale", "statefulset/orders-db"), ("blocked", "data-protection"));
    assert_eq!(run.entry("kubectl.scale", "deployment/search").0, "blocked", "more than the sheet allows");
    assert!(run.answers[4].as_str().unwrap().contains("replicas"), "{}", run.answers[4]);
    assert!(run.answers[5].as_str().unwrap().contains("replicas"), "{}", run.answers[5]);
    assert_eq!(run.changes(), 1);
}

#[test]
fn what_is_paused_is_not_restarted() {
    let target = json!({ "namespace": "shop", "name": "recommendations" });
    let calls = [
        ("pause_rollout", because(target.clone(), json!({ "paused": true }))),
        ("restart_workload", because(workload("deployment", "shop", "recommendations"), json!({}))),
        ("find_broken_rollouts", json!({ "namespace": "shop" })),
        ("pause_rollout", because(target, json!({ "paused": false }))),
    ];
    let run = pipeline("automate-safe", &calls);
    assert_eq!((&run.answers[0]["changed"], &run.answers[3]["changed"]), (&json!(true), &json!(true)));
    assert!(run.answers[1].as_str().unwrap().contains("(precondition)"), "{}", run.answers[1]);
    assert!(run.answers[1].as_str().unwrap().contains("the rollout is paused, so a restart would only wait"), "in the sheet's words");
    assert_eq!(run.entry("kubectl.rollout restart", "deployment/recommendations"), ("blocked", "precondition"));
    assert!(broken(&run.answers[2]).contains(&("shop/recommendations".to_owned(), "paused".to_owned())), "{}", run.answers[2]);
}

#[test]
fn a_roll_back_is_proposed_or_done_as_the_autonomy_says() {
    let target = because(json!({ "namespace": "shop", "name": "recommendations" }), json!({}));
    let proposed = pipeline("automate-safe", &[("roll_back", target.clone())]);
    assert_eq!(proposed.entry("kubectl.rollout undo", "deployment/recommendations"), ("skipped", "proposed"));
    assert_eq!(proposed.changes(), 0);

    let calls = [("roll_back", target.clone()), ("diagnose_rollout", workload("deployment", "shop", "recommendations"))];
    let done = pipeline("automate-destructive", &calls);
    assert_eq!((&done.answers[0]["toRevision"], &done.answers[0]["rolledOut"]), (&json!(17), &json!(true)), "{:#}", done.answers[0]);
    assert_eq!(
        (&done.answers[1]["verdict"], &done.answers[1]["workload"]["images"][0]),
        (&json!("healthy"), &json!("registry.northwind.example/recommendations:2.30.4"))
    );
    assert_eq!(done.entry("kubectl.rollout undo", "deployment/recommendations"), ("executed", ""));

    let missing = pipeline("automate-destructive", &[("roll_back", because(target, json!({ "to_revision": 3 })))]);
    assert!(missing.answers[0].as_str().unwrap().contains("it holds: 17"), "{}", missing.answers[0]);
    assert_eq!(missing.changes(), 0);
}

#[test]
fn an_observer_changes_nothing_and_no_agent_leaves_its_namespaces() {
    let calls = [
        ("restart_workload", because(workload("deployment", "shop", "checkout"), json!({}))),
        ("diagnose_rollout", workload("deployment", "kube-system", "coredns")),
        ("find_broken_rollouts", json!({ "namespace": "kube-system" })),
        ("delete_persistent_volume_claim", json!({ "namespace": "orders", "name": "data-orders-db-0" })),
    ];
    let run = pipeline("observe", &calls);
    assert_eq!(run.entry("kubectl.rollout restart", "deployment/checkout").0, "blocked");
    for answer in &run.answers[1..3] {
        assert!(answer.as_str().unwrap().contains("denied"), "{answer}");
    }
    assert!(run.answers[3].as_str().unwrap().contains("there is no tool"), "{}", run.answers[3]);
    assert_eq!(run.changes(), 0);
}

/// An excerpt that nobody compiles is wrong sooner or later.
#[test]
fn what_the_readme_shows_of_a_skill_stands_in_its_source() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let mut languages = Vec::new();
    for block in readme.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        if !["rust", "yaml"].contains(&language) {
            continue;
        }
        let (source, excerpt) = text.split_once('\n').unwrap();
        let path = source.trim_start_matches(['/', '#', ' ']);
        let file = fs::read_to_string(repository().join(path))
            .unwrap_or_else(|error| panic!("a block must begin with its file: `{source}`: {error}"));
        assert!(file.contains(excerpt), "`{path}` does not have:\n{excerpt}");
        languages.push(language.to_owned());
    }
    assert_eq!(languages, ["yaml", "rust"]);
}

#[test]
fn a_skill_without_code_does_what_its_sheet_says_and_nothing_else() {
    let folder = repository().join("example-skills/restart-hung-workloads");
    let restart =
        |namespace: &str, name: &str| json!({ "kind": "deployments.apps", "namespace": namespace, "name": name, "reason": "it hangs" });
    let scale = |replicas: Value| json!({ "kind": "deployments.apps", "namespace": "shop", "name": "checkout", "replicas": replicas, "reason": "the queue grows" });
    let calls = [
        ("look_at_workloads__list", json!({ "kind": "deployments.apps", "namespace": "shop" })),
        ("look_at_workloads__get", json!({ "kind": "deployments.apps", "namespace": "shop", "name": "checkout" })),
        ("restart_deployment", restart("shop", "checkout")),
        ("restart_deployment", restart("shop", "checkout")),
        ("restart_deployment", restart("kube-system", "coredns")),
        ("restart_deployment", json!({ "kind": "statefulsets.apps", "namespace": "orders", "name": "orders-db", "reason": "it hangs" })),
        ("scale_deployment", scale(json!(6))),
        ("scale_deployment", scale(json!("3"))),
        ("scale_deployment", scale(json!(4))),
        ("look_at_workloads__get", json!({ "kind": "secrets", "namespace": "shop", "name": "db-password" })),
        ("delete_deployment", restart("shop", "checkout")),
    ];
    let run = run("restart-hung-workloads", &folder, "automate-safe", &calls);
    let deployments: Vec<&str> =
        run.answers[0]["items"].as_array().unwrap().iter().map(|it| it["metadata"]["name"].as_str().unwrap()).collect();
    assert!(deployments.contains(&"checkout"), "{deployments:?}");
    assert_eq!(run.answers[1]["metadata"]["name"], "checkout");
    assert_eq!(run.answers[2]["changed"], true, "{:#}", run.answers[2]);
    for (at, words) in [
        (3, "BLOCKED: "),
        (4, "BLOCKED: "),
        (5, "ERROR: "),
        (6, "ERROR: "),
        (7, "ERROR: "),
        (9, "ERROR: "),
        (10, "there is no tool `delete_deployment`"),
    ] {
        let told = run.answers[at].as_str().unwrap_or_else(|| panic!("{at}: {:#}", run.answers[at]));
        assert!(told.contains(words), "{at}: {told}");
    }
    assert_eq!(run.answers[8]["changed"], true, "{:#}", run.answers[8]);
    assert_eq!(run.changes(), 2, "{:#?}", run.entries);
    for (status, call, reason) in [
        ("executed", "kubectl.rollout restart deployment/checkout -n shop", ""),
        ("blocked", "kubectl.rollout restart deployment/checkout -n shop", "cooldown"),
        ("blocked", "kubectl.rollout restart deployment/coredns -n kube-system", "target-not-covered"),
        ("executed", "kubectl.scale deployment/checkout -n shop --replicas=4", ""),
    ] {
        let found = run.entries.iter().any(|entry| {
            let said = |field: &str| entry[field].as_str().unwrap_or_default();
            said("status") == status && said("call").starts_with(call) && said("reason") == reason
        });
        assert!(found, "{status} {call} {reason} is not in {:#?}", run.entries);
    }
}
