//! Everything before a run begins, in the order that leaves nothing behind when something is wrong:
//!
//! connect -> read documents -> validate -> admit -> Secrets -> provider -> create the record -> open it.

use std::{path::PathBuf, sync::Arc};

use anyhow::bail;
use infraagent_api::{
    AgentRun, AgentRunSpec, LABEL_AGENT, ModelTierConfig, ObjectMeta, Time,
    agent::ResolvedSkill,
    run::{RECORD_VERSION, RunTrigger},
};
use jiff::Timestamp;
use kube::Resource as _;
use secrecy::ExposeSecret as _;

use super::{
    Args, Prepared,
    cluster::{self, Flags},
};
use crate::{
    audit::{AuditKey, ClusterSink, FileSink, Journal, Redactor, Setup, Sink},
    broker::{http::Secrets, snapshot::Snapshot},
    cli::{output::Output, timeline},
    llm::Provider,
    run::{
        connection::Connection,
        dereference::{
            self, Component, Documents, Paths,
            cluster::{Governing, Reader},
        },
        event::Observer,
        lookup::Lookup,
        report::events::Events,
        validate::{self, Inputs, RunIdentity, SkillInput, ValidatedRun},
    },
};

/// What a run acts on.
#[derive(Debug)]
pub(super) enum World {
    /// A folder.
    /// With the credentials of endpoints; none: it stays offline.
    Snapshot(Box<Snapshot>, Option<Secrets>),
    /// A cluster, with the credentials of endpoints.
    Cluster(Box<Connection>, Secrets),
}

/// Everything that a run is made of, read and found right. Nothing was written yet.
pub(super) struct Ready {
    sources: Sources,
    documents: Documents,
    run: ValidatedRun,
    provider: Provider,
    redactor: Arc<Redactor>,
    components: Vec<Component>,
    world: World,
    record_to: Option<PathBuf>,
    audit_key: Option<PathBuf>,
    output: Option<Output>,
}

/// Reads and validates everything. Can be given up at any time.
pub(super) async fn prepare(args: Args) -> anyhow::Result<Ready> {
    let Args {
        agent,
        environment,
        models,
        policy,
        skills,
        snapshot,
        cluster: Flags { kubeconfig, context, agent_name, namespace, operator_namespace },
        model,
        record_to,
        audit_key,
        memory: _,
        endpoints,
        compile: _,
        traces: _,
        output,
    } = args;
    let connection = match kubeconfig {
        Some(path) => Some(Box::new(cluster::connect(&path, context, &operator_namespace).await?)),
        None => None,
    };
    let (origin, mut documents) = match (agent, environment, models, agent_name, &connection) {
        (Some(agent), Some(environment), Some(models), None, _) => {
            let paths = Paths { agent, environment, models, policy, skills };
            let documents = dereference::dereference(&paths)?;
            (Origin::Files(paths), documents)
        }
        (None, None, None, Some(name), Some(connection)) => {
            let namespace = namespace.unwrap_or_else(|| connection.config().default_namespace.clone());
            Origin::read(Reader::new(connection.client.clone(), &namespace, &name), &skills).await?
        }
        _ => bail!("give the documents either as files (--agent, --environment, --models) or by --agent-name with --kubeconfig"),
    };
    let components = std::mem::take(&mut documents.components);
    let identity = identity(documents.agent.metadata.name.as_deref().unwrap_or_default(), Timestamp::now());
    let mut world = match (snapshot, connection) {
        (Some(folder), None) => {
            let environment = validate::environment_id(&documents.environment);
            World::Snapshot(Box::new(Snapshot::load(&folder, &identity.uid, &environment, None)?), endpoints.secrets()?)
        }
        (None, Some(connection)) => World::Cluster(connection, Secrets::default()),
        (Some(_), Some(_)) | (None, None) => bail!("give exactly one of --snapshot and --kubeconfig"),
    };
    let sources = Sources {
        skills: components.iter().map(|one| SkillInput { manifest: one.manifest.clone(), digest: one.digest.clone() }).collect(),
        cluster: match &world {
            World::Snapshot(snapshot, _) => snapshot.scope().cluster.clone(),
            World::Cluster(connection, _) => connection.id.clone(),
        },
        identity,
        origin,
    };
    let run = sources.validate(documents.clone())?;
    let mut known = Vec::new();
    match &mut world {
        World::Snapshot(_, secrets) => known.extend(secrets.iter().flat_map(Secrets::values)),
        World::Cluster(connection, credentials) => {
            connection.admit(&documents.environment, &run).await?;
            *credentials = connection.credentials(&documents.environment).await?;
            known.extend(connection.secrets());
            known.extend(credentials.values());
        }
    }
    let key = match (&sources.origin, &world) {
        (Origin::Cluster { .. }, World::Cluster(connection, _)) => model.key_in_cluster(&run.model, connection).await?,
        (Origin::Cluster { .. }, World::Snapshot(..)) | (Origin::Files(_), World::Snapshot(..) | World::Cluster(..)) => {
            model.key(&run.model)?
        }
    };
    known.extend(key.clone());
    // What is known to be secret, and what looks like it, is redacted.
    let redactor = Arc::new(Redactor::new(known.iter().map(|secret| secret.expose_secret())));
    let provider = model.provider(&run.model, key, Arc::clone(&redactor))?;

    Ok(Ready { sources, documents, run, provider, redactor, components, world, record_to, audit_key, output })
}

