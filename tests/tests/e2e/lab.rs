//! A namespace with an agent, for tests of `infraagent run --kubeconfig`: documents, rights, a workload, a conversation, and the record that comes of it.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::OnceLock,
};

use futures::future::BoxFuture;
use infraagent_api::{AgentRun, run::ActionRecord};
use infraagent_tests::{
    ControlPlane, Fate, OPERATOR, Passage, Passing, apply, binary, control_plane_with_controllers, eventually,
    model_server::{Gate, ModelServer, Script, Seen},
    skill,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
};

/// The key of the model behind the tier `reasoning`.
pub(crate) const MODEL_KEY: &str = "sk-canary-4711-a8Zq3LmX7vTn5KwR2yBc";

/// The model behind the tier `reasoning`. Every namespace has its own conversation with it.
pub(crate) fn model() -> &'static ModelServer {
    static MODEL: OnceLock<ModelServer> = OnceLock::new();
    MODEL.get_or_init(|| ModelServer::start_with_key(Script::default(), MODEL_KEY).unwrap())
}

/// A namespace with an agent `forge`, its environment, its ServiceAccount and a Deployment `web` whose pods never run, so that a restart is waited for.
pub(crate) struct Lab {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) namespace: String,
    pub(crate) client: Client,
    /// The kubeconfig that runs use.
    pub(crate) operator: PathBuf,
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let plane = control_plane_with_controllers();
        plane.install_operator().await;
        let namespace = plane.namespace("run").await;
        plane.enroll(&namespace, &["infraagent-forge"]).await;
        let operator = plane.kubeconfig_for(OPERATOR.0, OPERATOR.1).await;
        let lab = Self { plane, client: plane.admin().await, operator, folder: tempfile::tempdir().unwrap(), namespace };
        let key = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "model", "namespace": OPERATOR.0}, "stringData": {"api-key": MODEL_KEY},
        });
        lab.apply(key).await;
        let auth = json!({"type": "apiKey", "secretRef": "model"});
        lab.apply(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": {"name": "default"},
            "spec": {"tiers": [
                {"tier": "standard", "provider": "anthropic", "model": "claude-sonnet-4-5"},
                {"tier": "reasoning", "provider": "anthropic", "model": "claude-opus-4-5", "endpoint": model().url(), "auth": auth},
            ]},
        }))
        .await;
        lab.apply(lab.policy(json!({"maxAutonomy": "automate-safe"}))).await;
        lab.apply(lab.environment(json!({}))).await;
        lab.apply(lab.agent(json!({}))).await;
        lab.allow(&["get", "list", "patch"]).await;
        lab.apply(lab.object("apps/v1", "Deployment", "web", json!({
            "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": {"note": "canary-annotation-4711"}},
                "spec": {"containers": [{"name": "web", "image": "web:1", "env": [{"name": "DSN", "value": "canary-environment-4711"}]}]},
            },
        })))
        .await;
        lab
    }

    pub(crate) fn object(&self, version: &str, kind: &str, name: &str, spec: Value) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}, "spec": spec})
    }

    /// A policy for this namespace alone.
    pub(crate) fn policy(&self, mut spec: Value) -> Value {
        spec["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": self.namespace}});
        json!({"apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgentPolicy", "metadata": {"name": self.namespace}, "spec": spec})
    }

    pub(crate) fn environment(&self, changes: Value) -> Value {
        let spec = with(json!({"namespaces": {"apps": [self.namespace]}}), changes);
        self.object("core.infraagent.io/v1alpha1", "AgentEnvironment", "lab", spec)
    }

    pub(crate) fn agent(&self, changes: Value) -> Value {
        let spec = json!({
            "description": "Looks after rollouts.", "schedule": {}, "model": {"tier": "standard", "timeout": "90s"},
            "skills": [{"name": "deployment-pipeline"}], "guardrails": {"autonomy": "automate-safe"}, "environmentRef": "lab",
            "reporting": {"onSuccess": "notify", "onFailure": "escalate", "onFinding": "log"},
        });
        self.object("core.infraagent.io/v1alpha1", "InfraAgent", "forge", with(spec, changes))
    }

    pub(crate) async fn apply(&self, document: Value) {
        apply(&self.client, &document).await.unwrap_or_else(|error| panic!("{document}: {error}"));
    }

    /// What the agent's ServiceAccount may do with workloads.
    pub(crate) async fn allow(&self, verbs: &[&str]) {
        let api = "rbac.authorization.k8s.io";
        let read = json!({"apiGroups": ["", "events.k8s.io"], "resources": ["pods", "pods/log", "events", "resourcequotas", "configmaps"], "verbs": ["get", "list"]});
        self.apply(json!({
            "apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": {"name": "forge", "namespace": self.namespace},
            "rules": [{"apiGroups": ["apps"], "resources": ["*"], "verbs": verbs}, read],
        }))
        .await;
        self.apply(json!({
            "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": "forge", "namespace": self.namespace},
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "forge"},
            "subjects": [{"kind": "ServiceAccount", "name": "infraagent-forge", "namespace": self.namespace}],
        }))
        .await;
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on runs reach the API server through a passage.
    pub(crate) async fn behind(&mut self, judge: impl Fn(Passing) -> BoxFuture<'static, Fate> + Send + Sync + 'static) -> Passage {
        let passage = Passage::open(self.plane, &self.operator, judge).await;
        self.operator = passage.kubeconfig().to_owned();
        passage
    }

    /// A run, as far as all runs are alike.
    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("run")
            .arg("--kubeconfig")
            .arg(&self.operator)
            .args(["-n", &self.namespace, "--agent-name", "forge", "--audit-key"])
            .arg(self.file("audit.key"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts a run whose model says this: tool calls, turn by turn, then a report.
    pub(crate) fn start(&self, turns: &[Value]) -> Child {
        let mut turns: Vec<Value> = turns.iter().map(|calls| json!({"reply": {"text": "", "calls": calls}})).collect();
        turns.push(json!({"reply": {"text": "That is all."}}));
        std::fs::write(self.file("conversation.yaml"), json!({"conversation": 1, "turns": turns}).to_string()).unwrap();
        let mut command = self.command();
        command.args(["--update-replay", "--replay"]).arg(self.file("conversation.yaml"));
        command.arg("--skill").arg(skill("deployment-pipeline")).spawn().unwrap()
    }

    /// Starts a run of this skill that asks [`model`], and logs everything. The agent's tier must be `reasoning`.
    pub(crate) fn converse(&self, skill: &Path, script: Script) -> Talking {
        model().also(&self.namespace, script);
        let child = self.command().env("INFRAAGENT_LOG", "debug").arg("--skill").arg(skill).spawn().unwrap();
        // Somebody has to read what it says, or it waits for that.
        Talking(tokio::spawn(async { child.wait_with_output().await.unwrap() }))
    }

    /// What the model was asked, headers included.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        model().seen_with(&self.namespace)
    }

    pub(crate) async fn run(&self, turns: &[Value]) -> Ended {
        Ended::of(self.start(turns).wait_with_output().await.unwrap())
    }

    pub(crate) fn runs(&self) -> Api<AgentRun> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Every run of the namespace, the first one first.
    pub(crate) async fn records(&self) -> Vec<AgentRun> {
        let mut all = self.runs().list(&ListParams::default()).await.unwrap().items;
        all.sort_by_key(|run| run.metadata.creation_timestamp.clone().map(|time| time.0));
        all
    }

    /// The only run of the namespace.
    pub(crate) async fn record(&self) -> AgentRun {
        let mut all = self.runs().list(&ListParams::default()).await.unwrap().items;
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    /// Waits until the record has an entry in this state.
    pub(crate) async fn reached(&self, tool: &str, status: &str) {
        let runs = &self.runs();
        eventually(&format!("{tool} {status}"), || async move {
            let all = runs.list(&ListParams::default()).await.unwrap().items;
            let entries = all.into_iter().filter_map(|run| run.status).flat_map(|status| status.actions);
            let mut found = entries.filter(|entry| entry.tool.starts_with(tool) && entry.status.as_str() == status);
            found.next().map(drop)
        })
        .await;
    }

    /// The changes of the record.
    pub(crate) async fn changes(&self) -> Vec<ActionRecord> {
        let actions = self.record().await.status.unwrap().actions;
        actions.into_iter().filter(|entry| entry.object_version.is_some()).collect()
    }

    /// What the API server itself noted about the changes of the run: intent, status of the answer. Other requests of the run that could change something are
    /// among them with an empty intent.
    pub(crate) async fn noted(&self) -> Vec<(String, u16)> {
        let run = format!("{}/{}", self.namespace, self.record().await.metadata.name.unwrap());
        let events = self.plane.audit_events().await;
        let mut noted: Vec<_> = events
            .iter()
            .filter(|event| event.run() == Some(&run) && event.is_mutation())
            .map(|event| (event.intent().unwrap_or_default().to_owned(), event.code()))
            .collect();
        noted.sort();
        noted
    }

    /// How the API server knows the intent of an entry.
    pub(crate) async fn intent(&self, seq: i32) -> String {
        format!("{}/{seq}", self.record().await.metadata.uid.unwrap())
    }

    /// What `infraagent audit verify -` says to the object as kubectl prints it.
    pub(crate) async fn verify(&self) -> Value {
        let name = self.record().await.metadata.name.unwrap();
        let get = ["get", "agentrun", &name, "-n", &self.namespace, "-o", "yaml"];
        let printed = self.plane.kubectl().args(get).output().unwrap();
        std::fs::write(self.file("printed.yaml"), printed.stdout).unwrap();
        let output = Command::new(binary())
            .args(["audit", "verify", "-", "-o", "json", "--key"])
            .arg(self.file("audit.key.pub"))
            .stdin(std::fs::File::open(self.file("printed.yaml")).unwrap())
            .output()
            .await
            .unwrap();
        let mut said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        said["verification"].take()
    }

    pub(crate) async fn deployment(&self) -> Deployment {
        Api::namespaced(self.client.clone(), &self.namespace).get("web").await.unwrap()
    }

    pub(crate) async fn is_paused(&self) -> bool {
        self.deployment().await.spec.unwrap().paused.unwrap_or_default()
    }

    /// Pauses the rollout, or lets it go on, past every agent.
    pub(crate) async fn set_paused_by_hand(&self, paused: bool) {
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"spec": {"paused": paused}}));
        deployments.patch("web", &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) fn pause(&self) -> Value {
        self.set_paused(true)
    }

    pub(crate) fn set_paused(&self, paused: bool) -> Value {
        json!([{"name": "pause_rollout", "arguments": {"name": "web", "namespace": self.namespace, "paused": paused, "reason": "to look at it"}}])
    }

    pub(crate) fn restart(&self) -> Value {
        let arguments = json!({"kind": "deployment", "name": "web", "namespace": self.namespace, "reason": "it is time"});
        json!([{"name": "restart_workload", "arguments": arguments}])
    }
}

