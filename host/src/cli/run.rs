//! `infraagent run`: one agent, once, against a snapshot of a cluster or against a cluster, with a model over HTTP or a recorded conversation.
//!
//! Documents -> [`prepare`] -> [`prepare::open`] the record -> [`assemble`] the tools -> [`conduct`] -> exit code. With `-o` nothing but the AgentRun goes to standard output.

mod cluster;
mod endpoints;
mod interrupt;
mod model;
mod prepare;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use clap::ArgGroup;
use infraagent_api::run::RunPhase;
use tracing::Instrument as _;

use self::{interrupt::Interrupt, prepare::World};
use super::output::{self, Output};
use crate::{
    audit::{Journal, Redactor, escape_terminal},
    broker::{cooldown::Cooldowns, executor::Executor, fence::Fence, state::State},
    compile::{CompileLimits, Compiler, Flags},
    llm::Provider,
    run::{
        self,
        assemble::{self, Parts},
        dereference::Component,
        event::Observer,
        execute::SkillTools,
        lookup::Lookup,
        report::{
            Conclusion,
            events::{self, Events},
            notice,
        },
        stop::Stop,
        tools::Tools,
        validate::ValidatedRun,
        workshop::Workshop,
    },
    skill::cache::Cache,
    telemetry::{
        Subject, Telemetry,
        run::RunTelemetry,
        trace::{self, Traces},
    },
};

/// Arguments of `infraagent run`.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("world").required(true), group = ArgGroup::new("documents").required(true))]
#[command(after_help = "\
Examples:
  infraagent run --agent demo/agent.yaml --environment demo/environment.yaml --models demo/models.yaml --policy demo/policy.yaml \\
    --skill deployment-pipeline.wasm --snapshot demo/snapshot --replay demo/conversation.yaml --audit-key audit.key
  infraagent run --kubeconfig ~/.kube/config -n agents --agent-name web-watch --skill deployment-pipeline.wasm --replay conversation.yaml
  infraagent run ... -o json | jq .status.actions
  ANTHROPIC_API_KEY=... infraagent run ... --record conversation.yaml    # without --replay the agent's model is asked

Exit codes: 0 the run Succeeded or Escalated, 1 it Failed, 3 it was Blocked, 2 it could not start, or its record could not be closed.")]
pub struct Args {
    /// File with the InfraAgent
    #[arg(long, value_name = "FILE", group = "documents", requires_all = ["environment", "models"])]
    agent: Option<PathBuf>,
    /// File with the AgentEnvironment that the agent names
    #[arg(long, value_name = "FILE", requires = "agent")]
    environment: Option<PathBuf>,
    /// File with the ModelTierConfig
    #[arg(long, value_name = "FILE", requires = "agent")]
    models: Option<PathBuf>,
    /// File with InfraAgentPolicies. Without one the agent only observes
    #[arg(long, value_name = "FILE", requires = "agent")]
    policy: Option<PathBuf>,
    /// Component of a skill that the agent names, or the folder of one without code; once for each
    #[arg(long = "skill", value_name = "FILE.wasm|DIR")]
    skills: Vec<PathBuf>,
    /// Folder of Kubernetes objects in YAML that stands for the cluster. It is read, never written
    #[arg(long, value_name = "DIR", group = "world")]
    snapshot: Option<PathBuf>,
    #[command(flatten)]
    cluster: cluster::Flags,
    #[command(flatten)]
    model: model::Flags,
    /// File that the AgentRun is written to while the run goes on [default: an AgentRun object with --kubeconfig, else ./<run>.agentrun.yaml]
    #[arg(long, value_name = "FILE")]
    record_to: Option<PathBuf>,
    /// Key that signs the record; created, with its public half in FILE.pub, if it does not exist
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
    /// Folder that keeps the memory of skills with `state: true` from run to run; without it they forget
    #[arg(long, value_name = "DIR", requires = "snapshot", conflicts_with = "kubeconfig")]
    memory: Option<PathBuf>,
    #[command(flatten)]
    endpoints: endpoints::Flags,
    #[command(flatten)]
    compile: Flags,
    #[command(flatten)]
    traces: trace::Args,
    /// Print the complete AgentRun to standard output; the timeline goes to standard error
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
}

/// Everything that a run needs besides its tools.
#[derive(Debug)]
struct Prepared {
    /// The run.
    run: Arc<ValidatedRun>,
    /// The run as its documents say at each moment.
    lookup: Lookup,
    /// Who answers.
    provider: Provider,
    /// Who listens.
    observer: Observer,
    /// What must not leave.
    redactor: Arc<Redactor>,
    /// The record, opened.
    journal: Arc<Journal>,
    /// Where the record is, for people.
    record: String,
    /// What is printed at the end.
    output: Option<Output>,
    /// Tells people, if the agent is an object of a cluster.
    events: Option<Events>,
}

/// Runs one agent once.
pub async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let traces = Traces::connect(&args.traces)?;
    let ended = once(args, &Telemetry { metrics: None, traces: traces.clone() }).await;
    traces.shutdown(trace::FAREWELL).await;
    ended
}

