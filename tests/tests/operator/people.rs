//! The commands for people, where an operator runs.

use std::process::{Command, Output};

use infraagent_api::run::RunPhase;
use infraagent_tests::{OPERATOR, binary};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::{
    lab::{CALM, Lab, ending, phase},
    model::{self, Plan},
};

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}\n{}\n{}", self.code, self.out, self.err)
    }
}

impl Lab<'_> {
    /// Types a command, as the administrator, in the namespace of this test.
    async fn types(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(binary());
        command.args(arguments).args(["-n", &self.namespace, "--kubeconfig"]).arg(self.plane.kubeconfig());
        let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// The same, and it has to work.
    async fn says(&self, arguments: &[&str]) -> String {
        let said = self.types(arguments).await;
        assert_eq!(said.code, Some(0), "{arguments:?} {said:?}\n{}", self.operator.logs());
        said.out
    }
}

#[tokio::test]
async fn a_person_orders_a_run_watches_it_reads_it_and_learns_why_something_was_refused() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    let plan = Plan::calls([model::restart(&lab.namespace, "web"), model::pause(&lab.namespace, "web", true)]).slow(300);
    lab.agent_with("forge", plan, json!({"guardrails": {"deniedActions": ["kubectl.rollout pause *"]}})).await;
    lab.agent_says("forge", "Ready", "True", "Ready").await;

    let watched = lab.types(&["agents", "run", "forge", "-f"]).await;
    assert_eq!(watched.code, Some(0), "{watched:?}");
    let name = watched.err.lines().last().unwrap().to_owned();
    let restart = format!("kubectl.rollout restart deployment/web -n {}", lab.namespace);
    assert!(watched.out.contains(&format!("✓ {restart}")) && watched.out.contains(&format!("⚡ #1 {restart}")), "{watched:?}");
    assert!(watched.out.contains("refused: deny-listed") && watched.out.contains("✔ Succeeded"), "{watched:?}");

    // Afterwards the record says the same.
    let told = lab.says(&["runs", "logs", &name]).await;
    assert!(watched.out.ends_with(&told), "{}\n----\n{told}", watched.out);
    assert_eq!(lab.says(&["runs", "logs", "-f", &name]).await, told);

    let list: Value = serde_json::from_str(&lab.says(&["runs", "list", "--agent", "forge", "-o", "json"]).await).unwrap();
    assert_eq!(list["items"][0]["metadata"]["name"], json!(name));
    let agents = lab.says(&["agents", "list", "-o", "wide"]).await;
    assert!(agents.contains("forge") && agents.contains(&name) && agents.contains("automate-safe"), "{agents}");

    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("audit.pub");
    let keys = Api::<Secret>::namespaced(lab.client.clone(), &lab.operator.home).get("infraagent-keys").await.unwrap();
    std::fs::write(&key, &keys.data.unwrap()["audit.pub"].0).unwrap();
    let page = lab.says(&["runs", "show", &name, "--key", key.to_str().unwrap()]).await;
    for words in [
        "✔ Succeeded",
        "✔ consistent",
        "✔ authentic",
        "1 change, 1 refused",
        "openai/gpt-4.1",
        "That is all.",
        "next: infraagent why-blocked",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    let shown: Value = serde_json::from_str(&lab.says(&["runs", "show", &name, "-o", "json"]).await).unwrap();
    let record = folder.path().join("run.json");
    std::fs::write(&record, shown.to_string()).unwrap();
    let verified = Command::new(binary()).args(["audit", "verify"]).arg(&record).arg("--key").arg(&key).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");

    let why = lab.says(&["why-blocked", &name]).await;
    let refused = format!("kubectl.rollout pause deployment/web -n {}", lab.namespace);
    for words in
        [refused.as_str(), "check `deny-list`: deny-listed", "InfraAgent forge spec.guardrails.deniedActions: kubectl.rollout pause *"]
    {
        assert!(why.contains(words), "{words}\n{why}");
    }
    let why: Value = serde_json::from_str(&lab.says(&["why-blocked", &name, "-o", "json"]).await).unwrap();
    assert_eq!(why["reasons"].as_array().map(Vec::len), Some(1), "{why}");
    assert!(lab.says(&["explain", "run", &name]).await.contains("InfraAgent spec.guardrails.autonomy"));

    lab.settled("forge", 1).await;
    let status = lab.says(&["status", "--operator-namespace", &lab.operator.home]).await;
    assert!(status.contains(" leads; 1 replica takes runs") && status.contains("1 Ready") && status.contains("1 Succeeded"), "{status}");
    let doctor = lab.types(&["doctor", "--operator-namespace", &lab.operator.home, "--operator-account", OPERATOR.1, "-o", "json"]).await;
    let found: Vec<Value> = serde_json::from_str(&doctor.out).unwrap_or_else(|error| panic!("{error} {doctor:?}"));
    for area in ["cluster", "clock", "definitions", "admission", "rights", "operator", "agents", "accounts", "skills", "models"] {
        let verdicts: Vec<&str> =
            found.iter().filter(|found| found["area"] == area).map(|found| found["verdict"].as_str().unwrap()).collect();
        assert!(verdicts.first() == Some(&"good") && !verdicts.contains(&"bad"), "{area} {found:#?}");
    }
    assert_eq!(doctor.code, Some(0));
}

