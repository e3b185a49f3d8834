//! Cooldowns: when an action was last used on a target. Keyed by the target's uid, so that no alias of its name gets around it.

mod leases;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use infraagent_guard::{
    call::{Call, Effect, Mutation},
    permit::Observed,
    policy::Verb,
};
use jiff::Timestamp;

pub use self::leases::{LABEL, Leases};

/// The longest cooldown, in seconds: 7 days.
pub const MAX_SECONDS: u32 = 7 * 24 * 60 * 60;

/// What a cooldown is about: one verb on one target of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CooldownKey {
    cluster: String,
    target: String,
    verb: String,
}

impl CooldownKey {
    /// `observed` is the target in the cluster. Calls beyond it (http, mcp) are known by their canonical text.
    pub fn new(cluster: &str, mutation: &Mutation, observed: Option<&Observed>) -> Self {
        let verb = match &mutation.effect {
            Effect::Restart(_) => Verb::Restart.as_str(),
            Effect::Scale(_) => Verb::Scale.as_str(),
            Effect::Pause(..) => Verb::Pause.as_str(),
            Effect::Evict(..) => Verb::Evict.as_str(),
            Effect::Cordon(..) => Verb::Cordon.as_str(),
            Effect::RequestSync(..) => Verb::RequestSync.as_str(),
            Effect::Delete(_) => Verb::Delete.as_str(),
            Effect::Rollback(..) => Verb::Rollback.as_str(),
            Effect::Http(_) => "http",
            Effect::Mcp(_) => "mcp",
        };
        let target = observed.map_or_else(|| Call::Mutation(mutation.clone()).to_string(), |observed| observed.uid.to_string());
        Self { cluster: cluster.to_owned(), target, verb: verb.to_owned() }
    }
}

/// Where cooldowns are kept.
#[derive(Debug)]
pub enum Cooldowns {
    /// In this process, for an offline run.
    Memory(InMemory),
    /// In the cluster, shared by all agents.
    Leases(Box<Leases>),
}

/// Why an action may not be used now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// Still cooling down.
    #[error("cooling down for another {seconds} s")]
    Cooling {
        /// How long it still takes.
        seconds: u64,
    },
    /// Where cooldowns are kept cannot be asked.
    #[error("{0}")]
    Unknown(String),
}

/// A cooldown that was taken. Given back if nothing came of it.
#[derive(Debug)]
#[must_use = "a cooldown that was taken is kept, or given back"]
pub struct Taken(How);

#[derive(Debug)]
enum How {
    /// The action has no cooldown.
    Not,
    Memory {
        key: CooldownKey,
        at: Timestamp,
        before: Option<Timestamp>,
    },
    Lease(Box<leases::Written>),
}

impl Cooldowns {
    /// In this process, none used yet.
    pub fn in_memory() -> Self {
        Self::Memory(InMemory::default())
    }

    /// Ok if the action may be used now. Changes nothing.
    pub async fn check(&self, key: &CooldownKey, seconds: u32, now: Timestamp) -> Result<(), NotNow> {
        let Some(seconds) = bounded(seconds) else { return Ok(()) };
        match self {
            Self::Memory(memory) => memory.check(key, seconds, now),
            Self::Leases(leases) => leases.check(key, seconds, now).await,
        }
    }

    /// Starts the cooldown, unless it is already running. To be called before the intent is recorded. An action without a cooldown takes none.
    pub async fn take(&self, key: CooldownKey, seconds: u32, now: Timestamp) -> Result<Taken, NotNow> {
        let Some(seconds) = bounded(seconds) else { return Ok(Taken(How::Not)) };
        match self {
            Self::Memory(memory) => memory.take(key, seconds, now),
            Self::Leases(leases) => leases.take(&key, seconds, now).await.map(|written| Taken(How::Lease(Box::new(written)))),
        }
    }

    /// Undoes a taking, if nobody else took it since: the intent could not be recorded, so nothing was done.
    pub async fn give_back(&self, taken: Taken) {
        match (self, taken.0) {
            (_, How::Not) => {}
            (Self::Memory(memory), How::Memory { key, at, before }) => memory.give_back(key, at, before),
            (Self::Leases(leases), How::Lease(written)) => leases.give_back(*written).await,
            (Self::Memory(_), How::Lease(_)) | (Self::Leases(_), How::Memory { .. }) => {
                tracing::error!("a cooldown was given back to where it was not taken");
            }
        }
    }
}

