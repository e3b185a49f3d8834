//! Where the record is kept. A write that returns is durable.

pub mod cluster;

use std::{
    ffi::OsString,
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use infraagent_api::AgentRun;

use super::document;
pub use cluster::ClusterSink;

/// Where the record is kept. Exhaustive: whoever handles sinks handles all of them.
#[derive(Debug)]
pub enum Sink {
    /// A file of this machine.
    File(FileSink),
    /// An AgentRun object on an API server.
    Cluster(ClusterSink),
}

impl Sink {
    /// Writes the document. When this returns without error, it survives a crash. `version` grows with every write; an older one never replaces a newer one.
    pub(crate) async fn write(&self, version: u64, run: &AgentRun) -> Result<(), Error> {
        match self {
            Self::File(sink) => sink.write(version, run).await,
            Self::Cluster(sink) => sink.write(version, run).await,
        }
    }

    /// An error if somebody else has taken the record, or if nobody can tell.
    pub(crate) async fn held(&self) -> Result<(), Error> {
        match self {
            Self::File(_) => Ok(()),
            Self::Cluster(sink) => sink.held().await,
        }
    }
}

/// Why the record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is a file already: a record is never overwritten.
    #[error("`{}` exists already: a record is never overwritten, choose another path", .0.display())]
    Exists(PathBuf),
    /// The file system refused.
    #[error("cannot write the record `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The API server, or somebody else who wrote there, stood in the way.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The document does not serialise.
    #[error("cannot write the record: {0}")]
    Document(#[from] document::Unreadable),
    /// The writing thread was lost.
    #[error("cannot write the record: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// The record as a file, JSON if its name ends in `.json`, else YAML.
///
/// Each write makes a complete new file beside the old one, syncs it, renames it over the old one and syncs the directory: a reader, and whoever looks after a
/// crash, sees one whole document or the other.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    /// The last version that was written; none before the first write. Held during a write, so that writes never overtake one another.
    written: Arc<Mutex<Option<u64>>>,
}

impl FileSink {
    /// A sink for a file that does not exist yet. Nothing is written before the journal is opened.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        match path.symlink_metadata() {
            Ok(_) => Err(Error::Exists(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { path, written: Arc::default() }),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn write(&self, version: u64, run: &AgentRun) -> Result<(), Error> {
        let (path, written, run) = (self.path.clone(), Arc::clone(&self.written), run.clone());
        // The thread finishes even if this future is dropped; the lock and the version keep later writes in order.
        tokio::task::spawn_blocking(move || {
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            if written.is_some_and(|last| last >= version) {
                return Ok(());
            }
            let text = document::render(&run, document::Format::of(&path))?;
            replace(&path, text.as_bytes(), written.is_none()).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists(path),
                _ => Error::Io { path, source },
            })?;
            *written = Some(version);
            Ok(())
        })
        .await?
    }
}

/// Puts `bytes` durably in place of the file; `first`: only if there is none.
fn replace(path: &Path, bytes: &[u8], first: bool) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    // A random name that is created or not at all: nobody can put a link there beforehand. It goes with an error; the umask applies as to any file.
    let mut temporary =
        tempfile::Builder::new().prefix(&hidden).suffix(".tmp").permissions(Permissions::from_mode(0o666)).tempfile_in(directory)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    if first {
        match temporary.persist_noclobber(path) {
            Ok(_) => {}
            Err(refused) if path.symlink_metadata().is_ok() => return Err(io::Error::new(io::ErrorKind::AlreadyExists, refused.error)),
            // Some file systems can only replace.
            Err(refused) => {
                refused.file.persist(path).map_err(|refused| refused.error)?;
            }
        }
    } else {
        temporary.persist(path).map_err(|refused| refused.error)?;
    }
    File::open(directory)?.sync_all()
}
