//! The policy, looked up anew for each call: pausing an agent or editing its guardrails takes effect in the middle of a run.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::validate::ValidatedRun;

/// Makes a validated run from the documents as they are now.
type Load = dyn Fn() -> Result<ValidatedRun, String> + Send + Sync;

/// Where the policy comes from. Clones share what they know.
#[derive(Clone)]
pub struct Lookup(Arc<Source>);

struct Source {
    files: Vec<PathBuf>,
    load: Box<Load>,
    known: Mutex<Known>,
}

struct Known {
    stamp: Vec<Stamp>,
    run: Result<Arc<ValidatedRun>, String>,
}

/// What tells one version of a file from another without reading it.
type Stamp = Option<(SystemTime, u64)>;

/// The documents no longer make a policy, so nothing is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the documents of this run are no longer valid: {0}")]
pub struct Lost(pub String);

impl Lookup {
    /// Documents in files: read again whenever one of them changed.
    pub fn new(
        files: Vec<PathBuf>,
        first: Arc<ValidatedRun>,
        load: impl Fn() -> Result<ValidatedRun, String> + Send + Sync + 'static,
    ) -> Self {
        let stamp = stamps(&files);
        Self(Arc::new(Source { files, load: Box::new(load), known: Mutex::new(Known { stamp, run: Ok(first) }) }))
    }

    /// A run whose documents cannot change.
    pub fn fixed(run: Arc<ValidatedRun>) -> Self {
        Self::new(Vec::new(), run, || Err("these documents cannot be read again".to_owned()))
    }

    /// The run as its documents say now. An error denies.
    pub fn current(&self) -> Result<Arc<ValidatedRun>, Lost> {
        let Source { files, load, known } = &*self.0;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamps(files);
        if stamp != known.stamp {
            *known = Known { stamp, run: load().map(Arc::new) };
        }
        known.run.clone().map_err(Lost)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|file| file.metadata().ok().and_then(|data| Some((data.modified().ok()?, data.len())))).collect()
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup").field("files", &self.0.files).finish_non_exhaustive()
    }
}
