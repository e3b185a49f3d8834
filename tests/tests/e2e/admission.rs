//! The admission policies of `deploy/`: walls that hold even for who was granted too much, each with a neighbour who passes.

use infraagent_api::{AgentEnvironment, AgentRun, InfraAgent, InfraAgentPolicy};
use infraagent_tests::{OPERATOR, apply, client_of, control_plane, control_plane_with_controllers, documents, eventually};
use k8s_openapi::{
    api::{
        admissionregistration::v1::ValidatingAdmissionPolicy,
        apps::v1::StatefulSet,
        autoscaling::v1::Scale,
        core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Error,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::identities::{AGENTS, account, acting, enrolled, grant};

/// The message with which a policy refuses.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Api(status)) if status.code == 403 && status.message.contains("ValidatingAdmissionPolicy") => status.message,
        other => panic!("no policy refused it: {other:?}"),
    }
}

fn run(name: &str) -> AgentRun {
    serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": {"agentRef": "forge", "environmentRef": "lab", "trigger": "manual"},
    }))
    .unwrap()
}

fn running() -> Patch<Value> {
    Patch::Merge(json!({"status": {"phase": "Running"}}))
}

#[tokio::test]
async fn only_who_may_record_writes_and_deletes_records() {
    let plane = control_plane();
    let (operator, namespace) = enrolled(plane, "recording").await;
    let everything = json!([{"apiGroups": ["core.infraagent.io"], "resources": ["agentruns", "agentruns/status"],
        "verbs": ["get", "list", "create", "update", "patch", "delete", "deletecollection"]}]);
    grant(plane, &namespace, "forger", everything).await;
    let runs = async |kubeconfig: &std::path::Path| Api::<AgentRun>::namespaced(client_of(kubeconfig).await, &namespace);
    let forger = runs(&plane.kubeconfig_for(&namespace, "forger").await).await;
    forger.create(&PostParams::default(), &run("one")).await.unwrap();
    forger.create(&PostParams::default(), &run("two")).await.unwrap();

    let said = refusal(forger.patch_status("one", &PatchParams::default(), &running()).await);
    assert!(said.contains("verb record on agentruns"), "{said}");
    let mut whole = forger.get("one").await.unwrap();
    whole.status = serde_json::from_value(json!({"phase": "Succeeded"})).unwrap();
    refusal(forger.replace_status("one", &PostParams::default(), &whole).await);
    let apply = PatchParams::apply("forger").force();
    let body = json!({"apiVersion": infraagent_api::API_VERSION, "kind": "AgentRun", "status": {"phase": "Failed"}});
    refusal(forger.patch_status("one", &apply, &Patch::Apply(with_name(body, "one"))).await);
    let said = refusal(forger.delete("one", &DeleteParams::default()).await);
    assert!(said.contains("retention"), "{said}");
    refusal(forger.delete_collection(&DeleteParams::default(), &ListParams::default()).await);
    assert_eq!(forger.get("one").await.unwrap().status, None);

    // Granted for one run, it is granted for that one.
    grant(
        plane,
        &namespace,
        "forger",
        json!([{"apiGroups": ["core.infraagent.io"], "resources": ["agentruns"], "resourceNames": ["two"], "verbs": ["record"]}]),
    )
    .await;
    let forger = &forger;
    eventually("the grant", || async move { forger.patch_status("two", &PatchParams::default(), &running()).await.ok() }).await;
    refusal(forger.patch_status("one", &PatchParams::default(), &running()).await);
    ends(forger, "two").await;

    let operator = runs(&operator).await;
    operator.patch_status("one", &PatchParams::default(), &running()).await.unwrap();
    ends(&operator, "one").await;
}

