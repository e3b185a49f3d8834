//! The state of the fake host, one per thread.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::objects::Objects;
use super::scope::Groups;
use super::{Call, Finding, LogLine, Skill};
use crate::http::Response;
use crate::state::Entry;
use crate::{Error, Result};

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Everything that a fake host knows, and what was done with it.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) skill: Skill,
    pub(super) objects: Objects,
    pub(super) site: Value,
    pub(super) groups: Groups,
    pub(super) now: u64,
    pub(super) logs: BTreeMap<(String, String, bool), String>,
    pub(super) failures: Vec<(String, Error)>,
    pub(super) http: Vec<(String, String, Result<Response>)>,
    pub(super) mcp: Vec<(String, String, Value)>,
    pub(super) state: BTreeMap<String, Entry>,
    pub(super) waiting_ends: bool,
    pub(super) page_size: usize,
    pub(super) calls: Vec<Call>,
    pub(super) findings: Vec<Finding>,
    pub(super) log: Vec<LogLine>,
    pub(super) changes: u32,
}

impl World {
    pub(super) fn new(skill: Skill) -> Self {
        Self {
            skill,
            objects: Objects::default(),
            site: json!({}),
            groups: BTreeMap::new(),
            now: 1_767_225_600_000,
            logs: BTreeMap::new(),
            failures: Vec::new(),
            http: Vec::new(),
            mcp: Vec::new(),
            state: BTreeMap::new(),
            waiting_ends: true,
            page_size: 500,
            calls: Vec::new(),
            findings: Vec::new(),
            log: Vec::new(),
            changes: 0,
        }
    }

    /// Records a call without an action.
    pub(super) fn record(&mut self, function: &'static str, arguments: Value) {
        self.calls.push(Call { function, action: None, arguments });
    }

    /// Records a call that claims an action, and gives out the next error that the test scripted for it.
    pub(super) fn claim(&mut self, function: &'static str, action: &str, arguments: Value) -> Result<()> {
        self.calls.push(Call { function, action: Some(action.to_owned()), arguments });
        match self.failures.iter().position(|(scripted, _)| scripted == action) {
            Some(at) => Err(self.failures.remove(at).1),
            None => Ok(()),
        }
    }
}

/// Runs with the installed host of this thread.
pub(crate) fn with<R>(run: impl FnOnce(&mut World) -> Result<R>) -> Result<R> {
    WORLD.with_borrow_mut(|world| match world {
        Some(world) => run(world),
        None => Err(Error::Invalid("no host is there: outside of WebAssembly, install a `skills_sdk::testing::Host` first".to_owned())),
    })
}

/// Looks at the installed host of this thread.
pub(super) fn peek<R>(look: impl FnOnce(&World) -> R) -> R {
    WORLD.with_borrow(|world| look(world.as_ref().expect("the host is installed as long as its guard lives")))
}

pub(super) fn install(world: World) {
    WORLD.with_borrow_mut(|installed| {
        assert!(installed.is_none(), "a testing::Host is installed on this thread already; drop it first");
        *installed = Some(world);
    });
}

pub(super) fn uninstall() {
    WORLD.with_borrow_mut(|installed| *installed = None);
}
