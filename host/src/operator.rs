//! The operator: every replica executes runs, one of them leads.
//!
//! AgentRuns are the queue. The leader ([`lead`]) decides which run is next, under the limits, and assigns it to a replica; the replica ([`hold`]) executes it
//! with the same code as `infraagent run`. Nothing that matters is in memory only: what a leader knows it reads again, and every write is conditioned on what
//! it was decided on, so two leaders do no more harm than one.
//!
//! # Guarantees
//!
//! * An agent has at most one run that is assigned (`status.activeRun`), whoever leads.
//! * A run is executed by one replica, once. What it intended stands in its record before it happens, and nothing of it is tried again by anybody.
//! * Every run ends. If its replica is gone, the leader closes it as Failed (`Interrupted`); what was intended and has no outcome becomes `unknown`, unless the
//!   cluster shows what happened.
//! * A replica that cannot be sure of its Lease changes nothing. The leader waits until the Lease has run out and an effect that began before must have ended.
//!
//! # Assumptions
//!
//! * The boot-time clocks of two machines run equally fast, within a fraction of a Lease's duration. What time of day they show does not matter.
//! * The API server orders the writes of one object (resourceVersion), as Kubernetes promises.
//!
//! # Caveats
//!
//! * A process that is frozen exactly between its last look at the fence and the write to the socket, for longer than an effect may take, sends a change late. It
//!   then still carries the uid and resourceVersion of its target, and its intent is in the record.
//! * In a failover the limit of runs per cluster may be exceeded by what the old leader had assigned.
//!
//! # Errors
//!
//! * A conflict means that somebody else wrote: a holder stops, a leader reads again.
//! * If the API server is away nothing is changed; runs wait for their record until their own time is over, and are closed when it is back.

mod account;
mod assess;
mod assign;
mod backlog;
mod close;
mod conditions;
mod drain;
mod ended;
mod events;
mod evidence;
mod execution;
mod export;
mod heads;
mod heartbeat;
mod hold;
pub mod keys;
mod lead;
mod leader;
pub mod orders;
mod rates;
mod reconcile;
mod replicas;
pub(crate) mod retention;
mod series;
mod server_time;
mod settings;
mod shared_watch;
mod slots;
mod spending;
mod statuses;
mod trigger;
mod waiting;
pub mod webhook;
mod written;

use std::sync::Arc;

use infraagent_api::{AgentRun, InfraAgent};
use jiff::Timestamp;
use kube::{Api, runtime::watcher};
use tokio::sync::{Semaphore, watch};

pub use self::{
    backlog::Backlog,
    ended::Ended,
    export::Export,
    rates::Hourly,
    retention::Retention,
    settings::{Settings, Timings},
    shared_watch::SharedWatch,
};
pub(crate) use self::{
    heartbeat::{DRAINING, LABEL as LEASE_LABEL, RECORD, REPLICA},
    leader::NAME as LEADER_LEASE,
};
use crate::{
    audit::AuditKey,
    clock::Clock,
    run::{connection::Connection, stop::Stop, workshop::Workshop},
    skill::source::Sources,
    telemetry::{Telemetry, health::Health, metrics::Metrics},
};

/// Set to `true` on a run, it ends the run.
pub const CANCEL: &str = "infraagent.io/cancel";
/// What the leader sets it to when a newer run takes the place of this one.
const REPLACED: &str = "replaced";
/// Set on an agent, it starts a run.
pub const RUN_NOW: &str = "infraagent.io/run-now";
/// How many runs of a replica start side by side.
pub const STARTING: usize = 16;
/// Who writes, in managed fields.
const MANAGER: &str = "infraagent";
/// The runs that are not over. A run without a phase matches too.
const NOT_OVER: &str = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Escalated,status.phase!=Blocked";

