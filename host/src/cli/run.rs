//! `infraagent run`: one agent, once, offline: against a snapshot of a cluster, with a recorded conversation.
//!
//! Files -> [`prepare`] -> tools -> [`conduct`] -> exit code. With `-o` nothing but the AgentRun goes to standard output.

pub mod timeline;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use infraagent_api::{
    AgentRun, AgentRunSpec, LABEL_AGENT, ObjectMeta, Time,
    agent::ResolvedSkill,
    run::{RECORD_VERSION, RunPhase, RunTrigger},
};
use jiff::Timestamp;

use crate::{
    audit::{AuditKey, FileSink, Journal, Redactor, Setup, Sink, escape_terminal},
    llm::{Provider, Replay, replay::Mode},
    run::{
        self,
        dereference::{self, Component, Documents, Paths},
        event::Observer,
        tools::Tools,
        validate::{self, Inputs, RunIdentity, SkillInput, ValidatedRun},
    },
};

/// Arguments of `infraagent run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 the run Succeeded or Escalated, 1 it Failed, 3 it was Blocked, 2 it could not start.")]
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
    /// Recorded conversation that answers instead of a model. Fails with a diff if anything else is asked than was recorded
    #[arg(long, value_name = "FILE")]
    replay: PathBuf,
    /// Keep the replies of the recording, and write what is asked into it
    #[arg(long)]
    update_replay: bool,
    /// Where the AgentRun is written while the run goes on [default: ./<run>.agentrun.yaml]
    #[arg(long, value_name = "FILE")]
    record_to: Option<PathBuf>,
    /// Key that signs the record; created, with its public half in FILE.pub, if it does not exist
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
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
    /// Its skills, not loaded yet.
    pub components: Vec<Component>,
    /// The folder that stands for the cluster.
    pub snapshot: PathBuf,
    /// Who answers.
    pub provider: Provider,
    /// Who listens.
    pub observer: Observer,
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
    let state = args.state.clone();
    let mut prepared = prepare(args).await?;
    let components = std::mem::take(&mut prepared.components);
    let snapshot = prepared.snapshot.take().context("the snapshot was not loaded")?;
    let tools = assemble(&prepared, components, snapshot, &compiler, state.as_deref()).await?;
    conduct(prepared, &tools).await
}

/// Loads the skills and puts the sandbox in front of the broker.
async fn assemble(
    prepared: &Prepared,
    components: Vec<Component>,
    snapshot: Snapshot,
    compiler: &Compiler,
    state: Option<&Path>,
) -> anyhow::Result<SkillTools> {
    let Prepared { run, documents, observer, journal, .. } = prepared;
    let engine = Engine::new(EngineConfig::default())?;
    let cache = Cache::open_default().inspect_err(|error| tracing::warn!(%error, "compiled skills are not kept")).ok();
    let mut skills = Vec::new();
    let mut memory = BTreeMap::new();
    for Component { path, bytes, digest: _, manifest } in components {
        let skill = load::skill(&bytes, &engine, cache.as_ref(), compiler).await;
        let skill = skill.with_context(|| format!("cannot load the skill `{}`", path.display()))?;
        let limits = Limits::granted(manifest.limits.as_ref(), &[run.skill_ceilings.caps()]);
        if manifest.sheet.state {
            let file = state.map(|folder| folder.join(format!("{}.{}.{}.json", run.agent.namespace, run.agent.name, manifest.name)));
            memory.insert(manifest.name.clone(), file.map_or_else(|| Ok(State::in_memory()), |file| State::open(&file))?);
        }
        skills.push(Loaded { skill, limits });
    }
    let preconditions = match load::native(cel::COMPONENT, &engine, cache.as_ref(), compiler).await {
        Ok(code) => cel::Evaluator::compiled(engine, &code)?,
        Err(error) => anyhow::bail!("the evaluator of pre-conditions cannot be compiled: {error}"),
    };
    let shared = Arc::new(Shared {
        lookup: documents.lookup(Arc::clone(run)),
        executor: Executor::Snapshot(snapshot),
        redactor: Arc::new(journal.redactor().clone()),
        journal: Arc::clone(journal),
        cooldowns: Cooldowns::new(),
        preconditions,
        memory,
        observer: observer.clone(),
        until: Instant::now() + run.limits.wall,
        sent: AtomicU64::new(0),
        effects: Arc::default(),
    });
    Ok(SkillTools::new(shared, &run.run.uid, skills))
}

/// Reads and validates everything, and opens the record.
pub async fn prepare(args: Args) -> anyhow::Result<Prepared> {
    let Args { agent, environment, models, policy, skills, snapshot, replay, update_replay, record_to, audit_key, output } = args;
    let Documents { agent, environment, models, policies, components } =
        dereference::dereference(&Paths { agent, environment, models, policy, skills })?;
    let identity = identity(agent.metadata.name.as_deref().unwrap_or_default(), Timestamp::now());
    let skills = components
        .iter()
        .map(|Component { path: _, bytes: _, digest, manifest }| SkillInput { manifest: manifest.clone(), digest: digest.clone() });
    let inputs = Inputs { agent, environment, models, policies, skills: skills.collect(), cluster: cluster(&snapshot)?, run: identity };
    let run = validate::validate(inputs)?;
    let mode = if update_replay { Mode::Update } else { Mode::Strict };
    let provider = Provider::Replay(Replay::open(&replay, mode)?);

    let record = record_to.unwrap_or_else(|| PathBuf::from(format!("{}.agentrun.yaml", run.run.name)));
    let key = audit_key.map(|path| AuditKey::load_or_create(&path)).transpose()?.map(Arc::new);
    // Nothing secret is read offline; what looks like a secret is redacted all the same.
    let redactor = Arc::new(Redactor::new(std::iter::empty::<&[u8]>()));
    let setup = Setup { redactor, key, entries: run.limits.entries, now: Timestamp::now };
    let journal = Journal::open(Sink::File(FileSink::new(&record)?), document(&run), setup).await?;
    let resolved = |skill: &validate::Skill| ResolvedSkill {
        name: skill.name.clone(),
        version: Some(skill.version.clone()),
        digest: skill.digest.clone(),
    };
    journal.describe(run.model.id(), run.skills.iter().map(resolved).collect()).await?;

    let observer = match output {
        None => timeline::observer(anstream::stdout()),
        Some(_) => timeline::observer(anstream::stderr()),
    };
    Ok(Prepared { run: Arc::new(run), components, snapshot, provider, observer, journal, record, output })
}

/// Holds the conversation, closes the record, and prints what was asked for.
pub async fn conduct<T: Tools>(prepared: Prepared, tools: &T) -> anyhow::Result<ExitCode> {
    let Prepared { run, components: _, snapshot: _, provider, observer, journal, record, output } = prepared;
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
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

/// `<agent>-<UTC time>`, at most as long as a name may be.
fn identity(agent: &str, now: Timestamp) -> RunIdentity {
    let agent: String = agent.chars().take(200).collect();
    RunIdentity { name: format!("{agent}-{}", now.strftime("%Y%m%d-%H%M%S")), uid: uuid::Uuid::new_v4().to_string() }
}

/// A snapshot stands for the cluster of its folder's name.
fn cluster(snapshot: &Path) -> anyhow::Result<String> {
    let folder = snapshot.canonicalize().with_context(|| format!("cannot read the snapshot `{}`", snapshot.display()))?;
    anyhow::ensure!(folder.is_dir(), "the snapshot `{}` is no folder: give the folder that holds the objects", snapshot.display());
    Ok(format!("snapshot/{}", folder.file_name().unwrap_or_default().to_string_lossy()))
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
