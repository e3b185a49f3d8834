//! A control plane of a section's own with what an administrator installs, an agent that looks after rollouts in one namespace, and what the API server does for
//! its clients: CPU time and requests.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    time::Instant,
};

use anyhow::Context as _;
use infraagent_tests::{ControlPlane, NODE, OPERATOR, Programs, apply};
use kube::Client;
use serde_json::{Value, json};

use crate::{common::process, measure::millis};

/// The agent.
pub(crate) const AGENT: &str = "forge";
/// Its ServiceAccount.
pub(crate) const ACCOUNT: &str = "infraagent-forge";

const GROUP: &str = "core.infraagent.io/v1alpha1";

/// A cluster with the agent's namespace, which is also where it works.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    pub(crate) admin: Client,
    pub(crate) namespace: String,
    /// Kubeconfig of the operator's ServiceAccount.
    pub(crate) operator: PathBuf,
}

/// What some work cost.
pub(crate) struct Cost {
    /// Milliseconds of CPU time that the API server took per item.
    pub(crate) cpu: f64,
    /// Milliseconds of each item.
    pub(crate) walls: Vec<f64>,
    /// Requests of the operator, as himself and as the agent, per item.
    pub(crate) requests: f64,
}

impl Cluster {
    /// Starts one; it ends when this is dropped.
    pub(crate) async fn start(programs: Programs) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(programs);
        plane.install_operator().await;
        let namespace = plane.namespace("shop").await;
        plane.enroll(&namespace, &[ACCOUNT]).await;
        let operator = plane.kubeconfig_for(OPERATOR.0, OPERATOR.1).await;
        let cluster = Self { admin: plane.admin().await, plane, namespace, operator };
        for document in cluster.documents() {
            cluster.apply(&document).await?;
        }
        Ok(cluster)
    }

    /// From now on the agent's model is asked there.
    pub(crate) async fn model_at(&self, endpoint: &str) -> anyhow::Result<()> {
        self.apply(&models(json!({ "tier": "standard", "provider": "anthropic", "model": "claude-sonnet-4-5", "endpoint": endpoint })))
            .await
    }

    pub(crate) async fn apply(&self, document: &Value) -> anyhow::Result<()> {
        apply(&self.admin, document).await.map(drop).with_context(|| format!("cannot apply {}", document["metadata"]["name"]))
    }

    /// A Deployment as they are: probes, resources, some variables of the environment.
    pub(crate) fn deployment(&self, name: &str, replicas: u32) -> Value {
        let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "http" }, "periodSeconds": 10, "failureThreshold": 3 });
        let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": self.namespace, "labels": { "app": name } },
            "spec": {
                "replicas": replicas,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name } },
                    "spec": {
                        "nodeName": NODE,
                        "containers": [{
                            "name": "app", "image": format!("registry.example.com/{name}:4.18.0"),
                            "ports": [{ "name": "http", "containerPort": 8080 }],
                            "env": [variable("LOG_LEVEL", "info"), variable("UPSTREAM", "http://catalog.shop.svc:8080"), variable("POOL", "16")],
                            "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "memory": "256Mi" } },
                            "readinessProbe": probe("/ready"), "livenessProbe": probe("/live"),
                        }],
                    },
                },
            },
        })
    }

    /// Does the work for each item, one after the other.
    pub(crate) async fn metered<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        mut work: impl AsyncFnMut(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<Cost> {
        let server = self.plane.api_server_process();
        let (log, cpu) = (fs::metadata(self.plane.audit_log())?.len(), process::cpu(server)?);
        let mut walls = Vec::new();
        for item in items {
            let started = Instant::now();
            work(item).await?;
            walls.push(millis(started));
        }
        let count = walls.len() as f64;
        Ok(Cost { cpu: (process::cpu(server)? - cpu) / count, requests: self.requests_since(log)? as f64 / count, walls })
    }

    /// Requests of the operator in the API server's own log, from this byte on. An event is there before its answer has been sent completely.
    fn requests_since(&self, start: u64) -> anyhow::Result<usize> {
        let (mut log, mut text) = (File::open(self.plane.audit_log())?, String::new());
        log.seek(SeekFrom::Start(start))?;
        log.read_to_string(&mut text)?;
        let user = format!(r#""user":{{"username":"system:serviceaccount:{}:{}""#, OPERATOR.0, OPERATOR.1);
        Ok(text.lines().filter(|line| line.contains(&user)).count())
    }

    /// The agent, what it depends on, and its rights.
    fn documents(&self) -> Vec<Value> {
        let namespace = &self.namespace;
        let rbac = "rbac.authorization.k8s.io";
        let own = |version: &str, kind: &str, name: &str| json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name, "namespace": namespace } });
        let with = |mut document: Value, fields: Value| {
            for (name, value) in fields.as_object().into_iter().flatten() {
                document[name] = value.clone();
            }
            document
        };
        vec![
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "model", "namespace": OPERATOR.0 }, "stringData": { "api-key": "bench-key" },
            }),
            models(json!({ "tier": "standard", "provider": "anthropic", "model": "claude-sonnet-4-5" })),
            // With so many entries a record has room for every read of a tool call.
            json!({
                "apiVersion": GROUP, "kind": "InfraAgentPolicy", "metadata": { "name": "platform" },
                "spec": { "maxAutonomy": "automate-safe", "limits": { "maxActions": 32 } },
            }),
            with(own(GROUP, "AgentEnvironment", "site-a"), json!({ "spec": { "namespaces": { "apps": [namespace] } } })),
            with(
                own(GROUP, "InfraAgent", AGENT),
                json!({ "spec": {
                    "description": "Watches rollouts. Finds those that do not get anywhere, says why, and unblocks what a restart unblocks.",
                    "schedule": {}, "model": { "tier": "standard", "timeout": "5m" },
                    "skills": [{ "name": "deployment-pipeline" }],
                    "guardrails": { "autonomy": "automate-safe", "maxIterations": 12 },
                    "environmentRef": "site-a",
                } }),
            ),
            with(
                own(&format!("{rbac}/v1"), "Role", AGENT),
                json!({ "rules": [
                    { "apiGroups": ["apps"], "resources": ["*"], "verbs": ["get", "list", "patch"] },
                    { "apiGroups": ["", "events.k8s.io"], "resources": ["pods", "pods/log", "events", "resourcequotas"], "verbs": ["get", "list"] },
                ] }),
            ),
            with(
                own(&format!("{rbac}/v1"), "RoleBinding", AGENT),
                json!({
                    "roleRef": { "apiGroup": rbac, "kind": "Role", "name": AGENT },
                    "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace }],
                }),
            ),
            // What a controller aggregates into the operator's role, for a cluster without controllers.
            json!({
                "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": { "name": "bench-facts" },
                "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": "system:aggregate-to-view" },
                "subjects": [{ "kind": "ServiceAccount", "name": OPERATOR.1, "namespace": OPERATOR.0 }],
            }),
            json!({
                "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": { "name": "bench-facts-cluster" },
                "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": "infraagent-facts-cluster" },
                "subjects": [{ "kind": "ServiceAccount", "name": OPERATOR.1, "namespace": OPERATOR.0 }],
            }),
        ]
    }
}

fn models(tier: Value) -> Value {
    json!({
        "apiVersion": GROUP, "kind": "ModelTierConfig", "metadata": { "name": "default" },
        "spec": { "defaultAuth": { "type": "apiKey", "secretRef": "model" }, "tiers": [tier] },
    })
}
