//! A journal in a temporary directory, and decisions to record.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use infraagent_api::{
    AgentRun,
    run::{ActionRecord, RunPhase, Usage},
};
use infraagent_guard::{
    Allowed, Autonomy, Circumstances, Claim, Decision, Denial, Fact, Facts, Permit, Policy, Proposal,
    call::{Call, Effect, Logs, Mutation, Read, Target, Workload},
    decide,
    facts::{Conditions, Seen},
    name::{ActionId, GroupResource, Namespace, ObjectName, ResourceVersion, ToolName, Uid},
    permit::Observed,
    policy::{Action, Environment, Grant, KubernetesGrant, Platform, Scope, Sheet, Suspend, Tool, Verb},
    screen,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::audit::{
    AuditKey, Closing, Document, FileSink, Journal, MutationOutcome, PublicKey, Redactor, Setup, Sink, ToolOutcome, canonical,
    verify::{Report, verify},
};

pub(crate) struct Desk {
    pub(crate) dir: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) key: Arc<AuditKey>,
    pub(crate) journal: Arc<Journal>,
}

pub(crate) fn run(uid: &str) -> AgentRun {
    serde_json::from_value(json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
        "metadata": {"name": "web-watch-1", "namespace": "agents", "uid": uid},
        "spec": {"agentRef": "web-watch", "environmentRef": "lab", "trigger": "manual"},
        "status": {"model": "replay/demo"},
    }))
    .unwrap()
}

pub(crate) fn setup(key: Arc<AuditKey>, entries: u32) -> Setup {
    Setup {
        redactor: Arc::new(Redactor::new(["correct-horse-battery"])),
        key: Some(key),
        entries,
        now: || Timestamp::new(1_764_000_000, 0).unwrap(),
    }
}

impl Desk {
    pub(crate) async fn open(entries: u32) -> Self {
        Self::open_as("run-1", "run.agentrun.json", entries).await
    }

    pub(crate) async fn open_as(uid: &str, name: &str, entries: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let key = Arc::new(AuditKey::generate().unwrap());
        let sink = Sink::File(FileSink::new(&path).unwrap());
        let journal = Journal::open(sink, run(uid), setup(Arc::clone(&key), entries)).await.unwrap();
        Self { dir, path, key, journal }
    }

    /// The file as it is now.
    pub(crate) fn read(&self) -> Document {
        Document::parse(&std::fs::read_to_string(&self.path).unwrap()).unwrap()
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.key.public()
    }

    pub(crate) fn verify(&self) -> Report {
        verify(&self.read(), Some(&self.public()), None)
    }
}

/// Bytes of an entry in canonical JSON.
pub(super) fn size(entry: &ActionRecord) -> usize {
    canonical::text(&serde_json::to_value(entry).unwrap()).unwrap().len()
}

pub(crate) fn closing() -> Closing {
    Closing {
        phase: RunPhase::Succeeded,
        report: Some("web was broken\nand was restarted".to_owned()),
        usage: Usage { tokens_in: 100, tokens_out: 20, total_tokens: 120, iterations: 3, ..Usage::default() },
        ..Closing::default()
    }
}

/// A record with every kind of entry, closed. Returns its JSON.
pub(crate) async fn closed(desk: &Desk) -> Value {
    let journal = &desk.journal;
    let tool = journal.tool("find_broken", "namespace apps", "find_broken {\"namespace\":\"apps\"}").await.unwrap();
    for name in ["web-1", "web-2"] {
        let recorded = tool.read(read(name));
        tool.answered(recorded.ordinal(), crate::audit::End::bytes(name.as_bytes()));
    }
    tool.refused(&refused_read("web-3")).await.unwrap();
    tool.malformed("kubernetes-read.get", "`..` is not a name");
    tool.close(ToolOutcome::Executed { result: "2 pods crash".to_owned() }).await.unwrap();
    let tool = journal.tool("restart", "deployment/web", "restart {\"name\":\"web\"}").await.unwrap();
    let recorded = tool.intend(permit("web")).await.unwrap();
    tool.outcome(recorded.seq(), MutationOutcome::Executed { result: "changed".to_owned() }).await.unwrap();
    tool.refused(&refused("db")).await.unwrap();
    tool.propose(&proposal("api")).await.unwrap();
    let recorded = tool.intend(permit("old")).await.unwrap();
    tool.outcome(recorded.seq(), MutationOutcome::Failed { reason: "conflict".to_owned(), message: "it changed".to_owned() })
        .await
        .unwrap();
    tool.close(ToolOutcome::Failed { reason: "trap".to_owned(), message: "the skill panicked".to_owned() }).await.unwrap();
    for message in ["web crashes", "api is slow"] {
        journal.report_finding(infraagent_api::names::Severity::Warning, Some("deployment/web -n apps"), message).await.unwrap();
    }
    journal.finish(closing()).await.unwrap();
    desk.read().value
}

