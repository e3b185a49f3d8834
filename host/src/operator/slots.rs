//! How many runs are active in the whole cluster. Exact while one replica leads: it alone takes and frees slots, and fills this from the agents when it begins.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, PoisonError},
};

use infraagent_api::InfraAgent;
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

/// The slots of a cluster.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Uids of the runs that have one.
    taken: HashSet<String>,
    /// Agents whose next run waits for one, the longest wait first.
    waiting: BTreeMap<(Timestamp, String), ObjectRef<InfraAgent>>,
}

impl Slots {
    pub(super) fn new(most: usize, taken: impl IntoIterator<Item = String>) -> Self {
        Self { most, state: Mutex::new(State { taken: taken.into_iter().collect(), waiting: BTreeMap::new() }) }
    }

    /// Takes a slot for the run, which was created then. Without one the agent waits its turn.
    pub(super) fn take(&self, uid: &str, created: Timestamp, agent: &ObjectRef<InfraAgent>) -> bool {
        let mut state = self.lock();
        let key = (created, uid.to_owned());
        if state.taken.contains(uid) {
            return true;
        }
        // Whoever has waited longer comes first.
        let free = self.most.saturating_sub(state.taken.len());
        let before = state.waiting.range(..key.clone()).count();
        if before < free {
            state.waiting.remove(&key);
            state.taken.insert(uid.to_owned());
            true
        } else {
            state.waiting.insert(key, agent.clone());
            false
        }
    }

    /// Frees the slot of a run. Returns the agents that may go on now.
    pub(super) fn free(&self, uid: &str) -> Vec<ObjectRef<InfraAgent>> {
        let mut state = self.lock();
        state.waiting.retain(|(_, waiting), _| waiting != uid);
        if !state.taken.remove(uid) {
            return Vec::new();
        }
        let free = self.most.saturating_sub(state.taken.len());
        state.waiting.values().take(free).cloned().collect()
    }

    /// Frees the slots of all runs but these. Returns the agents that may go on now.
    pub(super) fn keep(&self, is_active: impl Fn(&str) -> bool) -> Vec<ObjectRef<InfraAgent>> {
        let mut state = self.lock();
        let before = state.taken.len();
        state.taken.retain(|uid| is_active(uid));
        if state.taken.len() == before {
            return Vec::new();
        }
        let free = self.most.saturating_sub(state.taken.len());
        state.waiting.values().take(free).cloned().collect()
    }

    /// The run waits for something else than a slot: it stands in nobody's way.
    pub(super) fn step_aside(&self, uid: &str) {
        self.lock().waiting.retain(|(_, waiting), _| waiting != uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> ObjectRef<InfraAgent> {
        ObjectRef::new(name).within("agents")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn no_more_than_the_limit_and_the_longest_wait_first() {
        let slots = Slots::new(2, ["old".to_owned()]);
        assert!(slots.take("a", at(1), &agent("a")));
        assert!(slots.take("a", at(1), &agent("a")), "a run has one slot, however often it asks");
        assert!(!slots.take("c", at(3), &agent("c")));
        assert!(!slots.take("b", at(2), &agent("b")));
        assert_eq!(slots.free("old"), [agent("b")]);
        assert!(!slots.take("c", at(3), &agent("c")), "b waited longer");
        assert!(slots.take("b", at(2), &agent("b")));
        assert_eq!(slots.free("b"), [agent("c")]);
        assert_eq!(slots.free("b"), [], "nothing is freed twice");
    }

    #[test]
    fn a_slot_whose_run_nobody_settles_is_found() {
        let slots = Slots::new(2, ["gone".to_owned(), "there".to_owned()]);
        assert!(!slots.take("a", at(1), &agent("a")));
        assert_eq!(slots.keep(|_| true), []);
        assert_eq!(slots.keep(|uid| uid == "there"), [agent("a")]);
        assert!(slots.take("a", at(1), &agent("a")));
    }

    #[test]
    fn who_cannot_run_for_another_reason_stands_in_nobodys_way() {
        let slots = Slots::new(1, ["old".to_owned()]);
        assert!(!slots.take("a", at(1), &agent("a")));
        assert!(!slots.take("b", at(2), &agent("b")));
        slots.step_aside("a");
        slots.free("old");
        assert!(slots.take("b", at(2), &agent("b")));
    }
}