/// A record is deleted once it is final, and no sooner, also by who may write it.
async fn ends(recorder: &Api<AgentRun>, name: &str) {
    let said = refusal(recorder.delete(name, &DeleteParams::default()).await);
    assert!(said.contains("has not ended"), "{said}");
    let ended = Patch::Merge(json!({"status": {"phase": "Failed"}}));
    recorder.patch_status(name, &PatchParams::default(), &ended).await.unwrap();
    recorder.delete(name, &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_run_made_by_hand_is_a_manual_one_under_a_name_of_its_own() {
    let plane = control_plane();
    let (operator, namespace) = enrolled(plane, "by-hand").await;
    let create = json!([{"apiGroups": ["core.infraagent.io"], "resources": ["agentruns"], "verbs": ["create", "delete"]}]);
    grant(plane, &namespace, "member", create).await;
    let runs = async |kubeconfig: &std::path::Path| Api::<AgentRun>::namespaced(client_of(kubeconfig).await, &namespace);
    let member = runs(&plane.kubeconfig_for(&namespace, "member").await).await;
    let operator = runs(&operator).await;
    let make = async |who: &Api<AgentRun>, name: &str, changes: Value| {
        let mut run = serde_json::to_value(run(name)).unwrap();
        for (key, value) in changes.as_object().unwrap() {
            run["spec"][key] = value.clone();
        }
        who.create(&PostParams::default(), &serde_json::from_value(run).unwrap()).await
    };
    for (name, changes, why) in [
        ("a", json!({"trigger": "scheduled"}), "spec.trigger"),
        ("b", json!({"trigger": "event"}), "spec.trigger"),
        ("c", json!({"trigger": "approval", "approvalRef": "x"}), "spec.approvalRef"),
        ("d", json!({"approvalRef": "x"}), "spec.approvalRef"),
        ("e", json!({"retryOf": "first"}), "no retry"),
        ("f", json!({"retryOf": "first", "attempt": 3}), "no retry"),
        ("forge-1a2b3c4d-29733120", json!({}), "operator's"),
        ("forge-1a2b3c4d-0f9e8d7c", json!({}), "operator's"),
        ("first-r2", json!({}), "operator's"),
    ] {
        let said = refusal(make(&member, name, changes.clone()).await);
        assert!(said.contains(why), "{name}: {said}");
        make(&operator, name, changes).await.unwrap();
    }
    for (name, changes) in [
        ("look-at-checkout", json!({"trigger": "manual"})),
        ("again", json!({"attempt": 1, "mode": "shadow", "modelUsed": "anthropic/claude-sonnet-4-5"})),
        ("forge-2026", json!({})),
    ] {
        make(&member, name, changes).await.unwrap();
    }
    let mut unnamed = run("");
    (unnamed.metadata.name, unnamed.metadata.generate_name) = (None, Some("forge-".to_owned()));
    let made = member.create(&PostParams::default(), &unnamed).await.unwrap();
    assert!(made.metadata.name.is_some_and(|name| name.starts_with("forge-")));
}

#[tokio::test]
async fn the_operator_and_its_agents_do_not_write_what_bounds_them() {
    let plane = control_plane();
    let (operator, namespace) = enrolled(plane, "bounds").await;
    let admin = plane.admin().await;
    let document = |kind: &str, name: &str, spec: Value| {
        let metadata = match kind {
            "InfraAgentPolicy" => json!({"name": name}),
            _ => json!({"name": name, "namespace": namespace}),
        };
        json!({"apiVersion": infraagent_api::API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
    };
    let agent = document(
        "InfraAgent",
        "forge",
        json!({"description": "Forges.", "schedule": {}, "guardrails": {"autonomy": "observe"}, "environmentRef": "lab",
            "skills": [{"name": "hello-world"}], "model": {}}),
    );
    let policy = document("InfraAgentPolicy", &namespace, json!({"maxAutonomy": "observe"}));
    for document in [&agent, &policy, &document("AgentEnvironment", "lab", json!({"namespaces": {"apps": [namespace]}}))] {
        apply(&admin, document).await.unwrap();
    }
    // The role lets it take the annotation away, and so change everything else, but for the policy.
    let own = Api::<InfraAgent>::namespaced(client_of(&operator).await, &namespace);
    let patch = async |body: Value| own.patch("forge", &PatchParams::default(), &Patch::Merge(body)).await;
    let said = refusal(patch(json!({"spec": {"guardrails": {"autonomy": "automate-destructive"}}})).await);
    assert!(said.contains("infraagent-documents"), "{said}");
    refusal(patch(json!({"spec": {"serviceAccountName": "default"}})).await);
    patch(json!({"metadata": {"annotations": {"infraagent.io/run-now": null}}})).await.unwrap();
    own.patch_status("forge", &PatchParams::default(), &Patch::Merge(json!({"status": {"phase": "Ready"}}))).await.unwrap_err();
    let mut seen = own.get("forge").await.unwrap();
    seen.status.get_or_insert_default().run_count = 1;
    own.replace_status("forge", &PostParams::default(), &seen).await.unwrap();

    // With every right there is.
    for (user, groups) in [
        (account(OPERATOR.0, OPERATOR.1), ["system:masters", "system:authenticated"]),
        (account(&namespace, "infraagent-forge"), ["system:masters", "system:authenticated"]),
        (account(&namespace, "courier"), ["system:masters", AGENTS]),
    ] {
        let client = client_of(&plane.kubeconfig_as(&user, &groups)).await;
        let policies = Api::<InfraAgentPolicy>::all(client.clone());
        refusal(policies.delete(&namespace, &DeleteParams::default()).await);
        let relaxed = Patch::Merge(json!({"spec": {"maxAutonomy": "automate-destructive"}}));
        refusal(policies.patch(&namespace, &PatchParams::default(), &relaxed).await);
        let made: InfraAgentPolicy = serde_json::from_value(json!({"metadata": {"name": user.rsplit(':').next()}, "spec": {}})).unwrap();
        refusal(policies.create(&PostParams::default(), &made).await);
        let environments = Api::<AgentEnvironment>::namespaced(client, &namespace);
        let wider = Patch::Merge(json!({"spec": {"namespaces": {"apps": ["kube-system"]}}}));
        refusal(environments.patch("lab", &PatchParams::default(), &wider).await);
    }
    let person = client_of(&plane.kubeconfig_as("person", &["system:masters"])).await;
    Api::<InfraAgentPolicy>::all(person).delete(&namespace, &DeleteParams::default()).await.unwrap();
}

fn with_name(mut body: Value, name: &str) -> Value {
    body["metadata"] = json!({"name": name});
    body
}

#[tokio::test]
async fn a_namespace_that_is_deleted_takes_its_records_along() {
    let plane = control_plane_with_controllers();
    let (_, namespace) = enrolled(plane, "leaving").await;
    let client = plane.admin().await;
    let runs = Api::<AgentRun>::namespaced(client.clone(), &namespace);
    runs.create(&PostParams::default(), &run("kept-no-longer")).await.unwrap();
    let namespaces = Api::<Namespace>::all(client);
    namespaces.delete(&namespace, &DeleteParams::default()).await.unwrap();
    let namespaces = &namespaces;
    let namespace = &namespace;
    eventually("the namespace to go", || async move { namespaces.get_opt(namespace).await.unwrap().is_none().then_some(()) }).await;
}

/// A controller checks the expressions against the kinds that they are about; a misspelled field would be found here.
#[tokio::test]
async fn the_api_server_has_no_doubt_about_an_expression() {
    let plane = control_plane_with_controllers();
    plane.install_operator().await;
    let policies = &Api::<ValidatingAdmissionPolicy>::all(plane.admin().await);
    let checked = eventually("the expressions to be checked", || async move {
        let ours = policies.list(&ListParams::default()).await.unwrap().items;
        let is_checked = |policy: &ValidatingAdmissionPolicy| {
            policy.status.as_ref().is_some_and(|status| status.observed_generation == policy.metadata.generation)
        };
        ours.iter().all(is_checked).then_some(ours)
    })
    .await;
    let installed =
        documents("deploy/admission.yaml").into_iter().filter(|document| document["kind"] == "ValidatingAdmissionPolicy").count();
    assert_eq!(checked.len(), installed);
    for policy in checked {
        let warnings = policy.status.unwrap().type_checking.and_then(|checking| checking.expression_warnings);
        assert_eq!(warnings, None, "{:?}", policy.metadata.name);
    }
}

/// Binds an account to a ClusterRole.
pub(crate) async fn bind(admin: &Client, binding: &str, labels: Value, role: &str, namespace: &str, account: &str) {
    let document = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": binding, "labels": labels},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    });
    apply(admin, &document).await.unwrap();
}

fn stateful_set(namespace: &str, name: &str, retention: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceName": name, "replicas": 3, "selector": {"matchLabels": {"app": name}},
            "persistentVolumeClaimRetentionPolicy": retention,
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "db", "image": "localhost/db:1"}]}},
        },
    })
}

