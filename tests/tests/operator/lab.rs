//! A place for one test: an operator of its own, and a namespace with agents, their environment, their skill and the Deployments that they act on.

use std::sync::Arc;

use infraagent_api::{
    AgentRun, InfraAgent,
    run::{ActionRecord, RunPhase},
};
use infraagent_tests::{ControlPlane, Installation, apply, control_plane_with_controllers, eventually};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Event};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::model::{self, Plan};

/// The ServiceAccount of every agent.
pub(crate) const ACCOUNT: &str = "worker";
/// Another one, which the operator may act as too.
pub(crate) const LATE: &str = "late";
/// Long enough for a busy machine: for tests in which no replica is lost.
pub(crate) const CALM: &[&str] = &["--lease-duration", "10s", "--effect-timeout", "3s", "--retry-pause", "100ms"];
/// For tests in which one replica is lost, and what the others do must succeed, also on a busy machine.
pub(crate) const STEADY: &[&str] = &["--lease-duration", "6s", "--effect-timeout", "2s", "--retry-pause", "100ms"];
/// Short enough to wait for: for tests in which replicas are lost all the time, and any run may be.
pub(crate) const QUICK: &[&str] = &["--lease-duration", "2s", "--effect-timeout", "1s", "--retry-pause", "100ms"];

/// More runs begin within an hour than anybody would want.
const UNHURRIED: &[&str] = &["--max-runs-per-hour-cluster", "100000", "--max-runs-per-hour-per-agent", "100000"];

/// What is shown of each object when a test fails.
const SHOWN: &str = "custom-columns=KIND:.kind,NAME:.metadata.name,PHASE:.status.phase,HOLDER:.status.holder.lease,\
    REASON:.status.conditions[*].reason,ENTRIES:.status.actions[*].status";

const SKILL: &str = "---\nname: fleet\ndescription: Acts on deployments.\nversion: 1.0.0\n---\nDo what you are told.\n";
const SHEET: &str = "\
actions:
  - id: look
    description: Shows a deployment.
    kubernetes: { verb: get, resources: [deployments.apps], namespaces: [apps] }
  - id: restart
    description: Restarts a deployment.
    kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps], names: ['web*'] }
  - id: pause
    description: Holds a rollout, or lets it go on.
    kubernetes: { verb: pause, resources: [deployments.apps], namespaces: [apps] }
  - id: restart-seldom
    description: Restarts a deployment, but not twice in a row.
    kubernetes: { verb: restart, resources: [deployments.apps], namespaces: [apps], names: ['cold*'] }
    cooldown: 1h
";

pub(crate) struct Lab<'a> {
    pub(crate) plane: &'a ControlPlane,
    pub(crate) operator: Arc<Installation>,
    pub(crate) namespace: String,
    pub(crate) client: Client,
}

impl Lab<'static> {
    /// On the shared control plane. No replica runs yet.
    pub(crate) async fn new(options: &[&str]) -> Self {
        Lab::on(control_plane_with_controllers(), options).await
    }
}

