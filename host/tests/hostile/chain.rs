//! The whole chain around a hostile guest: its component, the sandbox, the door, the journal on a file, a snapshot; and a friendly neighbour in the same run.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, atomic::AtomicU64},
    time::{Duration, Instant},
};

use infraagent::{
    audit::{AuditKey, Closing, Document, FileSink, Journal, Redactor, Setup, Sink, verify},
    broker::{
        Shared,
        cooldown::Cooldowns,
        executor::Executor,
        http::{self, Http, Secrets},
        snapshot::Snapshot,
        state::State,
        world::World as _,
    },
    cel,
    llm::{Provider, Replay, ToolCall, ToolStatus, replay::Mode},
    run::{
        self,
        dereference::{self, Paths},
        event::{Event, Observer},
        execute::{Loaded, SkillTools},
        lookup::Lookup,
        tools::{Outcome, Tools as _},
        validate::{self, Inputs, RunIdentity, SkillInput, ValidatedRun},
    },
};
use infraagent_api::{
    AgentRun,
    run::{ActionRecord, ActionStatus, RunPhase},
};
use infraagent_guard::name::GroupResource;
use infraagent_sandbox::{admission, compiled::Authentic, instance::Skill, limits::Limits, manifest};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{guest::Guest, support::ENGINE};

/// What a secret is known by: it must never be seen again.
pub const KNOWN_SECRET: &str = "correct-horse-battery-staple";

/// How the world around a guest is made.
pub struct World {
    /// Folder of `tests/snapshots`.
    pub folder: &'static str,
    /// Files put on top of it.
    pub files: Vec<(&'static str, String)>,
    pub autonomy: &'static str,
    /// Of the hostile skill; its tool `work` lists all of them but those named in `other`.
    pub actions: Vec<Value>,
    /// Actions of the second tool, `other`.
    pub other: Vec<&'static str>,
    pub limits: Value,
    pub data: Value,
    /// Endpoints of the environment. The credential `site` is [`KNOWN_SECRET`].
    pub endpoints: Value,
    pub redactor: Vec<&'static str>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            folder: "shop",
            files: Vec::new(),
            autonomy: "automate-destructive",
            actions: actions(),
            other: vec!["other-restart"],
            limits: json!({ "cpuMillis": 200, "wallMillis": 20_000 }),
            data: json!({}),
            endpoints: json!({}),
            redactor: vec![KNOWN_SECRET],
        }
    }
}

/// One action for each verb, in the namespaces of the environment.
pub fn actions() -> Vec<Value> {
    let kinds = json!([
        "pods",
        "services",
        "configmaps",
        "events",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "persistentvolumeclaims"
    ]);
    let action = |id: &str, verb: Value, resources: Value| json!({ "id": id, "kubernetes": { "verb": verb, "resources": resources, "namespaces": ["apps"] } });
    vec![
        action("look", json!(["read"]), kinds),
        action("logs", json!("logs"), json!(["pods"])),
        json!({ "id": "restart", "kubernetes": { "verb": "restart", "resources": ["deployments.apps", "statefulsets.apps"], "namespaces": ["shop"] } }),
        json!({ "id": "scale", "kubernetes": { "verb": "scale", "resources": ["deployments.apps", "statefulsets.apps"], "namespaces": ["apps"],
            "replicas": { "min": 0, "max": 9 } } }),
        action("pause", json!("pause"), json!(["deployments.apps"])),
        action("evict", json!("evict"), json!(["pods"])),
        action("delete", json!("delete"), json!(["pods", "services", "deployments.apps", "statefulsets.apps"])),
        action("other-restart", json!("restart"), json!(["daemonsets.apps"])),
    ]
}

/// The neighbour's deployment, which nobody else touches, and the only DaemonSet.
const FRIEND: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: friend, namespace: shop, generation: 1}
spec:
  replicas: 1
  selector: {matchLabels: {app: friend}}
  template: {metadata: {labels: {app: friend}}, spec: {containers: [{name: main, image: "friend:1"}]}}