/// None: no cooldown.
fn bounded(seconds: u32) -> Option<u32> {
    (seconds > 0).then(|| seconds.min(MAX_SECONDS))
}

/// The cooldowns of one process. Shared by everything that runs in it.
#[derive(Debug, Default)]
pub struct InMemory {
    used: Mutex<BTreeMap<CooldownKey, Timestamp>>,
}

impl InMemory {
    fn check(&self, key: &CooldownKey, seconds: u32, now: Timestamp) -> Result<(), NotNow> {
        remaining(self.lock().get(key), seconds, now)
    }

    fn take(&self, key: CooldownKey, seconds: u32, now: Timestamp) -> Result<Taken, NotNow> {
        let mut used = self.lock();
        remaining(used.get(&key), seconds, now)?;
        let before = used.insert(key.clone(), now);
        Ok(Taken(How::Memory { key, at: now, before }))
    }

    fn give_back(&self, key: CooldownKey, at: Timestamp, before: Option<Timestamp>) {
        let mut used = self.lock();
        if used.get(&key) != Some(&at) {
            return;
        }
        match before {
            Some(before) => used.insert(key, before),
            None => used.remove(&key),
        };
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CooldownKey, Timestamp>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that went backwards does not shorten a cooldown.
fn remaining(used: Option<&Timestamp>, seconds: u32, now: Timestamp) -> Result<(), NotNow> {
    let Some(used) = used else { return Ok(()) };
    let over = used.as_second().saturating_add(i64::from(seconds));
    match u64::try_from(over.saturating_sub(now.as_second())) {
        Ok(0) | Err(_) => Ok(()),
        Ok(seconds) => Err(NotNow::Cooling { seconds }),
    }
}

#[cfg(test)]
mod tests {
    use infraagent_guard::{
        call::{Target, Workload},
        name::{Namespace, ObjectName, ResourceVersion, Uid},
    };

    use super::*;

    fn restart(name: &str) -> Mutation {
        let target =
            Target { kind: Workload::Deployment, namespace: Namespace::parse("shop").unwrap(), name: ObjectName::parse(name).unwrap() };
        Mutation { effect: Effect::Restart(target), reason: String::new() }
    }

    fn key(uid: &str) -> CooldownKey {
        let observed = Observed { uid: Uid::parse(uid).unwrap(), resource_version: ResourceVersion::parse("1").unwrap() };
        CooldownKey::new("c", &restart("web"), Some(&observed))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn a_cooldown_runs_out_and_only_counts_for_its_target() {
        let cooldowns = Cooldowns::in_memory();
        let _ = cooldowns.take(key("a"), 300, at(1000)).await.unwrap();
        assert_eq!(cooldowns.check(&key("a"), 300, at(1100)).await, Err(NotNow::Cooling { seconds: 200 }));
        assert_eq!(cooldowns.take(key("a"), 300, at(1299)).await.unwrap_err(), NotNow::Cooling { seconds: 1 });
        assert_eq!(cooldowns.check(&key("b"), 300, at(1100)).await, Ok(()));
        assert!(cooldowns.take(key("a"), 300, at(1300)).await.is_ok());
    }

    #[tokio::test]
    async fn a_clock_that_goes_backwards_frees_nothing() {
        let cooldowns = Cooldowns::in_memory();
        let _ = cooldowns.take(key("a"), 60, at(1000)).await.unwrap();
        assert_eq!(cooldowns.check(&key("a"), 60, at(10)).await, Err(NotNow::Cooling { seconds: 1050 }));
    }

    #[tokio::test]
    async fn without_a_cooldown_nothing_cools_down() {
        let cooldowns = Cooldowns::in_memory();
        let _ = cooldowns.take(key("a"), 0, at(1000)).await.unwrap();
        assert!(cooldowns.take(key("a"), 0, at(1000)).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_given_back_is_as_it_was_before_unless_somebody_took_it_since() {
        let cooldowns = Cooldowns::in_memory();
        let first = cooldowns.take(key("a"), 300, at(1000)).await.unwrap();
        cooldowns.give_back(first).await;
        assert_eq!(cooldowns.check(&key("a"), 300, at(1001)).await, Ok(()));
        let _ = cooldowns.take(key("a"), 300, at(1000)).await.unwrap();
        let second = cooldowns.take(key("a"), 300, at(1400)).await.unwrap();
        cooldowns.give_back(second).await;
        assert_eq!(cooldowns.check(&key("a"), 300, at(1200)).await, Err(NotNow::Cooling { seconds: 100 }));
    }
}
