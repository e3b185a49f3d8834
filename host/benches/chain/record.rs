//! `record`: what a decided change costs the API server, and how long it takes: its intent and its outcome as conditioned writes of the record, and between them
//! the effect as the agent. Against a bare client that makes the same changes to Deployments like these and writes the very same entries ([`client`](crate::client)).
//!
//! Quorum reads, facts and the cooldown, which come before, have rows of their own. Nothing but etcd and the API server runs, so that nobody reacts to a change.

use std::{sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use infraagent::{
    audit::{AuditKey, ClusterSink, Journal, MutationOutcome, Redactor, Setup, Sink, ToolOutcome},
    broker::{
        RUN_EGRESS_BYTES,
        cooldown::{CooldownKey, Cooldowns, LABEL},
        facts::Context,
        kubernetes::Kubernetes,
    },
    cel,
    run::{
        connection::Connection,
        dereference::cluster::{Governing, Reader},
        validate::{Inputs, RunIdentity, SkillInput, ValidatedRun, validate},
    },
};
use infraagent_api::{AgentEnvironment, AgentRun};
use infraagent_guard::{
    Allowed, Claim, Decision,
    call::{Call, Effect, Mutation, Target, Workload},
    decide,
    name::{ActionId, Namespace, ObjectName, ToolName},
    permit::Permit,
    screen,
};
use infraagent_sandbox::{
    engine::{Engine, EngineConfig},
    manifest::Manifest,
};
use infraagent_tests::{OPERATOR, Programs, config_of};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};

use crate::{
    client::BareClient,
    cluster::{ACCOUNT, AGENT, Cluster, Cost},
    guest::{self, Skills},
    measure::Sample,
    table::{Goal, Row},
};

/// Changes of one turn: a record of so many entries, and the tool call's.
const CHANGES: usize = 24;
const ROUNDS: usize = 12;
const REASON: &str = "All pods of this deployment crash and back off since its last rollout.";

pub(crate) async fn run(skills: &Skills, quick: bool) -> anyhow::Result<Vec<Row>> {
    let lab = Lab::start(skills).await?;
    let bare = BareClient::new(lab.connection.config(), &lab.cluster.namespace, ACCOUNT)?;
    // The first turn of each is thrown away; of ours it is also what the bare client writes.
    let script = lab.ours("forge-ours-warm").await?.script;
    lab.bare(&bare, "forge-bare-warm", &script).await?;
    let (mut ours, mut baseline) = (Costs::default(), Costs::default());
    let [mut quorum, mut facts, mut cooldown] = [Costs::default(), Costs::default(), Costs::default()];
    for round in 0..if quick { 3 } else { ROUNDS } {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                let done = lab.ours(&format!("forge-ours-{round:04}")).await?;
                quorum.add(done.quorum);
                facts.add(done.facts);
                cooldown.add(done.cooldown);
                ours.add(done.record);
            } else {
                baseline.add(lab.bare(&bare, &format!("forge-bare-{round:04}"), &script).await?);
            }
        }
    }
    let requests = format!("{:.1} requests against {:.1}; intent, effect, outcome", ours.requests(), baseline.requests());
    anyhow::ensure!(ours.requests() == 3.0 && baseline.requests() == 3.0, "{requests}");
    let apart = |name: &str, costs: &Costs, what: &str| {
        let note = format!("API server CPU; {:.1} ms until it is there, {:.1} requests: {what}", costs.wall().p50, costs.requests());
        Row::new(name, costs.cpu(), None, "ms", Goal::Told, note)
    };
    let size = format!("{requests}; record of 1 to {} entries", CHANGES + 1);
    Ok(vec![
        Row::new("record: API server CPU", ours.cpu(), Some(baseline.cpu()), "ms", Goal::Times(1.25), size),
        Row::new("record: wall time", ours.wall(), Some(baseline.wall()), "ms", Goal::Times(1.25), "the same changes"),
        apart("record: quorum reads", &quorum, "agent, environment, policies before a change is decided"),
        apart("record: facts", &facts, "what the change would do, read for its decision"),
        apart("record: cooldown", &cooldown, "Lease, before the intent; only of actions that have one"),
    ])
}

/// What the rounds cost.
#[derive(Default)]
struct Costs(Vec<Cost>);

impl Costs {
    fn add(&mut self, cost: Cost) {
        self.0.push(cost);
    }

    fn cpu(&self) -> Sample {
        Sample::of(self.0.iter().map(|cost| cost.cpu).collect())
    }