status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: probe, namespace: shop, generation: 1}
spec:
  selector: {matchLabels: {app: probe}}
  template: {metadata: {labels: {app: probe}}, spec: {containers: [{name: main, image: "probe:1"}]}}
status: {observedGeneration: 1, desiredNumberScheduled: 0}
"#;

static NEIGHBOUR: LazyLock<(Vec<u8>, Authentic)> = LazyLock::new(|| {
    let guest =
        Guest::new().site().log(1, "hello").get("friend-look", ("apps", "deployments"), "shop", "friend", false).or_fail().answer_it();
    let manifest = serde_json::from_value(json!({
        "name": "neighbour", "version": "1.0.0", "contract": "0.1.0",
        "tools": [{ "name": "greet", "description": "Looks", "inputSchema": { "type": "object" }, "actions": ["friend-look"] }],
        "sheet": { "actions": [
            { "id": "friend-look", "kubernetes": { "verb": "get", "resources": ["deployments.apps"], "namespaces": ["shop"] } },
            { "id": "friend-restart", "kubernetes": { "verb": "restart", "resources": ["deployments.apps"], "namespaces": ["cart"] } },
        ] },
    }));
    let bytes = manifest::append(&guest.build(), &manifest.expect("a manifest")).expect("it fits");
    let code = ENGINE.compile_trusted(&bytes).expect("it compiles");
    (bytes, code)
});

/// The manifest of a hostile skill.
pub fn manifest_of(world: &World) -> Value {
    let ids: Vec<&str> = world.actions.iter().filter_map(|action| action["id"].as_str()).collect();
    let (other, work): (Vec<&str>, Vec<&str>) = ids.iter().partition(|id| world.other.contains(id));
    let tool = |name: &str, actions: Vec<&str>| json!({ "name": name, "description": "Works", "inputSchema": { "type": "object" }, "actions": actions });
    json!({
        "name": "hostile", "version": "1.0.0", "contract": "0.1.0", "limits": world.limits,
        "tools": [tool("work", work), tool("other", other)],
        "sheet": { "state": true, "actions": world.actions },
    })
}

/// A run in which a hostile guest can be called.
pub struct Chain {
    pub dir: TempDir,
    pub record: PathBuf,
    pub tools: SkillTools,
    pub shared: Arc<Shared>,
    pub run: Arc<ValidatedRun>,
    pub key: Arc<AuditKey>,
    timeline: Arc<Mutex<Vec<u8>>>,
    before: String,
}

impl Chain {
    pub async fn with(guest: Guest) -> Self {
        Self::open(World::default(), &guest.build()).await
    }

    pub async fn open(world: World, component: &[u8]) -> Self {
        Self::watched(world, component, Observer::silent()).await
    }

    /// `watch` gets every event beside the timeline.
    pub async fn watched(world: World, component: &[u8], watch: Observer) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        write(&at("agent.yaml"), &agent(world.autonomy));
        write(&at("environment.yaml"), &environment(&world.data, &world.endpoints));
        write(&at("models.yaml"), &models());
        write(&at("policy.yaml"), &policy("none"));
        fill(&world, &at("snapshot"));
        let manifest = serde_json::from_value(manifest_of(&world)).expect("a manifest");
        let bytes = manifest::append(component, &manifest).expect("a manifest that fits");
        fs::write(at("hostile.wasm"), &bytes).expect("a file");
        fs::write(at("neighbour.wasm"), &NEIGHBOUR.0).expect("a file");