/// What every part of this process shares.
pub struct Operator {
    /// How long things take and how many there may be.
    pub settings: Settings,
    /// The cluster.
    pub connection: Connection,
    /// For watches: no time limit on an answer.
    pub watching: kube::Client,
    /// What time it is.
    pub clock: Clock,
    /// When this process began: what happened before is none of its business.
    pub began: Timestamp,
    /// What runs share in front of the sandbox.
    pub workshop: Workshop,
    /// Where skills come from.
    pub skills: Sources,
    /// Signs records.
    pub key: Arc<AuditKey>,
    /// Where copies of records go.
    pub export: Option<Export>,
    /// What is told about runs.
    pub telemetry: Telemetry,
    /// What is counted.
    pub metrics: Metrics,
    /// The runs that are not over.
    pub runs: SharedWatch<AgentRun>,
    /// All agents.
    pub agents: SharedWatch<InfraAgent>,
    /// The names of those runs, by agent.
    pub backlog: Arc<Backlog>,
    /// How runs of this replica ended.
    pub ended: Ended,
    /// Whether this process lives and is ready.
    pub health: Arc<Health>,
    /// Has [`STARTING`] permits: a run that starts reads a dozen documents, and a thousand that start together would open as many connections.
    pub starting: Semaphore,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("settings", &self.settings).field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keys cannot be had.
    #[error("the Secret `{0}` cannot be read or created: {1}")]
    Keys(String, String),
    /// This replica has no Lease, so it may hold nothing.
    #[error("the Lease of this replica in namespace `{namespace}` cannot be created: {message}")]
    NoLease {
        /// The operator's namespace.
        namespace: String,
        /// Why not, and what to do.
        message: String,
    },
    /// Somebody took the Lease away.
    #[error("the Lease `{0}` of this replica is gone: it changes nothing any more and must be started again")]
    LeaseLost(String),
    /// It is not told any more what is assigned to it.
    #[error("the watch of AgentRuns or InfraAgents ended: this replica must be started again")]
    Blind,
}

/// Runs a replica until `shutdown` says so; then it drains.
pub async fn run(operator: Arc<Operator>, shutdown: watch::Receiver<bool>) -> Result<(), Error> {
    let heartbeat = heartbeat::Heartbeat::start(&operator).await?;
    let (tenure, lease) = (heartbeat.tenure(), heartbeat.lease().clone());
    let holder = Arc::new(hold::Holder::new(Arc::clone(&operator), lease.clone(), Arc::clone(&tenure)));
    let (leave, left) = watch::channel(false);
    let leading = tokio::spawn(leader::campaign(Arc::clone(&operator), lease, left));
    // Before anybody leads: who is woken by a run finds it in the backlog.
    let listening = (operator.backlog.follow(&operator.runs), holder.listen(), series::follow(&operator, &holder));
    let mut watching = tokio::spawn(watch_all(Arc::clone(&operator)));
    let mut asked = shutdown;
    let ended = tokio::select! {
        lost = heartbeat.lost() => Err(lost),
        _ = &mut watching => Err(Error::Blind),
        _ = asked.wait_for(|stop| *stop) => Ok(()),
    };
    operator.health.leave();
    leave.send_replace(true);
    if let Err(error) = &ended {
        tracing::error!(%error, "runs of this replica end now");
        holder.abort();
    } else {
        drain::drain(&operator, &holder, &heartbeat).await;
    }
    watching.abort();
    drop(listening);
    let _ = leading.await;
    heartbeat.end().await;
    ended
}

/// Watches what all parts of a replica follow. Ends if one of the watches does.
async fn watch_all(operator: Arc<Operator>) {
    let client = &operator.watching;
    tokio::select! {
        () = operator.runs.follow(Api::all(client.clone()), watcher::Config::default().fields(NOT_OVER)) => {}
        () = operator.agents.follow(Api::all(client.clone()), watcher::Config::default()) => {}
    }
}

/// Whether somebody wants this run to end, and why.
fn ordered_stop(run: &AgentRun) -> Option<Stop> {
    match run.metadata.annotations.as_ref()?.get(CANCEL)?.as_str() {
        "true" => Some(Stop::Cancelled),
        REPLACED => Some(Stop::Replaced),
        _ => None,
    }
}

/// Namespace, name and uid of an object, for logs and requests.
fn names(run: &AgentRun) -> (String, String, String) {
    let metadata = &run.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&metadata.namespace), text(&metadata.name), text(&metadata.uid))
}

#[cfg(test)]
mod tests;