    fn wall(&self) -> Sample {
        Sample::of(self.0.iter().flat_map(|cost| cost.walls.iter().copied()).collect())
    }

    fn requests(&self) -> f64 {
        Sample::of(self.0.iter().map(|cost| cost.requests).collect()).p50
    }
}

/// What a turn of ours cost, and what it wrote.
struct Done {
    quorum: Cost,
    facts: Cost,
    cooldown: Cost,
    record: Cost,
    script: Script,
}

/// A status, and the entries that were added to it.
pub(crate) struct Script {
    opening: Value,
    entries: Vec<Entry>,
}

/// An entry as it was appended, and as it was when it had its outcome.
#[derive(Default)]
struct Entry {
    intent: Value,
    outcome: Value,
}

struct Lab {
    cluster: Cluster,
    connection: Connection,
    reader: Reader,
    manifest: Arc<Manifest>,
    preconditions: cel::Evaluator,
    key: Arc<AuditKey>,
}

fn deployment(of: &str, at: usize) -> String {
    format!("{of}-{at:02}")
}

impl Lab {
    async fn start(skills: &Skills) -> anyhow::Result<Self> {
        let cluster = Cluster::start(Programs::ApiServer).await?;
        for at in 0..CHANGES {
            for of in ["ours", "bare"] {
                cluster.apply(&cluster.deployment(&deployment(of, at), 3)).await?;
            }
        }
        let connection = Connection::open(config_of(&cluster.operator).await, Namespace::parse(OPERATOR.0)?).await?;
        Ok(Self {
            reader: Reader::new(connection.client.clone(), &cluster.namespace, AGENT),
            connection,
            manifest: Arc::new(guest::admit(&skills.pipeline)?.manifest().clone()),
            preconditions: cel::Evaluator::new(Engine::new(EngineConfig::default())?),
            key: Arc::new(AuditKey::generate()?),
            cluster,
        })
    }