        let paths = Paths {
            agent: at("agent.yaml"),
            environment: at("environment.yaml"),
            models: at("models.yaml"),
            policy: Some(at("policy.yaml")),
            skills: vec![at("hostile.wasm"), at("neighbour.wasm")],
        };
        let identity = RunIdentity { name: "forge-1".to_owned(), uid: "run-uid".to_owned(), input: None };
        let snapshot = Snapshot::load(&at("snapshot"), &identity.uid, "environment-uid", None).unwrap_or_else(|error| panic!("{error:#}"));
        let cluster = snapshot.scope().cluster.clone();
        let load = {
            let (paths, identity) = (paths.clone(), identity.clone());
            move || {
                let documents = dereference::dereference(&paths).map_err(|error| error.to_string())?;
                let skill = |one: dereference::Component| SkillInput { manifest: one.manifest, digest: one.digest };
                let inputs = Inputs {
                    agent: documents.agent,
                    environment: documents.environment,
                    models: documents.models,
                    policies: documents.policies,
                    skills: documents.components.into_iter().map(skill).collect(),
                    cluster: cluster.clone(),
                    run: identity.clone(),
                };
                validate::validate(inputs).map_err(|error| error.to_string())
            }
        };
        let run = Arc::new(load().unwrap_or_else(|error| panic!("{error}")));
        let lookup = Lookup::new(vec![paths.agent, paths.environment, at("policy.yaml")], Arc::clone(&run), load);

        let loaded = |bytes: &[u8], code: &Authentic| {
            let admitted = admission::admit(bytes).unwrap_or_else(|refusals| panic!("{refusals:?}"));
            let limits = Limits::granted(admitted.manifest().limits.as_ref(), &[run.skill_ceilings.caps()]);
            Loaded { skill: Arc::new(Skill::load(&ENGINE, admitted, code).expect("it loads")), limits }
        };
        let code = ENGINE.compile_trusted(&bytes).expect("it compiles");
        let skills = vec![loaded(&bytes, &code), loaded(&NEIGHBOUR.0, &NEIGHBOUR.1)];

        fs::create_dir(at("records")).expect("a folder");
        let record = at("records").join("run.agentrun.yaml");
        let key = Arc::new(AuditKey::generate().expect("a key"));
        let redactor = Arc::new(Redactor::new(world.redactor));
        let setup = Setup { redactor: Arc::clone(&redactor), key: Some(Arc::clone(&key)), entries: 48, now: jiff::Timestamp::now };
        let journal = Journal::open(Sink::File(FileSink::new(&record).expect("a sink")), document(), setup).await.expect("a journal");
        let timeline = Arc::new(Mutex::new(Vec::new()));
        let drawn = infraagent::cli::timeline::observer(Paper(Arc::clone(&timeline)));
        let observer = Observer::new(move |event: &Event| {
            drawn.tell(event);
            watch.tell(event);
        });
        let mut secrets = Secrets::default();
        secrets.insert("known", "token", KNOWN_SECRET);
        let http = Http::new(http::Setup::new((*run.policy().scope).clone(), secrets, Arc::clone(&redactor), Vec::new()));
        let shared = Arc::new(Shared {
            lookup,
            executor: Executor::Snapshot(Box::new(snapshot)),
            http: Some(http),
            journal,
            redactor,
            cooldowns: Cooldowns::in_memory(),
            rehearsed: Cooldowns::in_memory(),
            preconditions: Arc::new(cel::Evaluator::new(ENGINE.clone())),
            memory: BTreeMap::from([("hostile".to_owned(), State::in_memory())]),
            observer,
            until: Instant::now() + Duration::from_secs(60),
            sent: AtomicU64::new(0),
            effects: Arc::default(),
            fence: infraagent::broker::fence::Fence::Open,
        });
        let tools = SkillTools::new(Arc::clone(&shared), &identity.uid, skills);
        let mut chain = Self { dir, record, tools, shared, run, key, timeline, before: String::new() };
        chain.before = chain.cluster().await;
        chain
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Outcome {
        let call = ToolCall { id: format!("call-{tool}"), name: tool.to_owned(), arguments: arguments.into() };
        self.tools.call(&call, Instant::now() + Duration::from_secs(30)).await
    }

    /// The hostile tool, and the neighbour beside it and after it: the neighbour must not notice.
    pub async fn attack(&self) -> Outcome {
        let (outcome, beside) = tokio::join!(self.call("work", json!({})), self.call("greet", json!({})));
        well(&beside);
        well(&self.call("greet", json!({})).await);
        outcome
    }

