//! Which replicas are alive, by their Leases, as the leader sees them.
//!
//! A Lease that is not renewed may be that of a dead replica, or the leader's own watch may be blind. So silence is counted only while this leader's own renewals
//! arrive through the same watch: each of them proves that the watch works, and adds the time since the one before to the silence of all others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use infraagent_api::run::Holder;
use k8s_openapi::api::coordination::v1::Lease;

use super::{
    Timings,
    heartbeat::{DRAINING, LeaseRef, RECORD},
};

/// The replicas, by the uids of their Leases.
#[derive(Debug)]
pub(super) struct Replicas {
    own: LeaseRef,
    timings: Timings,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<String, Replica>,
    /// When the leader's own Lease was seen last.
    heard: Option<Duration>,
}

#[derive(Debug, Clone)]
struct Replica {
    name: String,
    version: String,
    silent: Duration,
    /// It was seen to renew its Lease: what the first look shows may be of the dead.
    heard: bool,
    /// It exists, and takes runs.
    serves: bool,
    record_version: i32,
}

impl Replicas {
    pub(super) fn new(own: LeaseRef, timings: Timings) -> Self {
        Self { own, timings, state: Mutex::default() }
    }

    /// A Lease was seen at this time. Returns the uids of those that are dead from now on.
    pub(super) fn seen(&self, lease: &Lease, now: Duration) -> Vec<String> {
        let metadata = &lease.metadata;
        let (Some(uid), Some(name)) = (metadata.uid.clone(), metadata.name.clone()) else { return Vec::new() };
        let version = metadata.resource_version.clone().unwrap_or_default();
        let annotation = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(key));
        let record_version = annotation(RECORD).and_then(|text| text.parse().ok()).unwrap_or(1);
        let serves = annotation(DRAINING).is_none() && metadata.deletion_timestamp.is_none();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = state.known.get(&uid).is_none_or(|known| known.version != version);
        let (silent, heard) = match state.known.get(&uid) {
            Some(known) if !renewed => (known.silent, known.heard),
            // A holder of runs whose Lease was not seen before has no version.
            Some(known) => (Duration::ZERO, !known.version.is_empty()),
            None => (Duration::ZERO, false),
        };
        let heard = heard || uid == self.own.uid;
        state.known.insert(uid.clone(), Replica { name, version, silent, heard, serves, record_version });
        if uid == self.own.uid && renewed { self.count(&mut state, now) } else { Vec::new() }
    }

    /// A Lease is gone. What its replica began may still happen, so its silence is counted on.
    pub(super) fn gone(&self, lease: &Lease) {
        let Some(uid) = &lease.metadata.uid else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.known.get_mut(uid) {
            known.serves = false;
        }
    }

    /// The watch begins anew: these are all Leases that there are.
    pub(super) fn only(&self, uids: &BTreeSet<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (uid, replica) in &mut state.known {
            replica.serves &= uids.contains(uid);
        }
    }

    /// Whether nothing of this holder can happen any more. One that was never seen is silent from now on.
    pub(super) fn is_dead(&self, holder: &Holder) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let replica = state.known.entry(holder.uid.clone()).or_insert_with(|| Replica {
            name: holder.lease.clone(),
            version: String::new(),
            silent: Duration::ZERO,
            heard: false,
            serves: false,
            record_version: 0,
        });
        holder.uid != self.own.uid && replica.silent >= self.timings.silence()
    }

    /// The replica that takes the next run: of those that serve, were heard of and know this layout of the record, the one that `load` says holds the fewest runs.
    pub(super) fn choose(&self, record_version: i32, load: impl Fn(&str) -> usize) -> Option<LeaseRef> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // One that missed two renewals is not trusted with more.
        let fresh = |replica: &Replica| replica.heard && replica.silent <= self.timings.renewal() * 2;
        let candidates =
            state.known.iter().filter(|(_, replica)| replica.serves && replica.record_version >= record_version && fresh(replica));
        candidates.min_by_key(|(uid, _)| load(uid)).map(|(uid, replica)| LeaseRef { name: replica.name.clone(), uid: uid.clone() })
    }

    /// Leases of replicas that are dead, whose runs are closed by now: they can be removed.
    pub(super) fn buried(&self, has_runs: impl Fn(&str) -> bool) -> Vec<LeaseRef> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let over = self.timings.silence() * 4;
        let dead: Vec<LeaseRef> = state
            .known
            .iter()
            .filter(|(uid, replica)| **uid != self.own.uid && replica.silent >= over && !has_runs(uid))
            .map(|(uid, replica)| LeaseRef { name: replica.name.clone(), uid: uid.clone() })
            .collect();
        for lease in &dead {
            state.known.remove(&lease.uid);
        }
        dead
    }

    fn count(&self, state: &mut State, now: Duration) -> Vec<String> {
        let State { known, heard } = state;
        // After a gap nobody knows what the watch missed: at most two renewals of it count.
        let step = heard.map_or(Duration::ZERO, |last| now.saturating_sub(last).min(self.timings.renewal() * 2));
        *heard = Some(now);
        let mut dead = Vec::new();
        for (uid, replica) in known.iter_mut().filter(|(uid, _)| **uid != self.own.uid) {
            let before = replica.silent;
            replica.silent += step;
            if before < self.timings.silence() && replica.silent >= self.timings.silence() {
                dead.push(uid.clone());
            }
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(uid: &str, version: u64) -> Lease {
        serde_json::from_value(
            json!({ "metadata": { "name": format!("lease-{uid}"), "uid": uid, "resourceVersion": version.to_string() } }),
        )
        .unwrap()
    }

    fn holder(uid: &str) -> Holder {
        Holder { lease: format!("lease-{uid}"), uid: uid.to_owned(), epoch: 1 }
    }

    /// Leases good for 30 s, renewed every 10, effects of 10 s: silent for 40 s is dead.
    fn replicas() -> Replicas {
        let timings = Timings::new(SECOND * 30, SECOND * 10, SECOND * 30).unwrap();
        Replicas::new(LeaseRef { name: "lease-own".to_owned(), uid: "own".to_owned() }, timings)
    }

    /// The leader's own renewals, every ten seconds, the first one at this second.
    fn beats(replicas: &Replicas, from: u32, to: u32) -> Vec<String> {
        (from..=to).step_by(10).flat_map(|second| replicas.seen(&lease("own", u64::from(second) + 1000), SECOND * second)).collect()
    }

    #[test]
    fn a_replica_is_dead_when_it_was_silent_for_its_lease_and_an_effect() {
        let replicas = replicas();
        replicas.seen(&lease("own", 1), SECOND * 100);
        replicas.seen(&lease("other", 1), SECOND * 100);
        assert_eq!(beats(&replicas, 110, 130), [""; 0]);
        assert!(!replicas.is_dead(&holder("other")));
        assert_eq!(beats(&replicas, 140, 140), ["other"]);
        assert!(replicas.is_dead(&holder("other")));
        assert!(!replicas.is_dead(&holder("own")));
    }

    #[test]
    fn a_renewal_ends_the_silence() {
        let replicas = replicas();
        replicas.seen(&lease("own", 1), SECOND * 100);
        replicas.seen(&lease("other", 1), SECOND * 100);
        beats(&replicas, 110, 130);
        replicas.seen(&lease("other", 2), SECOND * 131);
        assert_eq!(beats(&replicas, 140, 160), [""; 0]);
        replicas.seen(&lease("other", 2), SECOND * 161);
        assert_eq!(beats(&replicas, 170, 180), ["other"], "the same version again is no renewal");
    }

    #[test]
    fn while_the_watch_is_blind_nobody_dies() {
        let replicas = replicas();
        replicas.seen(&lease("own", 1), SECOND * 100);
        replicas.seen(&lease("other", 1), SECOND * 100);
        // Nothing was seen for ten minutes, then the watch is back and shows the own Lease first.
        assert_eq!(replicas.seen(&lease("own", 2), SECOND * 700), [""; 0]);
        assert!(!replicas.is_dead(&holder("other")));
        replicas.seen(&lease("other", 2), SECOND * 700);
        assert_eq!(beats(&replicas, 710, 730), [""; 0]);
    }

    #[test]
    fn a_holder_that_was_never_seen_is_waited_for_like_any_other() {
        let replicas = replicas();
        replicas.seen(&lease("own", 1), SECOND * 100);
        assert!(!replicas.is_dead(&holder("ghost")));
        assert_eq!(beats(&replicas, 110, 140), ["ghost"]);
        assert!(replicas.is_dead(&holder("ghost")));
    }

    #[test]
    fn a_lease_that_was_removed_takes_no_runs_and_is_not_dead_at_once() {
        let replicas = replicas();
        replicas.seen(&lease("own", 1), SECOND * 100);
        replicas.seen(&lease("other", 1), SECOND * 100);
        replicas.gone(&lease("other", 1));
        assert!(!replicas.is_dead(&holder("other")));
        assert_eq!(replicas.choose(1, |_| 0).unwrap().uid, "own");
        assert_eq!(beats(&replicas, 110, 140), ["other"]);
    }

    #[test]
    fn runs_go_to_whoever_has_the_fewest_and_knows_their_layout() {
        let replicas = replicas();
        replicas.seen(&lease("own", 1), SECOND);
        replicas.seen(&lease("other", 1), SECOND);
        let load = |uid: &str| if uid == "own" { 3 } else { 2 };
        assert_eq!(replicas.choose(1, load).unwrap().uid, "own", "the other one may be dead since before this leader began");
        replicas.seen(&lease("other", 2), SECOND);
        assert_eq!(replicas.choose(1, load).unwrap().uid, "other");
        let mut draining = lease("other", 3);
        draining.metadata.annotations = Some([(DRAINING.to_owned(), "true".to_owned())].into());
        replicas.seen(&draining, SECOND);
        assert_eq!(replicas.choose(1, load).unwrap().uid, "own");
        assert_eq!(replicas.choose(2, load), None, "nobody knows that layout");
    }

    #[test]
    fn the_dead_are_buried_once_they_have_no_runs() {
        let replicas = replicas();
        replicas.seen(&lease("own", 1), SECOND * 100);
        replicas.seen(&lease("other", 1), SECOND * 100);
        beats(&replicas, 110, 400);
        assert!(replicas.buried(|uid| uid == "other").is_empty());
        assert_eq!(replicas.buried(|_| false).len(), 1);
        assert!(replicas.buried(|_| false).is_empty());
    }
}
