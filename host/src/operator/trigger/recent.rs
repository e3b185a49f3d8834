//! A bounded memory of what happened a moment ago. It saves work; what must never happen twice is held by the names of runs.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::Hash;

/// What happened, for a while. If too much happens the oldest is forgotten first.
#[derive(Debug)]
pub(in crate::operator) struct Recent {
    remembered: Mutex<Remembered>,
    /// How long something is remembered.
    span: Duration,
    /// How much is remembered at most.
    most: usize,
}

#[derive(Debug, Default)]
struct Remembered {
    all: HashSet<Hash>,
    /// Oldest first.
    since: VecDeque<(Duration, Hash)>,
}

impl Recent {
    pub(in crate::operator) fn new(span: Duration, most: usize) -> Self {
        Self { remembered: Mutex::default(), span, most }
    }

    /// Whether it happened a moment ago. `now` never goes back.
    pub(in crate::operator) fn knows(&self, what: &Hash, now: Duration) -> bool {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.forget(|since, _| now.saturating_sub(since) >= self.span);
        remembered.all.contains(what)
    }

    /// It happened. If it is remembered already it is not remembered for longer.
    pub(in crate::operator) fn remember(&self, what: Hash, now: Duration) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.forget(|since, _| now.saturating_sub(since) >= self.span);
        remembered.forget(|_, count| count >= self.most);
        if remembered.all.insert(what) {
            remembered.since.push_back((now, what));
        }
    }
}

impl Remembered {
    /// Lets the oldest go for as long as `is_over`, which is told since when it is known and how many there are.
    fn forget(&mut self, is_over: impl Fn(Duration, usize) -> bool) {
        while let Some((_, oldest)) = self.since.front().copied().filter(|(since, _)| is_over(*since, self.since.len())) {
            self.since.pop_front();
            self.all.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_known_for_its_span_and_not_longer_because_it_was_seen_again() {
        let recent = Recent::new(30 * SECOND, 10);
        recent.remember([1; 32], 5 * SECOND);
        recent.remember([1; 32], 20 * SECOND);
        assert!(recent.knows(&[1; 32], 34 * SECOND) && !recent.knows(&[2; 32], 34 * SECOND));
        assert!(!recent.knows(&[1; 32], 35 * SECOND));
        recent.remember([1; 32], 36 * SECOND);
        assert!(recent.knows(&[1; 32], 40 * SECOND));
    }

    #[test]
    fn a_flood_makes_it_forget_and_not_grow() {
        let recent = Recent::new(30 * SECOND, 100);
        for number in 0..100_000_u32 {
            let mut what = [0; 32];
            what[..4].copy_from_slice(&number.to_be_bytes());
            recent.remember(what, SECOND);
            assert!(recent.knows(&what, SECOND));
        }
        let remembered = recent.remembered.lock().unwrap();
        assert_eq!((remembered.all.len(), remembered.since.len()), (100, 100));
    }
}