    /// Every object of the cluster, as the host sees it.
    pub async fn cluster(&self) -> String {
        let Executor::Snapshot(snapshot) = &self.shared.executor else { panic!("these chains work on snapshots") };
        let mut all = String::new();
        // Where failures are planted, what can be seen is compared.
        let known = ["deployments.apps", "replicasets.apps", "statefulsets.apps", "persistentvolumeclaims", "pods"];
        let kinds: Vec<GroupResource> = match snapshot.kinds().await {
            Ok(kinds) => kinds.iter().map(|kind| kind.resource.clone()).collect(),
            Err(_) => known.iter().map(|kind| GroupResource::parse(kind).expect("a kind")).collect(),
        };
        for kind in kinds {
            for object in snapshot.list(&kind, None).await.unwrap_or_default() {
                all.push_str(&format!("{kind} {object}\n"));
            }
        }
        all
    }

    /// One object of the namespace `shop`.
    pub async fn object(&self, kind: &str, name: &str) -> Option<Value> {
        let Executor::Snapshot(snapshot) = &self.shared.executor else { panic!("these chains work on snapshots") };
        snapshot.get(&GroupResource::parse(kind).expect("a kind"), Some("shop"), name).await.ok()
    }

    /// The object's uid and version.
    pub async fn identity(&self, kind: &str, name: &str) -> (String, String) {
        let object = self.object(kind, name).await.expect("it exists");
        let text = |field: &str| object["metadata"][field].as_str().expect("a text").to_owned();
        (text("uid"), text("resourceVersion"))
    }

    pub async fn assert_unchanged(&self) {
        let now = self.cluster().await;
        let differs = self.before.lines().zip(now.lines()).find(|(before, now)| before != now);
        assert!(self.before == now, "the cluster changed: {differs:?}");
    }

    /// What the hostile skill keeps under this key.
    pub fn kept(&self, key: &str) -> Option<Vec<u8>> {
        let key = infraagent_guard::name::StateKey::parse(key).expect("a key");
        self.shared.memory["hostile"].get(&key).map(|(value, _)| value)
    }

    /// What a person saw.
    pub fn seen(&self) -> String {
        String::from_utf8(self.timeline.lock().expect("no panic").clone()).expect("UTF-8")
    }

    /// Holds a conversation in which the model says these turns.
    pub async fn converse(&self, turns: Value) -> run::report::Conclusion {
        let file = self.dir.path().join("conversation.yaml");
        fs::write(&file, json!({ "conversation": 1, "turns": turns }).to_string()).expect("a file");
        let provider = Provider::Replay(Replay::open(&file, Mode::Update).expect("a recording"));
        run::execute(&self.run, &provider, &self.tools, &self.shared.observer, std::future::pending()).await
    }

    /// The record as it is on disk now.
    pub fn on_disk(&self) -> Document {
        Document::parse(&fs::read_to_string(&self.record).expect("the record")).expect("a whole document")
    }

    /// Ends the run and checks its record: consistent, signed, complete, nothing left open.
    pub async fn close(&self) -> Record {
        self.shared.settle().await;
        let closing = Closing { phase: RunPhase::Succeeded, ..Closing::default() };
        let head = self.shared.journal.finish(closing).await.expect("the record can be closed");
        let document = self.on_disk();
        let report = verify::verify(&document, Some(&self.key.public()), Some(&head.hash));
        for answer in [&report.consistent, &report.authentic, &report.complete] {
            assert!(matches!(answer, verify::Answer::Yes(_)), "{report:?}");
        }
        let record =
            Record { text: fs::read_to_string(&self.record).expect("the record"), entries: document.run.status.expect("a status").actions };
        assert!(record.entries.iter().all(|entry| entry.status != ActionStatus::Intended), "{:#?}", record.entries);
        let limit = 160 * 1024;
        assert!(record.text.len() < limit, "the record is bounded: {}", record.text.len());
        record
    }
}

