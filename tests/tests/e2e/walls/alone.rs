//! RBAC alone: accounts with the roles of `deploy/`, whom no admission policy binds.

use http::{Method, Request};
use infraagent_tests::{ControlPlane, apply, client_of, control_plane, eventually};
use kube::{Client, Error};
use serde_json::{Value, json};

use crate::{
    admission::bind,
    identities::{account, enrolled},
};

const WEB: &str = "web";

/// Objects of every kind that an agent may act on, and of some that it may not, all named `web`.
async fn furnish(admin: &Client, namespace: &str) {
    let labels = json!({"app": WEB});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": WEB, "image": "localhost/web:1"}]}});
    let once = json!({"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": pod["spec"]["containers"]}});
    let selected = json!({"selector": {"matchLabels": labels}, "template": pod});
    let rules =
        json!([{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": WEB, "port": {"number": 80}}}}]}}]);
    for (version, kind, content) in [
        ("v1", "ConfigMap", json!({"data": {"key": "value"}})),
        ("v1", "Secret", json!({"stringData": {"token": "canary"}})),
        ("v1", "Pod", json!({"spec": pod["spec"]})),
        ("v1", "Service", json!({"spec": {"ports": [{"port": 80}]}})),
        ("v1", "PersistentVolumeClaim", json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})),
        ("apps/v1", "Deployment", json!({"spec": selected})),
        ("apps/v1", "ReplicaSet", json!({"spec": selected})),
        ("apps/v1", "DaemonSet", json!({"spec": selected})),
        ("apps/v1", "StatefulSet", json!({"spec": with(&selected, "serviceName", json!(WEB))})),
        ("batch/v1", "Job", json!({"spec": {"template": once}})),
        ("batch/v1", "CronJob", json!({"spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": once}}}})),
        ("networking.k8s.io/v1", "Ingress", json!({"spec": {"rules": rules}})),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WEB}}}),
        ),
    ] {
        let mut object = content;
        (object["apiVersion"], object["kind"]) = (version.into(), kind.into());
        object["metadata"] = json!({"name": WEB, "namespace": namespace});
        apply(admin, &object).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/nowhere"}},
    });
    apply(admin, &volume).await.unwrap();
}

fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[key] = value;
    object
}

/// The path of an object of `resource` (`pods`, `apps/v1/deployments`); without a name, of all of them; without a namespace, of the cluster's.
fn path(resource: &str, namespace: &str, name: &str) -> String {
    let (group, resource) = resource.rsplit_once('/').map_or(("api/v1", resource), |(group, resource)| (group, resource));
    let root = if group == "api/v1" { group.to_owned() } else { format!("apis/{group}") };
    let namespace = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    format!("/{root}{namespace}/{resource}{}{name}", if name.is_empty() { "" } else { "/" })
}

/// One request that changes nothing even if it is let through.
#[derive(Debug)]
struct Try {
    method: Method,
    path: String,
    body: Value,
}

impl Try {
    fn new(method: Method, path: String, body: Value) -> Self {
        Self { method, path, body }
    }

    fn delete(path: String) -> Self {
        Self::new(Method::DELETE, path, Value::Null)
    }

    fn patch(path: String, body: Value) -> Self {
        Self::new(Method::PATCH, path, body)
    }

    fn get(path: String) -> Self {
        Self::new(Method::GET, path, Value::Null)
    }

    async fn of(&self, client: &Client) -> Result<String, Error> {
        let Self { method, path, body } = self;
        let mark = if path.contains('?') { '&' } else { '?' };
        let uri = if *method == Method::GET { path.clone() } else { format!("{path}{mark}dryRun=All") };
        let kind = if *method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        client.request_text(Request::builder().method(method).uri(uri).header("Content-Type", kind).body(bytes).unwrap()).await
    }

    /// Refused by RBAC, and not by a policy.
    async fn is_refused(&self, client: &Client) {
        match self.of(client).await {
            Err(Error::Api(status)) if status.code == 403 && !status.message.contains("ValidatingAdmissionPolicy") => {
                assert!(status.message.contains("cannot"), "{self:?}: {}", status.message);
            }
            other => panic!("RBAC did not refuse {self:?}: {other:?}"),
        }
    }

    async fn is_done(&self, client: &Client) {
        self.of(client).await.unwrap_or_else(|error| panic!("{self:?}: {error}"));
    }
}

