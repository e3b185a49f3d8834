//! An agent's memory across offline runs: keys and bytes with compare-and-swap, within bounds, in memory or in a JSON file.
//!
//! One [`State`] is the memory of one skill of one agent. A file is written before a change is answered, beside and then over the old one, so that a crash leaves
//! either the old memory or the new.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use infraagent_guard::{
    call::{StateKeys, StatePut, StateRemove},
    name::StateKey,
};
use infraagent_sandbox::broker::CallError;
use serde::{Deserialize, Serialize};

/// The most keys.
pub const MAX_KEYS: usize = 64;
/// The largest value, in bytes.
pub const MAX_VALUE: usize = 64 << 10;
/// The largest sum of all keys and values, in bytes.
pub const MAX_SUM: usize = 1 << 20;

/// The memory of one skill of one agent.
#[derive(Debug, Default)]
pub struct State {
    file: Option<PathBuf>,
    memory: Mutex<Memory>,
}

#[derive(Debug, Clone, Default)]
struct Memory {
    entries: BTreeMap<String, (Vec<u8>, u64)>,
    /// Versions grow over all keys, so that a key that was removed and written again never has an old version.
    version: u64,
}

/// As a file has it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u64,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: u64,
    /// Base64.
    value: String,
}

/// Why a file of memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read.
    #[error("cannot read the agent's memory `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what this program wrote.
    #[error("`{path}` is not an agent's memory: {message}; move it away to start with an empty one")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl State {
    /// Empty, and gone with the process.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// From a file; empty if there is none yet.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let damaged = |message: String| StateError::Damaged { path: path.to_owned(), message };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { file: Some(path.to_owned()), ..Self::default() }),
            Err(source) => return Err(StateError::Io { path: path.to_owned(), source }),
        };
        let Document { version, entries } = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        let mut memory = Memory { entries: BTreeMap::new(), version };
        for (key, Entry { version: entry, value }) in entries {
            let key = StateKey::parse(&key).map_err(|invalid| damaged(invalid.to_string()))?;
            let value = STANDARD.decode(value).map_err(|error| damaged(format!("value of `{key}`: {error}")))?;
            if entry > version {
                return Err(damaged(format!("`{key}` is newer than the whole")));
            }
            memory.entries.insert(key.to_string(), (value, entry));
        }
        memory.check().map_err(damaged)?;
        Ok(Self { file: Some(path.to_owned()), memory: Mutex::new(memory) })
    }

    /// The bytes and their version.
    pub fn get(&self, key: &StateKey) -> Option<(Vec<u8>, u64)> {
        self.lock().entries.get(key.as_str()).cloned()
    }

    /// Writes if the version is the expected one; answers the new version.
    pub fn put(&self, put: &StatePut) -> Result<u64, CallError> {
        let StatePut { key, value, expect } = put;
        if value.len() > MAX_VALUE {
            return Err(CallError::Invalid(format!("the value of `{key}` has more than {MAX_VALUE} bytes")));
        }
        self.change(|memory| {
            if memory.entries.get(key.as_str()).map(|(_, version)| *version) != *expect {
                return Err(changed(key));
            }
            memory.version = memory.version.saturating_add(1);
            memory.entries.insert(key.to_string(), (value.clone(), memory.version));
            memory.check().map_err(CallError::BudgetExhausted)?;
            Ok(memory.version)
        })
    }

    /// Removes if the version is the expected one (none: whatever it is).
    pub fn remove(&self, remove: &StateRemove) -> Result<(), CallError> {
        let StateRemove { key, expect } = remove;
        self.change(|memory| match (memory.entries.get(key.as_str()), expect) {
            (None, None) => Ok(()),
            (Some((_, version)), Some(expect)) if version != expect => Err(changed(key)),
            (None, Some(_)) => Err(changed(key)),
            (Some(_), _) => {
                memory.entries.remove(key.as_str());
                memory.version = memory.version.saturating_add(1);
                Ok(())
            }
        })
    }

    /// Keys that start with the prefix, sorted.
    pub fn keys(&self, query: &StateKeys) -> Vec<String> {
        let StateKeys { prefix, limit } = query;
        let prefix = prefix.as_ref().map_or("", |prefix| prefix.as_str());
        let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
        self.lock().entries.keys().filter(|key| key.starts_with(prefix)).take(limit).cloned().collect()
    }

    /// All or nothing: a change that fails, or cannot be written to the file, leaves no trace.
    fn change<T>(&self, change: impl FnOnce(&mut Memory) -> Result<T, CallError>) -> Result<T, CallError> {
        let mut memory = self.lock();
        let mut next = memory.clone();
        let answer = change(&mut next)?;
        if let Some(file) = &self.file {
            save(file, &next).map_err(|error| CallError::Unavailable {
                message: format!("the agent's memory cannot be written: {}", error.kind()),
                retry_after_ms: None,
            })?;
        }
        *memory = next;
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn check(&self) -> Result<(), String> {
        let sum: usize = self.entries.iter().map(|(key, (value, _))| key.len().saturating_add(value.len())).sum();
        if self.entries.len() > MAX_KEYS {
            Err(format!("the agent's memory is full: at most {MAX_KEYS} keys, remove one"))
        } else if sum > MAX_SUM {
            Err(format!("the agent's memory is full: at most {MAX_SUM} bytes in all, remove something"))
        } else {
            Ok(())
        }
    }
}

