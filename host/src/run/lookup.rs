//! The policy, looked up anew for each call: pausing an agent or editing its guardrails takes effect in the middle of a run.
//!
//! From files: read again whenever one of them changed. From a cluster ([`cluster`]): a quorum read before each change, and before any call if the last read is
//! older than a second.

mod cluster;

use std::{
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use infraagent_guard::Call;

use super::{
    dereference::cluster::{Governing, Reader},
    validate::ValidatedRun,
};

/// Makes a validated run from the documents as they are now.
type Load = dyn Fn() -> Result<ValidatedRun, String> + Send + Sync;

/// Where the policy comes from. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Lookup(Arc<Source>);

#[derive(Debug)]
enum Source {
    Files(Files),
    Cluster(Box<cluster::Documents>),
}

struct Files {
    files: Vec<PathBuf>,
    load: Box<Load>,
    known: Mutex<Known>,
}

struct Known {
    stamp: Vec<Stamp>,
    run: Result<Arc<ValidatedRun>, String>,
}

/// What tells one version of a file from another without reading it: which file it is, when it last changed (unlike the time of its content, nobody can set
/// that back), and its length.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// How old the documents may be that a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// For what changes nothing: seconds.
    Recent,
    /// For a change: read from the source itself, now.
    Now,
}

impl Freshness {
    /// What a call needs.
    pub fn of(call: &Call) -> Self {
        match call {
            Call::Mutation(_) => Self::Now,
            Call::Read(_) | Call::Ambient(_) => Self::Recent,
        }
    }
}

/// The documents no longer make a policy, so nothing is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the documents of this run are no longer valid: {0}")]
pub struct Lost(pub String);

impl Lookup {
    /// Documents in files: read again whenever one of them changed, and before the first decision, since they may have changed after `first` was read.
    pub fn new(
        files: Vec<PathBuf>,
        first: Arc<ValidatedRun>,
        load: impl Fn() -> Result<ValidatedRun, String> + Send + Sync + 'static,
    ) -> Self {
        let known = Mutex::new(Known { stamp: Vec::new(), run: Ok(first) });
        Self(Arc::new(Source::Files(Files { files, load: Box::new(load), known })))
    }

    /// Documents in a cluster, as `reader` reads them; `governing` are those that `first` was made of, and `make` makes a run of newer ones.
    pub fn cluster(
        reader: Reader,
        governing: Governing,
        first: Arc<ValidatedRun>,
        make: impl Fn(Governing) -> Result<ValidatedRun, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Source::Cluster(Box::new(cluster::Documents::new(reader, governing, first, Box::new(make))))))
    }

    /// A run whose documents cannot change.
    pub fn fixed(run: Arc<ValidatedRun>) -> Self {
        Self::new(Vec::new(), run, || Err("these documents cannot be read again".to_owned()))
    }

    /// The run as its documents say. An error denies. Files are cheap to look at, so they are never older than the question.
    pub async fn current(&self, freshness: Freshness) -> Result<Arc<ValidatedRun>, Lost> {
        match (&*self.0, freshness) {
            (Source::Files(files), Freshness::Recent | Freshness::Now) => files.current(),
            (Source::Cluster(documents), freshness) => documents.current(freshness).await,
        }
    }
}

impl Files {
    fn current(&self) -> Result<Arc<ValidatedRun>, Lost> {
        let Self { files, load, known } = self;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamps(files);
        if stamp != known.stamp {
            *known = Known { stamp, run: load().map(Arc::new) };
        }
        known.run.clone().map_err(Lost)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files
        .iter()
        .map(|file| file.metadata().ok().map(|data| (data.dev(), data.ino(), data.ctime(), data.ctime_nsec(), data.len())))
        .collect()
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("files", &self.files).finish_non_exhaustive()
    }
}
