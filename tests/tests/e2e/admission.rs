//! The admission policies of `deploy/`: walls that hold even for who was granted too much, each with a neighbour who passes.

use infraagent_api::AgentRun;
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
    Api, Error,
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
    forger.delete("two", &DeleteParams::default()).await.unwrap();

    let operator = runs(&operator).await;
    operator.patch_status("one", &PatchParams::default(), &running()).await.unwrap();
    operator.delete("one", &DeleteParams::default()).await.unwrap();
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
    assert_eq!(checked.len(), documents("deploy/admission.yaml").len() / 2);
    for policy in checked {
        let warnings = policy.status.unwrap().type_checking.and_then(|checking| checking.expression_warnings);
        assert_eq!(warnings, None, "{:?}", policy.metadata.name);
    }
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
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": format!("{namespace}-{name}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        });
        apply(&admin, &binding).await.unwrap();
    }
    let agent = acting(&operator, &account(&namespace, "infraagent-forge"), &[AGENTS], &[]).await;
    // The operator's account serves other tests too, so it is not granted more: somebody with its name and group is.
    let groups = ["system:serviceaccounts:infraagent-system", "system:masters"];
    let operator = client_of(&plane.kubeconfig_as(&account(OPERATOR.0, OPERATOR.1), &groups)).await;
    let bystander = client_of(&plane.kubeconfig_for(&namespace, "bystander").await).await;

    let delete = &DeleteParams::default();
    let crd = "agentruns.core.infraagent.io";
    for client in [&agent, &operator] {
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
