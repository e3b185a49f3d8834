//! Records go when they are old enough, or too many: first a floor is signed ([`crate::audit::floor`]), then the beginning of a chain is removed, so that what is
//! left can be verified from there.
//!
//! # Guarantees
//!
//! * Nothing is removed that is not over, that belongs to the newest of its agent, that the limits of the hour still count, or, where records are exported, that was
//!   not exported yet (unless an administrator says otherwise).
//! * What is removed stands in a floor that was durable before. Of an interrupted removal the rest follows next time; it is a whole piece of the chain.
//! * A break in what is removed is counted in the floor, signed, and logged: retention does not launder.
//! * Age is believed only if this replica's clock and the API server's agree on it.
//!
//! # Caveats
//!
//! * A run that was ordered by hand without the uid of its agent, which is gone, and that no other run is linked with, is left alone: no floor could name it.

mod floors;
mod plan;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent_api::{AgentRun, InfraAgent, run::RunPhase};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DeleteParams, GetParams, ListParams, Preconditions},
    core::Request,
};
use serde_json::Value;

pub(crate) use self::floors::Floors;
use self::plan::{Record, Shelf};
use super::{conditions::said, lead::Leader, server_time};
use crate::{
    audit::{
        Document,
        floor::Floor,
        history::{self, Link},
        verify::Answer,
    },
    telemetry::metrics::operator::Controller,
};

/// Records per request.
const PAGE: u32 = 100;
/// Between two batches: others want to be answered too.
const BREATH: Duration = Duration::from_millis(200);

/// How long records stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end a record stays. Zero: for ever, and nothing else is removed either.
    pub ttl: Duration,
    /// Between two looks. The first is when a replica begins to lead.
    pub scan_interval: Duration,
    /// Records that are removed at a time, at least 1.
    pub batch: usize,
    /// So many of the newest records of each agent stay, however old they are.
    pub keep: usize,
    /// What all records together may take, in bytes of JSON. 0: anything.
    pub bytes: u64,
}

impl Default for Retention {
    /// A week, looked at every hour, 100 at a time, the newest 5 of each agent stay, 512 MiB.
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self { ttl: hour * 168, scan_interval: hour, batch: 100, keep: 5, bytes: 512 << 20 }
    }
}

/// Why a record cannot be removed now.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The API server said no, or nothing.
    #[error("{}", said(.0))]
    Api(#[from] kube::Error),
    /// What it answered is no record.
    #[error("a record cannot be read: {0}")]
    Unreadable(String),
}

/// Removes what is to go, as long as this replica leads.
pub(super) async fn keep_to_it(leader: Arc<Leader>) {
    let settings = leader.operator.settings.retention;
    if settings.ttl.is_zero() {
        return;
    }
    loop {
        let began = Instant::now();
        let swept = sweep(&leader, &settings).await;
        leader.operator.metrics.reconciled(Controller::Retention, began.elapsed(), swept.is_ok());
        match swept {
            Ok(0) => tracing::debug!("no record is to go"),
            Ok(removed) => tracing::info!(removed, "records were removed"),
            Err(error) => tracing::warn!(%error, "records cannot be removed now"),
        }
        tokio::time::sleep(settings.scan_interval).await;
    }
}

async fn sweep(leader: &Leader, settings: &Retention) -> Result<usize, Error> {
    let operator = &leader.operator;
    let now = server_time::ask(operator).await?.min(operator.clock.now());
    let (shelves, agents) = survey(leader).await?;
    let mut removed = 0;
    for (agent, records) in plan::plan(&shelves, settings, operator.settings.hourly.window, now) {
        for batch in records.chunks(settings.batch.max(1)) {
            let gone = match remove(leader, &agent, batch).await {
                Ok(gone) => gone,
                // The others are not kept waiting.
                Err(error) => {
                    tracing::warn!(%error, agent, "records of an agent cannot be removed now");
                    break;
                }
            };
            removed += gone;
            if gone < batch.len() {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
    }
    let floors = Floors::new(operator.connection.client.clone(), operator.connection.operator_namespace.as_str());
    for agent in floors.all().await? {
        // No agent, no record: nothing is left to be verified.
        if !agents.contains(&agent) {
            floors.remove(&agent).await?;
        }
    }
    Ok(removed)
}

/// A record, and what says whose it is.
struct Seen {
    record: Record,
    uid: String,
    agent: (String, String),
    agent_uid: Option<String>,
    previous: Option<String>,
}

impl Seen {
    fn kin(&self) -> history::Kin<'_> {
        (self.record.sequence, &self.uid, self.agent_uid.as_deref(), self.previous.as_deref())
    }
}

/// Every record of the namespaces that are looked after, by the uid of its agent; and the uids of all agents that are there, or that have records anywhere.
async fn survey(leader: &Leader) -> Result<(BTreeMap<String, Shelf>, HashSet<String>), Error> {
    let api = Api::<AgentRun>::all(leader.operator.connection.client.clone());
    let mut parameters = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        all.extend(page.items.into_iter().filter_map(seen));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => break,
        }
    }
    let living: HashMap<(String, String), String> = leader.caches.agents.state().iter().filter_map(|agent| living(agent)).collect();
    let owners = history::owners(all.iter().map(Seen::kin).collect());
    let mut shelves: BTreeMap<String, Shelf> = BTreeMap::new();
    let mut agents: HashSet<String> = living.values().cloned().collect();
    for Seen { record, uid, agent, agent_uid: _, previous: _ } in all {
        let Some(owner) = owners.get(&uid).or_else(|| living.get(&agent)) else { continue };
        agents.insert(owner.clone());
        if leader.watches(&record.namespace) {
            let shelf = shelves.entry(owner.clone()).or_default();
            shelf.lives = living.get(&agent) == Some(owner);
            shelf.records.push(record);
        }
    }
    Ok((shelves, agents))
}

