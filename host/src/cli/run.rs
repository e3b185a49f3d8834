//! `infraagent run`: one agent, once, against a snapshot of a cluster, with a recorded conversation or a model over HTTP.
//!
//! Files -> [`prepare`] -> tools -> [`conduct`] -> exit code. With `-o` nothing but the AgentRun goes to standard output.

pub mod model;
pub mod timeline;

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use anyhow::Context as _;
use infraagent_api::{
    AgentRun, AgentRunSpec, LABEL_AGENT, ObjectMeta, Time,
    agent::ResolvedSkill,
    run::{RECORD_VERSION, RunPhase, RunTrigger},
};
use infraagent_sandbox::{
    engine::{Engine, EngineConfig},
    limits::Limits,
};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use crate::{
    audit::{AuditKey, FileSink, Journal, Redactor, Setup, Sink, escape_terminal, escape_terminal_lines},
    broker::{Shared, cooldown::Cooldowns, executor::Executor, snapshot::Snapshot, state::State},
    cel,
    compile::{CompileLimits, Compiler, Flags},
    llm::Provider,
    run::{
        self,
        dereference::{self, Component, Documents, Paths},
        event::Observer,
        execute::{Loaded, SkillTools},
        lookup::Lookup,
        tools::Tools,
        validate::{self, Inputs, RunIdentity, SkillInput, ValidatedRun},
    },
    skill::{cache::Cache, load},
};

/// Arguments of `infraagent run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent run --agent demo/agent.yaml --environment demo/environment.yaml --models demo/models.yaml --policy demo/policy.yaml \\
    --skill deployment-pipeline.wasm --snapshot demo/snapshot --replay demo/conversation.yaml --audit-key audit.key
  infraagent run ... -o json | jq .status.actions
  ANTHROPIC_API_KEY=... infraagent run ... --record conversation.yaml    # without --replay the agent's model is asked

INFRAAGENT_LOG says what is logged to standard error, for example `info` or `skill=debug`.

Exit codes: 0 the run Succeeded or Escalated, 1 it Failed, 3 it was Blocked, 2 it could not start, or its record could not be closed.")]
pub struct Args {
    /// File with the InfraAgent
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    /// File with the AgentEnvironment that the agent names
    #[arg(long, value_name = "FILE")]
    environment: PathBuf,
    /// File with the ModelTierConfig
    #[arg(long, value_name = "FILE")]
    models: PathBuf,
    /// File with InfraAgentPolicies. Without one the agent only observes
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Component of a skill that the agent names; once for each
    #[arg(long = "skill", value_name = "FILE.wasm")]
    skills: Vec<PathBuf>,
    /// Folder of Kubernetes objects in YAML that stands for the cluster. It is read, never written
    #[arg(long, value_name = "DIR")]
    snapshot: PathBuf,
    #[command(flatten)]
    model: model::ModelFlags,
    /// Where the AgentRun is written while the run goes on [default: ./<run>.agentrun.yaml]
    #[arg(long, value_name = "FILE")]
    record_to: Option<PathBuf>,
    /// Key that signs the record; created, with its public half in FILE.pub, if it does not exist
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
    /// Folder that keeps the memory of skills with `state: true` from run to run; without it they forget
    #[arg(long, value_name = "DIR")]
    memory: Option<PathBuf>,
    #[command(flatten)]
    compile: Flags,
    /// Print the complete AgentRun to standard output; the timeline goes to standard error
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
}

/// How the AgentRun is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Everything that a run needs besides its tools.
#[derive(Debug)]
pub struct Prepared {
    /// The run.
    pub run: Arc<ValidatedRun>,
    /// The run as its documents say at each moment.
    pub lookup: Lookup,
    /// Who answers.
    pub provider: Provider,
    /// Who listens.
    pub observer: Observer,
    /// What must not leave.
    pub redactor: Arc<Redactor>,
    /// The record, opened.
    pub journal: Arc<Journal>,
    /// Where the record is.
    pub record: PathBuf,
    /// What is printed at the end.
    pub output: Option<Output>,
}

