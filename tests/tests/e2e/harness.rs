//! The harness itself: that what the other tests rely on is there.

use infraagent_tests::{ControlPlane, NODE, Programs, client_of, control_plane, control_plane_with_controllers, eventually};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Error,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

#[tokio::test]
async fn the_definitions_are_served_and_a_namespace_is_of_one_test_alone() {
    let plane = control_plane();
    plane.install_crds().await;
    let (one, other) = (plane.namespace("harness").await, plane.namespace("harness").await);
    assert_ne!(one, other);
    let served = plane.admin().await.apiserver_version().await.unwrap().git_version;
    assert_eq!(served, format!("v{}", plane.version()));
    if let Some(asked) = std::env::var("K8S").ok().filter(|asked| !asked.is_empty()) {
        assert_eq!(plane.version(), asked);
    }
    let agents = Api::<infraagent_api::InfraAgent>::namespaced(plane.admin().await, &one);
    assert!(agents.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn identities_have_the_rights_of_their_roles_and_the_audit_log_says_who_did_what() {
    let plane = control_plane();
    let namespace = plane.namespace("identity").await;
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "mine"}})).unwrap();

    let account = client_of(&plane.kubeconfig_for(&namespace, "somebody").await).await;
    let refused = Api::<ConfigMap>::namespaced(account, &namespace).create(&PostParams::default(), &map).await;
    assert!(matches!(&refused, Err(Error::Api(status)) if status.code == 403), "{refused:?}");

    let master = client_of(&plane.kubeconfig_as("somebody-else", &["system:masters"])).await;
    Api::<ConfigMap>::namespaced(master, &namespace).create(&PostParams::default(), &map).await.unwrap();

    let mut events = plane.audit_events().await;
    events.retain(|event| event.object_ref.as_ref().is_some_and(|object| object.resource == "configmaps" && object.namespace == namespace));
    let who: Vec<_> = events
        .iter()
        .map(|event| (event.user.username.as_str(), event.impersonated_user.as_ref().map(|user| user.username.as_str()), event.code()))
        .collect();
    assert_eq!(who, [(format!("system:serviceaccount:{namespace}:somebody").as_str(), None, 403), ("admin", Some("somebody-else"), 201)]);
    assert!(events.iter().all(|event| event.is_mutation()));
}

#[tokio::test]
async fn with_controllers_workloads_roll_out_claims_are_bound_and_garbage_is_collected() {
    let plane = control_plane_with_controllers();
    let namespace = plane.namespace("alive").await;
    let client = plane.admin().await;
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"nodeName": NODE, "containers": [{"name": "web", "image": "localhost/web:1"}]},
            },
        },
    }))
    .unwrap();
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }))
    .unwrap();
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &namespace);
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    claims.create(&PostParams::default(), &claim).await.unwrap();
    eventually("two ready replicas", || async {
        let status = deployments.get("web").await.unwrap().status?;
        (status.ready_replicas == Some(2)).then_some(())
    })
    .await;
    eventually("a bound claim", || async { (claims.get("data").await.unwrap().status?.phase? == "Bound").then_some(()) }).await;

    deployments.delete("web", &DeleteParams::background()).await.unwrap();
    let pods = Api::<Pod>::namespaced(client, &namespace);
    eventually("no pods", || async { pods.list(&ListParams::default()).await.unwrap().items.is_empty().then_some(()) }).await;
    assert!(claims.get("data").await.is_ok(), "a claim that nobody owns stays");
}

#[tokio::test]
async fn nothing_is_left_of_a_control_plane() {
    let plane = ControlPlane::start(Programs::ApiServer);
    let (dir, kubeconfig) = (plane.dir().to_owned(), plane.kubeconfig().to_owned());
    let client = client_of(&kubeconfig).await;
    client.apiserver_version().await.unwrap();
    drop(plane);
    assert!(!dir.exists());
    assert!(client.apiserver_version().await.is_err());
}
