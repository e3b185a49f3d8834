//! `infraagent run --kubeconfig`: an agent of the cluster, a skill component, a replayed conversation, the operator's own rights, and an API server whose
//! audit log says what really happened.

use infraagent_api::run::RunPhase;
use infraagent_tests::OPERATOR;
use k8s_openapi::api::{apps::v1::Deployment, events::v1::Event};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::lab::{Ended, Lab, condition};

#[tokio::test]
async fn a_run_acts_as_its_agent_and_the_api_server_saw_exactly_what_is_recorded() {
    let lab = Lab::new().await;
    let ended = lab.run(&[json!([{"name": "find_broken_rollouts", "arguments": {}}]), lab.pause()]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(lab.is_paused().await, "{}", ended.said);

    let run = lab.record().await;
    let (name, uid) = (run.metadata.name.clone().unwrap(), run.metadata.uid.clone().unwrap());
    let status = run.status.clone().unwrap();
    assert_eq!((status.phase, status.model.as_deref()), (Some(RunPhase::Succeeded), Some("anthropic/claude-sonnet-4-5")));
    let agent = Api::<infraagent_api::InfraAgent>::namespaced(lab.client.clone(), &lab.namespace).get("forge").await.unwrap();
    assert_eq!(run.spec.agent_uid, agent.metadata.uid);
    let changes: Vec<_> = status.actions.iter().filter(|entry| entry.object_version.is_some()).collect();
    assert_eq!(changes.len(), 1, "{:?}", status.actions);
    let decided = changes[0].decided_against.as_deref().unwrap();
    // Abbreviated where a record of many entries has little room for each.
    let versions: Vec<&str> = decided.split(' ').filter_map(|word| word.split_once('=')).map(|(_, version)| version).collect();
    assert_eq!((versions.len(), versions[0]), (3, agent.metadata.resource_version.as_deref().unwrap()), "{decided}");

    let said = lab.verify().await;
    assert_eq!((&said["consistent"]["answer"], &said["authentic"]["answer"]), (&json!("yes"), &json!("yes")), "{said}");

    let events = lab.plane.audit_events().await;
    let acted: Vec<_> =
        events.iter().filter(|event| event.run() == Some(&format!("{}/{name}", lab.namespace)) && event.is_mutation()).collect();
    let intents: Vec<_> = acted.iter().filter_map(|event| event.intent().map(str::to_owned)).collect();
    assert_eq!(intents, [format!("{uid}/{}", changes[0].seq)], "one intent, one request");
    let account = format!("system:serviceaccount:{}:infraagent-forge", lab.namespace);
    assert_eq!(acted[0].impersonated_user.as_ref().unwrap().username, account);
    let operator = format!("system:serviceaccount:{}:{}", OPERATOR.0, OPERATOR.1);
    let own = events.iter().filter(|event| event.user.username == operator && event.impersonated_user.is_none() && event.is_mutation());
    for event in own {
        let object = event.object_ref.clone().unwrap_or_default();
        // Other tests ask as the operator what he may do: a review is a question that is kept nowhere. Namespaces are each a test's own.
        if object.api_group == "authorization.k8s.io" || (!object.namespace.is_empty() && object.namespace != lab.namespace) {
            continue;
        }
        assert!(["agentruns", "events", "leases"].contains(&object.resource.as_str()), "the operator changed {object:?}");
    }

    let told = Api::<Event>::namespaced(lab.client.clone(), &lab.namespace).list(&ListParams::default()).await.unwrap().items;
    let told: Vec<_> = told.iter().filter(|event| event.reporting_controller.as_deref() == Some("infraagent")).collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].type_.as_deref(), told[0].reason.as_deref()), (Some("Normal"), Some("RunEnded")));
    assert_eq!(told[0].regarding.as_ref().unwrap().name.as_deref(), Some("forge"));
}

