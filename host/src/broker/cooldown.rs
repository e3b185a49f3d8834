//! Cooldowns of an offline run: when an action was last used on a target. Keyed by the target's uid, so that no alias of its name gets around it.

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

/// The cooldowns of one process. Shared by everything that runs in it.
#[derive(Debug, Default)]
pub struct Cooldowns {
    used: Mutex<BTreeMap<CooldownKey, Timestamp>>,
}

/// Still cooling down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cooling down for another {seconds} s")]
pub struct CoolingDown {
    /// How long it still takes.
    pub seconds: u64,
}

impl Cooldowns {
    /// None used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ok if the action may be used now. Changes nothing.
    pub fn check(&self, key: &CooldownKey, seconds: u32, now: Timestamp) -> Result<(), CoolingDown> {
        remaining(self.lock().get(key), seconds, now)
    }

    /// Starts the cooldown, unless it is already running. To be called before the intent is recorded.
    pub fn take(&self, key: CooldownKey, seconds: u32, now: Timestamp) -> Result<(), CoolingDown> {
        let mut used = self.lock();
        remaining(used.get(&key), seconds, now)?;
        used.insert(key, now);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CooldownKey, Timestamp>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that went backwards does not shorten a cooldown.
fn remaining(used: Option<&Timestamp>, seconds: u32, now: Timestamp) -> Result<(), CoolingDown> {
    let Some(used) = used else { return Ok(()) };
    let over = used.as_second().saturating_add(i64::from(seconds));
    match u64::try_from(over.saturating_sub(now.as_second())) {
        Ok(0) | Err(_) => Ok(()),
        Ok(seconds) => Err(CoolingDown { seconds }),
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

    #[test]
    fn a_cooldown_runs_out_and_only_counts_for_its_target() {
        let cooldowns = Cooldowns::new();
        cooldowns.take(key("a"), 300, at(1000)).unwrap();
        assert_eq!(cooldowns.check(&key("a"), 300, at(1100)), Err(CoolingDown { seconds: 200 }));
        assert_eq!(cooldowns.take(key("a"), 300, at(1299)), Err(CoolingDown { seconds: 1 }));
        assert_eq!(cooldowns.check(&key("b"), 300, at(1100)), Ok(()));
        assert_eq!(cooldowns.take(key("a"), 300, at(1300)), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_backwards_frees_nothing() {
        let cooldowns = Cooldowns::new();
        cooldowns.take(key("a"), 60, at(1000)).unwrap();
        assert_eq!(cooldowns.check(&key("a"), 60, at(10)), Err(CoolingDown { seconds: 1050 }));
    }

    #[test]
    fn without_a_cooldown_nothing_cools_down() {
        let cooldowns = Cooldowns::new();
        cooldowns.take(key("a"), 0, at(1000)).unwrap();
        assert_eq!(cooldowns.take(key("a"), 0, at(1000)), Ok(()));
    }
}
