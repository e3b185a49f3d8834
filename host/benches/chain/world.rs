//! A run as the host makes it, around a snapshot with one pod: policy, journal, door. Nothing in it is a stand-in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use infraagent::{
    audit::{FileSink, Journal, Redactor, Setup, Sink},
    broker::{Shared, cooldown::Cooldowns, executor::Executor, snapshot::Snapshot},
    cel,
    run::{
        event::Observer,
        lookup::Lookup,
        validate::{Inputs, RunIdentity, SkillInput, ValidatedRun, validate},
    },
};
use infraagent_api::AgentRun;
use infraagent_sandbox::{engine::Engine, manifest::Manifest};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The pod that is there.
pub(crate) const POD: &str = "web-1";
/// A pod of an equally long name that is not there.
pub(crate) const NO_POD: &str = "web-2";

/// The run's uid.
pub(crate) const RUN: &str = "4f5c2a52-8f0e-4f6e-9d5c-6f0a4c1b7d10";

const SNAPSHOT: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: shop, uid: ns-1 }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: shop, uid: pod-1, resourceVersion: '7', labels: { app: web } }
spec: { nodeName: node-1, containers: [{ name: web, image: 'registry.example.com/web:1.2.3' }] }
status: { phase: Running, containerStatuses: [{ name: web, ready: true, restartCount: 0, image: 'registry.example.com/web:1.2.3', state: { running: {} } }] }
";

/// Where runs are made.
#[derive(Debug)]
pub(crate) struct World {
    folder: PathBuf,
    run: Arc<ValidatedRun>,
    engine: Engine,
    records: AtomicUsize,
}

impl World {
    /// With these skills.
    pub(crate) fn new(scratch: &Path, engine: &Engine, skills: &[&Manifest]) -> anyhow::Result<Self> {
        let folder = scratch.join("world");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("snapshot"))?;
        fs::write(folder.join("snapshot/objects.yaml"), SNAPSHOT)?;
        let run = Arc::new(validate(inputs(skills)?)?);
        Ok(Self { folder, run, engine: engine.clone(), records: AtomicUsize::new(0) })
    }

    /// A new run with a record of its own.
    pub(crate) async fn open(&self) -> anyhow::Result<Arc<Shared>> {
        let record = self.folder.join(format!("{}.yaml", self.records.fetch_add(1, Ordering::Relaxed)));
        let redactor = Arc::new(Redactor::new(std::iter::empty::<&[u8]>()));
        let setup = Setup { redactor: Arc::clone(&redactor), key: None, entries: self.run.limits.entries, now: Timestamp::now };
        let journal = Journal::open(Sink::File(FileSink::new(record)?), document()?, setup).await?;
        let scope = self.run.policy();
        let snapshot = Snapshot::load(&self.folder.join("snapshot"), RUN, &scope.scope.environment, None)?;
        Ok(Arc::new(Shared {
            lookup: Lookup::fixed(Arc::clone(&self.run)),
            executor: Executor::Snapshot(Box::new(snapshot)),
            http: None,
            journal,
            redactor,
            cooldowns: Cooldowns::in_memory(),
            rehearsed: Cooldowns::in_memory(),
            preconditions: Arc::new(cel::Evaluator::new(self.engine.clone())),
            memory: BTreeMap::new(),
            observer: Observer::silent(),
            until: Instant::now() + Duration::from_secs(3600),
            sent: AtomicU64::new(0),
            effects: Arc::default(),
            fence: infraagent::broker::fence::Fence::Open,
        }))
    }
}

fn object<K: DeserializeOwned>(value: Value) -> anyhow::Result<K> {
    Ok(serde_json::from_value(value)?)
}

fn inputs(skills: &[&Manifest]) -> anyhow::Result<Inputs> {
    let skill = |manifest: &&Manifest| SkillInput { manifest: Arc::new((*manifest).clone()), digest: format!("sha256:{}", "0".repeat(64)) };
    Ok(Inputs {
        agent: object(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent",
            "metadata": { "name": "forge", "namespace": "agents", "uid": "agent-uid", "resourceVersion": "7" },
            "spec": {
                "description": "Looks after rollouts.", "schedule": {},
                "model": { "tier": "standard", "tokenBudget": 10000, "timeout": "1h" },
                "skills": skills.iter().map(|manifest| json!({ "name": manifest.name })).collect::<Vec<_>>(),
                "guardrails": {
                    "autonomy": "automate-safe", "maxIterations": 5,
                    "allowedActions": ["kubectl.get *", "kubectl.logs *", "kubectl.rollout restart deployment/*"],
                    "deniedActions": ["kubectl.scale * --replicas=0", "kubectl.rollout restart * -n kube-system"],
                },
                "environmentRef": "site-a",
            },
        }))?,
        environment: object(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentEnvironment",
            "metadata": { "name": "site-a", "namespace": "agents", "uid": "environment-uid", "resourceVersion": "3" },
            "spec": { "namespaces": { "apps": ["cart", "shop"] } },
        }))?,
        models: vec![object(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": { "name": "default" },
            "spec": { "tiers": [{ "tier": "standard", "provider": "anthropic", "model": "claude-sonnet-4-5" }] },
        }))?],
        policies: vec![object(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgentPolicy",
            "metadata": { "name": "platform", "resourceVersion": "1" },
            "spec": { "maxAutonomy": "automate-safe" },
        }))?],
        skills: skills.iter().map(skill).collect(),
        cluster: "snapshot-snapshot".to_owned(),
        run: RunIdentity { name: "forge-1".to_owned(), uid: RUN.to_owned(), input: None },
    })
}

fn document() -> anyhow::Result<AgentRun> {
    object(json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
        "metadata": { "name": "forge-1", "namespace": "agents", "uid": RUN },
        "spec": { "agentRef": "forge", "environmentRef": "site-a", "trigger": "manual", "recordVersion": 1 },
    }))
}