async fn once(args: Args, telemetry: &Telemetry) -> anyhow::Result<ExitCode> {
    let compiler = Compiler::new(CompileLimits::from(args.compile));
    let memory = args.memory.clone();
    let interrupt = Interrupt::listen().context("signals cannot be listened to")?;
    let ready = tokio::select! {
        ready = prepare::prepare(args) => ready?,
        signal = interrupt.clone().received() => bail!("interrupted by {signal} before anything was done"),
    };
    let (mut prepared, components, world) = prepare::open(ready).await?;
    let telling = telemetry.begin(&Subject::from(&*prepared.run));
    telling.redact(&prepared.redactor);
    prepared.observer = prepared.observer.and(telling.observer(&prepared.run));
    let span = telling.span();
    let journal = Arc::clone(&prepared.journal);
    let held = async {
        let assembled = telling.assemble(async {
            tokio::select! {
                assembled = assemble(prepared, components, world, compiler, memory.as_deref()) => assembled,
                signal = interrupt.clone().received() => Err(anyhow!("interrupted by {signal}")),
            }
        });
        match assembled.await {
            Ok((prepared, tools)) => conduct(prepared, &tools, interrupt, &telling).await,
            Err(error) => {
                telling.closed(RunPhase::Failed, "NotStarted");
                if let Err(unclosed) = run::abandon(&journal, &format!("{error:#}")).await {
                    tracing::warn!(error = %unclosed, "the record could not be closed");
                }
                Err(error)
            }
        }
    };
    held.instrument(span).await
}

/// Loads the skills and puts the sandbox in front of the broker.
async fn assemble(
    prepared: Prepared,
    components: Vec<Component>,
    world: World,
    compiler: Compiler,
    memories: Option<&Path>,
) -> anyhow::Result<(Prepared, SkillTools)> {
    let run = &prepared.run;
    let cache = Cache::open_default().inspect_err(|error| tracing::warn!(%error, "compiled skills are not kept")).ok();
    let mut memory = BTreeMap::new();
    for manifest in components.iter().map(|component| &component.manifest) {
        // In a cluster memory would have to be there too, and it is not yet: its calls answer `unavailable`.
        if manifest.sheet.state && matches!(world, World::Snapshot(..)) {
            let file = memories.map(|folder| folder.join(format!("{}.{}.{}.json", run.agent.namespace, run.agent.name, manifest.name)));
            memory.insert(manifest.name.clone(), file.map_or_else(|| Ok(State::in_memory()), |file| State::open(&file))?);
        }
    }
    let (executor, cooldowns, http) = match world {
        World::Snapshot(snapshot, secrets) => {
            let http = secrets.map(|secrets| endpoints::http(run, secrets, &prepared.redactor));
            (Executor::Snapshot(snapshot), Cooldowns::in_memory(), http)
        }
        World::Cluster(connection, credentials) => {
            let http = connection.http(run, credentials, Arc::clone(&prepared.redactor));
            let cooldowns = Cooldowns::Leases(Box::new(connection.cooldowns(run)));
            (Executor::Kubernetes(Box::new(connection.executor(run)?)), cooldowns, Some(http))
        }
    };
    let parts = Parts {
        lookup: prepared.lookup.clone(),
        executor,
        fence: Fence::Open,
        cooldowns,
        http,
        redactor: Arc::clone(&prepared.redactor),
        journal: Arc::clone(&prepared.journal),
        memory,
        observer: prepared.observer.clone(),
    };
    let tools = assemble::tools(&Workshop::new(compiler, cache), run, &components, parts).await?;
    Ok((prepared, tools))
}

/// Holds the conversation, closes the record, and prints what was asked for.
async fn conduct<T: Tools>(prepared: Prepared, tools: &T, interrupt: Interrupt, telling: &RunTelemetry) -> anyhow::Result<ExitCode> {
    let Prepared { run, lookup: _, provider, observer, redactor, journal, record, output, events } = prepared;
    let conclusion = run::execute(&run, &provider, tools, &observer, async { Stop::Signal(interrupt.received().await) }).await;
    let phase = conclusion.phase;
    let report = async |mut conclusion: Conclusion| {
        let findings = journal.document().await.status.unwrap_or_default().findings;
        let notices = notice::notices(&run, &conclusion, &findings);
        events::log(&notices, &redactor);
        if let Some(events) = events {
            let sent = events.send(&notices, &redactor).await;
            conclusion.escalated(&sent, &format!("told by Event on InfraAgent {}/{}", run.agent.namespace, run.agent.name));
        }
        run::close(&journal, conclusion).await.with_context(|| format!("the record `{record}` could not be closed"))
    };
    telling.report(&conclusion.clone(), report(conclusion)).await?;
    match output {
        None => anstream::println!("  record: {}", escape_terminal(&record)),
        Some(output) => output::data(&journal.document().await, output)?,
    }
    Ok(match phase {
        RunPhase::Succeeded | RunPhase::Escalated => ExitCode::SUCCESS,
        RunPhase::Blocked => ExitCode::from(3),
        RunPhase::Failed | RunPhase::Pending | RunPhase::Running => ExitCode::from(1),
    })
}