#[tokio::test]
async fn what_is_wrong_with_the_documents_is_said_before_anything_happens() {
    let lab = Lab::new().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "half", "namespace": lab.namespace}, "stringData": {"user": "x"}});
    lab.apply(secret).await;
    let credential = |secret: &str| json!({"credentials": {"shop": {"secretRef": secret, "type": "bearer-token"}}});
    let remote = json!({"connection": {"kind": "kubeconfig", "kubeconfig": {"secretRef": "other"}}});
    let cases = [
        (
            lab.agent(json!({"guardrails": {"autonomy": "observe", "deniedActoins": ["kubectl.delete *"]}})),
            vec!["spec.guardrails.deniedActoins", "unknown field"],
        ),
        (
            lab.agent(json!({"guardrails": {"escalation": {"target": "human", "timeOut": "60s"}}})),
            vec!["spec.guardrails.escalation.timeOut", "unknown field", "onTimeout"],
        ),
        (lab.agent(json!({"serviceAccountName": "nobody"})), vec!["ServiceAccount", "/nobody`", "nobody else's"]),
        (lab.agent(json!({"environmentRef": "elsewhere"})), vec!["AgentEnvironment", "/elsewhere`", "spec.environmentRef"]),
        (lab.environment(credential("absent")), vec!["no Secret", "/absent`", "spec.credentials.shop", "`token`"]),
        (lab.environment(credential("half")), vec!["/half` has no key `token`", "`user`", "spec.credentials.shop"]),
        (lab.environment(remote), vec!["spec.connection.kind", "not Ready"]),
    ];
    for (document, words) in cases {
        // Strict clients are told of an unknown key; kubectl apply with --validate=false and old clients are not.
        let kind = document["kind"].as_str().unwrap().to_owned();
        let path = lab.file("document.json");
        std::fs::write(&path, document.to_string()).unwrap();
        let applied = lab.plane.kubectl().args(["replace", "--validate=false", "-f"]).arg(&path).output().unwrap();
        assert!(applied.status.success(), "{applied:?}");
        let ended = lab.run(&[lab.pause()]).await;
        assert_eq!(ended.code, Some(2), "{}", ended.said);
        for word in words {
            assert!(ended.said.contains(word), "{word}: {}", ended.said);
        }
        assert_eq!(lab.runs().list(&ListParams::default()).await.unwrap().items.len(), 0);
        lab.apply(if kind == "InfraAgent" {
            lab.agent(json!({"serviceAccountName": "infraagent-forge"}))
        } else {
            lab.environment(json!({}))
        })
        .await;
    }
    assert!(!lab.is_paused().await);
}