/// Opens the record. Not to be given up on the way: it would be left open.
pub(super) async fn open(ready: Ready) -> anyhow::Result<(Prepared, Vec<Component>, World)> {
    let Ready { mut sources, documents, run, provider, redactor, components, world, record_to, audit_key, output } = ready;
    let key = audit_key.map(|path| AuditKey::load_or_create(&path)).transpose()?.map(Arc::new);
    let (sink, record, object) = match (&world, record_to) {
        (World::Cluster(connection, _), None) => {
            let (sink, object) = ClusterSink::create(connection.client.clone(), &document(&run, None)).await?;
            // The chain begins with the uid that the API server gave.
            sources.identity.uid = object.metadata.uid.clone().unwrap_or_default();
            let record = format!("agentrun {}", sink.shown());
            (Sink::Cluster(sink), record, Some(object))
        }
        (World::Snapshot(..) | World::Cluster(..), path) => {
            let path = path.unwrap_or_else(|| PathBuf::from(format!("{}.agentrun.yaml", run.run.name)));
            (Sink::File(FileSink::new(&path)?), path.display().to_string(), None)
        }
    };
    // An agent that only a file describes is no object that an Event could be about.
    let events = match (&world, &sources.origin) {
        (World::Cluster(connection, _), Origin::Cluster { .. }) => {
            Some(Events::new(connection.client.clone(), documents.agent.object_ref(&())))
        }
        (World::Cluster(..), Origin::Files(_)) | (World::Snapshot(..), _) => None,
    };
    let governing = Governing {
        agent: documents.agent.clone(),
        environment: Arc::new(documents.environment.clone()),
        policies: Arc::new(documents.policies.clone()),
    };
    let run = Arc::new(sources.validate(documents)?);
    let object = object.unwrap_or_else(|| document(&run, Some(&run.run.uid)));
    let setup = Setup { redactor: Arc::clone(&redactor), key, entries: run.limits.entries, now: Timestamp::now };
    let journal = Journal::open(sink, object, setup).await?;
    let resolved = |skill: &validate::Skill| ResolvedSkill {
        name: skill.name.clone(),
        version: Some(skill.version.clone()),
        digest: skill.digest.clone(),
    };
    journal.describe(run.model.id(), run.skills.iter().map(resolved).collect()).await?;
    let lookup = sources.lookup(governing, Arc::clone(&run));

    let shown = match output {
        None => timeline::observer(anstream::stdout()),
        Some(_) => timeline::observer(anstream::stderr()),
    };
    let secrets = Arc::clone(&redactor);
    let observer = Observer::new(move |event| shown.tell(&event.redacted(&secrets)));
    Ok((Prepared { run, lookup, provider, observer, redactor, journal, record, output, events }, components, world))
}

