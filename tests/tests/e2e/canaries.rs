//! Secrets are everywhere where a skill may look, beside harmless words. A skill that repeats everything it gets hold of gets the words, and nothing of the
//! secrets: nor does the model, the record, an Event, the terminal or the log.

use infraagent_tests::{
    eventually, guest,
    model_server::{Reply, Script},
};
use k8s_openapi::api::{apps::v1::Deployment, events::v1::Event};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    lab::{Ended, Lab, MODEL_KEY},
    shop::Shop,
};

/// Known to the run: the value of a credential.
const KNOWN: &str = "canary-credential-4711-x7Qp2";
/// The same in base64.
const ENCODED: &str = "Y2FuYXJ5LWNyZWRlbnRpYWwtNDcxMS14N1FwMg==";
/// Known to nobody; it only looks like a token.
const TOKEN: &str = "ghp_canary4711A8z3LmX7vTn5KwR2yBcQ1d9EfG";

/// The secret as it stands between words that may be told.
fn beside(what: &str, secret: &str) -> String {
    format!("harmless-{what} {secret} harmless-end")
}

/// What must be there in place of it: the words prove that the whole text was on its way. (A known secret is looked for with white space in it, so some goes
/// with it.)
fn without(what: &str) -> String {
    format!("harmless-{what} [redacted]")
}

/// The token of the kubeconfig that the run uses.
fn operators_token(lab: &Lab) -> String {
    let kubeconfig: Value = serde_json::from_slice(&std::fs::read(&lab.operator).unwrap()).unwrap();
    kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_skill_that_repeats_everything_repeats_the_words_and_no_secret() {
    let lab = Lab::new().await;
    let operator = operators_token(&lab);
    let shop = Shop::open(TOKEN).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop", "namespace": lab.namespace}, "stringData": {"token": KNOWN}});
    lab.apply(secret).await;
    lab.apply(lab.environment(json!({
        "credentials": {"shop": {"secretRef": "shop", "type": "bearer-token"}},
        "endpoints": {"shop": {"url": shop.url, "internal": true}},
    })))
    .await;
    lab.apply(lab.agent(json!({"skills": [{"name": "curious"}], "model": {"tier": "reasoning", "timeout": "5m"}}))).await;
    lab.apply(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": lab.namespace, "annotations": {"note": beside("annotation", TOKEN)}},
        "data": {
            "known": beside("known", KNOWN), "encoded": beside("encoded", ENCODED), "pattern": beside("pattern", TOKEN),
            "operator": beside("operator", &operator), "model": beside("model", MODEL_KEY),
        },
    }))
    .await;
    let env =
        json!([{"name": "GREETING", "value": beside("environment", TOKEN)}, {"name": "DB_PASSWORD", "value": "canary-password-4711"}]);
    let command = json!(["serve", beside("argument", KNOWN)]);
    lab.apply(lab.object(
        "v1",
        "Pod",
        "till",
        json!({"containers": [{"name": "till", "image": "till:1", "command": command, "env": env}]}),
    ))
    .await;

    let look = |resource: &str, name: &str, select: Value| json!({"resource": resource, "namespace": lab.namespace, "name": name, "select": select});
    let reply = Reply::default()
        .calls("look", look("configmaps", "settings", json!(["/data", "/metadata/annotations"])))
        .calls("look", look("pods", "till", json!(["/spec/containers"])))
        .calls("ask", json!({"endpoint": "shop", "path": "/fine"}))
        .calls("ask", json!({"endpoint": "shop", "path": "/wrong"}));
    let script = Script::replies([reply, Reply::says(&beside("report", TOKEN))]);
    let ended = lab.converse(&guest("curious"), script).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);

    let asked = lab.asked();
    let told = asked.last().unwrap().body.to_string();
    for what in ["known", "encoded", "pattern", "operator", "model", "annotation", "argument", "header", "body"] {
        assert!(told.contains(&without(what)), "{what} did not arrive: {told}");
    }
    assert!(told.contains("GREETING") && told.contains("DB_PASSWORD"), "{told}");
    assert!(!told.contains("harmless-environment"), "values of the environment are not told at all: {told}");
    assert!(told.contains("you are `Bearer [redacted]`"), "the server repeated the credential: {told}");
    let record = serde_json::to_string(&lab.record().await).unwrap();
    assert!(record.contains(&without("report")), "{record}");
    assert!(ended.said.contains("harmless-known"), "the log has what the skill logged: {}", ended.said);
    nothing_leaked(&lab, &ended, &[&operator]).await;
}

#[tokio::test]
async fn an_error_text_of_the_cluster_is_told_without_the_secret_in_it() {
    let lab = Lab::new().await;
    lab.apply(lab.agent(json!({"model": {"tier": "reasoning", "timeout": "5m"}}))).await;
    let name = format!("refuses-{}", lab.namespace);
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["*"], "resources": ["deployments"], "operations": ["UPDATE"]}]},
            "validations": [{"expression": "!has(object.spec.paused) || !object.spec.paused", "message": beside("refusal", TOKEN), "reason": "Forbidden"}],
        },
    });
    let only_here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": lab.namespace}}});
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": only_here},
    });
    lab.apply(policy).await;
    lab.apply(binding).await;
    let deployments = &Api::<Deployment>::namespaced(lab.client.clone(), &lab.namespace);
    let pause = &Patch::Merge(json!({"spec": {"paused": true}}));
    eventually("the policy holds", || async {
        deployments.patch("web", &PatchParams::default().dry_run(), pause).await.is_err().then_some(())
    })
    .await;
    let reply = Reply::default().calls("pause_rollout", lab.pause()[0]["arguments"].clone());
    let script = Script::replies([reply, Reply::says("That is all.")]);
    let ended = lab.converse(&infraagent_tests::skill("deployment-pipeline"), script).ended().await;
    assert!(!lab.is_paused().await);
    let told = lab.asked().last().unwrap().body.to_string();
    assert!(told.contains(&without("refusal")), "the refusal did not arrive: {told}\n{}", ended.said);
    assert!(lab.changes().await[0].result.as_ref().unwrap().contains(&without("refusal")));
    nothing_leaked(&lab, &ended, &[]).await;
}

/// Searches everything that left.
async fn nothing_leaked(lab: &Lab, ended: &Ended, more: &[&str]) {
    let asked = lab.asked();
    let mut places: Vec<(String, String)> = vec![
        ("the record".to_owned(), serde_json::to_string(&lab.records().await).unwrap()),
        ("terminal and log".to_owned(), ended.said.clone()),
    ];
    for seen in &asked {
        places.push(("what the model is told".to_owned(), seen.body.to_string()));
        // The key belongs there, and nowhere else.
        let headers = seen.headers.iter().filter(|(name, _)| name != "x-api-key");
        places.push(("the headers to the model".to_owned(), headers.map(|(name, value)| format!("{name}: {value}\n")).collect()));
        assert_eq!(seen.header("x-api-key"), Some(MODEL_KEY));
    }
    let events = Api::<Event>::namespaced(lab.client.clone(), &lab.namespace).list(&ListParams::default()).await.unwrap();
    places.push(("an Event".to_owned(), serde_json::to_string(&events.items).unwrap()));
    for (place, text) in &places {
        for secret in [KNOWN, ENCODED, TOKEN, MODEL_KEY, "4711"].iter().chain(more) {
            assert!(!text.contains(secret), "`{secret}` reached {place}: {text}");
        }
    }
}