#[tokio::test]
async fn the_operator_and_its_agents_delete_nothing_that_holds_data_whatever_they_were_granted() {
    let plane = control_plane();
    let (operator, namespace) = enrolled(plane, "data").await;
    let admin = plane.admin().await;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/nowhere"}},
    });
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "namespace": namespace}});
    for object in [claim, volume, map] {
        apply(&admin, &object).await.unwrap();
    }

    // Administrators of the cluster, but for who they are.
    for name in ["infraagent-forge", "bystander"] {
        bind(&admin, &format!("{namespace}-{name}"), json!({}), "cluster-admin", &namespace, name).await;
    }
    // The operator of somebody who gave it another name, in another namespace.
    bind(&admin, &format!("{namespace}-operator"), json!({"infraagent.io/operator": "true"}), "infraagent", &namespace, "keeper").await;
    let agent = acting(&operator, &account(&namespace, "infraagent-forge"), &[AGENTS], &[]).await;
    // An operator that leaves out the group, or a thief of the account's token.
    let ungrouped = client_of(&plane.kubeconfig_for(&namespace, "infraagent-forge").await).await;
    // The operator's account serves other tests too, so it is not granted more: somebody with its name is.
    let master = async |user: &str, groups: &[&str]| client_of(&plane.kubeconfig_as(user, &[groups, &["system:masters"]].concat())).await;
    let operator = master(&account(OPERATOR.0, OPERATOR.1), &[]).await;
    let (keeper, courier) = (master(&account(&namespace, "keeper"), &[]).await, master(&account(&namespace, "courier"), &[AGENTS]).await);
    let bystander = client_of(&plane.kubeconfig_for(&namespace, "bystander").await).await;

    let delete = &DeleteParams::default();
    let crd = "agentruns.core.infraagent.io";
    let claims = &Api::<PersistentVolumeClaim>::namespaced(keeper.clone(), &namespace);
    let dry = &DeleteParams::default().dry_run();
    eventually("the binding of the other operator", || async move { claims.delete("data", dry).await.is_err().then_some(()) }).await;
    for client in [&agent, &ungrouped, &courier, &operator, &keeper] {
        let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &namespace);
        refusal(claims.delete("data", delete).await);
        refusal(claims.delete_collection(delete, &ListParams::default()).await);
        refusal(Api::<PersistentVolume>::all(client.clone()).delete(&namespace, delete).await);
        refusal(Api::<Namespace>::all(client.clone()).delete(&namespace, delete).await);
        refusal(Api::<CustomResourceDefinition>::all(client.clone()).delete(crd, delete).await);

        let sets = Api::<StatefulSet>::namespaced(client.clone(), &namespace);
        let create = async |name: &str, deleted: &str, scaled: &str| {
            apply(&admin, &stateful_set(&namespace, name, json!({"whenDeleted": deleted, "whenScaled": scaled}))).await.unwrap();
        };
        let patch = async |name: &str, spec: Value| sets.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await;
        create("deleting", "Delete", "Retain").await;
        create("shrinking", "Retain", "Delete").await;
        create("keeping", "Retain", "Retain").await;
        refusal(sets.delete("deleting", delete).await);
        refusal(sets.delete_collection(delete, &ListParams::default().fields("metadata.name=deleting")).await);
        refusal(patch("shrinking", json!({"replicas": 2})).await);
        refusal(patch("shrinking", json!({"replicas": 0})).await);
        refusal(patch("keeping", json!({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}})).await);
        refusal(patch("shrinking", json!({"replicas": 2, "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain"}})).await);
        for name in ["shrinking", "keeping"] {
            let scale = Patch::Merge(json!({"spec": {"replicas": 1}}));
            refusal(sets.patch_scale(name, &PatchParams::default(), &scale).await);
        }

        // What they are for.
        patch("shrinking", json!({"replicas": 4})).await.unwrap();
        patch("shrinking", json!({"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}})).await.unwrap();
        patch("deleting", json!({"replicas": 1})).await.unwrap();
        patch("keeping", json!({"replicas": 0})).await.unwrap();
        sets.delete("keeping", delete).await.unwrap();
        sets.delete("shrinking", delete).await.unwrap();
    }
    Api::<ConfigMap>::namespaced(agent, &namespace).delete("map", delete).await.unwrap();

    // People are not bound by it.
    let sets = Api::<StatefulSet>::namespaced(bystander.clone(), &namespace);
    let scaled: Scale =
        sets.patch_scale("deleting", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 2}}))).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(2));
    sets.delete("deleting", delete).await.unwrap();
    Api::<PersistentVolumeClaim>::namespaced(bystander.clone(), &namespace).delete("data", delete).await.unwrap();
    Api::<PersistentVolume>::all(bystander.clone()).delete(&namespace, delete).await.unwrap();
    Api::<Namespace>::all(bystander).delete(&namespace, delete).await.unwrap();
}
