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
    dereference::{
        cluster::{Governing, Reader},
        recent,
    },
    validate::ValidatedRun,
};

/// From this age on documents are read again, also for what changes nothing. That is also how old they may be when a run begins.
const SOON: Duration = recent::SOON;
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
    /// `governing` was read a moment ago, and `first` is what it means. A run may begin with what others read before it, so the first call reads anew.
    pub(super) fn new(reader: Reader, governing: Governing, first: Arc<ValidatedRun>, make: Box<Make>) -> Self {
        let now = Instant::now();
        let read = now.checked_sub(SOON).unwrap_or(now);
        Self { reader, make, known: Mutex::new(Known { governing, run: Ok(first), read, tried: read }) }
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

    fn take(&self, known: &mut Known, mut governing: Governing, began: Instant) {
        known.read = began;
        if governing == known.governing && known.run.is_ok() {
            return;
        }
        // What stayed the same stays shared with other runs.
        if governing.environment == known.governing.environment {
            governing.environment = Arc::clone(&known.governing.environment);
        }
        if governing.policies == known.governing.policies {
            governing.policies = Arc::clone(&known.governing.policies);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::fixture;

    fn governing() -> Governing {
        Governing {
            agent: fixture::object(fixture::agent()),
            environment: Arc::new(fixture::object(fixture::environment())),
            policies: Arc::new(vec![fixture::object(fixture::policy())]),
        }
    }

    #[test]
    fn what_a_run_is_bound_to_cannot_be_exchanged_and_everything_else_may_change() {
        let before = governing();
        let changed = |change: fn(&mut Governing)| {
            let mut now = governing();
            change(&mut now);
            bound(&before, &now).err().unwrap_or_default()
        };
        assert_eq!(changed(|now| now.agent.spec.paused = true), "");
        assert_eq!(changed(|now| now.policies = Arc::default()), "");
        assert!(changed(|now| now.agent.metadata.uid = Some("other".to_owned())).contains("the agent was deleted"));
        assert!(
            changed(|now| Arc::make_mut(&mut now.environment).metadata.uid = Some("other".to_owned()))
                .contains("the environment was deleted")
        );
        assert!(
            changed(|now| Arc::make_mut(&mut now.environment).metadata.name = Some("other".to_owned())).contains("another environment")
        );
        assert!(changed(|now| now.agent.spec.service_account_name = Some("admin".to_owned())).contains("another ServiceAccount"));
    }

    #[tokio::test]
    async fn without_an_answer_a_change_is_denied_and_a_read_rests_on_what_is_known() {
        // Nobody listens there.
        let mut config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        config.default_retry = false;
        let reader = Reader::new(kube::Client::try_from(config).unwrap(), "agents", "forge");
        let first = Arc::new(fixture::run(|_| ()));
        let documents = Documents::new(reader, governing(), first, Box::new(|_| Err("not asked for".to_owned())));
        assert!(documents.current(Freshness::Recent).await.is_ok());
        let denied = documents.current(Freshness::Now).await.unwrap_err().to_string();
        assert!(denied.contains("cannot read"), "{denied}");
        assert!(documents.current(Freshness::Recent).await.is_ok(), "a change was denied, the documents are still young");
        documents.known.lock().await.read = Instant::now().checked_sub(STALE * 2).unwrap();
        documents.known.lock().await.tried = Instant::now().checked_sub(SOON * 2).unwrap();
        assert!(documents.current(Freshness::Recent).await.is_err(), "they are stale");
    }

    #[tokio::test]
    async fn documents_that_no_longer_make_a_run_deny_until_they_do_again() {
        let mut config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        config.default_retry = false;
        let reader = Reader::new(kube::Client::try_from(config).unwrap(), "agents", "forge");
        let make = |now: Governing| if now.agent.spec.paused { Err("odd".to_owned()) } else { Ok(fixture::run(|_| ())) };
        let documents = Documents::new(reader, governing(), Arc::new(fixture::run(|_| ())), Box::new(make));
        let mut known = documents.known.lock().await;
        let mut odd = governing();
        odd.agent.spec.paused = true;
        documents.take(&mut known, odd, Instant::now());
        assert_eq!(known.run.as_ref().unwrap_err(), "odd");
        documents.take(&mut known, governing(), Instant::now());
        assert!(known.run.is_ok());
        let mut other = governing();
        other.agent.metadata.uid = Some("other".to_owned());
        documents.take(&mut known, other, Instant::now());
        assert!(known.run.is_err());
        documents.take(&mut known, governing(), Instant::now());
        assert!(known.run.is_ok(), "the run is still bound to the first agent");
    }
}