    /// The order to run.
    fn order(&self, name: &str, agent: &str) -> anyhow::Result<AgentRun> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
            "metadata": { "name": name, "namespace": self.cluster.namespace },
            "spec": { "agentRef": AGENT, "agentUid": agent, "environmentRef": "site-a", "trigger": "manual", "recordVersion": 1 },
        }))?)
    }

    async fn validated(&self, governing: Governing, run: RunIdentity) -> anyhow::Result<ValidatedRun> {
        let Governing { agent, environment, policies } = governing;
        let models = self.reader.models().await?;
        let skills = vec![SkillInput { manifest: Arc::clone(&self.manifest), digest: format!("sha256:{}", "0".repeat(64)) }];
        let (environment, policies) = (AgentEnvironment::clone(&environment), policies.to_vec());
        Ok(validate(Inputs { agent, environment, models, policies, skills, cluster: self.connection.id.clone(), run })?)
    }

    /// A run as the host makes it: each change is decided on facts, then all are carried out.
    async fn ours(&self, name: &str) -> anyhow::Result<Done> {
        let governing = self.reader.governing().await?;
        let order = self.order(name, governing.agent.metadata.uid.as_deref().unwrap_or_default())?;
        let (sink, object) = ClusterSink::create(self.connection.client.clone(), &order).await?;
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let run = self.validated(governing, RunIdentity { name: name.to_owned(), uid: uid.clone(), input: None }).await?;
        let redactor = Arc::new(Redactor::new(std::iter::empty::<&[u8]>()));
        let setup = Setup { redactor, key: Some(Arc::clone(&self.key)), entries: run.limits.entries, now: Timestamp::now };
        let journal = Journal::open(Sink::Cluster(sink), object, setup).await?;
        let tool = journal.tool("restart_workload", "namespace shop", "restart_workload {}").await?;
        journal.flush().await?;
        let opening = serde_json::to_value(journal.document().await.status)?;

        let kubernetes = self.connection.executor(&run)?;
        let leases = Cooldowns::Leases(Box::new(self.connection.cooldowns(&run)));

        let read = async |_| {
            self.reader.governing().await?;
            Ok(())
        };
        let quorum = self.cluster.metered(0..CHANGES, read).await?;
        let mut permits = Vec::new();
        let decide = async |at| {
            permits.push(self.permit(&run, &kubernetes, &leases, at).await?);
            Ok(())
        };
        let facts = self.cluster.metered(0..CHANGES, decide).await?;
        let take = async |permit: &Permit<Mutation>| {
            let key = CooldownKey::new(&self.connection.id, permit.call(), permit.observed());
            drop(leases.take(key, 300, Timestamp::now()).await?);
            Ok(())
        };
        let cooldown = self.cluster.metered(&permits, take).await?;

        let mut entries = Vec::new();
        let change = async |permit| {
            let recorded = tool.intend(permit).await?;
            let seq = recorded.seq();
            let intent = entry(&journal, seq).await?;
            let outcome = kubernetes.mutate(recorded).await;
            tool.outcome(seq, MutationOutcome::of(&outcome)).await?;
            anyhow::ensure!(outcome.as_ref().is_ok_and(|receipt| receipt.changed), "{outcome:?}");
            let outcome = entry(&journal, seq).await?;
            entries.push(Entry { intent, outcome });
            Ok(())
        };
        let record = self.cluster.metered(permits, change).await?;
        tool.close(ToolOutcome::Executed { result: "done".to_owned() }).await?;
        journal.flush().await?;
        self.forget_cooldowns().await?;
        Ok(Done { quorum, facts, cooldown, record, script: Script { opening, entries } })
    }

    /// Screen, facts, decision.
    async fn permit(
        &self,
        run: &ValidatedRun,
        kubernetes: &Kubernetes,
        cooldowns: &Cooldowns,
        at: usize,
    ) -> anyhow::Result<Permit<Mutation>> {
        let target = Target { kind: Workload::Deployment, namespace: self.namespace()?, name: ObjectName::parse(&deployment("ours", at))? };
        let call = Call::Mutation(Mutation { effect: Effect::Restart(target), reason: REASON.into() });
        let id = ActionId::parse("restart-workload")?;
        let claim = Claim { tool: ToolName::parse("restart_workload")?, action: Some(id.clone()), call };
        let policy = run.policy();
        let now = run.circumstances(Timestamp::now(), run.limits.entries, RUN_EGRESS_BYTES, Duration::from_secs(300));
        let screened = screen(&policy, claim, &now).map_err(|denial| anyhow!("{}", denial.message()))?;
        let context = Context {
            action: policy.sheet.action(&id).ok_or_else(|| anyhow!("the skill has no action `{id}`"))?,
            cluster: &self.connection.id,
            data: &run.declared,
            cooldowns,
            now: Timestamp::now(),
            preconditions: &self.preconditions,
        };
        let facts = kubernetes.facts(&context, &screened).await;
        match decide(screened, facts) {
            Decision::Allow(Allowed::Mutation(permit)) => Ok(permit),
            Decision::Deny(denial) => bail!("denied: {}", denial.message()),
            Decision::Allow(Allowed::Read(_) | Allowed::Ambient(_)) | Decision::Propose(_) => {
                bail!("a restart was decided as something else")
            }
        }
    }

    /// The same changes and the same entries by a bare client.
    async fn bare(&self, bare: &BareClient, name: &str, script: &Script) -> anyhow::Result<Cost> {
        let Script { opening, entries } = script;
        let mut run = bare.create(&self.order(name, &"0".repeat(36))?).await?;
        bare.record(&mut run, json!({ "op": "add", "path": "/status", "value": opening })).await?;
        let mut changes = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            changes.push((at + 1, bare.deployment(&deployment("bare", at)).await?, entry));
        }
        let change = async |(seq, deployment, Entry { intent, outcome }): (usize, Deployment, &Entry)| {
            bare.record(&mut run, json!({ "op": "add", "path": "/status/actions/-", "value": intent })).await?;
            bare.restart(&deployment, &format!("{}/{seq}", run.uid)).await?;
            bare.record(&mut run, json!({ "op": "replace", "path": format!("/status/actions/{seq}"), "value": outcome })).await
        };
        self.cluster.metered(changes, change).await
    }

    /// The next turn changes the same Deployments.
    async fn forget_cooldowns(&self) -> anyhow::Result<()> {
        let leases = Api::<Lease>::namespaced(self.cluster.admin.clone(), OPERATOR.0);
        let cooldowns = ListParams::default().labels(&format!("{}={}", LABEL.0, LABEL.1));
        leases.delete_collection(&DeleteParams::default(), &cooldowns).await?;
        Ok(())
    }

    fn namespace(&self) -> anyhow::Result<Namespace> {
        Ok(Namespace::parse(&self.cluster.namespace)?)
    }
}

/// An entry as it stands in the record.
async fn entry(journal: &Journal, seq: u32) -> anyhow::Result<Value> {
    let status = journal.document().await.status.unwrap_or_default();
    let entry = status.actions.get(usize::try_from(seq)?).ok_or_else(|| anyhow!("the record has no entry {seq}"))?;
    Ok(serde_json::to_value(entry)?)
}
