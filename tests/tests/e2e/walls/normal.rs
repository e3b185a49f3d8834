//! The other side of narrow roles: an operator that has nothing else, under another name and in another namespace, carries out a run without being refused
//! anything, and so does its agent with the roles of its tiers.

use std::{fs::File, path::Path, process::Stdio};

use infraagent_api::{AgentRun, InfraAgent, run::RunPhase};
use infraagent_tests::{
    AuditEvent, ControlPlane, NODE, Programs, apply, binary, client_of, documents, eventually,
    model_server::{ModelServer, Script},
    repository, skill,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::identities::account;

const HOME: &str = "platform";
const NAME: &str = "keeper";

/// `deploy/` for an operator of another name and place, as the page on identities says.
fn elsewhere(mut document: Value) -> Value {
    let is_account = document["kind"] == "ServiceAccount" && document["metadata"]["name"] == "infraagent";
    if is_account {
        document["metadata"]["name"] = NAME.into();
    }
    for subject in document.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if subject["name"] == "infraagent" {
            subject["name"] = NAME.into();
        }
    }
    serde_json::from_str(&document.to_string().replace("\"infraagent-system\"", &format!("\"{HOME}\""))).unwrap()
}

async fn all(client: &Client, documents: impl IntoIterator<Item = Value>) {
    for document in documents {
        apply(client, &document).await.unwrap_or_else(|error| panic!("{document}: {error}"));
    }
}

/// The definitions, the operator, the agent, and a model at this address.
async fn install(plane: &ControlPlane, model: &str) {
    // A node for pods to run on.
    plane.namespace("furnished").await;
    plane.install_crds().await;
    let admin = plane.admin().await;
    for file in ["deploy/rbac.yaml", "deploy/agent-roles.yaml", "deploy/admission.yaml"] {
        all(&admin, documents(file).into_iter().map(elsewhere)).await;
    }
    // The sample of `make cluster`, whose account has the roles of its tiers; its pods run.
    let sample = documents("demo/sample/objects.yaml").into_iter().map(|mut document| {
        if document["kind"] == "Deployment" {
            document["spec"]["template"]["spec"]["nodeName"] = NODE.into();
        }
        document
    });
    all(&admin, sample).await;
    let names = |document: Value| {
        serde_json::from_str::<Value>(&elsewhere(document).to_string().replace("infraagent-forge", "infraagent-sample")).unwrap()
    };
    all(&admin, documents("deploy/agent-namespace.yaml").into_iter().map(names)).await;
    let key = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "llm-api-key", "namespace": HOME}, "stringData": {"api-key": "sample-key"},
    });
    let models = documents("demo/models.yaml").into_iter().map(|mut models| {
        for tier in models["spec"]["tiers"].as_array_mut().unwrap() {
            tier["endpoint"] = model.into();
        }
        models
    });
    all(&admin, models.chain([key])).await;
    let deployments = &Api::<Deployment>::namespaced(admin.clone(), "shop");
    eventually("the Deployment", || async move { (deployments.get("web").await.ok()?.status?.ready_replicas == Some(2)).then_some(()) })
        .await;
}

