//! What stays of runs: a gapless, linked, signed sequence of records, which outlive their agent but not their namespace; and silence when nothing happens.

use std::{process::Stdio, time::Duration};

use infraagent_api::run::RunPhase;
use infraagent_tests::{binary, eventually};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};

use crate::{
    lab::{CALM, Lab, ending, phase},
    model::{self, Plan},
};

impl Lab<'_> {
    /// What `infraagent audit verify` says to a run as it stands on the API server, with the operator's public key.
    pub(crate) async fn verify(&self, run: &str) -> Value {
        let keys = Api::<Secret>::namespaced(self.client.clone(), &self.operator.home).get("infraagent-keys").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (key, record) = (folder.path().join("audit.pub"), folder.path().join("run.yaml"));
        std::fs::write(&key, &keys.data.unwrap()["audit.pub"].0).unwrap();
        let printed = self.plane.kubectl().args(["get", "agentrun", run, "-n", &self.namespace, "-o", "yaml"]).output().unwrap();
        std::fs::write(&record, printed.stdout).unwrap();
        let output = std::process::Command::new(binary())
            .args(["audit", "verify", "-", "-o", "json", "--key"])
            .arg(key)
            .stdin(std::fs::File::open(record).unwrap())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let mut said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        said["verification"].take()
    }
}

#[tokio::test]
async fn the_records_of_an_agent_are_numbered_without_gaps_linked_and_signed() {
    let lab = Lab::new(CALM).await;
    lab.deployment("web").await;
    let _replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    lab.agent("forge", Plan::calls([model::restart(&lab.namespace, "web")])).await;
    for name in ["first", "second", "third"] {
        lab.order(name, "forge", json!({})).await;
        lab.ended(name).await;
        // One that never began has no number, and leaves no gap.
        lab.order(&format!("after-{name}"), "forge", json!({"agentUid": "another"})).await;
        lab.ended(&format!("after-{name}")).await;
    }
    let mut previous = None;
    for (number, name) in (1..).zip(["first", "second", "third"]) {
        let run = lab.runs().get(name).await.unwrap();
        let status = run.status.clone().unwrap();
        assert_eq!(status.sequence, Some(number), "{name}");
        assert_eq!(status.previous.map(|previous| (previous.uid, previous.head)), previous, "{name}");
        let head = status.head.unwrap();
        assert!(head.signature.is_some());
        previous = Some((run.uid().unwrap(), head.hash));
    }
    for run in lab.all_runs().await {
        let said = lab.verify(&run.name_any()).await;
        let answers = ["consistent", "authentic"].map(|question| said[question]["answer"].as_str().unwrap_or_default().to_owned());
        assert_eq!((answers, &said["closed"]), (["yes".to_owned(), "yes".to_owned()], &json!(true)), "{}: {said}", run.name_any());
    }
}

#[tokio::test]
async fn records_outlive_their_agent_and_what_waited_for_it_ends() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::nothing()).await;
    lab.order("done", "forge", json!({})).await;
    lab.ended("done").await;
    lab.settled("forge", 1).await;
    lab.change_agent("forge", json!({"paused": true})).await;
    lab.order("waiting", "forge", json!({})).await;
    lab.waits_for("waiting", "Paused").await;
    let before = lab.runs().get("done").await.unwrap();
    lab.delete_agent("forge").await;
    assert_eq!(ending(&lab.ended("waiting").await), (RunPhase::Failed, "AgentNotFound".to_owned()));
    assert_eq!(lab.runs().get("done").await.unwrap(), before);
    // An agent of the same name is another agent: it begins to count anew.
    lab.agent("forge", Plan::nothing()).await;
    lab.order("of-the-new", "forge", json!({})).await;
    let status = lab.ended("of-the-new").await.status.unwrap();
    assert_eq!((status.phase, status.sequence, status.previous), (Some(RunPhase::Succeeded), Some(1), None));
}

#[tokio::test]
async fn a_namespace_with_agents_and_records_can_be_deleted_also_in_the_middle_of_a_run() {
    let lab = Lab::new(CALM).await;
    let _replica = lab.operator.replica("one");
    lab.agent("forge", Plan::nothing()).await;
    lab.order("done", "forge", json!({})).await;
    lab.ended("done").await;
    lab.agent("busy", Plan::hangs()).await;
    lab.order("running", "busy", json!({})).await;
    lab.order("waiting", "busy", json!({})).await;
    lab.begun("running").await;
    // By hand nobody removes a record, not even who may delete everything else in the namespace.
    let member = lab.plane.kubeconfig_as("member", &["members"]);
    let rules = json!([{"apiGroups": ["core.infraagent.io"], "resources": ["*"], "verbs": ["get", "list", "delete"]}]);
    let metadata = json!({"name": "members", "namespace": lab.namespace});
    lab.apply(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules})).await;
    lab.apply(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "members"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "members"}],
    }))
    .await;
    let members = Api::<infraagent_api::AgentRun>::namespaced(infraagent_tests::client_of(&member).await, &lab.namespace);
    let refused = members.delete("done", &DeleteParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("record"), "{refused}");
    let namespaces = &Api::<Namespace>::all(lab.client.clone());
    namespaces.delete(&lab.namespace, &DeleteParams::default()).await.unwrap();
    eventually("the end of the namespace", || async { namespaces.get_opt(&lab.namespace).await.unwrap().is_none().then_some(()) }).await;
}

