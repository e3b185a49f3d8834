//! A small world for the tests of the run: one agent, one site, one skill with a reading and a changing tool.

use std::sync::Arc;

use infraagent_api::{AgentEnvironment, InfraAgent, InfraAgentPolicy, ModelTierConfig};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::validate::{Inputs, RunIdentity, SkillInput, ValidatedRun, validate};

pub(crate) fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("a fixture has the shape of its kind")
}

pub(crate) fn agent() -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1",
        "kind": "InfraAgent",
        "metadata": { "name": "forge", "namespace": "agents", "uid": "agent-uid", "resourceVersion": "7" },
        "spec": {
            "description": "Find broken rollouts and bring them back.",
            "emoji": "🔨",
            "schedule": {},
            "model": { "tier": "standard", "tokenBudget": 10000, "timeout": "60s" },
            "skills": [{ "name": "rollouts" }],
            "guardrails": { "autonomy": "automate-safe", "maxIterations": 5, "deniedActions": ["kubectl.scale * --replicas=0"] },
            "environmentRef": "site-a",
        },
    })
}

pub(crate) fn environment() -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1",
        "kind": "AgentEnvironment",
        "metadata": { "name": "site-a", "namespace": "agents", "uid": "environment-uid", "resourceVersion": "3" },
        "spec": {
            "namespaces": { "apps": ["shop", "cart"], "monitoring": ["monitoring"], "additional": { "staging": ["shop-staging"] } },
            "endpoints": {
                "grafana": { "url": "http://grafana.monitoring.svc:3000/api", "healthPath": "/health" },
                "github": { "url": "https://api.github.com", "writes": [{ "method": "POST", "path": "/repos/*/*/issues", "tier": "service-mutation" }] },
                "minio": { "url": "https://minio.example.com" },
            },
            "dataResources": {
                "databases": [{ "kind": "cnpg.io/Cluster", "namespace": "shop", "name": "orders", "backupSchedule": "nightly" }],
                "objectStorage": [{ "kind": "s3-bucket", "name": "backups", "provider": "minio" }],
            },
            "mcpServers": { "k8sgpt": { "endpoint": "http://k8sgpt.monitoring.svc:8080", "tools": [{ "name": "analyze", "tier": "read" }] } },
        },
    })
}

pub(crate) fn models() -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1",
        "kind": "ModelTierConfig",
        "metadata": { "name": "default" },
        "spec": { "tiers": [
            { "tier": "fast", "provider": "anthropic", "model": "claude-haiku-4-5" },
            { "tier": "standard", "provider": "anthropic", "model": "claude-sonnet-4-5", "costPerMillionInput": "3", "costPerMillionOutput": "15" },
        ] },
    })
}

pub(crate) fn policy() -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1",
        "kind": "InfraAgentPolicy",
        "metadata": { "name": "platform", "resourceVersion": "1" },
        "spec": { "maxAutonomy": "automate-safe" },
    })
}

pub(crate) fn manifest() -> Value {
    json!({
        "name": "rollouts",
        "version": "0.1.0",
        "description": "Looks after rollouts.",
        "instructions": "Look before you act.",
        "contract": "0.1.0",
        "tools": [
            {
                "name": "restart",
                "description": "Restarts a deployment.",
                "inputSchema": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
                "actions": ["look", "restart-deployment"],
            },
            {
                "name": "inspect",
                "description": "Lists rollouts.",
                "inputSchema": { "type": "object", "properties": { "namespace": { "type": "string" }, "limit": { "type": "integer" } } },
                "actions": ["look"],
            },
        ],
        "sheet": { "actions": [
            {
                "id": "restart-deployment",
                "description": "Rolling restart",
                "kubernetes": { "verb": "restart", "resources": ["deployments.apps"], "namespaces": ["apps"] },
                "cooldown": "5m",
                "rollback": { "description": "kubectl rollout undo", "automatic": false },
            },
            {
                "id": "look",
                "description": "Deployments and pods",
                "kubernetes": { "verb": "read", "resources": ["deployments.apps", "pods"], "namespaces": ["apps"] },
            },
        ] },
    })
}

/// Everything as it should be.
pub(crate) fn documents() -> Documents {
    Documents { agent: agent(), environment: environment(), models: vec![models()], policies: vec![policy()], manifests: vec![manifest()] }
}

/// Everything, after `change` had its way with it.
pub(crate) fn inputs(change: impl FnOnce(&mut Documents)) -> Inputs {
    let mut documents = Documents {
        agent: agent(),
        environment: environment(),
        models: vec![models()],
        policies: vec![policy()],
        manifests: vec![manifest()],
    };
    change(&mut documents);
    let Documents { agent, environment, models, policies, manifests } = documents;
    let skill = |manifest| SkillInput { manifest: Arc::new(object(manifest)), digest: format!("sha256:{}", "0".repeat(64)) };
    Inputs {
        agent: object::<InfraAgent>(agent),
        environment: object::<AgentEnvironment>(environment),
        models: models.into_iter().map(object::<ModelTierConfig>).collect(),
        policies: policies.into_iter().map(object::<InfraAgentPolicy>).collect(),
        skills: manifests.into_iter().map(skill).collect(),
        cluster: "snapshot/test".to_owned(),
        run: RunIdentity { name: "forge-1".to_owned(), uid: "run-uid".to_owned(), input: None },
    }
}

pub(crate) struct Documents {
    pub(crate) agent: Value,
    pub(crate) environment: Value,
    pub(crate) models: Vec<Value>,
    pub(crate) policies: Vec<Value>,
    pub(crate) manifests: Vec<Value>,
}

pub(crate) fn run(change: impl FnOnce(&mut Documents)) -> ValidatedRun {
    validate(inputs(change)).unwrap_or_else(|invalid| panic!("{invalid}"))
}