/// What no operator may do, in a namespace of its agents.
fn beyond_the_operator(namespace: &str) -> Vec<Try> {
    let at = |resource: &str| path(resource, namespace, WEB);
    let all = |resource: &str| path(resource, namespace, "");
    let annotated = json!({"metadata": {"annotations": {"touched": "yes"}}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": WEB, "namespace": namespace}});
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "new", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}, "subjects": [],
    });
    vec![
        Try::delete(at("persistentvolumeclaims")),
        Try::delete(all("persistentvolumeclaims")),
        Try::delete(path("persistentvolumes", "", namespace)),
        Try::delete(path("namespaces", "", namespace)),
        Try::delete(path("apiextensions.k8s.io/v1/customresourcedefinitions", "", "agentruns.core.infraagent.io")),
        Try::patch(at("persistentvolumeclaims"), annotated.clone()),
        Try::patch(path("namespaces", "", namespace), annotated.clone()),
        Try::delete(at("pods")),
        Try::delete(all("pods")),
        Try::new(Method::POST, format!("{}/eviction", at("pods")), eviction),
        Try::delete(at("apps/v1/statefulsets")),
        Try::patch(at("apps/v1/statefulsets"), json!({"spec": {"replicas": 0}})),
        Try::patch(at("apps/v1/deployments"), annotated.clone()),
        Try::patch(format!("{}/scale", at("apps/v1/deployments")), json!({"spec": {"replicas": 0}})),
        Try::delete(at("batch/v1/jobs")),
        Try::delete(at("services")),
        Try::new(Method::POST, all("configmaps"), map),
        Try::patch(at("configmaps"), annotated.clone()),
        Try::patch(at("secrets"), annotated.clone()),
        Try::get(at("secrets")),
        Try::get(all("secrets")),
        Try::get(path("secrets", "", "")),
        Try::new(Method::POST, format!("{}/token", path("serviceaccounts", namespace, "default")), token),
        Try::new(Method::POST, path("rbac.authorization.k8s.io/v1/rolebindings", namespace, ""), binding),
        Try::patch(path("rbac.authorization.k8s.io/v1/clusterroles", "", "infraagent"), annotated.clone()),
        Try::patch(path("rbac.authorization.k8s.io/v1/clusterrolebindings", "", "infraagent"), annotated.clone()),
        Try::delete(path("admissionregistration.k8s.io/v1/validatingadmissionpolicies", "", "infraagent-data")),
        Try::delete(path("core.infraagent.io/v1alpha1/infraagents", namespace, "")),
        Try::delete(path("core.infraagent.io/v1alpha1/agentruns", namespace, "")),
    ]
}

/// An account of the namespace, with a role everywhere or in the namespace alone. Its name says nothing to a policy.
async fn bound(plane: &ControlPlane, namespace: &str, name: &str, role: &str, everywhere: bool) -> Client {
    let admin = plane.admin().await;
    if everywhere {
        bind(&admin, &format!("{namespace}-{name}-{role}"), json!({}), role, namespace, name).await;
    } else {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": format!("{name}-{role}"), "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        });
        apply(&admin, &binding).await.unwrap();
    }
    client_of(&plane.kubeconfig_for(namespace, name).await).await
}

#[tokio::test]
async fn without_any_policy_the_operators_role_changes_no_workload_and_no_data() {
    let plane = control_plane();
    let (_, namespace) = enrolled(plane, "twin").await;
    furnish(&plane.admin().await, &namespace).await;
    bound(plane, &namespace, "twin", "infraagent", true).await;
    let twin = bound(plane, &namespace, "twin", "infraagent-facts", true).await;
    let spec = json!({"agentRef": "forge", "environmentRef": "lab", "trigger": "scheduled"});
    let run = json!({"apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": {"name": "one"}, "spec": spec});
    let runs = path("core.infraagent.io/v1alpha1/agentruns", &namespace, "");
    let create = &Try::new(Method::POST, runs.clone(), run);
    eventually("the roles of the twin", || async { create.of(&twin).await.ok() }).await;

    // The same user with every right: nothing but RBAC stood in the way.
    let unbound = client_of(&plane.kubeconfig_as(&account(&namespace, "twin"), &["system:masters"])).await;
    for attempt in beyond_the_operator(&namespace) {
        attempt.is_refused(&twin).await;
        attempt.is_done(&unbound).await;
    }
    for allowed in [Try::get(path("namespaces", "", "")), Try::get(runs), Try::get(path("configmaps", &namespace, WEB))] {
        allowed.is_done(&twin).await;
    }
}

/// The tiers that let a request through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Read,
    Service,
    Destructive,
}

const TIERS: [(Tier, &str, &str); 3] = [
    (Tier::Read, "reader", "infraagent-agent-read"),
    (Tier::Service, "mender", "infraagent-agent-service-mutation"),
    (Tier::Destructive, "remover", "infraagent-agent-destructive-mutation"),
];

