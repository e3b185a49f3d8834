//! How fast a trigger may start runs: one, and then none for [`WINDOW`] seconds. What comes meanwhile is one occurrence and a number, whatever it is.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::occurrence::Occurrence;
use crate::operator::trigger::WINDOW;

/// How long what could not be started waits.
const AGAIN: Duration = Duration::from_secs(2);

/// A trigger of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Uid of the agent.
    pub(super) agent: String,
    /// Which of its triggers.
    pub(super) trigger: usize,
}

/// What the triggers did last.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<Place, Slot>>);

#[derive(Debug, Default)]
struct Slot {
    /// Until then none is started.
    free: Duration,
    owed: Option<(Arc<Occurrence>, u32)>,
}

impl Pace {
    /// True if a run is owed already, for which this is one occurrence more.
    pub(super) fn count(&self, place: &Place) -> bool {
        match self.lock().get_mut(place).and_then(|slot| slot.owed.as_mut()) {
            Some((_, more)) => {
                *more = more.saturating_add(1);
                true
            }
            None => false,
        }
    }

    /// True if a run may be started now; else one is owed.
    pub(super) fn admit(&self, place: &Place, occurrence: &Arc<Occurrence>, now: Duration, waits: bool) -> bool {
        let mut slots = self.lock();
        let slot = slots.entry(place.clone()).or_default();
        if now >= slot.free && slot.owed.is_none() && !waits {
            slot.free = now + Duration::from_secs(WINDOW);
            return true;
        }
        slot.owed = Some((Arc::clone(occurrence), slot.owed.take().map_or(0, |(_, more)| more.saturating_add(1))));
        false
    }

    /// The runs that are owed and may be started now: for what, and how many occurrences more there were.
    pub(super) fn due(&self, now: Duration) -> Vec<(Place, Arc<Occurrence>, u32)> {
        let mut due = Vec::new();
        for (place, slot) in self.lock().iter_mut().filter(|(_, slot)| now >= slot.free) {
            if let Some((occurrence, more)) = slot.owed.take() {
                slot.free = now + Duration::from_secs(WINDOW);
                due.push((place.clone(), occurrence, more));
            }
        }
        due
    }

    /// It could not be started: it is owed again.
    pub(super) fn put_back(&self, place: &Place, occurrence: &Arc<Occurrence>, more: u32, now: Duration) {
        let mut slots = self.lock();
        let slot = slots.entry(place.clone()).or_default();
        slot.free = now + AGAIN;
        slot.owed = Some((Arc::clone(occurrence), more.saturating_add(slot.owed.take().map_or(0, |(_, more)| more.saturating_add(1)))));
    }

    /// Forgets all agents but these.
    pub(super) fn keep(&self, agents: &HashSet<String>) {
        self.lock().retain(|place, _| agents.contains(&place.agent));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn place() -> Place {
        Place { agent: "a".to_owned(), trigger: 0 }
    }

    fn occurrence() -> Arc<Occurrence> {
        let event = json!({
            "metadata": { "creationTimestamp": "2026-11-23T10:00:00Z" }, "reason": "BackOff", "involvedObject": { "kind": "Pod" },
        });
        Arc::new(Occurrence::of(&serde_json::from_value(event).unwrap()).unwrap())
    }

    #[test]
    fn of_a_storm_the_first_starts_a_run_and_all_others_one_more() {
        let (pace, one) = (Pace::default(), occurrence());
        assert!(!pace.count(&place()) && pace.admit(&place(), &one, SECOND, false));
        for _ in 0..9_999 {
            assert!(pace.count(&place()) || !pace.admit(&place(), &one, 2 * SECOND, false));
        }
        assert_eq!(pace.due(30 * SECOND), []);
        assert_eq!(pace.due(31 * SECOND), [(place(), Arc::clone(&one), 9_998)]);
        assert_eq!(pace.due(3600 * SECOND), [], "nothing is owed any more");
        assert!(!pace.admit(&place(), &one, 60 * SECOND, false), "the second run was one too");
        assert!(pace.admit(&Place { trigger: 1, ..place() }, &one, SECOND, false), "another trigger has a pace of its own");
    }

    #[test]
    fn what_could_not_be_started_is_tried_again_and_loses_no_count() {
        let (pace, one) = (Pace::default(), occurrence());
        assert!(pace.admit(&place(), &one, SECOND, false));
        pace.put_back(&place(), &one, 5, SECOND);
        assert!(pace.count(&place()));
        assert_eq!(pace.due(2 * SECOND), []);
        assert_eq!(pace.due(3 * SECOND), [(place(), one, 6)]);
    }

    #[test]
    fn none_is_started_while_one_waits_and_agents_that_are_gone_are_forgotten() {
        let (pace, one) = (Pace::default(), occurrence());
        assert!(!pace.admit(&place(), &one, SECOND, true));
        pace.keep(&HashSet::new());
        assert_eq!(pace.due(SECOND), []);
        assert!(!pace.admit(&place(), &one, SECOND, true));
        assert_eq!(pace.due(SECOND), [(place(), one, 0)]);
    }
}
