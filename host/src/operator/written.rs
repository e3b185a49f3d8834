//! What this leader wrote last, until its watches show it. Whoever looks at what a cache still shows decides on the past, and learns by a conflict that it is over.
//!
//! # Assumptions
//!
//! * Of two resourceVersions of one object the greater number is the newer one, as Kubernetes promises of its own storage. Where they are no numbers, what the
//!   cache shows counts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kube::ResourceExt;

/// Objects by uid.
#[derive(Debug)]
pub(super) struct Written<K>(Mutex<HashMap<String, Arc<K>>>);

impl<K> Default for Written<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: ResourceExt + Clone> Written<K> {
    /// The API server answered a write with this.
    pub(super) fn wrote(&self, object: &K) {
        let Some(uid) = object.uid() else { return };
        let mut object = object.clone();
        object.meta_mut().managed_fields = None;
        self.lock().insert(uid, Arc::new(object));
    }

    /// What is known to be the newest of the object that a cache shows.
    pub(super) fn newest(&self, cached: Arc<K>) -> Arc<K> {
        let uid = cached.uid().unwrap_or_default();
        let mut all = self.lock();
        let Some(written) = all.get(&uid) else { return cached };
        if version(&**written) > version(&*cached) {
            return Arc::clone(written);
        }
        all.remove(&uid);
        cached
    }

    /// Forgets what is gone.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| is_there(uid));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// None is older than any number.
fn version(object: &impl ResourceExt) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use infraagent_api::AgentRun;
    use serde_json::json;

    use super::*;

    fn run(uid: &str, version: &str) -> Arc<AgentRun> {
        let metadata = json!({ "name": "r", "uid": uid, "resourceVersion": version });
        let spec = json!({ "agentRef": "a", "environmentRef": "e", "trigger": "manual" });
        let run = json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": metadata, "spec": spec });
        Arc::new(serde_json::from_value(run).unwrap())
    }

    fn newest(written: &Written<AgentRun>, uid: &str, version: &str) -> String {
        written.newest(run(uid, version)).resource_version().unwrap()
    }

    #[test]
    fn what_was_written_counts_until_the_cache_shows_it_or_something_newer() {
        let written = Written::<AgentRun>::default();
        written.wrote(&run("a", "10"));
        assert_eq!((newest(&written, "a", "9"), newest(&written, "b", "9")), ("10".to_owned(), "9".to_owned()));
        assert_eq!(newest(&written, "a", "10"), "10");
        assert!(written.lock().is_empty());
        written.wrote(&run("a", "10"));
        assert_eq!(newest(&written, "a", "100"), "100");
        written.wrote(&run("a", "10"));
        assert_eq!(newest(&written, "a", "9"), "10", "it is not compared as a text");
    }

    #[test]
    fn versions_that_are_no_numbers_leave_it_to_the_cache() {
        let written = Written::<AgentRun>::default();
        written.wrote(&run("a", "x"));
        assert_eq!(newest(&written, "a", "y"), "y");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let written = Written::<AgentRun>::default();
        for uid in ["a", "b"] {
            written.wrote(&run(uid, "2"));
        }
        written.keep(|uid| uid == "b");
        assert_eq!((newest(&written, "a", "1"), newest(&written, "b", "1")), ("1".to_owned(), "2".to_owned()));
    }
}