/// kind, name and resourceVersion of everything that is ours.
async fn versions(lab: &Lab<'_>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for kind in ["infraagents", "agentruns", "agentenvironments", "configmaps", "events"] {
        let shown = lab.plane.kubectl().args(["get", kind, "-n", &lab.namespace, "-o", "json"]).output().unwrap();
        let list: Value = serde_json::from_slice(&shown.stdout).unwrap();
        for item in list["items"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            all.push((format!("{kind}/{}", text(&item["metadata"]["name"])), text(&item["metadata"]["resourceVersion"])));
        }
    }
    all
}

#[tokio::test]
async fn when_nothing_happens_nothing_is_written_but_leases() {
    let lab = Lab::new(CALM).await;
    let _replicas = [lab.operator.replica("one"), lab.operator.replica("two")];
    lab.agent("ready", Plan::nothing()).await;
    lab.order("done", "ready", json!({})).await;
    lab.ended("done").await;
    lab.settled("ready", 1).await;
    lab.agent_with("paused", Plan::nothing(), json!({"paused": true})).await;
    lab.order("waiting", "paused", json!({})).await;
    lab.waits_for("waiting", "Paused").await;
    lab.agent_with("broken", Plan::nothing(), json!({"environmentRef": "missing"})).await;
    lab.agent_says("broken", "Ready", "False", "EnvironmentNotFound").await;
    // What is under way settles, then nothing moves for longer than a Lease is good for.
    let user = lab.operator.user();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(300);
    loop {
        let before = versions(&lab).await;
        let counted = lab.plane.audit_events().await.len();
        tokio::time::sleep(Duration::from_secs(12)).await;
        let events = lab.plane.audit_events().await;
        let own = events[counted..].iter().filter(|event| event.user.username == user && event.is_mutation());
        let written: Vec<_> = own.filter_map(|event| event.object_ref.clone()).filter(|object| object.resource != "leases").collect();
        if versions(&lab).await == before && written.is_empty() {
            let renewals = events[counted..].iter().filter(|event| event.user.username == user && event.is_mutation()).count();
            assert!(renewals > 0, "the operator is alive");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it writes on and on: {written:?}");
    }
    assert_eq!(phase(&lab.runs().get("waiting").await.unwrap()), RunPhase::Pending);
    // It still listens.
    lab.order("later", "ready", json!({})).await;
    assert_eq!(phase(&lab.ended("later").await), RunPhase::Succeeded);
}

#[tokio::test]
async fn a_cooldown_holds_across_runs_restarts_and_agents() {
    let lab = Lab::new(CALM).await;
    lab.deployment("cold").await;
    lab.deployment("cold-too").await;
    let seldom = |name: &str| {
        ("restart_seldom", json!({"kind": "deployments.apps", "namespace": lab.namespace, "name": name, "reason": "it is time"}))
    };
    let replica = lab.operator.replica("one");
    lab.agent("first", Plan::calls([seldom("cold")])).await;
    lab.order("first", "first", json!({})).await;
    lab.ended("first").await;
    replica.kill();
    let _replica = lab.operator.replica("two");
    lab.agent("second", Plan::calls([seldom("cold"), seldom("cold-too")])).await;
    lab.order("second", "second", json!({})).await;
    let told = |run: &infraagent_api::AgentRun| -> Vec<(String, String)> {
        let changes = crate::lab::actions(run).iter().filter(|entry| entry.tool == "kubectl.rollout restart");
        changes.map(|entry| (entry.status.as_str().to_owned(), entry.reason.clone().unwrap_or_default())).collect()
    };
    let executed = ("executed".to_owned(), String::new());
    assert_eq!(told(&lab.ended("first").await), std::slice::from_ref(&executed));
    assert_eq!(told(&lab.ended("second").await), [("blocked".to_owned(), "cooldown".to_owned()), executed]);
    assert_eq!(lab.deployments().get("cold").await.unwrap().metadata.generation, Some(2), "restarted once");
}

#[tokio::test]
async fn a_namespace_that_an_environment_does_not_list_is_out_of_reach() {
    let lab = Lab::new(CALM).await;
    let elsewhere = lab.plane.namespace("elsewhere").await;
    let rule = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "patch"]}]);
    let metadata = json!({"name": "worker", "namespace": elsewhere});
    lab.apply(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rule})).await;
    lab.apply(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "worker"},
        "subjects": [{"kind": "ServiceAccount", "name": crate::lab::ACCOUNT, "namespace": lab.namespace}],
    }))
    .await;
    let mut web = lab.object(
        "apps/v1",
        "Deployment",
        "web",
        json!({
            "replicas": 0, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
        }),
    );
    lab.apply(web.clone()).await;
    web["metadata"]["namespace"] = json!(elsewhere);
    lab.apply(web).await;
    let _replica = lab.operator.replica("one");
    // RBAC would let it, and the model wants it.
    lab.agent("forge", Plan::calls([model::restart(&elsewhere, "web"), model::restart(&lab.namespace, "web")])).await;
    lab.order("first", "forge", json!({})).await;
    lab.ended("first").await;
    let generation = async |namespace: &str| {
        let deployments = Api::<k8s_openapi::api::apps::v1::Deployment>::namespaced(lab.client.clone(), namespace);
        deployments.get("web").await.unwrap().metadata.generation
    };
    assert_eq!((generation(&elsewhere).await, generation(&lab.namespace).await), (Some(1), Some(2)));
    assert_eq!(Api::<ConfigMap>::namespaced(lab.client.clone(), &elsewhere).list(&ListParams::default()).await.unwrap().items.len(), 1);
}