#[tokio::test]
async fn what_rbac_does_not_grant_to_the_agent_does_not_happen_and_the_record_says_so() {
    let lab = Lab::new().await;
    lab.allow(&["get", "list"]).await;
    let ended = lab.run(&[lab.pause()]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(!lab.is_paused().await);
    let actions = lab.record().await.status.unwrap().actions;
    let change = actions.iter().find(|entry| entry.tool == "kubectl.rollout pause").unwrap_or_else(|| panic!("{actions:?}"));
    assert_eq!((change.status.as_str(), change.reason.as_deref()), ("failed", Some("forbidden")), "{change:?}");
    assert!(change.result.as_deref().unwrap().contains("patch deployments"), "{change:?}");
    assert_eq!(lab.verify().await["consistent"]["answer"], "yes");
}

#[tokio::test]
async fn pausing_the_agent_in_the_middle_of_a_run_holds_on_the_next_call() {
    let lab = Lab::new().await;
    let child = lab.start(&[lab.restart(), lab.pause()]);
    lab.reached("kubectl.rollout restart", "executed").await;
    let agents = Api::<infraagent_api::InfraAgent>::namespaced(lab.client.clone(), &lab.namespace);
    agents.patch("forge", &PatchParams::default(), &Patch::Merge(json!({"spec": {"paused": true}}))).await.unwrap();
    let ended = Ended::of(child.wait_with_output().await.unwrap());
    assert!(!lab.is_paused().await, "{}", ended.said);
    let actions = lab.record().await.status.unwrap().actions;
    let change = actions.iter().find(|entry| entry.tool == "kubectl.rollout pause").unwrap_or_else(|| panic!("{actions:?}"));
    assert_eq!((change.status.as_str(), change.reason.as_deref()), ("blocked", Some("suspended")), "{change:?}");
    assert_eq!(lab.verify().await["consistent"]["answer"], "yes");
}

#[tokio::test]
async fn a_run_that_is_interrupted_closes_its_record_and_tells() {
    let lab = Lab::new().await;
    let child = lab.start(&[lab.restart(), lab.pause()]);
    lab.reached("kubectl.rollout restart", "executed").await;
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = Ended::of(child.wait_with_output().await.unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    let run = lab.record().await;
    assert_eq!(run.status.as_ref().unwrap().phase, Some(RunPhase::Failed));
    let (_, reason, message) = condition(&run, "Complete");
    assert_eq!((reason.as_str(), message.as_str()), ("Interrupted", "interrupted by SIGTERM"));
    let (holds, reason, _) = condition(&run, "Escalated");
    assert_eq!((holds.as_str(), reason.as_str()), ("True", "Sent"), "a Warning Event on the agent");
    let said = lab.verify().await;
    assert_eq!((&said["closed"], &said["authentic"]["answer"]), (&json!(true), &json!("yes")), "{said}");
    assert!(!lab.is_paused().await, "nothing new began");
}

#[tokio::test]
async fn a_run_that_is_killed_leaves_a_record_that_can_be_read() {
    let lab = Lab::new().await;
    let mut child = lab.start(&[lab.restart(), lab.pause()]);
    lab.reached("kubectl.rollout restart", "executed").await;
    child.kill().await.unwrap();
    let said = lab.verify().await;
    assert_eq!((&said["closed"], &said["consistent"]["answer"]), (&json!(false), &json!("yes")), "{said}");
    let why = said["complete"]["why"].as_str().unwrap();
    assert!(why.contains("readable, not closed"), "{why}");
}

#[tokio::test]
async fn no_canary_reaches_the_model_the_record_or_the_terminal() {
    let lab = Lab::new().await;
    let token = "canary-credential-4711-abcdef";
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop", "namespace": lab.namespace}, "stringData": {"token": token}});
    lab.apply(secret).await;
    let credentials = json!({"shop": {"secretRef": "shop", "type": "bearer-token"}});
    lab.apply(lab.environment(json!({"credentials": credentials}))).await;
    // The credential's value stands where a skill may look: only whoever knows it can find it.
    let labels = json!({"metadata": {"annotations": {"deployment.kubernetes.io/note": format!("uses {token}")}}, "spec": {"template": {"spec": {"containers": [{"name": "web", "command": ["serve", token]}]}}}});
    let deployments = Api::<Deployment>::namespaced(lab.client.clone(), &lab.namespace);
    deployments.patch("web", &PatchParams::default(), &Patch::Strategic(labels)).await.unwrap();
    let diagnose = json!([
        {"name": "find_broken_rollouts", "arguments": {}},
        {"name": "diagnose_rollout", "arguments": {"kind": "deployment", "name": "web", "namespace": lab.namespace}},
    ]);
    let ended = lab.run(&[diagnose, lab.pause()]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let asked = std::fs::read_to_string(lab.file("conversation.yaml")).unwrap();
    let record = serde_json::to_string(&lab.record().await).unwrap();
    assert!(asked.contains("deployment/web") || asked.contains("web"), "the model was told about the workload: {asked}");
    for (place, text) in [("the model", &asked), ("the record", &record), ("the terminal", &ended.said)] {
        assert!(!text.contains("4711"), "a canary reached {place}: {text}");
    }
}
