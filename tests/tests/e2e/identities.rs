//! Who may act as whom: the manifests of `deploy/` give the operator its agents' identities and nothing more, and give nobody else any.

use std::path::{Path, PathBuf};

use infraagent_tests::{ControlPlane, OPERATOR, apply, client_of, config_of, control_plane, control_plane_with_controllers, eventually};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::{ConfigMap, PersistentVolumeClaim},
};
use kube::{
    Api, Client, Error,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};

/// The group that every request of an agent carries.
pub(crate) const AGENTS: &str = "infraagent:agents";

/// User name of a ServiceAccount.
pub(crate) fn account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// A client that acts as somebody else, with the extra keys that are given.
pub(crate) async fn acting(kubeconfig: &Path, user: &str, groups: &[&str], extra: &[(&str, &str)]) -> Client {
    let mut config = config_of(kubeconfig).await;
    config.auth_info.impersonate = Some(user.to_owned());
    config.auth_info.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
    config.auth_info.impersonate_user_extra = Some(extra.iter().map(|&(key, value)| (key.to_owned(), vec![value.to_owned()])).collect());
    Client::try_from(config).unwrap()
}

/// Gives a user of a namespace (a ServiceAccount of it) rules there.
pub(crate) async fn grant(plane: &ControlPlane, namespace: &str, account: &str, rules: Value) {
    let client = plane.admin().await;
    let name = plane.unique("granted");
    let metadata = json!({"name": name, "namespace": namespace});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    });
    for object in [role, binding] {
        apply(&client, &object).await.unwrap();
    }
}

/// The operator's kubeconfig, and a namespace in which it has one agent, `infraagent-forge`.
pub(crate) async fn enrolled(plane: &ControlPlane, prefix: &str) -> (PathBuf, String) {
    plane.install_operator().await;
    let namespace = plane.namespace(prefix).await;
    plane.enroll(&namespace, &["infraagent-forge"]).await;
    (plane.kubeconfig_for(OPERATOR.0, OPERATOR.1).await, namespace)
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

fn code<T>(answer: Result<T, Error>) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_operator_acts_as_its_agent_with_the_agents_rights_and_the_api_server_notes_run_and_intent() {
    let plane = control_plane();
    let (operator, namespace) = enrolled(plane, "agent").await;
    grant(plane, &namespace, "infraagent-forge", json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}])).await;
    let extra = [("infraagent.io/run", "forge-1"), ("infraagent.io/intent", "7")];
    let agent = acting(&operator, &account(&namespace, "infraagent-forge"), &[AGENTS], &extra).await;
    let maps = Api::<ConfigMap>::namespaced(agent.clone(), &namespace);
    maps.create(&PostParams::default(), &map("made")).await.unwrap();
    assert_eq!(code(maps.list(&ListParams::default()).await), 403, "the agent may create, not list");
    assert_eq!(code(Api::<ConfigMap>::namespaced(agent, "default").create(&PostParams::default(), &map("made")).await), 403);
    // Not even as itself may the operator do what its agent may.
    let own = Api::<ConfigMap>::namespaced(client_of(&operator).await, &namespace);
    assert_eq!(code(own.create(&PostParams::default(), &map("own")).await), 403);

    let mut events = plane.audit_events().await;
    events.retain(|event| event.run() == Some("forge-1") && event.is_success() && event.is_mutation());
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.intent(), event.user.username.as_str()), (Some("7"), account(OPERATOR.0, OPERATOR.1).as_str()));
    let actor = event.impersonated_user.as_ref().unwrap();
    assert_eq!(actor.username, account(&namespace, "infraagent-forge"));
    assert_eq!(actor.groups, [AGENTS, "system:authenticated"]);
}

