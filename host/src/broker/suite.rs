//! The executor suite: what every executor must do, written against [`World`] and permits. Each test runs on a snapshot and on a real API server.
//!
//! A test names objects as the folders below `tests/snapshots` do. On a shared API server they are in a namespace of their own, and what belongs to the cluster
//! has a name of its own: [`Cluster`] knows what `shop` and `node-1` are called there.
//!
//! What only one of the two can show is beside it: [`simulated`] for what a snapshot makes of a change, [`live`] for what only a real API server does.

/// Runs the tests of a module on both.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod on_a_snapshot {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&crate::broker::suite::InMemory).await;
            })+
        }
        mod on_an_api_server {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&crate::broker::suite::live::ApiServer).await;
            })+
        }
    };
}

mod consequences;
mod effects;
mod equal;
mod live;
mod loading;
mod mocked;
mod reads;
mod simulated;

use std::{fs, path::Path, sync::Arc};

use infraagent_guard::{
    Autonomy, Call, Circumstances, Claim, Decision, Policy, Screened,
    call::{Disposable, Effect, Get, Mutation, Read, Scalable, Scale, Target, Victim, Wait, Workload},
    checks::Code,
    decide,
    facts::{Conditions, Fact, Facts, Seen},
    name::{ActionId, GroupResource, Namespace, ObjectName, ResourceVersion, ToolName, Uid},
    permit::{Allowed, Observed, Permit},
    policy::{Action, Environment, Grant, KubernetesGrant, Platform, Precondition, Scope, Sheet, Suspend, Tool, Verb},
    screen,
};
use infraagent_sandbox::broker::{Answer, CallError, Receipt};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    cooldown::Cooldowns,
    facts::{self, Context, DataResource, Preconditions},
    snapshot::Snapshot,
    world::World,
};

/// Where folders become clusters.
pub(crate) trait Stage {
    type Cluster: Cluster;

    /// A cluster with the objects of a folder, for the run `run-1`.
    async fn load(&self, folder: &str) -> Self::Cluster;

    /// The same, where nobody of this host or agent may do these things (`list pods`).
    async fn load_without(&self, folder: &str, rules: &[&str]) -> Self::Cluster;

    /// The same cluster, for another run.
    async fn of_another_run(&self, cluster: &Self::Cluster, run: &str) -> Self::Cluster;
}

/// An executor under test, and its cluster.
pub(crate) trait Cluster: World {
    fn scope(&self) -> Scope;

    /// What the namespace `shop` is called here.
    fn shop(&self) -> &str;

    /// What an object of the cluster is called here that a folder calls `name`.
    fn here(&self, name: &str) -> String;

    async fn gather<P: Preconditions>(&self, context: &Context<'_, P>, screened: &Screened) -> Option<Facts>;

    async fn execute_read(&self, permit: &Permit<Read>) -> Result<Answer, CallError>;

    async fn execute(&self, permit: &Permit<Mutation>, seq: u32) -> Result<Receipt, CallError>;
}

/// Snapshots.
pub(crate) struct InMemory;

impl Stage for InMemory {
    type Cluster = Snapshot;

    async fn load(&self, folder: &str) -> Snapshot {
        load(folder)
    }

    async fn load_without(&self, folder: &str, rules: &[&str]) -> Snapshot {
        load_with_faults(folder, &serde_json::json!({"forbidden": rules}).to_string())
    }

    async fn of_another_run(&self, _: &Snapshot, run: &str) -> Snapshot {
        Snapshot::load(&folder("shop"), run, "env-1", Some(now())).unwrap()
    }
}

impl Cluster for Snapshot {
    fn scope(&self) -> Scope {
        self.scope().clone()
    }

    fn shop(&self) -> &str {
        "shop"
    }

    fn here(&self, name: &str) -> String {
        name.to_owned()
    }

    async fn gather<P: Preconditions>(&self, context: &Context<'_, P>, screened: &Screened) -> Option<Facts> {
        facts::gather(self, context, screened).await
    }

    async fn execute_read(&self, permit: &Permit<Read>) -> Result<Answer, CallError> {
        self.try_read(permit)
    }