/// Where the documents are.
#[derive(Clone)]
enum Origin {
    Files(Paths),
    Cluster { reader: Reader, models: Vec<ModelTierConfig> },
}

impl Origin {
    /// The documents of an agent in a cluster.
    async fn read(reader: Reader, skills: &[PathBuf]) -> anyhow::Result<(Self, Documents)> {
        let (governing, models) = tokio::try_join!(reader.governing(), reader.models())?;
        let Governing { agent, environment, policies } = governing;
        let (environment, policies) = (Arc::unwrap_or_clone(environment), Arc::unwrap_or_clone(policies));
        let components = dereference::components(&agent, skills, &format!("`{}` in the cluster", reader.shown()))?;
        let documents = Documents { agent, environment, models: models.clone(), policies, components };
        Ok((Self::Cluster { reader, models }, documents))
    }
}

/// What the run is made of, so that it can be made again when a document changes.
#[derive(Clone)]
struct Sources {
    origin: Origin,
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

    fn lookup(self, governing: Governing, run: Arc<ValidatedRun>) -> Lookup {
        match self.origin.clone() {
            Origin::Files(paths) => {
                let Paths { agent, environment, models: _, policy, skills: _ } = &paths;
                let files = [agent, environment].into_iter().chain(policy).cloned().collect();
                Lookup::new(files, run, move || {
                    let documents = dereference::dereference(&paths).map_err(|error| error.to_string())?;
                    self.validate(documents).map_err(|error| error.to_string())
                })
            }
            Origin::Cluster { reader, models } => Lookup::cluster(reader, governing, run, move |now| {
                let Governing { agent, environment, policies } = now;
                let (environment, policies) = (Arc::unwrap_or_clone(environment), Arc::unwrap_or_clone(policies));
                let documents = Documents { agent, environment, models: models.clone(), policies, components: Vec::new() };
                self.validate(documents).map_err(|error| error.to_string())
            }),
        }
    }
}

/// `<agent>-<UTC time>-<random>`, at most as long as a name may be: two runs of the same second are two.
fn identity(agent: &str, now: Timestamp) -> RunIdentity {
    let agent: String = agent.chars().take(200).collect();
    let uid = uuid::Uuid::new_v4().to_string();
    let apart: String = uid.chars().take(4).collect();
    RunIdentity { name: format!("{agent}-{}-{apart}", now.strftime("%Y%m%d-%H%M%S")), uid, input: None }
}

/// The order to run. An API server gives it a uid and a time of its own.
fn document(run: &ValidatedRun, uid: Option<&str>) -> AgentRun {
    let spec = AgentRunSpec {
        agent_ref: run.agent.name.clone(),
        agent_uid: run.agent.uid.clone(),
        environment_ref: run.site.name.clone(),
        trigger: RunTrigger::Manual,
        model_used: None,
        mode: run.mode,
        retry_of: None,
        attempt: 1,
        input: None,
        approval_ref: None,
        record_version: RECORD_VERSION,
    };
    let metadata = ObjectMeta {
        name: Some(run.run.name.clone()),
        namespace: Some(run.agent.namespace.to_string()),
        uid: uid.map(str::to_owned),
        creation_timestamp: uid.map(|_| Time(Timestamp::now())),
        labels: Some([(LABEL_AGENT.to_owned(), label(&run.agent.name))].into()),
        ..ObjectMeta::default()
    };
    AgentRun { metadata, spec, status: None }
}

/// A name can be longer than the value of a label.
fn label(name: &str) -> String {
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}
