//! Executes the runs that are assigned to this replica, each in a task of its own, until it has ended and its record is closed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _};
use infraagent_api::{
    AgentRun,
    run::{RECORD_VERSION, RunPhase},
};
use kube::{
    Api, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use super::{
    CANCEL, NOT_OVER, Operator,
    close::{self, Verdict},
    execution,
    heartbeat::LeaseRef,
    names,
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
    /// No more runs are taken.
    closed: bool,
}

struct Active {
    stop: watch::Sender<Option<Stop>>,
    task: JoinHandle<()>,
}

impl Holder {
    pub(super) fn new(operator: Arc<Operator>, lease: LeaseRef, tenure: Arc<Tenure>) -> Self {
        Self { operator, lease, tenure, runs: Mutex::default() }
    }

    /// Takes what is assigned to this replica, as long as it is polled.
    pub(super) async fn watch(self: Arc<Self>) {
        let api = Api::<AgentRun>::all(self.operator.watching.clone());
        let config = watcher::Config::default().fields(NOT_OVER);
        let mut changes = watcher(api, config).default_backoff().modify(|run| run.metadata.managed_fields = None).boxed();
        loop {
            match changes.try_next().await {
                Ok(Some(watcher::Event::Apply(run) | watcher::Event::InitApply(run))) => self.look(run),
                Ok(Some(watcher::Event::Delete(run))) => self.gone(&run),
                Ok(Some(watcher::Event::Init | watcher::Event::InitDone)) => {}
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "runs cannot be watched"),
            }
        }
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

    fn look(self: &Arc<Self>, run: AgentRun) {
        let (namespace, name, uid) = names(&run);
        let status = run.status.as_ref();
        let holds = status.and_then(|status| status.holder.as_ref()).is_some_and(|holder| holder.uid == self.lease.uid);
        if !holds {
            return;
        }
        let cancelled = run.annotations().get(CANCEL).is_some_and(|value| value == "true");
        let mut runs = self.lock();
        if let Some(active) = runs.active.get(&uid) {
            if cancelled {
                active.stop.send_if_modified(|stop| stop.is_none() && stop.replace(Stop::Cancelled).is_none());
            }
            return;
        }
        let phase = status.and_then(|status| status.phase).unwrap_or_default();
        // This process has a Lease of its own, so it never finds its runs begun already: what is Running ended here a moment ago.
        if runs.closed || phase != RunPhase::Pending || run.spec.record_version > RECORD_VERSION {
            return;
        }
        let (stop, stopped) = watch::channel(cancelled.then_some(Stop::Cancelled));
        let holder = Arc::clone(self);
        let key = uid.clone();
        let run = Arc::new(run);
        let task = tokio::spawn(async move {
            tracing::info!(namespace, run = name, "begins");
            drop((namespace, name));
            holder.carry_out(run, stopped).await;
            holder.lock().active.remove(&key);
        });
        runs.active.insert(uid, Active { stop, task });
    }

    /// A run without an object has no record: it ends, and what it does next is refused for want of one.
    fn gone(&self, run: &AgentRun) {
        if let Some(active) = self.lock().active.get(&names(run).2) {
            active.stop.send_replace(Some(Stop::Cancelled));
        }
    }

    async fn carry_out(&self, run: Arc<AgentRun>, stopped: watch::Receiver<Option<Stop>>) {
        let (operator, tenure) = (Arc::clone(&self.operator), Arc::clone(&self.tenure));
        let executing = tokio::spawn(execution::execute(operator, Arc::clone(&run), tenure, stopped));
        let abort = executing.abort_handle();
        // With this future ends what it waits for.
        let _guard = scopeguard(move || abort.abort());
        let verdict = match executing.await {
            Ok(Ok(())) => return,
            Ok(Err(execution::Unclosed { why })) => Verdict::new("Interrupted", why),
            Err(error) => {
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

/// Calls a function when it is dropped.
fn scopeguard<F: FnMut()>(call: F) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(call)
}
