//! The executor suite: what every executor must do, written against [`World`] and permits, so that it runs on a snapshot and on a real cluster alike.

mod consequences;
mod effects;
mod loading;
mod reads;

use std::{fs, path::Path, sync::Arc};

use infraagent_guard::{
    Autonomy, Call, Circumstances, Claim, Decision, Policy, Screened,
    call::{Disposable, Effect, Mutation, Read, Scalable, Scale, Target, Victim, Workload},
    checks::Code,
    decide,
    name::{ActionId, GroupResource, Namespace, ObjectName, ResourceVersion, ToolName, Uid},
    permit::{Allowed, Permit},
    policy::{Action, Environment, Grant, KubernetesGrant, Platform, Precondition, Sheet, Suspend, Tool, Verb},
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

/// An executor under test.
pub(crate) trait Executor: World {
    fn policy_scope(&self) -> infraagent_guard::policy::Scope;
    fn execute_read(&self, permit: &Permit<Read>) -> Result<Answer, CallError>;
    fn execute(&self, permit: &Permit<Mutation>, seq: u32) -> Result<Receipt, CallError>;
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
    executor: &'e E,
    pub(crate) data: Vec<DataResource>,
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) cooldown_seconds: u32,
    pub(crate) cooldowns: Cooldowns,
}

impl<'e, E: Executor> Bench<'e, E> {
    pub(crate) fn new(executor: &'e E) -> Self {
        Self { executor, data: Vec::new(), preconditions: Vec::new(), cooldown_seconds: 0, cooldowns: Cooldowns::in_memory() }
    }

    fn actions(&self) -> Vec<Action> {
        let kinds = |words: &[&str]| words.iter().map(|word| GroupResource::parse(word).unwrap()).collect::<Vec<_>>();
        let action = |id: &str, verbs: &[Verb], words: &[&str], namespaced: bool| Action {
            id: ActionId::parse(id).unwrap(),
            grant: Grant::Kubernetes(KubernetesGrant {
                verbs: verbs.to_vec(),
                kinds: kinds(words),
                namespaces: namespaced.then(|| vec![ns("shop")]),
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
            scope: Arc::new(self.executor.policy_scope()),
            home: ns("agents"),
            autonomy: Autonomy::AutomateDestructive,
            sheet: Sheet::new(actions, vec![tool]).unwrap(),
            environment: Environment { namespaces: vec![ns("shop")], ..Environment::default() },
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
        let screened = self.screen(id, Call::Mutation(Mutation { effect, reason: "test".to_owned() }));
        let actions = self.actions();
        let scope = self.executor.policy_scope();
        let context = Context {
            action: actions.iter().find(|action| action.id.as_str() == id).unwrap(),
            cluster: &scope.cluster,
            data: &self.data,
            cooldowns: &self.cooldowns,
            now: now(),
            preconditions: &Literal,
        };
        let facts = facts::gather(self.executor, &context, &screened).await;
        decide(screened, facts)
    }

    /// The permit, or what the denial says.
    pub(crate) async fn permit(&self, effect: Effect) -> Result<Permit<Mutation>, String> {
        match self.decide(effect).await {
            Decision::Allow(Allowed::Mutation(permit)) => Ok(permit),
            Decision::Deny(denial) => Err(format!("{:?} {}", denial.code, denial.detail.unwrap_or_default())),
            Decision::Allow(Allowed::Ambient(_) | Allowed::Read(_)) | Decision::Propose(_) => Err("not a permit for a change".to_owned()),
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

    /// Refused because this rule is missing.
    pub(crate) async fn unknown(&self, effect: Effect, missing: &str) {
        assert_eq!(self.permit(effect).await, Err(format!("{:?} {missing}", Code::Unknown)));
    }

    /// Decides and executes.
    pub(crate) async fn act(&self, effect: Effect) -> Result<Receipt, CallError> {
        let permit = self.permit(effect).await.unwrap();
        self.executor.execute(&permit, 7)
    }

    pub(crate) fn read(&self, action: &str, read: Read) -> Result<Answer, CallError> {
        match decide(self.screen(action, Call::Read(read)), None) {
            Decision::Allow(Allowed::Read(permit)) => self.executor.execute_read(&permit),
            other @ (Decision::Allow(Allowed::Ambient(_) | Allowed::Mutation(_)) | Decision::Propose(_) | Decision::Deny(_)) => {
                panic!("not a permit to read: {other:?}")
            }
        }
    }

    pub(crate) async fn object(&self, kind: &str, name: &str) -> Option<Value> {
        let namespace = (!matches!(kind, "nodes" | "persistentvolumes")).then_some("shop");
        self.executor.get(&GroupResource::parse(kind).unwrap(), namespace, name).await.ok()
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
pub(crate) async fn evict<E: Executor>(bench: &Bench<'_, E>, name: &str) -> Effect {
    let pod = bench.object("pods", name).await.unwrap();
    Effect::Evict(ns("shop"), named(name), Uid::parse(pod["metadata"]["uid"].as_str().unwrap()).unwrap())
}

/// Deletes the object as it is now.
pub(crate) async fn delete<E: Executor>(bench: &Bench<'_, E>, kind: Disposable, name: &str) -> Effect {
    let (group, resource) = kind.group_resource();
    let found = bench.executor.get(&GroupResource::new(group, resource).unwrap(), Some("shop"), name).await.unwrap();
    Effect::Delete(Victim {
        kind,
        namespace: ns("shop"),
        name: named(name),
        uid: Uid::parse(found["metadata"]["uid"].as_str().unwrap()).unwrap(),
        resource_version: ResourceVersion::parse(found["metadata"]["resourceVersion"].as_str().unwrap()).unwrap(),
        grace_seconds: None,
    })
}
