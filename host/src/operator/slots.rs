//! How many runs are active in the whole cluster, and who waits for that or for the limit of the hour. Exact while one replica leads: it alone takes and frees slots, and fills this from the agents when it begins.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use infraagent_api::InfraAgent;
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

use super::spending::Spent;

/// Whether a run has a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// It has.
    Taken,
    /// It waits, in this place of the queue; the first is 1.
    Place(usize),
}

/// The slots of a cluster.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Uids of the runs that have one, with their namespace and what they may use.
    taken: HashMap<String, (String, Spent)>,
    /// Agents whose next run waits for one, the longest wait first.
    waiting: BTreeMap<(Timestamp, String), ObjectRef<InfraAgent>>,
}

impl Slots {
    pub(super) fn new(most: usize, taken: impl IntoIterator<Item = (String, String, Spent)>) -> Self {
        let taken = taken.into_iter().map(|(uid, namespace, spent)| (uid, (namespace, spent))).collect();
        Self { most, state: Mutex::new(State { taken, waiting: BTreeMap::new() }) }
    }

    /// What the runs of a namespace that have a slot may use, without this one.
    pub(super) fn set_aside(&self, namespace: &str, uid: &str) -> Spent {
        let state = self.lock();
        let others = state.taken.iter().filter(|(other, (home, _))| *other != uid && home == namespace);
        others.fold(Spent::default(), |sum, (_, (_, spent))| Spent {
            tokens: sum.tokens.saturating_add(spent.tokens),
            nanos: sum.nanos.saturating_add(spent.nanos),
        })
    }

    /// Takes a slot for the run, which was created then, if no more than `begin` may begin now. Without one the agent waits its turn.
    pub(super) fn take(&self, uid: &str, created: Timestamp, agent: &ObjectRef<InfraAgent>, at_most: Spent, begin: usize) -> Slot {
        let mut state = self.lock();
        let key = (created, uid.to_owned());
        if state.taken.contains_key(uid) {
            return Slot::Taken;
        }
        // Whoever has waited longer comes first.
        let free = self.most.saturating_sub(state.taken.len()).min(begin);
        let before = state.waiting.range(..key.clone()).count();
        if before < free {
            state.waiting.remove(&key);
            state.taken.insert(uid.to_owned(), (agent.namespace.clone().unwrap_or_default(), at_most));
            Slot::Taken
        } else {
            state.waiting.insert(key, agent.clone());
            Slot::Place(before + 1)
        }
    }

    /// Frees the slot of a run. Returns the agents that may go on now.
    pub(super) fn free(&self, uid: &str) -> Vec<ObjectRef<InfraAgent>> {
        let mut state = self.lock();
        state.waiting.retain(|(_, waiting), _| waiting != uid);
        if state.taken.remove(uid).is_none() {
            return Vec::new();
        }
        let free = self.most.saturating_sub(state.taken.len());
        state.waiting.values().take(free).cloned().collect()
    }

    /// Frees the slots of all runs but these, and forgets those that waited. Returns the agents that may go on now.
    pub(super) fn keep(&self, is_active: impl Fn(&str) -> bool) -> Vec<ObjectRef<InfraAgent>> {
        let mut state = self.lock();
        let before = (state.taken.len(), state.waiting.len());
        state.taken.retain(|uid, _| is_active(uid));
        state.waiting.retain(|(_, uid), _| is_active(uid));
        if before == (state.taken.len(), state.waiting.len()) {
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

    /// Asks for a slot in an hour without limits.
    fn takes(slots: &Slots, uid: &str, second: i64, spent: Spent) -> bool {
        slots.take(uid, at(second), &agent(uid.trim_end_matches("-too")), spent, usize::MAX) == Slot::Taken
    }

    #[test]
    fn no_more_than_the_limit_and_the_longest_wait_first() {
        let slots = Slots::new(2, [("old".to_owned(), "agents".to_owned(), Spent::default())]);
        assert!(takes(&slots, "a", 1, Spent::default()));
        assert!(takes(&slots, "a", 1, Spent::default()), "a run has one slot, however often it asks");
        assert!(!takes(&slots, "c", 3, Spent::default()));
        assert!(!takes(&slots, "b", 2, Spent::default()));
        assert_eq!(slots.free("old"), [agent("b")]);
        assert!(!takes(&slots, "c", 3, Spent::default()), "b waited longer");
        assert!(takes(&slots, "b", 2, Spent::default()));
        assert_eq!(slots.free("b"), [agent("c")]);
        assert_eq!(slots.free("b"), [], "nothing is freed twice");
    }

    #[test]
    fn a_slot_and_a_place_in_the_queue_that_nobody_gives_back_are_found() {
        let there = |uid: &str| (uid.to_owned(), "agents".to_owned(), Spent::default());
        let slots = Slots::new(2, [there("gone"), there("there")]);
        assert!(!takes(&slots, "gone-too", 1, Spent::default()));
        assert!(!takes(&slots, "a", 2, Spent::default()));
        assert_eq!(slots.keep(|_| true), []);
        assert_eq!(slots.keep(|uid| uid == "there" || uid == "a"), [agent("a")]);
        assert!(takes(&slots, "a", 2, Spent::default()));
    }

    #[test]
    fn what_is_set_aside_is_that_of_the_other_runs_of_the_namespace() {
        let spent = |tokens| Spent { tokens, nanos: 1 };
        let slots = Slots::new(9, [("old".to_owned(), "agents".to_owned(), spent(5)), ("far".to_owned(), "other".to_owned(), spent(7))]);
        assert!(takes(&slots, "a", 1, spent(20)));
        assert_eq!(slots.set_aside("agents", "b"), Spent { tokens: 25, nanos: 2 });
        assert_eq!(slots.set_aside("agents", "a"), spent(5));
        slots.free("old");
        assert_eq!(slots.set_aside("agents", "a"), Spent::default());
    }

    #[test]
    fn who_cannot_run_for_another_reason_stands_in_nobodys_way() {
        let slots = Slots::new(1, [("old".to_owned(), "agents".to_owned(), Spent::default())]);
        assert!(!takes(&slots, "a", 1, Spent::default()));
        assert!(!takes(&slots, "b", 2, Spent::default()));
        slots.step_aside("a");
        slots.free("old");
        assert!(takes(&slots, "b", 2, Spent::default()));
    }

    #[test]
    fn who_waits_knows_its_place_and_the_limit_of_the_hour_makes_wait_too() {
        let slots = Slots::new(5, []);
        let take = |uid: &str, second, begin| slots.take(uid, at(second), &agent(uid), Spent::default(), begin);
        assert_eq!(take("a", 1, 1), Slot::Taken);
        assert_eq!((take("c", 3, 0), take("b", 2, 0), take("d", 4, 0)), (Slot::Place(1), Slot::Place(1), Slot::Place(3)));
        assert_eq!((take("c", 3, 1), take("b", 2, 1)), (Slot::Place(2), Slot::Taken), "the longest wait first");
        assert_eq!((take("d", 4, 1), take("d", 4, 2)), (Slot::Place(2), Slot::Taken));
    }
}