/// Runs one agent once.
pub async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let compiler = Compiler::new(CompileLimits::from(args.compile));
    let memory = args.memory.clone();
    let (prepared, components, snapshot) = prepare(args).await?;
    let (prepared, tools) = assemble(prepared, components, snapshot, &compiler, memory.as_deref()).await?;
    conduct(prepared, &tools).await
}

/// Loads the skills and puts the sandbox in front of the broker.
async fn assemble(
    prepared: Prepared,
    components: Vec<Component>,
    snapshot: Snapshot,
    compiler: &Compiler,
    memories: Option<&Path>,
) -> anyhow::Result<(Prepared, SkillTools)> {
    let run = &prepared.run;
    let engine = Engine::new(EngineConfig::default())?;
    let cache = Cache::open_default().inspect_err(|error| tracing::warn!(%error, "compiled skills are not kept")).ok();
    let mut skills = Vec::new();
    let mut memory = BTreeMap::new();
    for Component { path, bytes, digest: _, manifest } in components {
        let skill = load::load(&bytes, &engine, cache.as_ref(), compiler).await;
        let skill = skill.with_context(|| format!("cannot load the skill `{}`", path.display()))?;
        let limits = Limits::granted(manifest.limits.as_ref(), &[run.skill_ceilings.caps()]);
        if manifest.sheet.state {
            let file = memories.map(|folder| folder.join(format!("{}.{}.{}.json", run.agent.namespace, run.agent.name, manifest.name)));
            memory.insert(manifest.name.clone(), file.map_or_else(|| Ok(State::in_memory()), |file| State::open(&file))?);
        }
        skills.push(Loaded { skill, limits });
    }
    let code =
        load::native(cel::COMPONENT, &engine, cache.as_ref(), compiler).await.context("cannot compile the evaluator of pre-conditions")?;
    let shared = Shared {
        lookup: prepared.lookup.clone(),
        executor: Executor::Snapshot(snapshot),
        http: None,
        redactor: Arc::clone(&prepared.redactor),
        journal: Arc::clone(&prepared.journal),
        cooldowns: Cooldowns::in_memory(),
        preconditions: cel::Evaluator::compiled(engine, &code)?,
        memory,
        observer: prepared.observer.clone(),
        until: Instant::now() + run.limits.wall,
        sent: AtomicU64::new(0),
        effects: Arc::default(),
    };
    let tools = SkillTools::new(Arc::new(shared), &run.run.uid, skills);
    Ok((prepared, tools))
}

/// Reads and validates everything, and opens the record.
async fn prepare(args: Args) -> anyhow::Result<(Prepared, Vec<Component>, Snapshot)> {
    let Args { agent, environment, models, policy, skills, snapshot, model, record_to, audit_key, memory: _, compile: _, output } = args;
    let paths = Paths { agent, environment, models, policy, skills };
    let mut documents = dereference::dereference(&paths)?;
    let components = std::mem::take(&mut documents.components);
    let identity = identity(documents.agent.metadata.name.as_deref().unwrap_or_default(), Timestamp::now());
    let snapshot = Snapshot::load(&snapshot, &identity.uid, &validate::environment_id(&documents.environment), None)?;
    let sources = Sources {
        skills: components.iter().map(|one| SkillInput { manifest: one.manifest.clone(), digest: one.digest.clone() }).collect(),
        cluster: snapshot.scope().cluster.clone(),
        identity,
        paths,
    };
    let run = Arc::new(sources.validate(documents)?);
    let lookup = sources.lookup(Arc::clone(&run));
    let key = model.key(&run.model)?;
    // What is known to be secret, and what looks like it, is redacted.
    let redactor = Arc::new(Redactor::new(key.as_ref().map(|key| key.expose_secret())));
    let provider = model.provider(&run.model, key, Arc::clone(&redactor))?;

    let record = record_to.unwrap_or_else(|| PathBuf::from(format!("{}.agentrun.yaml", run.run.name)));
    let key = audit_key.map(|path| AuditKey::load_or_create(&path)).transpose()?.map(Arc::new);
    let setup = Setup { redactor: Arc::clone(&redactor), key, entries: run.limits.entries, now: Timestamp::now };
    let journal = Journal::open(Sink::File(FileSink::new(&record)?), document(&run), setup).await?;
    let resolved = |skill: &validate::Skill| ResolvedSkill {
        name: skill.name.clone(),
        version: Some(skill.version.clone()),
        digest: skill.digest.clone(),
    };
    journal.describe(run.model.id(), run.skills.iter().map(resolved).collect()).await?;

    let shown = match output {
        None => timeline::observer(anstream::stdout()),
        Some(_) => timeline::observer(anstream::stderr()),
    };
    let secrets = Arc::clone(&redactor);
    let observer = Observer::new(move |event| shown.tell(&event.redacted(&secrets)));
    Ok((Prepared { run, lookup, provider, observer, redactor, journal, record, output }, components, snapshot))
}

