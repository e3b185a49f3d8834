//! Memory across runs, per agent and skill, with compare-and-swap: in a failover two runs may overlap.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Cx, Remembers, Result, backend, document};

/// The memory of a skill that says `state: true` in its sheet.
#[derive(Debug)]
pub struct State(());

/// An entry of the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Its version, for the next write.
    pub version: u64,
}

impl Entry {
    /// The value as JSON.
    pub fn json<J: DeserializeOwned>(&self) -> Result<J> {
        document::from_bytes(&self.value)
    }
}

impl<T> Cx<T> {
    /// The memory of the skill.
    pub fn state(&self) -> State
    where
        T: Remembers,
    {
        State(())
    }
}

impl State {
    /// Reads an entry.
    pub fn get(&self, key: &str) -> Result<Option<Entry>> {
        backend::state_get(key)
    }

    /// Writes an entry. `expect` is the version that must be there, none if the key must be absent; otherwise the answer is a conflict.
    pub fn put(&self, key: &str, value: &[u8], expect: Option<u64>) -> Result<u64> {
        backend::state_put(key, value, expect)
    }

    /// Writes an entry as JSON.
    pub fn put_json(&self, key: &str, value: &impl Serialize, expect: Option<u64>) -> Result<u64> {
        self.put(key, &serde_json::to_vec(value)?, expect)
    }

    /// Removes an entry, of this version if one is given.
    pub fn remove(&self, key: &str, expect: Option<u64>) -> Result<()> {
        backend::state_remove(key, expect)
    }

    /// Keys with this prefix, in order, at most `limit`.
    pub fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<String>> {
        backend::state_keys(prefix, limit)
    }
}