#[tokio::test]
async fn a_run_that_waits_says_for_what_until_a_person_ends_the_other_or_lets_the_agent_go_on() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::hangs()).await;
    lab.agent_says("forge", "Ready", "True", "Ready").await;
    let first = lab.says(&["agents", "run", "forge"]).await.trim().to_owned();
    lab.begun(&first).await;
    lab.order("second", "forge", json!({})).await;
    lab.waits_for("second", "AgentBusy").await;
    let why = lab.says(&["why-blocked", "second"]).await;
    assert!(why.contains("AgentBusy") && why.contains(&format!("infraagent runs cancel {first}")), "{why}");
    assert!(lab.says(&["runs", "logs", "second"]).await.contains("waits: AgentBusy"));
    let status = lab.says(&["status", "--operator-namespace", &lab.operator.home]).await;
    assert!(status.contains("1 run waiting") && status.contains("AgentBusy"), "{status}");

    assert!(lab.says(&["runs", "cancel", "second", "--wait"]).await.contains("second is over: Failed"));
    assert_eq!(ending(&lab.runs().get("second").await.unwrap()), (RunPhase::Failed, "Cancelled".to_owned()));
    assert_eq!(phase(&lab.runs().get(&first).await.unwrap()), RunPhase::Running, "the neighbour goes on");

    let paused = lab.types(&["agents", "pause", "forge"]).await;
    assert!(paused.out.contains("forge is paused") && paused.err.contains(&first), "{paused:?}");
    let agent = lab.agents().get("forge").await.unwrap();
    assert!(agent.spec.paused && agent.managed_fields().iter().any(|by| by.manager.as_deref() == Some("infraagent-cli")));
    assert!(lab.says(&["agents", "pause", "forge"]).await.contains("is paused already"));
    lab.says(&["runs", "cancel", &first, "--wait"]).await;
    assert!(lab.says(&["runs", "cancel", &first]).await.contains("has ended already: Failed"));

    model::follow(&lab.key("forge"), Plan::nothing());
    lab.order("third", "forge", json!({})).await;
    lab.waits_for("third", "Paused").await;
    let why = lab.says(&["why-blocked", "third"]).await;
    assert!(why.contains("InfraAgent forge spec.paused: true") && why.contains("infraagent agents resume forge"), "{why}");
    assert!(lab.says(&["agents", "list"]).await.contains("Paused"));
    assert!(lab.says(&["agents", "resume", "forge"]).await.contains("forge is resumed"));
    assert_eq!(ending(&lab.ended("third").await), (RunPhase::Succeeded, "Completed".to_owned()));
    assert_eq!(phase(&lab.runs().get(&first).await.unwrap()), RunPhase::Failed);
}

#[tokio::test]
async fn a_shadow_run_is_ordered_without_changing_the_agent_and_its_end_is_the_exit_code() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::calls([model::restart(&lab.namespace, "web")])).await;
    lab.agent_says("forge", "Ready", "True", "Ready").await;
    let name = lab.says(&["agents", "run", "forge", "--shadow", "--wait"]).await.trim().to_owned();
    let run = lab.runs().get(&name).await.unwrap();
    assert_eq!((run.spec.mode.as_str(), phase(&run)), ("shadow", RunPhase::Succeeded));
    assert_eq!(lab.deployments().get("web").await.unwrap().metadata.generation, Some(1), "nobody changed it");
    assert!(lab.says(&["runs", "logs", &name]).await.contains("dry run"));
    lab.says(&["agents", "run", "forge", "--wait"]).await;
    assert_eq!(lab.deployments().get("web").await.unwrap().metadata.generation, Some(2), "what is live acts");

    lab.change_agent("forge", json!({"model": {"tier": "fast"}})).await;
    let failed = lab.types(&["agents", "run", "forge", "--wait"]).await;
    assert!(failed.code == Some(1) && failed.err.contains("is over: Failed"), "{failed:?}");
    let why = lab.says(&["why-blocked", failed.out.trim()]).await;
    assert!(why.contains("the run ended without a report"), "{why}");
}

#[tokio::test]
async fn where_nobody_takes_orders_people_are_told_so() {
    let lab = Lab::new(CALM).await;
    lab.agent("forge", Plan::nothing()).await;
    let said = lab.types(&["agents", "run", "forge", "--timeout", "1"]).await;
    assert!(
        said.code == Some(2) && said.err.contains("no operator has taken it within 1 s") && said.err.contains("infraagent status"),
        "{said:?}"
    );
    let status = lab.says(&["status", "--operator-namespace", &lab.operator.home]).await;
    assert!(status.contains("nobody leads"), "{status}");
    let doctor = lab.types(&["doctor", "--operator-namespace", &lab.operator.home]).await;
    assert!(doctor.code == Some(1) && doctor.out.contains("no replica takes runs"), "{doctor:?}");
    // The order stands: whoever comes takes it.
    let _replica = lab.operator.replica("one");
    let runs = lab.settled("forge", 1).await;
    assert_eq!(ending(&runs[0]), (RunPhase::Succeeded, "Completed".to_owned()));
}
