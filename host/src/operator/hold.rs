//! Executes the runs that are assigned to this replica, each in a task of its own, until it has ended and its record is closed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use infraagent_api::{
    AgentRun,
    run::{RECORD_VERSION, RunPhase},
};
use kube::ResourceExt as _;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::{
    Operator,
    close::{self, Verdict},
    execution,
    heartbeat::LeaseRef,
    names, ordered_stop,
    series::AgentKey,
    shared_watch::{Listening, Sight},
};
use crate::{audit, broker::fence::Tenure, run::stop::Stop};

/// Between two tries to close a record.
const PAUSE: Duration = Duration::from_secs(2);

/// The runs of this replica.
pub(super) struct Holder {
    operator: Arc<Operator>,
    lease: LeaseRef,
    tenure: Arc<Tenure>,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    active: HashMap<String, Active>,
    /// Agents that were deleted while a run of them was executed here.
    gone: HashSet<AgentKey>,
    /// No more runs are taken.
    closed: bool,
}

struct Active {
    agent: AgentKey,
    stop: watch::Sender<Option<Stop>>,
    task: JoinHandle<()>,
}

impl Runs {
    fn busy(&self, agent: &AgentKey) -> bool {
        self.active.values().any(|active| active.agent == *agent)
    }
}

impl Holder {
    pub(super) fn new(operator: Arc<Operator>, lease: LeaseRef, tenure: Arc<Tenure>) -> Self {
        Self { operator, lease, tenure, runs: Mutex::default() }
    }

    /// Takes what is assigned to this replica, as long as what is returned lives.
    pub(super) fn listen(self: &Arc<Self>) -> Listening<AgentRun> {
        // Before that it does not know what was assigned to it.
        let listed = self.operator.health.gate("runs");
        let holder = Arc::clone(self);
        self.operator.runs.listen(move |sight| match sight {
            Sight::All(runs) => {
                runs.iter().for_each(|run| holder.look(run));
                holder.only(&runs.iter().map(|run| names(run).2).collect());
                listed.open();
            }
            Sight::There(run) => holder.look(run),
            Sight::Gone(run) => holder.gone(run),
        })
    }

    /// How many runs this replica executes.
    pub(super) fn count(&self) -> usize {
        self.lock().active.len()
    }

    /// Takes no more runs.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Ends every run in order, for this reason.
    pub(super) fn stop_all(&self, why: Stop) {
        for active in self.lock().active.values() {
            active.stop.send_replace(Some(why));
        }
    }

    /// Drops every run where it stands: this replica holds nothing any more.
    pub(super) fn abort(&self) {
        let mut runs = self.lock();
        runs.closed = true;
        for (_, active) in runs.active.drain() {
            active.task.abort();
        }
    }

    fn look(self: &Arc<Self>, run: &Arc<AgentRun>) {
        let (namespace, name, uid) = names(run);
        let status = run.status.as_ref();
        let holds = status.and_then(|status| status.holder.as_ref()).is_some_and(|holder| holder.uid == self.lease.uid);
        if !holds {
            return self.gone(run);
        }
        let ordered = ordered_stop(run);
        let mut runs = self.lock();
        if let Some(active) = runs.active.get(&uid) {
            if ordered.is_some() {
                active.stop.send_if_modified(|stop| stop.is_none() && std::mem::replace(stop, ordered).is_none());
            }
            return;
        }
        let phase = status.and_then(|status| status.phase).unwrap_or_default();
        // This process has a Lease of its own, so it never finds its runs begun already: what is Running ended here a moment ago.
        if runs.closed || phase != RunPhase::Pending || run.spec.record_version > RECORD_VERSION {
            return;
        }
        let (stop, stopped) = watch::channel(ordered);
        let holder = Arc::clone(self);
        let agent = (namespace.clone(), run.spec.agent_ref.clone());
        let key = uid.clone();
        let run = Arc::clone(run);
        let task = tokio::spawn(async move {
            tracing::info!(namespace, run = name, "begins");
            drop((namespace, name));
            holder.carry_out(run, stopped).await;
            holder.over(&key);
        });
        runs.active.insert(uid, Active { agent, stop, task });
    }

    fn over(&self, uid: &str) {
        let mut runs = self.lock();
        let Some(Active { agent, stop: _, task: _ }) = runs.active.remove(uid) else { return };
        if !runs.busy(&agent) && runs.gone.remove(&agent) {
            self.operator.metrics.forget(&agent.0, &agent.1);
        }
    }

    /// Nothing is told of an agent that is gone, once its last run here is over.
    pub(super) fn agent_went(&self, agent: AgentKey) {
        let mut runs = self.lock();
        if runs.busy(&agent) {
            runs.gone.insert(agent);
        } else {
            self.operator.metrics.forget(&agent.0, &agent.1);
        }
    }

    /// It is there, perhaps again.
    pub(super) fn agent_is_there(&self, agent: &AgentKey) {
        self.lock().gone.remove(agent);
    }

    /// These are all runs that are not over: what was closed while nothing could be watched is gone.
    fn only(&self, found: &HashSet<String>) {
        for (_, active) in self.lock().active.iter().filter(|(uid, _)| !found.contains(*uid)) {
            active.stop.send_replace(Some(Stop::Lost));
        }
    }

    /// A run whose record is closed, that has no object any more or another holder, ends here, and what it does next is refused for want of a record. Whoever ended
    /// it knows why.
    fn gone(&self, run: &AgentRun) {
        if let Some(active) = self.lock().active.get(&names(run).2) {
            active.stop.send_replace(Some(Stop::Lost));
        }
    }

    async fn carry_out(&self, run: Arc<AgentRun>, stopped: watch::Receiver<Option<Stop>>) {
        let (operator, tenure) = (Arc::clone(&self.operator), Arc::clone(&self.tenure));
        // A task of its own, so that a panic ends nothing else; a set, so that it ends with this future.
        let mut executing = JoinSet::new();
        executing.spawn(execution::execute(operator, Arc::clone(&run), tenure, stopped));
        let verdict = match executing.join_next().await {
            None | Some(Ok(Ok(()))) => return,
            Some(Ok(Err(execution::Unclosed { why }))) => Verdict::new("Interrupted", why),
            Some(Err(error)) => {
                tracing::error!(%error, run = run.name_any(), "the execution of a run ended unexpectedly");
                Verdict::new("Internal", "the execution of the run ended unexpectedly: see the log of the operator")
            }
        };
        // Somebody else closes it if this replica cannot.
        loop {
            match Box::pin(close::close(&self.operator, None, &run, &verdict)).await {
                Ok(()) => return,
                Err(audit::Error::Sink(audit::sink::Error::Cluster(audit::sink::cluster::Error::ClaimLost { run, why }))) => {
                    tracing::warn!(run, why, "the run is no longer held");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, run = run.name_any(), "the record of a run could not be closed yet");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