/// What the run is made of, so that it can be made again when a file changes.
#[derive(Clone)]
struct Sources {
    paths: Paths,
    identity: RunIdentity,
    cluster: String,
    /// The skills stay those that were loaded, whatever becomes of their files.
    skills: Vec<SkillInput>,
}

impl Sources {
    fn validate(&self, documents: Documents) -> Result<ValidatedRun, validate::Invalid> {
        let Documents { agent, environment, models, policies, components: _ } = documents;
        let (cluster, run) = (self.cluster.clone(), self.identity.clone());
        validate::validate(Inputs { agent, environment, models, policies, skills: self.skills.clone(), cluster, run })
    }

    fn lookup(self, run: Arc<ValidatedRun>) -> Lookup {
        let Paths { agent, environment, models: _, policy, skills: _ } = &self.paths;
        let files = [agent, environment].into_iter().chain(policy).cloned().collect();
        Lookup::new(files, run, move || {
            let documents = dereference::dereference(&self.paths).map_err(|error| error.to_string())?;
            self.validate(documents).map_err(|error| error.to_string())
        })
    }
}

/// Holds the conversation, closes the record, and prints what was asked for.
pub async fn conduct<T: Tools>(prepared: Prepared, tools: &T) -> anyhow::Result<ExitCode> {
    let Prepared { run, lookup: _, provider, observer, redactor: _, journal, record, output } = prepared;
    let conclusion = run::execute(&run, &provider, tools, &observer).await;
    let phase = conclusion.phase;
    run::close(&journal, conclusion).await.with_context(|| format!("the record `{}` could not be closed", record.display()))?;
    match output {
        None => anstream::println!("  record: {}", escape_terminal(&record.display().to_string())),
        Some(output) => print(&journal.document().await, output)?,
    }
    Ok(match phase {
        RunPhase::Succeeded | RunPhase::Escalated => ExitCode::SUCCESS,
        RunPhase::Blocked => ExitCode::from(3),
        RunPhase::Failed | RunPhase::Pending | RunPhase::Running => ExitCode::from(1),
    })
}

fn print(run: &AgentRun, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => serde_json::to_string_pretty(run)? + "\n",
        Output::Yaml => serde_saphyr::to_string(run)?,
    };
    // Both formats keep what a program reads as it is; on a terminal nothing of the world is active.
    let text = if std::io::stdout().is_terminal() { escape_terminal_lines(&text) } else { text.into() };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

/// `<agent>-<UTC time>`, at most as long as a name may be.
fn identity(agent: &str, now: Timestamp) -> RunIdentity {
    let agent: String = agent.chars().take(200).collect();
    RunIdentity { name: format!("{agent}-{}", now.strftime("%Y%m%d-%H%M%S")), uid: uuid::Uuid::new_v4().to_string() }
}

fn document(run: &ValidatedRun) -> AgentRun {
    let spec = AgentRunSpec {
        agent_ref: run.agent.name.clone(),
        agent_uid: run.agent.uid.clone(),
        environment_ref: run.site.name.clone(),
        trigger: RunTrigger::Manual,
        model_used: None,
        mode: run.mode,
        retry_of: None,
        attempt: 1,
        approval_ref: None,
        record_version: RECORD_VERSION,
    };
    let metadata = ObjectMeta {
        name: Some(run.run.name.clone()),
        namespace: Some(run.agent.namespace.to_string()),
        uid: Some(run.run.uid.clone()),
        creation_timestamp: Some(Time(Timestamp::now())),
        labels: Some([(LABEL_AGENT.to_owned(), run.agent.name.clone())].into()),
        ..ObjectMeta::default()
    };
    AgentRun { metadata, spec, status: None }
}
