//! Executes one assigned run, with the code of `infraagent run`: take the record, dereference, validate, assemble, converse, report, close.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use infraagent_api::{AgentRun, InfraAgent, ModelTierConfig, agent::ResolvedSkill, names::Mode, run::RunPhase};
use jiff::Timestamp;
use kube::Resource as _;
use tokio::sync::{SemaphorePermit, watch};
use tracing::Instrument as _;

use super::{Operator, names};
use crate::{
    audit::{self, ClusterSink, Journal, Redactor, Setup, Sink},
    broker::{
        cooldown::Cooldowns,
        executor::Executor,
        fence::{Fence, Tenure},
        http::Secrets,
    },
    llm::Provider,
    run::{
        self,
        assemble::{self, Parts},
        dereference::{
            Component,
            cluster::{Governing, Reader},
        },
        lookup::Lookup,
        report::{
            Conclusion,
            events::{self, Events},
            notice,
        },
        stop::Stop,
        validate::{self, Inputs, RunIdentity, SecretKey, SkillInput, ValidatedRun},
    },
    telemetry::{Subject, run::RunTelemetry},
};

/// Between two tries to close a record.
const PAUSE: Duration = Duration::from_secs(1);

/// The record of the run is still open, and somebody has to close it.
#[derive(Debug)]
pub(super) struct Unclosed {
    /// What stood in the way.
    pub(super) why: String,
}

/// Why there is more to do about a run.
enum Unfinished {
    /// It did not begin.
    NotBegun(String),
    /// It ended, and its record does not say so.
    NotClosed(audit::Error),
}

impl Unfinished {
    fn not_begun(error: impl ToString) -> Self {
        Self::NotBegun(error.to_string())
    }
}

/// Everything that was found before the record is opened.
struct Ready {
    validated: Arc<ValidatedRun>,
    governing: Governing,
    maker: Maker,
    reader: Reader,
    components: Vec<Component>,
    credentials: Secrets,
    provider: Provider,
    redactor: Arc<Redactor>,
}

/// Makes the run of documents, again whenever one of them changes.
#[derive(Clone)]
struct Maker {
    order: Arc<AgentRun>,
    models: Arc<Vec<ModelTierConfig>>,
    skills: Vec<SkillInput>,
    cluster: String,
}

impl Maker {
    /// The error says what is wrong, and what to do.
    fn make(&self, governing: Governing) -> Result<ValidatedRun, String> {
        let Governing { mut agent, environment, policies } = governing;
        let (_, name, uid) = names(&self.order);
        let spec = &self.order.spec;
        if spec.agent_uid.as_ref().is_some_and(|uid| agent.metadata.uid.as_ref() != Some(uid)) {
            return Err(format!("`spec.agentUid`: InfraAgent `{}` was deleted, and created anew: create another AgentRun", spec.agent_ref));
        }
        if spec.environment_ref != agent.spec.environment_ref {
            return Err(format!(
                "`spec.environmentRef` is `{}`, and InfraAgent `{}` works in `{}`: create an AgentRun that names that one",
                spec.environment_ref, spec.agent_ref, agent.spec.environment_ref
            ));
        }
        // A shadow run of a live agent changes nothing, nor does any run of a shadow agent.
        if spec.mode == Mode::Shadow {
            agent.spec.mode = Mode::Shadow;
        }
        let (environment, policies) = (Arc::unwrap_or_clone(environment), Arc::unwrap_or_clone(policies));
        let (models, skills, cluster) = (self.models.to_vec(), self.skills.clone(), self.cluster.clone());
        let run = RunIdentity { name, uid, input: spec.input.clone() };
        let inputs = Inputs { agent, environment, models, policies, skills, cluster, run };
        let run = validate::validate(inputs).map_err(|error| error.to_string())?;
        match &spec.model_used {
            Some(model) if *model != run.model.id() => Err(format!(
                "`spec.modelUsed` is `{model}`, and the agent's tier is `{}`: leave it out, or change the tier",
                run.model.id()
            )),
            Some(_) | None => Ok(run),
        }
    }
}

/// Executes the run until its record is closed, or says why it is not.
pub(super) async fn execute(
    operator: Arc<Operator>,
    order: Arc<AgentRun>,
    tenure: Arc<Tenure>,
    stopped: watch::Receiver<Option<Stop>>,
) -> Result<(), Unclosed> {
    // What an agent wants told is known once it is read; if it cannot be, its run is told about like any other.
    let sharing = Arc::clone(&operator);
    let starting = sharing.starting.acquire().await.ok();
    let asked = reader(&operator, &order);
    let agent = Box::pin(asked.agent()).await.map(Box::new).map_err(|error| error.to_string());
    drop(asked);
    let telling = operator.telemetry.begin(&Subject::ordered(&order, agent.as_deref().ok()));
    let span = telling.span();
    Box::pin(carry_out(operator, order, (agent, starting), tenure, stopped, telling)).instrument(span).await
}