/// A run whose model is [`model`].
pub(crate) struct Talking(JoinHandle<Output>);

impl Talking {
    /// Until the model waits at the gate.
    ///
    /// # Panics
    ///
    /// If the run ends before that; the message says what it said.
    pub(crate) async fn reached(&mut self, gate: &Gate) {
        tokio::select! {
            () = gate.reached() => {}
            ended = &mut self.0 => panic!("the run ended too early: {}", Ended::of(ended.unwrap()).said),
        }
    }

    /// The end.
    pub(crate) async fn ended(self) -> Ended {
        Ended::of(self.0.await.unwrap())
    }
}

/// How the program ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Everything that it printed.
    pub(crate) said: String,
}

impl Ended {
    pub(crate) fn of(Output { status, stdout, stderr }: Output) -> Self {
        Self { code: status.code(), said: String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr) }
    }
}

pub(crate) fn with(mut document: Value, changes: Value) -> Value {
    document.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    document
}

pub(crate) fn condition(run: &AgentRun, kind: &str) -> (String, String, String) {
    let conditions = &run.status.as_ref().unwrap().conditions;
    let found = conditions.iter().find(|condition| condition.type_ == kind).unwrap_or_else(|| panic!("{kind}: {conditions:?}"));
    (found.status.clone(), found.reason.clone(), found.message.clone())
}
