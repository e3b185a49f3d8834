//! A control plane with what an administrator installs, agents in one namespace, and a model.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use infraagent_api::{AgentRun, InfraAgent, ModelTierConfig, agent::AgentPhase, run::RunPhase};
use infraagent_tests::{
    ControlPlane, OPERATOR, Programs, apply,
    model_server::{ModelServer, Script},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    operator::{Operator, program},
    requests::Mark,
};

/// The only skill: its tool `greet` asks the host one thing.
const SKILL: &str = "hello-world";
const GROUP: &str = "core.infraagent.io/v1alpha1";
/// How many requests of ours are on their way at a time.
const SIDE_BY_SIDE: usize = 16;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// The stage.
pub(crate) struct Stage {
    pub(crate) plane: ControlPlane,
    pub(crate) admin: Client,
    pub(crate) namespace: String,
    pub(crate) model: ModelServer,
    kubeconfig: PathBuf,
    skills: PathBuf,
}

impl Stage {
    /// Without agents, and without an operator. All of it ends when this is dropped.
    pub(crate) async fn start(script: Script) -> anyhow::Result<Self> {
        Self::around(ModelServer::start(script)?).await
    }

    /// The same, with a model of the caller's.
    pub(crate) async fn around(model: ModelServer) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(Programs::ApiServer);
        plane.install_operator().await;
        let namespace = plane.namespace("fleet").await;
        let kubeconfig = plane.kubeconfig_for(OPERATOR.0, OPERATOR.1).await;
        let skills = plane.dir().join("skills");
        fs::create_dir(&skills)?;
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../example-skills").join(SKILL);
        let built = Command::new(program())
            .args(["skill", "build"])
            .arg(folder)
            .arg("-o")
            .arg(skills.join(SKILL).with_extension("wasm"))
            .output()?;
        if !built.status.success() {
            bail!("`{SKILL}` does not build:\n{}", String::from_utf8_lossy(&built.stderr));
        }
        let stage = Self { admin: plane.admin().await, plane, namespace, model, kubeconfig, skills };
        for document in stage.documents() {
            apply(&stage.admin, &document).await.with_context(|| format!("cannot apply {}", document["metadata"]["name"]))?;
        }
        Ok(stage)
    }

    /// The name of an agent.
    pub(crate) fn agent(at: usize) -> String {
        format!("watch-{at:04}")
    }

    /// So many agents without a schedule, each with a ServiceAccount of its own.
    pub(crate) async fn enroll(&self, agents: usize) -> anyhow::Result<()> {
        self.enroll_with(agents, |_| json!({})).await
    }

    /// So many agents, each with this schedule.
    pub(crate) async fn enroll_with(&self, agents: usize, schedule: impl Fn(usize) -> Value) -> anyhow::Result<()> {
        let accounts: Vec<String> = (0..agents).map(|at| format!("infraagent-{}", Self::agent(at))).collect();
        self.plane.enroll(&self.namespace, &accounts.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let api = self.api::<InfraAgent>();
        let create = async |at: usize| {
            let agent = serde_json::from_value(json!({
                "apiVersion": GROUP, "kind": "InfraAgent", "metadata": { "name": Self::agent(at) },
                "spec": {
                    "description": "Watches the pods of a shop, and says which of them are not well and since when.",
                    "schedule": schedule(at), "model": { "tier": "standard", "timeout": "30m" },
                    "skills": [{ "name": SKILL, "source": "bundled" }],
                    "guardrails": { "autonomy": "observe" },
                    "environmentRef": "shop",
                },
            }))?;
            api.create(&PostParams::default(), &agent).await.with_context(|| Self::agent(at))?;
            anyhow::Ok(())
        };
        stream::iter(0..agents).map(create).buffered(SIDE_BY_SIDE).try_collect().await
    }

    /// Gives all of the agents this schedule, and waits until each knows when it is due. The operator is there.
    pub(crate) async fn schedule(&self, agents: usize, schedule: &Value) -> anyhow::Result<()> {
        let api = self.api::<InfraAgent>();
        let patch = Patch::Merge(json!({ "spec": { "schedule": schedule } }));
        let change = async |at: usize| {
            api.patch_metadata(&Self::agent(at), &PatchParams::default(), &patch).await.with_context(|| Self::agent(at))?;
            anyhow::Ok(())
        };
        stream::iter(0..agents).map(change).buffered(SIDE_BY_SIDE).try_collect::<()>().await?;
        let waits = |agent: &InfraAgent| agent.status.as_ref().is_some_and(|status| status.next_run_time.is_some());
        eventually("every agent knows when it is due", async || {
            sleep(Duration::from_millis(u64::try_from(agents)? / 2)).await;
            let all = api.list(&ListParams::default().match_any()).await?.items;
            Ok((all.iter().filter(|agent| waits(agent)).count() == agents).then_some(()))
        })
        .await
    }

    /// Starts a replica and waits until it has looked at everything.
    pub(crate) async fn operator(&self, agents: usize, most_runs: usize) -> anyhow::Result<Operator> {
        let operator = Operator::start(&self.kubeconfig, &self.skills, most_runs)?;
        let models = Api::<ModelTierConfig>::all(self.admin.clone());
        let ready = |models: ModelTierConfig| models.status.is_some_and(|status| status.ready == Some(true));
        eventually("the model's configuration is ready", async || {
            operator.resident().with_context(|| format!("it ended: see `{}`", self.kubeconfig.with_extension("log").display()))?;
            Ok(ready(models.get("default").await?).then_some(()))
        })
        .await?;
        let all = self.api::<InfraAgent>();
        eventually("every agent is ready", async || {
            // Thousands of agents are many megabytes: they are not listed all the time, and from the API server's cache.
            sleep(Duration::from_millis(u64::try_from(agents)? / 2)).await;
            let phase = |agent: &InfraAgent| agent.status.as_ref().and_then(|status| status.phase) == Some(AgentPhase::Ready);
            Ok((all.list(&ListParams::default().match_any()).await?.items.iter().filter(|agent| phase(agent)).count() == agents)
                .then_some(()))
        })
        .await?;
        Ok(operator)
    }

    /// A run of each of these agents, created as anybody would by hand.
    pub(crate) async fn order(&self, batch: &str, agents: std::ops::Range<usize>) -> anyhow::Result<Vec<AgentRun>> {
        let api = self.api::<AgentRun>();
        let create = async |at: usize| {
            let run = serde_json::from_value(json!({
                "apiVersion": GROUP, "kind": "AgentRun", "metadata": { "name": format!("{}-{batch}", Self::agent(at)) },
                "spec": { "agentRef": Self::agent(at), "environmentRef": "shop", "trigger": "manual" },
            }))?;
            anyhow::Ok(api.create(&PostParams::default(), &run).await?)
        };
        stream::iter(agents).map(create).buffered(SIDE_BY_SIDE).try_collect().await
    }

    /// Waits until no run is left that is not over, and says how they ended.
    pub(crate) async fn all_over(&self, batch: &str) -> anyhow::Result<Vec<AgentRun>> {
        let api = self.api::<AgentRun>();
        let rest = ListParams::default()
            .limit(1)
            .fields("status.phase!=Succeeded,status.phase!=Failed,status.phase!=Escalated,status.phase!=Blocked");
        eventually("every run is over", async || Ok(api.list_metadata(&rest).await?.items.is_empty().then_some(()))).await?;
        let ended = format!("-{batch}");
        Ok(api.list(&ListParams::default()).await?.items.into_iter().filter(|run| run.name_any().ends_with(&ended)).collect())
    }

    /// The same, and all of them succeeded.
    pub(crate) async fn all_succeeded(&self, batch: &str) -> anyhow::Result<Vec<AgentRun>> {
        let runs = self.all_over(batch).await?;
        let phase = |run: &AgentRun| run.status.as_ref().and_then(|status| status.phase);
        match runs.iter().find(|run| phase(run) != Some(RunPhase::Succeeded)) {
            Some(other) => bail!("{} did not succeed: {:?}", other.name_any(), other.status),
            None => Ok(runs),
        }
    }

    /// Ends a run.
    pub(crate) async fn cancel(&self, run: &str) -> anyhow::Result<()> {
        let patch = json!({ "metadata": { "annotations": { "infraagent.io/cancel": "true" } } });
        self.api::<AgentRun>().patch(run, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// From now on, in the API server's log.
    pub(crate) fn mark(&self) -> anyhow::Result<Mark> {
        Mark::now(self.plane.audit_log())
    }

    /// Objects of the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + DeserializeOwned,
    {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// What agents depend on.
    fn documents(&self) -> Vec<Value> {
        // As long as real ones: what finds it in texts grows with it.
        let key = format!("bench-key-{}", "x7Qd".repeat(24));
        let tier = json!({ "tier": "standard", "provider": "anthropic", "model": "claude-sonnet-4-5", "endpoint": self.model.url() });
        // What a controller aggregates into the operator's role, for a cluster without controllers.
        let rbac = "rbac.authorization.k8s.io";
        let facts = |name: &str| {
            json!({
                "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": { "name": format!("bench-{}", name.replace(':', "-")) },
                "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": OPERATOR.1, "namespace": OPERATOR.0 }],
            })
        };
        vec![
            facts("system:aggregate-to-view"),
            facts("infraagent-facts-cluster"),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "model", "namespace": OPERATOR.0 }, "stringData": { "api-key": key },
            }),
            json!({
                "apiVersion": GROUP, "kind": "ModelTierConfig", "metadata": { "name": "default" },
                "spec": { "defaultAuth": { "type": "apiKey", "secretRef": "model" }, "tiers": [tier] },
            }),
            json!({ "apiVersion": GROUP, "kind": "InfraAgentPolicy", "metadata": { "name": "platform" }, "spec": { "maxAutonomy": "automate-safe" } }),
            json!({
                "apiVersion": GROUP, "kind": "AgentEnvironment", "metadata": { "name": "shop", "namespace": self.namespace },
                "spec": { "namespaces": { "apps": [self.namespace] } },
            }),
        ]
    }
}

/// Asks again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(Instant::now() < until, "this never came: {what}");
        sleep(Duration::from_millis(200)).await;
    }
}
