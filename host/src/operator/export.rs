//! The leader sends copies of records to whoever keeps them ([`crate::audit::export`]).
//!
//! ```text
//! watch: a run changed --> names of runs --a second later--> read as it stands --> what is new of it --> receiver --if it is over--> mark
//! list: a run has no mark ---^
//! ```
//!
//! Only names are kept here, and a few bytes for each entry of a run that is not over. So a receiver that is slow or away costs neither memory nor time of a run: what
//! it has not got stands on the API server, and retention leaves it there ([`Export::permits_removal`]).
//!
//! # Guarantees
//!
//! * Whoever leads next goes on where the mark of each run says. Two leaders at a time send things twice, and nothing else.
//! * After a failure it is tried again, more and more seldom, at least once a minute, for ever. Nothing is skipped.
//!
//! # Caveats
//!
//! * An entry that stood for less than a second before its outcome came is sent once, with it.
//! * A run that somebody deletes by force before it was read is not exported.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use infraagent_api::AgentRun;
use kube::{
    Api, Resource as _, ResourceExt,
    api::{GetParams, ListParams, Patch, PatchParams},
    core::Request,
};
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Settings,
    conditions::said,
    lead::Leader,
    shared_watch::{Listening, Sight},
};
use crate::audit::{
    self, Document,
    export::{self, EXPORTED, Exporter, Item, Marker, Pending, Progress},
};

/// How long what happens to a run is collected before it is read.
const LINGER: Duration = Duration::from_secs(1);
/// Runs that are read, sent and marked together.
const TOGETHER: usize = 32;
/// Requests to the API server at a time.
const SIDE_BY_SIDE: usize = 8;
/// Most runs that are known to have changed. If there are more, all are looked through later.
const MOST: usize = 16_384;
/// All runs are looked through at least so often, whatever was watched.
const LOOK_THROUGH: Duration = Duration::from_secs(3600);
/// Objects per list request.
const PAGE: u32 = 500;
/// How long to wait after the first failure, and after many.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Where copies of records go, and what that means for retention.
#[derive(Debug)]
pub struct Export {
    exporter: Exporter,
    marker: Marker,
    holds_retention: bool,
}

impl Export {
    /// To this receiver. Marks are signed with the key. `holds_retention`: what was not exported is not removed.
    pub fn new(exporter: Exporter, key: Arc<audit::AuditKey>, holds_retention: bool) -> Self {
        let marker = Marker::new(key, exporter.target());
        Self { exporter, marker, holds_retention }
    }

    /// Whether retention may remove this record.
    pub(super) fn permits_removal(&self, document: &Document) -> bool {
        let run = &document.run;
        let head = run.status.as_ref().and_then(|status| status.head.as_ref()).map_or("", |head| head.hash.as_str());
        let uid = run.metadata.uid.as_deref().unwrap_or_default();
        !self.holds_retention || self.marker.is_on(run.metadata.annotations.as_ref(), uid, Some(head))
    }
}

/// Exports as long as this replica leads.
pub(super) async fn follow(leader: Arc<Leader>) {
    let Some(export) = leader.operator.export.as_ref() else { return };
    tracing::info!(target = export.exporter.target(), "records are exported");
    let queue = Arc::new(Queue::default());
    let _listening = listen(&leader, &queue);
    Worker { leader: &leader, export, queue: &queue, sent: HashMap::new() }.work().await;
}

/// Namespace and name of a run.
type Name = (String, String);

/// Runs that may have something new.
#[derive(Debug, Default)]
struct Queue {
    names: Mutex<BTreeSet<Name>>,
    /// The last one that was taken: the next one is the one behind it, so none waits for ever because others change all the time.
    last: Mutex<Name>,
    /// All runs are to be looked through.
    all: Mutex<bool>,
    something: Notify,
}