    async fn execute(&self, permit: &Permit<Mutation>, seq: u32) -> Result<Receipt, CallError> {
        self.try_change(permit, seq)
    }
}

/// Evaluates `true` and `false`; anything else is an error.
pub(crate) struct Literal;

impl Preconditions for Literal {
    type Error = std::str::ParseBoolError;

    async fn evaluate(&self, expression: &str, _object: &Value) -> Result<bool, Self::Error> {
        expression.parse()
    }
}

pub(crate) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name)
}

pub(crate) fn load(name: &str) -> Snapshot {
    Snapshot::load(&folder(name), "run-1", "env-1", Some(now())).unwrap()
}

/// The same folder, with planted failures.
pub(crate) fn load_with_faults(name: &str, faults: &str) -> Snapshot {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder(name)).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file()) {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    fs::write(copy.path().join("faults.yaml"), faults).unwrap();
    Snapshot::load(copy.path(), "run-1", "env-1", Some(now())).unwrap()
}

/// Decides calls against one executor, under a policy that grants everything in the namespace `shop`.
pub(crate) struct Bench<'e, E> {
    pub(crate) executor: &'e E,
    pub(crate) data: Vec<DataResource>,
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) cooldown_seconds: u32,
    pub(crate) cooldowns: Cooldowns,
    /// The time of the decisions.
    pub(crate) now: Timestamp,
}

impl<'e, E: Cluster> Bench<'e, E> {
    pub(crate) fn new(executor: &'e E) -> Self {
        Self { executor, data: Vec::new(), preconditions: Vec::new(), cooldown_seconds: 0, cooldowns: Cooldowns::in_memory(), now: now() }
    }

    fn shop(&self) -> Namespace {
        ns(self.executor.shop())
    }

    /// Declares an object of `shop` as data.
    pub(crate) fn declare(&mut self, kind: &str, name: &str) {
        self.data.push(DataResource::parse(kind, Some(self.executor.shop()), name).unwrap());
    }

    fn actions(&self) -> Vec<Action> {
        let kinds = |words: &[&str]| words.iter().map(|word| GroupResource::parse(word).unwrap()).collect::<Vec<_>>();
        let action = |id: &str, verbs: &[Verb], words: &[&str], namespaced: bool| Action {
            id: ActionId::parse(id).unwrap(),
            grant: Grant::Kubernetes(KubernetesGrant {
                verbs: verbs.to_vec(),
                kinds: kinds(words),
                namespaces: namespaced.then(|| vec![self.shop()]),
                names: Vec::new(),
                replicas: Some((0, 100)),
                nodes: vec![("pool".to_owned(), "general".to_owned())],
            }),
            raise: None,
            data_impact: false,
            // Only what changes something can have them.
            cooldown_seconds: if id == "change" { self.cooldown_seconds } else { 0 },
            preconditions: if id == "change" { self.preconditions.clone() } else { Vec::new() },
        };
        let changing = [Verb::Restart, Verb::Scale, Verb::Pause, Verb::Evict, Verb::RequestSync, Verb::Delete, Verb::Rollback];
        let reading = [Verb::Get, Verb::List, Verb::Logs, Verb::Wait];
        let all = [
            "pods",
            "jobs.batch",
            "cronjobs.batch",
            "replicasets.apps",
            "deployments.apps",
            "statefulsets.apps",
            "daemonsets.apps",
            "services",
            "ingresses.networking.k8s.io",
            "kustomizations.kustomize.toolkit.fluxcd.io",
        ];
        vec![
            action("change", &changing, &all, true),
            action("cordon", &[Verb::Cordon], &["nodes"], false),
            action("read", &reading, &all, true),
            action("read-cluster", &reading, &["nodes", "namespaces", "buckets.example.com"], false),
        ]
    }

    fn policy(&self) -> Policy {
        let actions = self.actions();
        let tool = Tool::new(ToolName::parse("tool").unwrap(), actions.iter().map(|action| action.id.clone()).collect(), false);
        Policy {
            revision: Arc::from("1"),
            scope: Arc::new(self.executor.scope()),
            home: ns("agents"),
            autonomy: Autonomy::AutomateDestructive,
            sheet: Sheet::new(actions, vec![tool]).unwrap(),
            environment: Environment { namespaces: vec![self.shop()], ..Environment::default() },
            denied: Vec::new(),
            allowed: None,
            platform: Platform { ceiling: Autonomy::AutomateDestructive, suspend: Suspend::Nothing },
        }
    }