#[tokio::test]
async fn the_operator_acts_as_nobody_but_its_agents() {
    let plane = control_plane();
    let (operator, namespace) = enrolled(plane, "nobody-else").await;
    let elsewhere = plane.namespace("not-enrolled").await;
    plane.kubeconfig_for(&elsewhere, "infraagent-forge").await;
    let agent = account(&namespace, "infraagent-forge");
    let attempt = async |user: &str, groups: &[&str], extra: &[(&str, &str)]| {
        let client = acting(&operator, user, groups, extra).await;
        code(client.request::<Value>(http::Request::get("/apis/authentication.k8s.io/v1").body(Vec::new()).unwrap()).await)
    };
    assert_eq!(attempt(&agent, &[AGENTS], &[("infraagent.io/run", "r")]).await, 200, "the agent itself");
    for (what, user, groups, extra) in [
        ("another account of the namespace", account(&namespace, "default"), [AGENTS].as_slice(), [].as_slice()),
        ("an agent of a namespace that did not enroll it", account(&elsewhere, "infraagent-forge"), &[AGENTS], &[]),
        ("itself", account(OPERATOR.0, OPERATOR.1), &[AGENTS], &[]),
        ("a controller", account("kube-system", "generic-garbage-collector"), &[AGENTS], &[]),
        ("a person", "admin".to_owned(), &[AGENTS], &[]),
        ("a node", "system:node:node-1".to_owned(), &[AGENTS], &[]),
        ("nobody", "system:anonymous".to_owned(), &[AGENTS], &[]),
        ("an account by a name that says nothing", "infraagent-forge".to_owned(), &[AGENTS], &[]),
        ("the agent as the operator's neighbour", agent.clone(), &[AGENTS, "system:serviceaccounts:infraagent-system"], &[]),
        ("the agent as a node", agent.clone(), &["system:nodes"], &[]),
        ("the agent as an administrator", agent.clone(), &[AGENTS, "system:masters"], &[]),
        ("the agent in a group of accounts", agent.clone(), &[AGENTS, "system:serviceaccounts"], &[]),
        ("the agent with another key", agent.clone(), &[AGENTS], &[("scopes", "all")]),
    ] {
        assert_eq!(attempt(&user, groups, extra).await, 403, "{what}");
    }
    // Headers that belong to nobody.
    let client = client_of(&operator).await;
    for headers in [
        [("Impersonate-Group", AGENTS), ("Accept", "*/*")],
        [("Impersonate-Group", "system:masters"), ("Accept", "*/*")],
        [("Impersonate-Uid", "4711"), ("Accept", "*/*")],
        [("Impersonate-User", agent.as_str()), ("Impersonate-Uid", "4711")],
    ] {
        let request = headers.iter().fold(http::Request::get("/apis"), |request, (key, value)| request.header(*key, *value));
        let answer = code(client.request::<Value>(request.body(Vec::new()).unwrap()).await);
        assert!(answer >= 400, "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn third_parties_act_as_no_agent() {
    let plane = control_plane();
    let (_, namespace) = enrolled(plane, "third").await;
    // Everything that `edit` lets a member of the namespace do, and more; and an agent on its own.
    let rules = json!([
        {"apiGroups": ["", "apps", "batch", "core.infraagent.io"], "resources": ["*"], "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
    ]);
    grant(plane, &namespace, "member", rules.clone()).await;
    grant(plane, &namespace, "infraagent-forge", rules).await;
    let agent = account(&namespace, "infraagent-forge");
    for who in ["member", "infraagent-forge"] {
        let kubeconfig = plane.kubeconfig_for(&namespace, who).await;
        let own = Api::<ConfigMap>::namespaced(client_of(&kubeconfig).await, &namespace);
        own.create(&PostParams::default(), &map(who)).await.unwrap();
        for (user, groups) in [(agent.as_str(), [AGENTS].as_slice()), (&agent, &[]), (&account(&namespace, who), &[AGENTS])] {
            let maps = Api::<ConfigMap>::namespaced(acting(&kubeconfig, user, groups, &[]).await, &namespace);
            assert_eq!(code(maps.get(who).await), 403, "{who} as {user} {groups:?}");
        }
    }
}

/// Whether a client may do something, by its own question.
async fn may(client: &Client, verb: &str, group: &str, resource: &str, namespace: &str) -> bool {
    let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(resource, sub)| (resource, Some(sub.to_owned())));
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::<SelfSubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await.unwrap();
    answer.status.unwrap().allowed
}

#[tokio::test]
async fn the_operator_looks_at_everything_but_secrets_and_changes_no_workload_and_no_data() {
    let plane = control_plane_with_controllers();
    let (operator, namespace) = enrolled(plane, "rights").await;
    let operator = client_of(&operator).await;
    let claims = Api::<PersistentVolumeClaim>::all(operator.clone());
    let claims = &claims;
    eventually("the aggregated right to look", || async move { claims.list(&ListParams::default()).await.ok() }).await;

    for (group, resource) in [
        ("", "pods"),
        ("", "persistentvolumeclaims"),
        ("", "persistentvolumes"),
        ("", "nodes"),
        ("", "services"),
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("apps", "replicasets"),
        ("batch", "jobs"),
        ("networking.k8s.io", "ingresses"),
        ("core.infraagent.io", "infraagents"),
    ] {
        assert!(may(&operator, "list", group, resource, &namespace).await, "list {resource}");
        if group != "core.infraagent.io" {
            for verb in ["create", "update", "patch", "delete", "deletecollection"] {
                assert!(!may(&operator, verb, group, resource, &namespace).await, "{verb} {resource}");
            }
        }
    }
    for (verb, group, resource, place) in [
        ("list", "", "secrets", namespace.as_str()),
        ("list", "", "secrets", OPERATOR.0),
        ("get", "", "secrets", "kube-system"),
        ("create", "", "pods/exec", &namespace),
        ("create", "", "pods/eviction", &namespace),
        ("create", "", "serviceaccounts/token", &namespace),
        ("patch", "apps", "deployments/scale", &namespace),
        ("delete", "", "namespaces", &namespace),
        ("delete", "apiextensions.k8s.io", "customresourcedefinitions", ""),
        ("escalate", "rbac.authorization.k8s.io", "roles", &namespace),
        ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
        ("impersonate", "", "users", ""),
        ("impersonate", "", "serviceaccounts", OPERATOR.0),
        ("update", "core.infraagent.io", "agentenvironments", &namespace),
        ("update", "core.infraagent.io", "infraagentpolicies", ""),
    ] {
        assert!(!may(&operator, verb, group, resource, place).await, "{verb} {resource} in `{place}`");
    }
    for (verb, group, resource, place) in [
        ("record", "core.infraagent.io", "agentruns", namespace.as_str()),
        ("patch", "core.infraagent.io", "agentruns/status", &namespace),
        ("create", "core.infraagent.io", "agentruns", &namespace),
        ("update", "coordination.k8s.io", "leases", OPERATOR.0),
        ("get", "", "secrets", OPERATOR.0),
        ("get", "", "secrets", &namespace),
        ("create", "events.k8s.io", "events", &namespace),
    ] {
        assert!(may(&operator, verb, group, resource, place).await, "{verb} {resource} in `{place}`");
    }
}