/// A closed record that was verified.
pub struct Record {
    pub text: String,
    pub entries: Vec<ActionRecord>,
}

impl Record {
    /// Every change that was asked for: call, status, reason.
    pub fn changes(&self) -> Vec<String> {
        let changes = self.entries.iter().filter(|entry| entry.tool.starts_with("kubectl."));
        let line = |entry: &ActionRecord| {
            let call = entry.call.split(" # ").next().unwrap_or_default();
            format!("{call} {} {}", entry.status, entry.reason.as_deref().unwrap_or_default()).trim_end().to_owned()
        };
        changes.map(line).collect()
    }

    /// The entry of the hostile tool call.
    pub fn work(&self) -> &ActionRecord {
        self.entries.iter().find(|entry| entry.tool == "work").expect("the tool call is recorded")
    }

    /// What the hostile tool call folded.
    pub fn folded(&self) -> Vec<&str> {
        self.work().reads.iter().flat_map(|reads| &reads.calls).map(String::as_str).collect()
    }
}

/// The neighbour got what it asked for.
pub fn well(outcome: &Outcome) {
    assert_eq!(outcome.status, ToolStatus::Ok, "the neighbour noticed: {}", outcome.text);
    assert!(outcome.text.contains("friend"), "{}", outcome.text);
}

/// The outcome is an error or a refusal with these words.
pub fn failed(outcome: &Outcome, status: ToolStatus, words: &str) {
    assert!(outcome.status == status && outcome.text.contains(words), "expected `{words}`: {outcome:?}");
}

struct Paper(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// JSON is YAML. Beside and over the old one, as editors and kubelets do.
pub fn write(path: &Path, document: &Value) {
    let new = path.with_extension("new");
    fs::write(&new, document.to_string()).expect("a file");
    fs::rename(&new, path).expect("a file");
}

/// A copy of the folder, the neighbour's deployment, and the files on top.
pub fn fill(world: &World, to: &Path) {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(world.folder), to);
    fs::write(to.join("friend.yaml"), FRIEND).expect("a file");
    for (name, text) in &world.files {
        let path = to.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a snapshot") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}

pub fn agent(autonomy: &str) -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent",
        "metadata": { "name": "forge", "namespace": "agents", "uid": "agent-uid" },
        "spec": {
            "description": "Finds broken rollouts.",
            "schedule": {},
            "model": { "tier": "standard", "tokenBudget": 1_000_000, "timeout": "60s" },
            "skills": [{ "name": "hostile" }, { "name": "neighbour" }],
            "guardrails": { "autonomy": autonomy, "maxIterations": 5 },
            "environmentRef": "site-a",
        },
    })
}

pub fn environment(data: &Value, endpoints: &Value) -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentEnvironment",
        "metadata": { "name": "site-a", "namespace": "agents", "uid": "environment-uid" },
        "spec": { "namespaces": { "apps": ["shop", "cart"] }, "dataResources": data, "endpoints": endpoints,
            "credentials": { "site": { "secretRef": "known", "type": "bearer-token" } } },
    })
}

pub fn models() -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": { "name": "default" },
        "spec": { "tiers": [{ "tier": "standard", "provider": "anthropic", "model": "claude-sonnet-4-5" }] },
    })
}

pub fn policy(suspend: &str) -> Value {
    json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgentPolicy", "metadata": { "name": "platform" },
        "spec": { "maxAutonomy": "automate-destructive", "suspend": suspend },
    })
}

fn document() -> AgentRun {
    serde_json::from_value(json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
        "metadata": { "name": "forge-1", "namespace": "agents", "uid": "run-uid" },
        "spec": { "agentRef": "forge", "environmentRef": "site-a", "trigger": "manual" },
    }))
    .expect("an AgentRun")
}

/// A component that is never loaded, with a manifest.
pub fn packed(component: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut manifest = manifest_of(&World::default());
    change(&mut manifest);
    manifest::append(component, &serde_json::from_value(manifest).expect("a manifest")).expect("it fits")
}
