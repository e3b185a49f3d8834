//! Thousands of agents that run by their schedules: when each was due, when its run was created by the API server's own log, and what the operator took meanwhile.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use infraagent::schedule::{Due, Schedule};
use infraagent_api::{AgentRun, InfraAgent, LABEL_AGENT, run::RunPhase};
use infraagent_tests::{
    OPERATOR,
    model_server::{ModelServer, Reply, Step},
};
use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, ObjectList},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    common::{process, sample::Sample},
    requests::Mark,
    stage::Stage,
};

const REPORT: &str = "## Pods\n\nTwelve pods are there, all of them are ready, and none restarted since yesterday. There is nothing to do.";
/// On a scheduled run, the tick that it was created for.
const TICK: &str = "infraagent.io/tick";
/// Objects per request.
const PAGE: u32 = 1000;

/// A model that reports at once, and how often it was asked.
pub(crate) fn model() -> anyhow::Result<(ModelServer, Arc<AtomicUsize>)> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let model = ModelServer::improvise(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        (Step::Reply(Reply::says(REPORT)), Duration::ZERO)
    })?;
    Ok((model, asked))
}

/// One number, for rows that have no more.
pub(crate) fn one(number: f64) -> Sample {
    Sample { p50: number, p99: number }
}

/// Runs that were due.
pub(crate) struct Fired {
    /// Milliseconds from the moment that the agent was due, jitter included, until the API server had answered that the run exists.
    pub(crate) lags: Vec<f64>,
    /// Runs that are due and do not exist.
    pub(crate) lost: usize,
    /// Runs of these ticks that did not succeed.
    pub(crate) failed: usize,
    /// When the last of them ended, in seconds after `from`. Records say so to the second.
    pub(crate) until: f64,
    /// Most of them that existed and were not over, at the end of any second.
    pub(crate) open: usize,
}

/// What of the log matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Logged {
    verb: String,
    user: User,
    object_ref: Option<Object>,
    response_status: Option<Status>,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

impl Stage {
    /// The next ticks of every agent's schedule whose moments are in this time, by agent.
    async fn due(&self, from: Timestamp, to: Timestamp) -> anyhow::Result<BTreeMap<(String, Timestamp), Due>> {
        let mut all = BTreeMap::new();
        for agent in everything::<InfraAgent>(&self.api(), &ListParams::default()).await? {
            let Some(schedule) = Schedule::of(&agent)? else { continue };
            let mut now = from;
            while let Some(due) = schedule.look(None, now).next.filter(|due| due.at < to) {
                all.insert((agent.name_any(), due.tick), due);
                now = due.at;
            }
        }
        Ok(all)
    }

    /// What became of everything that was due in this time, once it is over. The mark is at its beginning, or before.
    pub(crate) async fn fired(&self, mark: Mark, from: Timestamp, to: Timestamp) -> anyhow::Result<Fired> {
        let user = format!("system:serviceaccount:{}:{}", OPERATOR.0, OPERATOR.1);
        let mut created: HashMap<String, Timestamp> = HashMap::new();
        for line in mark.lines(self.plane.audit_log())?.lines().filter(|line| line.contains("\"create\"") && line.contains(&user)) {
            let Logged { verb, user: User { username }, object_ref, response_status, stage_timestamp } = serde_json::from_str(line)?;
            let Object { resource, subresource, name } = object_ref.unwrap_or_default();
            let is_new = response_status.is_some_and(|status| status.code == 201);
            if verb == "create" && username == user && resource == "agentruns" && subresource.is_empty() && is_new {
                created.insert(name, stage_timestamp);
            }
        }
        let mut due = self.due(from, to).await?;
        let (mut lags, mut failed, mut until) = (Vec::new(), 0, from);
        let mut changes: BTreeMap<i64, i64> = BTreeMap::new();
        for run in everything::<AgentRun>(&self.api(), &ListParams::default()).await? {
            let (agent, tick) = (run.labels().get(LABEL_AGENT), run.annotations().get(TICK).and_then(|tick| tick.parse().ok()));
            let (Some(agent), Some(tick)) = (agent, tick) else { continue };
            let Some(due) = due.remove(&(agent.clone(), tick)) else { continue };
            let Some(at) = created.get(&run.name_any()) else { continue };
            lags.push(at.duration_since(due.at).as_secs_f64() * 1000.0);
            let status = run.status.unwrap_or_default();
            failed += usize::from(status.phase != Some(RunPhase::Succeeded));
            *changes.entry(at.as_second()).or_default() += 1;
            if let Some(completed) = status.completion_time {
                *changes.entry(completed.0.as_second()).or_default() -= 1;
                until = until.max(completed.0);
            }
        }
        let open = changes.values().scan(0, |open, change| {
            *open += change;
            Some(*open)
        });
        let open = usize::try_from(open.max().unwrap_or(0)).unwrap_or(0);
        let until = until.duration_since(from).as_secs_f64();
        Ok(Fired { lags, lost: due.len(), failed, until, open })
    }

    /// Whether no run is there that is not over.
    pub(crate) async fn is_calm(&self) -> anyhow::Result<bool> {
        // From the API server's cache: this is asked often, and should cost little.
        let rest = ListParams::default()
            .fields("status.phase!=Succeeded,status.phase!=Failed,status.phase!=Escalated,status.phase!=Blocked")
            .match_any();
        Ok(self.api::<AgentRun>().list_metadata(&rest).await?.items.is_empty())
    }
}

/// Every object, page by page.
pub(crate) async fn everything<K>(api: &Api<K>, parameters: &ListParams) -> anyhow::Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut parameters = parameters.clone().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let ObjectList { items, metadata, .. } = api.list(&parameters).await?;
        all.extend(items);
        match metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// The resident memory of a process, every second until it is asked for.
pub(crate) struct Resident {
    task: JoinHandle<Vec<f64>>,
    enough: tokio::sync::watch::Sender<bool>,
}

impl Resident {
    pub(crate) fn watch(process: u32) -> Self {
        let (enough, mut told) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !*told.borrow_and_update() {
                seen.extend(process::resident(process));
                tokio::select! {
                    () = sleep(Duration::from_secs(1)) => {}
                    _ = told.changed() => {}
                }
            }
            seen
        });
        Self { task, enough }
    }

    /// In MiB, in order.
    pub(crate) async fn seen(self) -> anyhow::Result<Vec<f64>> {
        self.enough.send_replace(true);
        Ok(self.task.await?.into_iter().map(|kibibytes| kibibytes / 1024.0).collect())
    }
}

/// How much more the second half of a time took than the first, by their medians.
pub(crate) fn growth(seen: &[f64]) -> f64 {
    let (first, second) = seen.split_at(seen.len() / 2);
    match (first, second) {
        ([], _) | (_, []) => 0.0,
        (first, second) => Sample::of(second.to_vec()).p50 - Sample::of(first.to_vec()).p50,
    }
}