async fn carry_out(
    operator: Arc<Operator>,
    order: Arc<AgentRun>,
    (agent, starting): (Result<Box<InfraAgent>, String>, Option<SemaphorePermit<'_>>),
    tenure: Arc<Tenure>,
    stopped: watch::Receiver<Option<Stop>>,
    telling: RunTelemetry,
) -> Result<(), Unclosed> {
    // What is only needed for a while is kept apart: a run waits for its model for minutes, and there may be a thousand of them.
    let prepared = telling.assemble(Box::pin(async {
        tokio::select! {
            ready = prepare(&operator, &order, agent) => ready,
            why = told(stopped.clone()) => Err(why.to_string()),
        }
    }));
    let prepared = prepared.await;
    let redactor = match &prepared {
        Ok(ready) => Arc::clone(&ready.redactor),
        Err(_) => operator.connection.redactor([]),
    };
    telling.redact(&redactor);
    let entries = prepared.as_ref().map_or(0, |ready| ready.validated.limits.entries);
    let journal = Box::pin(open(&operator, &order, redactor, entries)).await.map_err(|error| Unclosed { why: error.to_string() })?;
    drop(starting);
    let ended = match prepared {
        Ok(ready) => Box::pin(conduct(&operator, ready, &journal, tenure, stopped, &telling)).await,
        Err(why) => Err(Unfinished::NotBegun(why)),
    };
    let closed = match ended {
        Ok(()) => Ok(()),
        Err(Unfinished::NotClosed(error)) => Err(Unclosed { why: error.to_string() }),
        Err(Unfinished::NotBegun(why)) => {
            tracing::warn!(why, "the run could not start");
            let closed = Box::pin(run::abandon(&journal, &why)).await.map(drop);
            telling.closed(RunPhase::Failed, "NotStarted");
            closed.map_err(|error| Unclosed { why: format!("{why}; {error}") })
        }
    };
    if closed.is_ok() && operator.ended.is_listened_to() {
        operator.ended.tell(journal.document().await);
    }
    closed
}

fn reader(operator: &Operator, order: &AgentRun) -> Reader {
    let (namespace, _, _) = names(order);
    Reader::new(operator.connection.client.clone(), &namespace, &order.spec.agent_ref)
}

/// Why the run is to end. Never, if nobody says so.
async fn told(mut stopped: watch::Receiver<Option<Stop>>) -> Stop {
    let why = stopped.wait_for(Option::is_some).await.ok().and_then(|why| *why);
    match why {
        Some(why) => why,
        None => std::future::pending().await,
    }
}

async fn open(operator: &Operator, order: &AgentRun, redactor: Arc<Redactor>, entries: u32) -> Result<Arc<Journal>, audit::Error> {
    // As it was seen it waits, and is assigned to this replica. If anybody began it or gave it to another one since then, the first write is refused.
    let sink = ClusterSink::hold_as_seen(operator.connection.client.clone(), order).map_err(audit::sink::Error::from)?;
    let sink = sink.counted(operator.metrics.clone());
    Journal::open(
        Sink::Cluster(sink),
        order.clone(),
        Setup { redactor, key: Some(Arc::clone(&operator.key)), entries, now: Timestamp::now },
    )
    .await
}

fn resolved(skill: &validate::Skill) -> ResolvedSkill {
    ResolvedSkill { name: skill.name.clone(), version: Some(skill.version.clone()), digest: skill.digest.clone() }
}

/// Reads everything that the run is made of. Nothing is written.
async fn prepare(operator: &Operator, order: &Arc<AgentRun>, agent: Result<Box<InfraAgent>, String>) -> Result<Box<Ready>, String> {
    let connection = &operator.connection;
    let (namespace, _, _) = names(order);
    let reader = reader(operator, order);
    let recent = &connection.recent;
    let (governing, models) =
        tokio::try_join!(recent.governing(&reader, *agent?), recent.models(&reader)).map_err(|error| error.to_string())?;
    let mut components = Vec::new();
    for skill in &governing.agent.spec.skills {
        components.push(operator.skills.resolve(&namespace, skill).await.map_err(|error| error.to_string())?);
    }
    let skills = components.iter().map(|one| SkillInput { manifest: Arc::clone(&one.manifest), digest: one.digest.clone() }).collect();
    let maker = Maker { order: Arc::clone(order), models, skills, cluster: connection.id.clone() };
    let mut validated = maker.make(governing.clone())?;
    connection.admit(&governing.environment, &validated).await.map_err(|error| error.to_string())?;
    let credentials = connection.credentials(&governing.environment).await.map_err(|error| error.to_string())?;
    let key = match validated.model.secret() {
        Some(SecretKey { secret, key }) => {
            let (home, model) = (connection.operator_namespace.as_str(), validated.model.id());
            Some(recent.key(&connection.client, home, secret, key, &model).await.map_err(|error| error.to_string())?)
        }
        None => None,
    };
    let redactor = connection.redactor(credentials.values().into_iter().chain(key.clone()));
    // Now that all secrets are known: one of them may have come back with what happened.
    if let Some(input) = &mut validated.run.input {
        input.text = redactor.text(&input.text).into_owned();
    }
    let provider = match validated.model.unavailable() {
        Some(why) => Provider::Unavailable(why),
        None => {
            let endpoint = validated.model.endpoint(key).map_err(|error| error.to_string())?;
            Provider::connect(&validated.model.provider, &validated.model.model, &endpoint).map_err(|error| error.to_string())?
        }
    };
    Ok(Box::new(Ready { validated: Arc::new(validated), governing, maker, reader, components, credentials, provider, redactor }))
}

/// Runs, and closes the record.
async fn conduct(
    operator: &Operator,
    ready: Box<Ready>,
    journal: &Arc<Journal>,
    tenure: Arc<Tenure>,
    stopped: watch::Receiver<Option<Stop>>,
    telling: &RunTelemetry,
) -> Result<(), Unfinished> {
    let Ready { validated, governing, maker, reader, components, credentials, provider, redactor } = *ready;
    let connection = &operator.connection;
    let described = journal.describe(validated.model.id(), validated.skills.iter().map(resolved).collect()).await;
    described.map_err(Unfinished::not_begun)?;
    let agent = governing.agent.object_ref(&());
    let observer = telling.observer(&validated);
    let parts = Parts {
        lookup: Lookup::cluster(reader, governing, Arc::clone(&validated), move |now| maker.make(now)),
        executor: Executor::Kubernetes(Box::new(connection.executor(&validated).map_err(Unfinished::not_begun)?)),
        fence: Fence::Leased(tenure),
        cooldowns: Cooldowns::Leases(Box::new(connection.cooldowns(&validated))),
        http: Some(connection.http(&validated, credentials, Arc::clone(&redactor))),
        redactor: Arc::clone(&redactor),
        journal: Arc::clone(journal),
        memory: BTreeMap::new(),
        observer: observer.clone(),
    };
    let tools = Box::pin(assemble::tools(&operator.workshop, &validated, &components, parts)).await.map_err(Unfinished::not_begun)?;
    let mut conclusion = Box::pin(run::execute(&validated, &provider, &tools, &observer, told(stopped))).await;
    let findings = journal.document().await.status.unwrap_or_default().findings;
    let mut notices = notice::notices(&validated, &conclusion, &findings);
    // How a run ended that somebody else has taken over, that one says.
    if !notices.is_empty()
        && let Err(error) = journal.held().await
    {
        tracing::warn!(%error, "nobody is told how the run ended here");
        notices.clear();
    }
    events::log(&notices, &redactor);
    let sent = Box::pin(Events::new(connection.client.clone(), agent).send(&notices, &redactor)).await;
    conclusion.escalated(&sent, &format!("told by Event on InfraAgent {}/{}", validated.agent.namespace, validated.agent.name));
    let phase = conclusion.phase;
    let closing = close(journal, conclusion.clone());
    Box::pin(telling.report(&conclusion, closing)).await.map_err(Unfinished::NotClosed)?;
    tracing::info!(%phase, "ends");
    Ok(())
}

/// Closes the record as soon as that can be, unless somebody else has taken it: how a run ended does not depend on when the API server is back.
async fn close(journal: &Journal, conclusion: Conclusion) -> Result<(), audit::Error> {
    let mut closed = run::close(journal, conclusion).await.map(drop);
    while let Err(error) = &closed
        && error.is_for_now()
    {
        tracing::warn!(%error, "the end of the record waits for the API server");
        tokio::time::sleep(PAUSE).await;
        closed = journal.flush().await;
    }
    closed
}