fn living(agent: &InfraAgent) -> Option<((String, String), String)> {
    Some(((agent.namespace()?, agent.name_any()), agent.uid()?))
}

fn seen(run: AgentRun) -> Option<Seen> {
    let bytes = u64::try_from(serde_json::to_vec(&run).ok()?.len()).ok()?;
    let status = run.status.as_ref();
    let is_over = status.and_then(|status| status.phase).is_some_and(RunPhase::is_terminal);
    let created = run.creation_timestamp()?.0;
    let completed = status.and_then(|status| status.completion_time.as_ref()).map_or(created, |time| time.0);
    let record = Record {
        namespace: run.namespace()?,
        name: run.name_any(),
        sequence: status.and_then(|status| status.sequence),
        created,
        completed: is_over.then_some(completed),
        bytes,
    };
    Some(Seen {
        uid: run.uid()?,
        agent: (record.namespace.clone(), run.spec.agent_ref.clone()),
        agent_uid: run.spec.agent_uid.clone(),
        previous: status.and_then(|status| status.previous.as_ref()).map(|previous| previous.uid.clone()),
        record,
    })
}

/// Removes records of one agent, in this order, and returns how many are gone. It stops at the first that somebody else holds on to.
async fn remove(leader: &Leader, agent_uid: &str, records: &[Record]) -> Result<usize, Error> {
    let operator = &leader.operator;
    let (client, key) = (&operator.connection.client, operator.key.public());
    let floors = Floors::new(client.clone(), operator.connection.operator_namespace.as_str());
    let kept = floors.of(agent_uid).await?;
    let known = kept.as_ref().and_then(|kept| kept.signed.as_ref()?.open(Some(&key), agent_uid).ok());
    // What somebody else put there is no floor, and that it was there is told for ever.
    let mut breaks = known.as_ref().map_or(u64::from(kept.is_some()), |floor| floor.breaks);
    let mut floor = known.clone();
    let mut doomed = Vec::new();
    for record in records {
        let Some(document) = read(client, &record.namespace, &record.name).await? else { continue };
        let link = Link::of(&document, Some(&key));
        let version = document.run.resource_version();
        if !link.ended {
            break;
        }
        if operator.export.as_ref().is_some_and(|export| !export.permits_removal(&document)) {
            tracing::warn!(
                namespace = record.namespace,
                run = record.name,
                "a record is not exported yet, and so are those after it: they stay"
            );
            break;
        }
        let (sequence, below) = (link.sequence.unwrap_or(0), floor.as_ref().map_or(0, |floor| floor.sequence));
        if sequence > below {
            let unfit = link.does_not_follow(floor.as_ref().map(|floor| (floor.sequence, floor.run_uid.as_str(), floor.head.as_str())));
            let wrong = unfit.or_else(|| match (&link.report.consistent, &link.report.authentic) {
                (Answer::Yes(_), Answer::Yes(_)) => None,
                (Answer::No(why) | Answer::NotChecked(why), _) | (_, Answer::No(why) | Answer::NotChecked(why)) => Some(why.clone()),
            });
            if let Some(why) = wrong {
                breaks = breaks.saturating_add(1);
                tracing::error!(namespace = record.namespace, run = record.name, why, "the records of an agent do not hang together");
            }
            floor = Some(Floor {
                namespace: record.namespace.clone(),
                agent: document.run.spec.agent_ref.clone(),
                agent_uid: agent_uid.to_owned(),
                sequence,
                run_uid: link.uid.clone(),
                head: link.report.head.clone().unwrap_or_default(),
                breaks,
            });
        }
        doomed.push((record, link.uid, version));
    }
    if let Some(floor) = floor.filter(|floor| known.as_ref() != Some(floor)) {
        let signed = floor.sign(&operator.key).ok_or_else(|| Error::Unreadable("a floor has no canonical form".to_owned()))?;
        floors.put(agent_uid, signed, kept.as_ref()).await?;
    }
    let mut gone = 0;
    for (record, uid, resource_version) in doomed {
        let parameters = DeleteParams::default().preconditions(Preconditions { uid: Some(uid), resource_version });
        match Api::<AgentRun>::namespaced(client.clone(), &record.namespace).delete(&record.name, &parameters).await {
            Ok(_) => gone += 1,
            Err(kube::Error::Api(status)) if status.code == 404 => gone += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(gone)
}

/// A record as it is, member by member.
async fn read(client: &kube::Client, namespace: &str, name: &str) -> Result<Option<Document>, Error> {
    let request = Request::new(AgentRun::url_path(&(), Some(namespace)));
    let request = request.get(name, &GetParams::default()).map_err(|error| Error::Unreadable(error.to_string()))?;
    match client.request::<Value>(request).await {
        Ok(value) => Document::from_value(value).map(Some).map_err(|error| Error::Unreadable(error.to_string())),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}