    fn screen(&self, action: &str, call: Call) -> Screened {
        let claim = Claim { tool: ToolName::parse("tool").unwrap(), action: Some(ActionId::parse(action).unwrap()), call };
        screen(&self.policy(), claim, &Circumstances { frozen: false, entries: 10, egress_bytes: 1 << 20, millis: 10_000 }).unwrap()
    }

    pub(crate) async fn decide(&self, effect: Effect) -> Decision {
        let id = if matches!(effect, Effect::Cordon(..)) { "cordon" } else { "change" };
        let effect = self.here(effect);
        let screened = self.screen(id, Call::Mutation(Mutation { effect, reason: "test".to_owned() }));
        let actions = self.actions();
        let scope = self.executor.scope();
        let context = Context {
            action: actions.iter().find(|action| action.id.as_str() == id).unwrap(),
            cluster: &scope.cluster,
            data: &self.data,
            cooldowns: &self.cooldowns,
            now: self.now,
            preconditions: &Literal,
        };
        let facts = self.executor.gather(&context, &screened).await;
        decide(screened, facts)
    }

    /// The same effect, on what its target is called here.
    fn here(&self, mut effect: Effect) -> Effect {
        match &mut effect {
            Effect::Restart(Target { kind: _, namespace, name: _ })
            | Effect::Scale(Scale { kind: _, namespace, name: _, replicas: _ })
            | Effect::Pause(namespace, _, _)
            | Effect::Evict(namespace, _, _)
            | Effect::RequestSync(_, namespace, _)
            | Effect::Delete(Victim { kind: _, namespace, name: _, uid: _, resource_version: _, grace_seconds: _ })
            | Effect::Rollback(namespace, _, _) => *namespace = self.shop(),
            Effect::Cordon(name, _) => *name = named(&self.executor.here(name.as_str())),
            Effect::Http(_) | Effect::Mcp(_) => {}
        }
        effect
    }

    /// The permit, or what the denial says.
    pub(crate) async fn permit(&self, effect: Effect) -> Result<Permit<Mutation>, String> {
        match self.decide(effect).await {
            Decision::Allow(Allowed::Mutation(permit)) => Ok(permit),
            Decision::Deny(denial) => Err(format!("{:?} {}", denial.code, denial.detail.unwrap_or_default())),
            Decision::Allow(Allowed::Ambient(_) | Allowed::Read(_)) | Decision::Propose(_) => Err("not a permit for a change".to_owned()),
        }
    }

    /// A permit from a guard that was told that everything is clear.
    pub(crate) async fn forced(&self, effect: Effect) -> Permit<Mutation> {
        let effect = self.here(effect);
        let (kind, namespace, name) = facts::target(&effect).unwrap();
        let target = self.executor.get(&kind.unwrap(), namespace, name).await.unwrap();
        let clear = || Fact::Clear;
        let facts = Facts {
            target: Seen::Present(Observed {
                uid: Uid::parse(target["metadata"]["uid"].as_str().unwrap()).unwrap(),
                resource_version: ResourceVersion::parse(target["metadata"]["resourceVersion"].as_str().unwrap()).unwrap(),
            }),
            ephemeral_volume: clear(),
            terminating_claim: clear(),
            claim_retention: clear(),
            dependants: clear(),
            declared_data: clear(),
            finalizers: clear(),
            database_operator: clear(),
            node: clear(),
            preconditions: Conditions::Hold,
            cooldown: clear(),
        };
        let screened = self.screen("change", Call::Mutation(Mutation { effect, reason: "forced".to_owned() }));
        match decide(screened, Some(facts)) {
            Decision::Allow(Allowed::Mutation(permit)) => permit,
            other @ (Decision::Allow(_) | Decision::Propose(_) | Decision::Deny(_)) => panic!("not a permit for a change: {other:?}"),
        }
    }