fn replica(kubeconfig: &Path, skills: &Path, log: &Path) -> Child {
    Command::new(binary())
        .arg("operator")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--bundled-skills")
        .arg(skills)
        .args(["--operator-namespace", HOME, "--identity", "one", "--lease-duration", "10s", "--effect-timeout", "3s"])
        .args(["--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(File::create(log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Who did what to what, for a message.
fn shown(event: &AuditEvent) -> String {
    let who = event.impersonated_user.as_ref().map_or(&event.user.username, |user| &user.username);
    format!("{} {} {} by {who}", event.code(), event.verb, event.request_uri)
}

#[tokio::test]
async fn an_operator_of_another_name_is_refused_nothing_in_a_normal_run_and_held_by_the_policies() {
    let plane = &ControlPlane::start(Programs::Controllers);
    let script = Script::open(&repository().join("demo/sample/conversation.yaml")).unwrap().slow(std::time::Duration::ZERO);
    let model = ModelServer::start_with_key(script, "sample-key").unwrap();
    install(plane, &model.url()).await;
    let skills = tempfile::tempdir().unwrap();
    std::fs::copy(skill("deployment-pipeline"), skills.path().join("deployment-pipeline.wasm")).unwrap();
    let kubeconfig = plane.kubeconfig_for(HOME, NAME).await;
    let keeper = client_of(&kubeconfig).await;
    let claims = &Api::<PersistentVolumeClaim>::all(keeper.clone());
    eventually("the aggregated right to look", || async move { claims.list(&ListParams::default()).await.ok() }).await;
    let before = plane.audit_events().await.len();

    let file = skills.path().join("operator.log");
    let log = || std::fs::read_to_string(&file).unwrap_or_default();
    let mut replica = replica(&kubeconfig, skills.path(), &file);
    let admin = plane.admin().await;
    let agents = Api::<InfraAgent>::namespaced(admin.clone(), "agents");
    let run_now = Patch::Merge(json!({"metadata": {"annotations": {"infraagent.io/run-now": "true"}}}));
    agents.patch("sample", &PatchParams::default(), &run_now).await.unwrap();
    let runs = &Api::<AgentRun>::namespaced(admin.clone(), "agents");
    let ended = eventually("the end of the run", || {
        let over = replica.try_wait().unwrap();
        assert!(over.is_none(), "the operator has ended: {}", log());
        async move {
            let run = runs.list(&ListParams::default()).await.unwrap().items.pop()?;
            run.status.as_ref()?.phase?.is_terminal().then_some(run)
        }
    })
    .await;
    let agents = &agents;
    eventually("an agent that is free", || async move { agents.get("sample").await.ok()?.status?.active_run.is_none().then_some(()) })
        .await;
    let pid = replica.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let end = replica.wait().await.unwrap();
    let log = log();
    assert!(end.success(), "{log}");
    let status = ended.status.unwrap();
    assert_eq!(status.phase, Some(RunPhase::Succeeded), "{log}");

    let user = account(HOME, NAME);
    let events = plane.audit_events().await.split_off(before);
    let own: Vec<&AuditEvent> = events.iter().filter(|event| event.user.username == user).collect();
    let refused: Vec<String> = own.iter().filter(|event| event.code() == 403).map(|event| shown(event)).collect();
    assert_eq!(refused, [""; 0], "{log}");
    // It did what the roles are for.
    let agent = account("agents", "infraagent-sample");
    let did = |who: &str, verb: &str, resource: &str, name: &str| {
        let by = |event: &&&AuditEvent| event.impersonated_user.as_ref().map_or(user.as_str(), |actor| &actor.username) == who;
        let about = |event: &&AuditEvent| {
            event.object_ref.as_ref().is_some_and(|object| object.resource == resource && (name.is_empty() || object.name == name))
        };
        let found = own.iter().filter(by).any(|event| event.verb == verb && event.is_success() && about(event));
        assert!(found, "{who} did not {verb} {resource} {name}\n{log}");
    };
    for (verb, resource, name) in [
        ("create", "secrets", "infraagent-keys"),
        ("get", "secrets", "llm-api-key"),
        ("create", "leases", ""),
        ("delete", "leases", ""),
        ("create", "agentruns", ""),
        ("patch", "agentruns", ""),
        ("update", "infraagents", "sample"),
        ("patch", "infraagents", "sample"),
        ("update", "agentenvironments", "sample"),
        ("update", "modeltierconfigs", "default"),
        ("update", "infraagentpolicies", "default"),
        ("create", "events", ""),
        ("get", "serviceaccounts", "infraagent-sample"),
        ("list", "namespaces", ""),
    ] {
        did(&user, verb, resource, name);
    }
    did(&agent, "patch", "deployments", "web");
    let changes = own.iter().filter(|event| event.impersonated_user.is_some() && event.is_mutation());
    let changes: Vec<String> = changes.map(|event| shown(event)).collect();
    assert_eq!(changes.len(), 1, "one change in the cluster: {changes:?}");

    // Under its own name the policies know it, and take nothing from its agent's neighbours.
    let master = client_of(&plane.kubeconfig_as(&user, &["system:masters"])).await;
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    apply(&admin, &volume).await.unwrap();
    let (dry, shop) = (&DeleteParams::default().dry_run(), "shop");
    let held = Api::<PersistentVolumeClaim>::namespaced(master.clone(), shop).delete("data", dry).await.unwrap_err().to_string();
    assert!(held.contains("infraagent-data"), "{held}");
    let pods = Api::<Pod>::namespaced(master, shop);
    let pod = pods.list(&ListParams::default()).await.unwrap().items.remove(0).metadata.name.unwrap();
    pods.delete(&pod, dry).await.unwrap();
    Api::<PersistentVolumeClaim>::namespaced(admin, shop).delete("data", dry).await.unwrap();
}
