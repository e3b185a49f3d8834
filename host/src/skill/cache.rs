//! Compiled components on disk. Loading native code is trusting it completely, so an entry is worth nothing without its seal.
//!
//! An entry is a header, and what [`infraagent_sandbox::compiled`] sealed: an HMAC-SHA256 over the component's digest, the engine's fingerprint and
//! the code, with a key that only this user can read. An entry that is truncated, altered, moved to another name, of another key, of another component
//! or of another version of the engine is removed, and the component compiled again; none of its bytes is ever looked at.
//!
//! Entries appear whole (written aside, then renamed) and several processes may share the directory. Past the bound, the entries that were not used for the longest time go first.

mod key;
#[cfg(test)]
mod tests;

use std::{
    env, fmt, fs,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use infraagent_sandbox::{
    compiled::{self, Authentic},
    engine::Engine,
};
pub use key::Key;
use sha2::{Digest as _, Sha256};

/// Bytes of all entries together, unless told otherwise.
pub const DEFAULT_BOUND: u64 = 512 * 1024 * 1024;

/// The first bytes of every entry. They are not secret and not sealed: they only save the work of verifying what is something else.
const HEADER: &[u8] = b"infraagent-cwasm-1\n";

/// How the names of entries end, and how those of unfinished files begin.
const EXTENSION: &str = "cwasm";
const TEMPORARY: &str = ".new-";

/// An unfinished file of this age belongs to a process that ended.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Why there is no cache, or no entry in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No place for it.
    #[error("there is no directory for the compile cache; set `INFRAAGENT_CACHE_DIR` or `HOME`")]
    NoDirectory,
    /// The directory.
    #[error("the compile cache `{}` cannot be used: {source}", path.display())]
    Directory {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The directory is somebody else's.
    #[error("the compile cache `{}` belongs to another user; remove it or set `INFRAAGENT_CACHE_DIR`", path.display())]
    Foreign {
        /// Its path.
        path: PathBuf,
    },
    /// The key.
    #[error("the key `{}` of the compile cache cannot be used: {source}", path.display())]
    Key {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The key may be known to others, or is none.
    #[error("the key `{}` of the compile cache (mode {mode:04o}) is not a file of 32 bytes that only its owner can read; remove it, a new one will be made", path.display())]
    BadKey {
        /// Its path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// An entry cannot be written.
    #[error("the compile cache `{}` cannot keep an entry: {source}", path.display())]
    Store {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The compile cache.
#[derive(Clone)]
pub struct Cache {
    directory: PathBuf,
    key: Key,
    bound: u64,
}

impl Cache {
    /// In the user's cache directory: `$INFRAAGENT_CACHE_DIR`, else `$XDG_CACHE_HOME/infraagent`, else `~/.cache/infraagent`.
    pub fn open_default() -> Result<Self, Error> {
        Self::open(&default_directory().ok_or(Error::NoDirectory)?)
    }

    /// In `directory/compiled`, with the key beside the entries. What is missing is created for this user only.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let directory = prepare(directory)?;
        let key = Key::open(&directory.join("key"))?;
        Ok(Self { directory, key, bound: DEFAULT_BOUND })
    }

    /// In `directory/compiled`, with a key that is kept elsewhere.
    pub fn with_key(directory: &Path, key: Key) -> Result<Self, Error> {
        Ok(Self { directory: prepare(directory)?, key, bound: DEFAULT_BOUND })
    }

    /// With at most `bytes` in all entries together.
    pub fn bounded(self, bytes: u64) -> Self {
        Self { bound: bytes, ..self }
    }

    /// The code of the component with this digest for this engine, if it is here and ours. What is here and not ours is removed.
    pub fn find(&self, digest: &str, engine: &Engine) -> Option<Authentic> {
        let path = self.path(digest, engine);
        let code = match self.read(&path) {
            Ok(entry) => entry.strip_prefix(HEADER).and_then(|sealed| compiled::open(sealed, digest, engine, &self.key)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => None,
        };
        if code.is_none() {
            tracing::warn!(entry = %path.display(), "compile cache entry is not ours and is removed");
            remove(&path);
        }
        code
    }

    /// Keeps the code of the component with this digest for this engine.
    pub fn keep(&self, digest: &str, engine: &Engine, code: &Authentic) -> Result<(), Error> {
        let store = |source| Error::Store { path: self.directory.clone(), source };
        let sealed = compiled::seal(code, digest, engine, &self.key);
        let size = (HEADER.len() + sealed.len()) as u64;
        if size > self.bound {
            return Ok(());
        }
        self.make_room(size).map_err(store)?;
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.directory).map_err(store)?;
        file.write_all(HEADER).and_then(|()| file.write_all(&sealed)).map_err(store)?;
        file.persist(self.path(digest, engine)).map_err(|error| store(error.error))?;
        Ok(())
    }

    fn path(&self, digest: &str, engine: &Engine) -> PathBuf {
        let name = Sha256::new().chain_update(digest).chain_update(engine.fingerprint()).finalize();
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(name).with_extension(EXTENSION)
    }

    /// Reads an entry and marks it as used.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Neither a link to elsewhere nor a pipe without end is followed into.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() || found.len() > self.bound {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut entry = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
        (&file).take(self.bound).read_to_end(&mut entry)?;
        // Only the order of eviction depends on it.
        let _ = file.set_modified(SystemTime::now());
        Ok(entry)
    }

    /// Removes what was not used for the longest time until `size` more bytes fit, and what ended processes left.
    fn make_room(&self, size: u64) -> io::Result<()> {
        let now = SystemTime::now();
        let (mut entries, mut total) = (Vec::new(), size);
        for file in fs::read_dir(&self.directory)? {
            let file = file?;
            // Another process may have removed it.
            let Ok(found) = file.metadata() else { continue };
            let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if file.path().extension().is_some_and(|extension| extension == EXTENSION) {
                total = total.saturating_add(found.len());
                entries.push((used, found.len(), file.path()));
            } else if file.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
                && now.duration_since(used).is_ok_and(|age| age > ABANDONED)
            {
                remove(&file.path());
            }
        }
        entries.sort();
        for (_, size, path) in entries {
            if total <= self.bound {
                break;
            }
            remove(&path);
            total = total.saturating_sub(size);
        }
        Ok(())
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("directory", &self.directory).field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// Where the cache is unless told otherwise. Relative paths mean nothing here, as the XDG specification says.
fn default_directory() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("INFRAAGENT_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("infraagent")))
        .or_else(|| variable("HOME").filter(|path| path.is_absolute()).map(|path| path.join(".cache/infraagent")))
}

/// Makes the directory, and makes sure that it is this user's alone.
fn prepare(parent: &Path) -> Result<PathBuf, Error> {
    let path = parent.join("compiled");
    let io = |source| Error::Directory { path: path.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(io)?;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY;
    let directory: File = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&path).map_err(io)?;
    let found = directory.metadata().map_err(io)?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Foreign { path });
    }
    if found.permissions().mode() & 0o077 != 0 {
        directory.set_permissions(fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(path)
}

/// Removes a file that is of no use. If it cannot be removed it is still of no use.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "compile cache cannot remove a file");
    }
}