/// What agents send, as `host/src/broker/kubernetes` does, and in which tiers.
fn of_agents(namespace: &str) -> Vec<(&'static [Tier], Try)> {
    use Tier::{Destructive, Read, Service};
    let at = |resource: &str| path(resource, namespace, WEB);
    let all = |resource: &str| path(resource, namespace, "");
    let annotated = json!({"metadata": {"annotations": {"touched": "yes"}}});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": WEB, "namespace": namespace}});
    let mut all_of = vec![
        (&[Service, Destructive][..], Try::patch(at("apps/v1/deployments"), annotated.clone())),
        (&[Service], Try::patch(at("apps/v1/statefulsets"), json!({"spec": {"replicas": 2}}))),
        (&[Service], Try::patch(at("apps/v1/daemonsets"), annotated.clone())),
        (&[Service], Try::new(Method::POST, format!("{}/eviction", at("pods")), eviction)),
        (&[Read, Destructive], Try::get(all("apps/v1/replicasets"))),
        (&[Read], Try::get(at("apps/v1/replicasets"))),
    ];
    for kind in [
        "pods",
        "services",
        "apps/v1/deployments",
        "apps/v1/replicasets",
        "apps/v1/statefulsets",
        "apps/v1/daemonsets",
        "batch/v1/jobs",
        "batch/v1/cronjobs",
        "networking.k8s.io/v1/ingresses",
        "autoscaling/v2/horizontalpodautoscalers",
    ] {
        all_of.push((&[Destructive], Try::delete(at(kind))));
        all_of.push((&[], Try::delete(all(kind))));
        all_of.push((&[Read], Try::get(at(kind))));
        if kind != "apps/v1/replicasets" {
            all_of.push((&[Read], Try::get(all(kind))));
        }
    }
    for kind in ["configmaps", "events", "persistentvolumeclaims", "core.infraagent.io/v1alpha1/agentruns"] {
        all_of.push((&[Read], Try::get(all(kind))));
    }
    all_of.push((&[], Try::patch(path("namespaces", "", namespace), annotated)));
    all_of
}

#[tokio::test]
async fn without_any_policy_an_agents_role_lets_through_what_its_tier_sends_and_nothing_else() {
    let plane = control_plane();
    let (_, namespace) = enrolled(plane, "tiers").await;
    let elsewhere = plane.namespace("other").await;
    let admin = plane.admin().await;
    furnish(&admin, &namespace).await;
    furnish(&admin, &elsewhere).await;
    for (tier, name, role) in TIERS {
        let agent = bound(plane, &namespace, name, role, false).await;
        let first = of_agents(&namespace).into_iter().find(|(tiers, _)| tiers.contains(&tier)).unwrap().1;
        let (first, client) = (&first, &agent);
        eventually("the role of the agent", || async move { first.of(client).await.ok() }).await;
        for (tiers, attempt) in of_agents(&namespace) {
            if tiers.contains(&tier) {
                attempt.is_done(&agent).await;
            } else {
                attempt.is_refused(&agent).await;
            }
        }
        for (tiers, attempt) in of_agents(&elsewhere) {
            if !tiers.is_empty() {
                attempt.is_refused(&agent).await;
            }
        }
        let sends = of_agents(&namespace);
        let is_sent = |attempt: &Try| {
            sends.iter().any(|(tiers, own)| tiers.contains(&tier) && (&own.method, &own.path) == (&attempt.method, &attempt.path))
        };
        for attempt in beyond_the_operator(&namespace).iter().filter(|attempt| !is_sent(attempt)) {
            attempt.is_refused(&agent).await;
        }
    }
}

#[tokio::test]
async fn nodes_are_for_who_is_bound_to_their_roles() {
    let plane = control_plane();
    let (_, namespace) = enrolled(plane, "nodes").await;
    let node = plane.unique("node");
    apply(&plane.admin().await, &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})).await.unwrap();
    let one = path("nodes", "", &node);
    let cordon = &Try::patch(one.clone(), json!({"spec": {"unschedulable": true}}));
    let (look, delete) = (&Try::get(one.clone()), Try::delete(one.clone()));
    let status = Try::patch(format!("{one}/status"), json!({"metadata": {"annotations": {"touched": "yes"}}}));
    let mender = &bound(plane, &namespace, "mender", "infraagent-agent-cordon", true).await;
    eventually("the right to cordon", || async move { cordon.of(mender).await.ok() }).await;
    for refused in [look, &delete, &status] {
        refused.is_refused(mender).await;
    }
    let reader = &bound(plane, &namespace, "reader", "infraagent-agent-read-nodes", true).await;
    eventually("the right to look", || async move { look.of(reader).await.ok() }).await;
    for refused in [cordon, &delete, &status] {
        refused.is_refused(reader).await;
    }
}