fn policy(autonomy: Autonomy) -> Policy {
    let action = |id: &str, verb, kind: (&str, &str)| Action {
        id: ActionId::parse(id).unwrap(),
        grant: Grant::Kubernetes(KubernetesGrant {
            verbs: vec![verb],
            kinds: vec![GroupResource::new(kind.0, kind.1).unwrap()],
            namespaces: Some(vec![Namespace::parse("apps").unwrap()]),
            names: vec![],
            replicas: None,
            nodes: vec![],
        }),
        raise: None,
        data_impact: false,
        cooldown_seconds: 0,
        preconditions: vec![],
    };
    let actions = vec![action("look", Verb::Logs, ("", "pods")), action("restart-deployment", Verb::Restart, ("apps", "deployments"))];
    let tools = vec![Tool::new(ToolName::parse("work").unwrap(), actions.iter().map(|action| action.id.clone()).collect(), false)];
    Policy {
        revision: "agent:7 environment:3 policy:1".into(),
        scope: Arc::new(Scope { cluster: "lab".into(), run: "run-1".into(), environment: "env-1".into() }),
        home: Namespace::parse("agents").unwrap(),
        autonomy,
        sheet: Sheet::new(actions, tools).unwrap(),
        environment: Environment {
            namespaces: vec![Namespace::parse("apps").unwrap()],
            endpoints: BTreeMap::new(),
            servers: BTreeMap::new(),
        },
        denied: vec![],
        allowed: None,
        platform: Platform { ceiling: Autonomy::AutomateDestructive, suspend: Suspend::Nothing },
    }
}

fn decided(autonomy: Autonomy, action: &str, call: Call, dependants: Fact) -> Decision {
    let claim = Claim { tool: ToolName::parse("work").unwrap(), action: Some(ActionId::parse(action).unwrap()), call };
    let plenty = Circumstances { frozen: false, entries: 10, egress_bytes: 100_000, millis: 60_000 };
    let facts = Facts {
        target: Seen::Present(Observed { uid: Uid::parse("uid-1").unwrap(), resource_version: ResourceVersion::parse("41").unwrap() }),
        ephemeral_volume: Fact::Clear,
        terminating_claim: Fact::Clear,
        claim_retention: Fact::Clear,
        dependants,
        declared_data: Fact::Clear,
        finalizers: Fact::Clear,
        database_operator: Fact::Clear,
        node: Fact::Clear,
        preconditions: Conditions::Hold,
        cooldown: Fact::Clear,
    };
    match screen(&policy(autonomy), claim, &plenty) {
        Ok(screened) => decide(screened, Some(facts)),
        Err(denial) => Decision::Deny(denial),
    }
}

fn restart(name: &str, reason: &str) -> Call {
    Call::Mutation(Mutation {
        effect: Effect::Restart(Target {
            kind: Workload::Deployment,
            namespace: Namespace::parse("apps").unwrap(),
            name: ObjectName::parse(name).unwrap(),
        }),
        reason: reason.into(),
    })
}

fn logs(name: &str, namespace: &str) -> Call {
    Call::Read(Read::Logs(Logs {
        namespace: Namespace::parse(namespace).unwrap(),
        pod: ObjectName::parse(name).unwrap(),
        container: None,
        tail_lines: 10,
        since_seconds: None,
        previous: false,
    }))
}

/// A restart that is allowed.
pub(crate) fn permit(name: &str) -> Permit<Mutation> {
    permit_because(name, "the image was fixed")
}

pub(crate) fn permit_because(name: &str, reason: &str) -> Permit<Mutation> {
    let reason = &reason[..reason.floor_char_boundary(Mutation::MAX_REASON)];
    match decided(Autonomy::AutomateSafe, "restart-deployment", restart(name, reason), Fact::Clear) {
        Decision::Allow(Allowed::Mutation(permit)) => permit,
        other => panic!("{other:?}"),
    }
}

/// A restart that a human must allow.
pub(crate) fn proposal(name: &str) -> Proposal {
    match decided(Autonomy::Recommend, "restart-deployment", restart(name, "please"), Fact::Clear) {
        Decision::Propose(proposal) => proposal,
        other => panic!("{other:?}"),
    }
}

/// A restart that is refused for its consequences.
pub(crate) fn refused(name: &str) -> Box<Denial> {
    match decided(Autonomy::AutomateSafe, "restart-deployment", restart(name, ""), Fact::Impact) {
        Decision::Deny(denial) => denial,
        other => panic!("{other:?}"),
    }
}

/// A read that is allowed.
pub(crate) fn read(name: &str) -> Permit<Read> {
    match decided(Autonomy::Observe, "look", logs(name, "apps"), Fact::Clear) {
        Decision::Allow(Allowed::Read(permit)) => permit,
        other => panic!("{other:?}"),
    }
}

/// A read out of scope.
pub(crate) fn refused_read(name: &str) -> Box<Denial> {
    match decided(Autonomy::Observe, "look", logs(name, "elsewhere"), Fact::Clear) {
        Decision::Deny(denial) => denial,
        other => panic!("{other:?}"),
    }
}

/// The verdict on a document that somebody changed; none if it cannot even be read.
pub(crate) fn judged(value: &Value, key: &PublicKey) -> Option<Report> {
    Document::from_value(value.clone()).ok().map(|document| verify(&document, Some(key), None))
}
