//! Documents in a cluster.
//!
//! # Guarantees
//!
//! * For a change the documents are read from the API server after the question, with a quorum; a read that fails denies.
//! * For what changes nothing they are at most [`STALE`] old, and read again whenever they are older than [`SOON`]; so a kill switch holds within a second. If
//!   that fails they serve until they are stale.
//! * An agent or environment that was deleted, also if it was created anew, and an agent that now names another environment or ServiceAccount deny everything:
//!   the run was bound to what it began with.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{Freshness, Lost};
use crate::run::{
    dereference::cluster::{Governing, Reader},
    validate::ValidatedRun,
};

/// From this age on documents are read again, also for what changes nothing.
const SOON: Duration = Duration::from_secs(1);
/// The oldest documents that a decision may rest on.
const STALE: Duration = Duration::from_secs(30);

type Make = dyn Fn(Governing) -> Result<ValidatedRun, String> + Send + Sync;

/// The documents of one run.
pub(super) struct Documents {
    reader: Reader,
    make: Box<Make>,
    /// Held while they are read, so that calls side by side read once.
    known: Mutex<Known>,
}

struct Known {
    governing: Governing,
    run: Result<Arc<ValidatedRun>, String>,
    /// When the last read that succeeded began.
    read: Instant,
    /// When they were last asked for, also in vain.
    tried: Instant,
}

impl Documents {
    /// `governing` was just read, and `first` is what it means.
    pub(super) fn new(reader: Reader, governing: Governing, first: Arc<ValidatedRun>, make: Box<Make>) -> Self {
        let now = Instant::now();
        Self { reader, make, known: Mutex::new(Known { governing, run: Ok(first), read: now, tried: now }) }
    }

    pub(super) async fn current(&self, freshness: Freshness) -> Result<Arc<ValidatedRun>, Lost> {
        let asked = Instant::now();
        let mut known = self.known.lock().await;
        let old_enough = match freshness {
            // Whoever waited for a read that began after the question need not read again.
            Freshness::Now => known.read < asked,
            Freshness::Recent => known.tried.elapsed() > SOON,
        };
        if old_enough {
            known.tried = Instant::now();
            let began = Instant::now();
            match self.reader.governing().await {
                Ok(governing) => self.take(&mut known, governing, began),
                Err(error) => match freshness {
                    Freshness::Now => return Err(Lost(error.to_string())),
                    Freshness::Recent => {
                        tracing::warn!(%error, "the documents of the run could not be read again");
                        if known.read.elapsed() > STALE {
                            return Err(Lost(error.to_string()));
                        }
                    }
                },
            }
        }
        known.run.clone().map_err(Lost)
    }

    fn take(&self, known: &mut Known, governing: Governing, began: Instant) {
        known.read = began;
        if governing == known.governing && known.run.is_ok() {
            return;
        }
        match bound(&known.governing, &governing) {
            Ok(()) => {
                known.run = (self.make)(governing.clone()).map(Arc::new);
                known.governing = governing;
            }
            Err(why) => known.run = Err(why),
        }
    }
}

/// That the documents are still those of the same agent and environment.
fn bound(before: &Governing, now: &Governing) -> Result<(), String> {
    let Governing { agent, environment, policies: _ } = now;
    if agent.metadata.uid != before.agent.metadata.uid {
        return Err("the agent was deleted, and created anew".to_owned());
    }
    if agent.spec.service_account_name != before.agent.spec.service_account_name {
        return Err("the agent acts as another ServiceAccount now: start another run".to_owned());
    }
    if environment.metadata.name != before.environment.metadata.name {
        return Err("the agent names another environment now: start another run".to_owned());
    }
    if environment.metadata.uid != before.environment.metadata.uid {
        return Err("the environment was deleted, and created anew".to_owned());
    }
    Ok(())
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents").field("reader", &self.reader).finish_non_exhaustive()
    }
}