impl Queue {
    /// A run changed.
    fn put(&self, name: Name) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < MOST || names.contains(&name) {
            names.insert(name);
        } else {
            drop(names);
            self.look_through();
        }
        self.something.notify_one();
    }

    /// Something may have been missed.
    fn look_through(&self) {
        *self.all.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.something.notify_one();
    }

    /// Some of them, which are no longer in it.
    fn some(&self) -> Vec<Name> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = names.range((Excluded(last.clone()), Unbounded));
        let some: Vec<Name> = behind.chain(names.range(..=last.clone())).take(TOGETHER).cloned().collect();
        for name in &some {
            names.remove(name);
        }
        if let Some(name) = some.last() {
            last.clone_from(name);
        }
        some
    }

    fn len(&self) -> usize {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether all are to be looked through; from now on they are not.
    fn takes_all(&self) -> bool {
        std::mem::take(&mut *self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Notes which runs change, as long as what is returned lives. What happened while nothing could be watched is found by looking through all.
fn listen(leader: &Leader, queue: &Arc<Queue>) -> Listening<AgentRun> {
    let (queue, settings) = (Arc::clone(queue), leader.operator.settings.clone());
    leader.operator.runs.listen(move |sight| {
        let changed = |run: &AgentRun| watched(&settings, run).into_iter().for_each(|name| queue.put(name));
        match sight {
            Sight::All(_) => queue.look_through(),
            Sight::There(run) => changed(run),
            // It is over, as a rule.
            Sight::Gone(run) => changed(run),
        }
    })
}

fn watched(settings: &Settings, run: &impl ResourceExt) -> Option<Name> {
    let namespace = run.namespace()?;
    settings.watches(&namespace).then(|| (namespace, run.name_any()))
}

/// Why something was not exported yet.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The API server said no, or nothing.
    #[error("{}", said(.0))]
    Api(#[from] kube::Error),
    /// The receiver did not take it.
    #[error(transparent)]
    Receiver(#[from] export::Error),
}

struct Worker<'a> {
    leader: &'a Leader,
    export: &'a Export,
    queue: &'a Queue,
    /// Of runs that are not over, by name, with their uid.
    sent: HashMap<Name, (String, Progress)>,
}

impl Worker<'_> {
    async fn work(&mut self) {
        let (first, longest) = PAUSES;
        let (mut pause, mut looked) = (first, Instant::now());
        loop {
            let worked = self.step(&mut looked).await;
            self.leader.operator.metrics.export_waits(self.queue.len());
            match worked {
                Ok(()) if pause > first => {
                    tracing::info!("records are exported again");
                    pause = first;
                }
                Ok(()) => {}
                Err(error) => {
                    self.leader.operator.metrics.export_failed();
                    tracing::warn!(%error, ?pause, waiting = self.queue.len(), "records cannot be exported now; it is tried again");
                    sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// Waits until there is something to do, and does some of it.
    async fn step(&mut self, looked: &mut Instant) -> Result<(), Error> {
        if self.queue.len() == 0 {
            if *looked + LOOK_THROUGH <= Instant::now() || self.queue.takes_all() {
                *looked = Instant::now();
                return self.look_through().await.inspect_err(|_| self.queue.look_through());
            }
            // It ends with the next notification, or when it is time to look through all.
            let _ = timeout_at(*looked + LOOK_THROUGH, self.queue.something.notified()).await;
            return Ok(());
        }
        if self.queue.len() < TOGETHER {
            sleep(LINGER).await;
        }
        let names = self.queue.some();
        let exported = self.send(&names).await;
        if exported.is_err() {
            names.into_iter().for_each(|name| self.queue.put(name));
        }
        exported
    }

    /// Puts every run without a mark into the queue.
    async fn look_through(&mut self) -> Result<(), Error> {
        let api = Api::<AgentRun>::all(self.leader.operator.connection.client.clone());
        let mut parameters = ListParams::default().limit(PAGE);
        let mut there = BTreeSet::new();
        loop {
            let page = api.list_metadata(&parameters).await?;
            for run in page.items {
                let Some(name) = watched(&self.leader.operator.settings, &run) else { continue };
                if self.sent.contains_key(&name) {
                    there.insert(name.clone());
                }
                let uid = run.metadata.uid.as_deref().unwrap_or_default();
                if !self.export.marker.is_on(run.metadata.annotations.as_ref(), uid, None) {
                    self.queue.put(name);
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => break,
            }
        }
        self.sent.retain(|name, _| there.contains(name));
        Ok(())
    }

    /// Sends what is new of these runs, and marks those that are over.
    async fn send(&mut self, names: &[Name]) -> Result<(), Error> {
        let client = &self.leader.operator.connection.client;
        let read = stream::iter(names.to_vec()).map(|name| {
            let client = client.clone();
            async move { read(&client, &name).await.map(|document| (name, document)) }
        });
        let documents: Vec<_> = read.buffered(SIDE_BY_SIDE).try_collect().await?;
        let (mut items, mut runs) = (Vec::<Item>::new(), Vec::new());
        for (name, document) in documents {
            let Some(document) = document else {
                self.sent.remove(&name);
                continue;
            };
            let uid = document.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
            let annotations: Option<_> = document.pointer("/metadata/annotations").and_then(|all| serde_json::from_value(all.clone()).ok());
            if self.export.marker.is_on(annotations.as_ref(), &uid, None) {
                continue;
            }
            let nothing = Progress::default();
            let known = self.sent.get(&name).filter(|(of, _)| *of == uid).map_or(&nothing, |(_, progress)| progress);
            match export::pending(&document, &self.leader.operator.connection.id, known) {
                Ok(Pending { items: new, progress, head }) => {
                    items.extend(new);
                    runs.push((name, uid, progress, head));
                }
                // It is no record of ours, and never will be one.
                Err(error) => tracing::error!(%error, namespace = name.0, run = name.1, "a record cannot be exported"),
            }
        }
        self.export.exporter.send(&items).await?;
        for item in &items {
            self.leader.operator.metrics.exported(item.kind);
        }
        let mut over = Vec::new();
        for (name, uid, progress, head) in runs {
            match head {
                Some(head) => {
                    self.sent.remove(&name);
                    over.push((name, uid, head));
                }
                None => {
                    self.sent.insert(name, (uid, progress));
                }
            }
        }
        let marked = stream::iter(over).map(|((namespace, name), uid, head)| {
            let api = Api::<AgentRun>::namespaced(client.clone(), &namespace);
            let mark = self.export.marker.make(&uid, &head);
            async move { put_mark(&api, &name, &uid, mark).await }
        });
        marked.buffer_unordered(SIDE_BY_SIDE).try_collect().await
    }
}

async fn put_mark(api: &Api<AgentRun>, name: &str, uid: &str, mark: String) -> Result<(), Error> {
    let patch = json!({ "metadata": { "uid": uid, "annotations": { EXPORTED: mark } } });
    match api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        // It is gone, and perhaps there is another one of its name.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A record as it is, member by member.
async fn read(client: &kube::Client, (namespace, name): &Name) -> Result<Option<Value>, kube::Error> {
    let request = Request::new(AgentRun::url_path(&(), Some(namespace)));
    let request = request.get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    match client.request::<Value>(request).await {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_nothing_is_forgotten_for_it() {
        let queue = Queue::default();
        let name = |at: usize| ("n".to_owned(), format!("{at:06}"));
        for at in (0..MOST).chain(0..MOST) {
            queue.put(name(at));
        }
        assert_eq!((queue.len(), queue.takes_all()), (MOST, false));
        queue.put(name(MOST));
        assert_eq!((queue.len(), queue.takes_all(), queue.takes_all()), (MOST, true, false));
        assert_eq!(queue.some(), (0..TOGETHER).map(name).collect::<Vec<_>>());
        assert_eq!(queue.len(), MOST - TOGETHER);
        // Those change again and again, and the others have their turn all the same.
        (0..TOGETHER).map(name).for_each(|name| queue.put(name));
        assert_eq!(queue.some(), (TOGETHER..2 * TOGETHER).map(name).collect::<Vec<_>>());
        let left = (2..=MOST / TOGETHER).flat_map(|_| queue.some()).count();
        assert_eq!((left, queue.len(), queue.some()), (MOST - TOGETHER, 0, Vec::new()));
    }
}