impl<'a> Lab<'a> {
    pub(crate) async fn on(plane: &'a ControlPlane, options: &[&str]) -> Self {
        let operator = Arc::new(plane.operator(&[ACCOUNT, LATE], &[UNHURRIED, options].concat()).await);
        let lab = Self { plane, client: plane.admin().await, namespace: operator.namespace.clone(), operator };
        lab.apply(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": {"name": "default"},
            "spec": {"tiers": [
                // A dollar is a thousand tokens.
                {"tier": "standard", "provider": "openai", "model": "gpt-4.1", "endpoint": model::url(), "costPerMillionInput": "1000", "costPerMillionOutput": "1000"},
                // Nobody listens there.
                {"tier": "fast", "provider": "openai", "model": "gpt-4.1-mini", "endpoint": "http://127.0.0.1:9"},
            ]},
        }))
        .await;
        lab.furnish().await;
        lab.facts().await;
        lab
    }

    /// Another namespace with the same operator, whose replicas must be told to watch it.
    pub(crate) async fn neighbour(&self, namespace: String) -> Lab<'a> {
        self.operator.enroll(self.plane, &namespace, &[ACCOUNT, LATE]).await;
        let lab = Lab { plane: self.plane, operator: Arc::clone(&self.operator), client: self.client.clone(), namespace };
        lab.furnish().await;
        lab
    }

    /// What agents of the namespace need: a policy, an environment, a skill, and what their account may do.
    async fn furnish(&self) {
        self.policy(&self.namespace, json!({"maxAutonomy": "automate-safe"})).await;
        self.environment().await;
        self.skill().await;
        let api = "rbac.authorization.k8s.io";
        self.apply(json!({
            "apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": {"name": ACCOUNT, "namespace": self.namespace},
            "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "patch"]}],
        }))
        .await;
        self.apply(json!({
            "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": ACCOUNT, "namespace": self.namespace},
            "roleRef": {"apiGroup": api, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}],
        }))
        .await;
    }

    /// A policy for this namespace alone. The one that is called like the namespace is there from the beginning.
    pub(crate) async fn policy(&self, name: &str, changes: Value) {
        let mut spec = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}});
        merge(&mut spec, changes);
        self.apply(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgentPolicy", "metadata": {"name": name}, "spec": spec,
        }))
        .await;
    }

    pub(crate) async fn environment(&self) {
        self.apply(self.object(
            "core.infraagent.io/v1alpha1",
            "AgentEnvironment",
            "lab",
            json!({"namespaces": {"apps": [self.namespace]}}),
        ))
        .await;
    }

    pub(crate) async fn skill(&self) {
        self.apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fleet", "namespace": self.namespace},
            "data": {"SKILL.md": SKILL, "actions.yaml": SHEET},
        }))
        .await;
    }

    /// Waits until a controller has aggregated what an operator may look at.
    async fn facts(&self) {
        let roles = &Api::<k8s_openapi::api::rbac::v1::ClusterRole>::all(self.client.clone());
        eventually("the aggregated right to look", || async move {
            roles.get("infraagent-facts").await.ok()?.rules.filter(|rules| rules.len() > 3).map(drop)
        })
        .await;
    }

    pub(crate) fn object(&self, version: &str, kind: &str, name: &str, spec: Value) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}, "spec": spec})
    }

    pub(crate) async fn apply(&self, document: Value) {
        apply(&self.client, &document).await.unwrap_or_else(|error| panic!("{document}: {error}"));
    }

    /// The agent's name in front of the model.
    pub(crate) fn key(&self, agent: &str) -> String {
        format!("{}/{agent}", self.namespace)
    }

    /// An agent that follows a plan, with changes to its spec.
    pub(crate) async fn agent_with(&self, name: &str, plan: Plan, changes: Value) {
        let mut spec = json!({
            "description": model::follow(&self.key(name), plan), "schedule": {}, "model": {"timeout": "600s"},
            "skills": [{"name": "fleet", "source": "configmap://fleet"}], "serviceAccountName": ACCOUNT,
            "guardrails": {"autonomy": "automate-safe", "maxRetries": 0}, "environmentRef": "lab",
            "reporting": {"onFailure": "log"},
        });
        merge(&mut spec, changes);
        self.apply(self.object("core.infraagent.io/v1alpha1", "InfraAgent", name, spec)).await;
    }

    pub(crate) async fn agent(&self, name: &str, plan: Plan) {
        self.agent_with(name, plan, json!({})).await;
    }

    /// A Deployment without pods: nothing is to be waited for but that its controller has seen it, which writes to it then.
    pub(crate) async fn deployment(&self, name: &str) {
        self.apply(self.object(
            "apps/v1",
            "Deployment",
            name,
            json!({
                "replicas": 0, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
            }),
        ))
        .await;
        let deployments = &self.deployments();
        eventually(&format!("{name} is seen by its controller"), || async move {
            let found = deployments.get(name).await.ok()?;
            let settled =
                |kind: &str| found.status.iter().flat_map(|status| status.conditions.iter().flatten()).any(|had| had.type_ == kind);
            let seen = found.status.as_ref()?.observed_generation == found.metadata.generation;
            (seen && settled("Available") && settled("Progressing")).then_some(())
        })
        .await;
    }

    pub(crate) async fn generation(&self, deployment: &str) -> Option<i64> {
        self.deployments().get(deployment).await.unwrap().metadata.generation
    }

    pub(crate) fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn agents(&self) -> Api<InfraAgent> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn runs(&self) -> Api<AgentRun> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Annotates an agent: run now.
    pub(crate) async fn run_now(&self, agent: &str) {
        let patch = json!({"metadata": {"annotations": {"infraagent.io/run-now": "true"}}});
        self.agents().patch(agent, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn change_agent(&self, agent: &str, spec: Value) {
        self.agents().patch(agent, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await.unwrap();
    }

    /// An AgentRun made by hand.
    pub(crate) async fn order(&self, name: &str, agent: &str, changes: Value) {
        let mut spec = json!({"agentRef": agent, "environmentRef": "lab", "trigger": "manual"});
        merge(&mut spec, changes);
        self.apply(self.object("core.infraagent.io/v1alpha1", "AgentRun", name, spec)).await;
    }

    pub(crate) async fn cancel(&self, run: &str) {
        let patch = json!({"metadata": {"annotations": {"infraagent.io/cancel": "true"}}});
        self.runs().patch(run, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn all_runs(&self) -> Vec<AgentRun> {
        let mut all = self.runs().list(&ListParams::default()).await.unwrap().items;
        all.sort_by_key(|run| (run.creation_timestamp(), run.name_any()));
        all
    }

    /// The runs of an agent, oldest first.
    pub(crate) async fn runs_of(&self, agent: &str) -> Vec<AgentRun> {
        let mut all = self.all_runs().await;
        all.retain(|run| run.spec.agent_ref == agent);
        all
    }

    /// Waits until a run fulfils a condition.
    pub(crate) async fn run_that(&self, name: &str, what: &str, is: impl Fn(&AgentRun) -> bool) -> AgentRun {
        let (runs, is) = (&self.runs(), &is);
        eventually(&format!("{name} {what}"), || async move { runs.get(name).await.ok().filter(is) }).await
    }

    pub(crate) async fn ended(&self, name: &str) -> AgentRun {
        self.run_that(name, "ends", has_ended).await
    }

    pub(crate) async fn begun(&self, name: &str) -> AgentRun {
        self.run_that(name, "runs", |run| phase(run) == RunPhase::Running).await
    }

    /// Waits until the agent has this many runs, all of them over, and is free.
    pub(crate) async fn settled(&self, agent: &str, count: usize) -> Vec<AgentRun> {
        let lab = self;
        eventually(&format!("{count} runs of {agent} that are over"), || async move {
            let runs = lab.runs_of(agent).await;
            let free = lab.agents().get(agent).await.ok()?.status.unwrap_or_default().active_run.is_none();
            (runs.len() == count && runs.iter().all(has_ended) && free).then_some(runs)
        })
        .await
    }

    /// Waits until the condition of an agent has this status and reason. Returns its message.
    pub(crate) async fn agent_says(&self, agent: &str, kind: &str, status: &str, reason: &str) -> String {
        let agents = &self.agents();
        eventually(&format!("{agent}: {kind}={status} {reason}"), || async move {
            let conditions = agents.get(agent).await.ok()?.status?.conditions;
            conditions
                .into_iter()
                .find(|had| (had.type_.as_str(), had.status.as_str(), had.reason.as_str()) == (kind, status, reason))
                .map(|had| had.message)
        })
        .await
    }

    /// Waits until a run waits for this reason.
    pub(crate) async fn waits_for(&self, run: &str, reason: &str) -> AgentRun {
        self.run_that(run, &format!("waits: {reason}"), |run| phase(run) == RunPhase::Pending && self::reason(run, "Assigned") == reason)
            .await
    }

    /// The Events about runs of this agent.
    pub(crate) async fn events_about(&self, agent: &str) -> Vec<Event> {
        let about = ListParams::default().fields(&format!("involvedObject.kind=InfraAgent,involvedObject.name={agent}"));
        let mut all = Api::<Event>::namespaced(self.client.clone(), &self.namespace).list(&about).await.unwrap().items;
        all.retain(|event| event.action.as_deref() == Some("Run"));
        all
    }

    pub(crate) async fn delete_agent(&self, agent: &str) {
        self.agents().delete(agent, &DeleteParams::default()).await.unwrap();
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        // A test that fails shows what there is.
        if std::thread::panicking() {
            let shown = self.plane.kubectl().args(["get", "ia,arun", "-n", &self.namespace, "-o", SHOWN]).output();
            eprintln!("{}", shown.map(|shown| String::from_utf8_lossy(&shown.stdout).into_owned()).unwrap_or_default());
        }
    }
}

fn merge(document: &mut Value, changes: Value) {
    match (document, changes) {
        (Value::Object(document), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(document.entry(key).or_insert(Value::Null), value);
            }
        }
        (document, value) => *document = value,
    }
}

pub(crate) fn phase(run: &AgentRun) -> RunPhase {
    run.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}

pub(crate) fn has_ended(run: &AgentRun) -> bool {
    phase(run).is_terminal()
}

/// The reason of a condition of a run; empty if it has none.
pub(crate) fn reason(run: &AgentRun, kind: &str) -> String {
    let conditions = run.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().find(|had| had.type_ == kind).map_or_else(String::new, |had| had.reason.clone())
}

/// How a run ended: its phase, and why.
pub(crate) fn ending(run: &AgentRun) -> (RunPhase, String) {
    (phase(run), reason(run, "Complete"))
}

pub(crate) fn actions(run: &AgentRun) -> &[ActionRecord] {
    run.status.as_ref().map_or(&[], |status| &status.actions)
}