    pub(crate) async fn allowed(&self, effect: Effect) {
        let shown = format!("{effect:?}");
        assert!(self.permit(effect).await.is_ok(), "the legitimate neighbour must stay allowed: {shown}");
    }

    /// Refused because of this consequence.
    pub(crate) async fn protected(&self, effect: Effect, consequence: &str) {
        assert_eq!(self.permit(effect).await, Err(format!("{:?} {consequence}", Code::DataProtection)));
    }

    /// Refused because this is missing.
    pub(crate) async fn unknown(&self, effect: Effect, missing: &str) {
        assert_eq!(self.permit(effect).await, Err(format!("{:?} {missing}", Code::Unknown)));
    }

    /// Decides and executes.
    pub(crate) async fn act(&self, effect: Effect) -> Result<Receipt, CallError> {
        let permit = self.permit(effect).await.unwrap();
        self.executor.execute(&permit, 7).await
    }

    pub(crate) async fn read(&self, action: &str, mut read: Read) -> Result<Answer, CallError> {
        match &mut read {
            Read::Get(Get { object, select: _ }) | Read::Wait(Wait { object, condition: _, timeout_ms: _ }) => {
                match &mut object.namespace {
                    Some(namespace) => *namespace = self.shop(),
                    None => object.name = named(&self.executor.here(object.name.as_str())),
                }
            }
            Read::List(list) => {
                if let Some(namespace) = &mut list.namespace {
                    *namespace = self.shop();
                }
            }
            Read::Logs(logs) => logs.namespace = self.shop(),
            Read::Http(_) | Read::Mcp(_) => {}
        }
        match decide(self.screen(action, Call::Read(read)), None) {
            Decision::Allow(Allowed::Read(permit)) => self.executor.execute_read(&permit).await,
            other @ (Decision::Allow(Allowed::Ambient(_) | Allowed::Mutation(_)) | Decision::Propose(_) | Decision::Deny(_)) => {
                panic!("not a permit to read: {other:?}")
            }
        }
    }

    pub(crate) async fn object(&self, kind: &str, name: &str) -> Option<Value> {
        let namespaced = !matches!(kind, "nodes" | "persistentvolumes");
        let name = if namespaced { name.to_owned() } else { self.executor.here(name) };
        self.executor.get(&GroupResource::parse(kind).unwrap(), namespaced.then(|| self.executor.shop()), &name).await.ok()
    }
}

pub(crate) fn ns(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

pub(crate) fn named(name: &str) -> ObjectName {
    ObjectName::parse(name).unwrap()
}

pub(crate) fn restart(kind: Workload, name: &str) -> Effect {
    Effect::Restart(Target { kind, namespace: ns("shop"), name: named(name) })
}

pub(crate) fn scale(kind: Scalable, name: &str, replicas: u32) -> Effect {
    Effect::Scale(Scale { kind, namespace: ns("shop"), name: named(name), replicas })
}

pub(crate) fn rollback(name: &str, revision: u64) -> Effect {
    Effect::Rollback(ns("shop"), named(name), revision)
}

/// Evicts the pod as it is now.
pub(crate) async fn evict<E: Cluster>(bench: &Bench<'_, E>, name: &str) -> Effect {
    let pod = bench.object("pods", name).await.unwrap();
    Effect::Evict(ns("shop"), named(name), Uid::parse(pod["metadata"]["uid"].as_str().unwrap()).unwrap())
}

/// Deletes the object as it is now.
pub(crate) async fn delete<E: Cluster>(bench: &Bench<'_, E>, kind: Disposable, name: &str) -> Effect {
    let (group, resource) = kind.group_resource();
    let found = bench.executor.get(&GroupResource::new(group, resource).unwrap(), Some(bench.executor.shop()), name).await.unwrap();
    Effect::Delete(Victim {
        kind,
        namespace: ns("shop"),
        name: named(name),
        uid: Uid::parse(found["metadata"]["uid"].as_str().unwrap()).unwrap(),
        resource_version: ResourceVersion::parse(found["metadata"]["resourceVersion"].as_str().unwrap()).unwrap(),
        grace_seconds: None,
    })
}