fn changed(key: &StateKey) -> CallError {
    CallError::Conflict(format!("`{key}` has changed since it was read: read it again"))
}

fn save(file: &Path, memory: &Memory) -> io::Result<()> {
    let entry =
        |(key, (value, version)): (&String, &(Vec<u8>, u64))| (key.clone(), Entry { version: *version, value: STANDARD.encode(value) });
    let document = Document { version: memory.version, entries: memory.entries.iter().map(entry).collect() };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut beside, &document)?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> StateKey {
        StateKey::parse(key).unwrap()
    }

    fn put(name: &str, value: &[u8], expect: Option<u64>) -> StatePut {
        StatePut { key: key(name), value: value.to_vec(), expect }
    }

    #[test]
    fn a_write_needs_the_version_that_was_read() {
        let state = State::in_memory();
        let first = state.put(&put("a", b"1", None)).unwrap();
        assert!(matches!(state.put(&put("a", b"2", None)), Err(CallError::Conflict(_))));
        assert!(matches!(state.put(&put("a", b"2", Some(first + 1))), Err(CallError::Conflict(_))));
        let second = state.put(&put("a", b"2", Some(first))).unwrap();
        assert_eq!(state.get(&key("a")), Some((b"2".to_vec(), second)));
        assert!(matches!(state.remove(&StateRemove { key: key("a"), expect: Some(first) }), Err(CallError::Conflict(_))));
        state.remove(&StateRemove { key: key("a"), expect: Some(second) }).unwrap();
        assert!(state.put(&put("a", b"3", None)).unwrap() > second, "a removed key must not get an old version again");
    }

    #[test]
    fn memory_is_bounded_and_a_refused_write_leaves_no_trace() {
        let state = State::in_memory();
        assert!(matches!(state.put(&put("big", &vec![0; MAX_VALUE + 1], None)), Err(CallError::Invalid(_))));
        for n in 0..MAX_KEYS {
            state.put(&put(&format!("k{n}"), b"", None)).unwrap();
        }
        assert!(matches!(state.put(&put("one-more", b"", None)), Err(CallError::BudgetExhausted(_))));
        assert_eq!(state.get(&key("one-more")), None);
        let state = State::in_memory();
        let filled = (0..MAX_KEYS).take_while(|n| state.put(&put(&format!("k{n}"), &vec![0; MAX_VALUE], None)).is_ok()).count();
        assert_eq!(filled, MAX_SUM / MAX_VALUE - 1, "the keys count too");
    }

    #[test]
    fn keys_are_listed_by_prefix() {
        let state = State::in_memory();
        for name in ["a/1", "a/2", "b"] {
            state.put(&put(name, b"", None)).unwrap();
        }
        assert_eq!(state.keys(&StateKeys { prefix: Some(key("a/")), limit: 10 }), ["a/1", "a/2"]);
        assert_eq!(state.keys(&StateKeys { prefix: None, limit: 1 }), ["a/1"]);
    }

    #[test]
    fn a_file_keeps_the_memory_and_its_versions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.json");
        let version = State::open(&file).unwrap().put(&put("a", b"\x00\xff", None)).unwrap();
        let again = State::open(&file).unwrap();
        assert_eq!(again.get(&key("a")), Some((vec![0, 255], version)));
        assert!(again.put(&put("a", b"x", Some(version))).unwrap() > version);
        fs::write(&file, "{\"version\": 1, \"entries\": {\"../x\": {\"version\": 1, \"value\": \"\"}}}").unwrap();
        assert!(matches!(State::open(&file), Err(StateError::Damaged { .. })));
    }
}
