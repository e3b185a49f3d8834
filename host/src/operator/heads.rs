//! How the last runs ended: what the next run of the same agent is chained to. A record that is over does not change, so what was seen once need not be read
//! again; what is not known here is.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use infraagent_api::{AgentRun, run::Previous};
use kube::ResourceExt as _;

/// The most that is remembered. Each takes some hundred bytes.
const MOST: usize = 4096;

/// By namespace and name of the run.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<HashMap<(String, String), Previous>>);

impl Heads {
    /// A run that is over.
    pub(super) fn ended(&self, run: &AgentRun) {
        let Some(head) = head(run) else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert((run.namespace().unwrap_or_default(), run.name_any()), head);
    }

    /// How the run with this name ended, if that is known.
    pub(super) fn of(&self, namespace: &str, name: &str) -> Option<Previous> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Another run follows that one, and its assignment stands: nobody asks again.
    pub(super) fn forget(&self, namespace: &str, name: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(namespace.to_owned(), name.to_owned()));
    }
}

/// What the next run is chained to.
pub(super) fn head(run: &AgentRun) -> Option<Previous> {
    let head = run.status.as_ref()?.head.as_ref()?.hash.clone();
    Some(Previous { uid: run.uid()?, head })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(name: &str, status: serde_json::Value) -> AgentRun {
        serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun",
            "metadata": { "namespace": "agents", "name": name, "uid": format!("{name}-uid") },
            "spec": { "agentRef": "a", "environmentRef": "e", "trigger": "manual" }, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn what_ended_is_known_until_another_run_follows_and_what_has_no_head_is_not() {
        let heads = Heads::default();
        heads.ended(&run("a", json!({ "head": { "hash": "abc" } })));
        heads.ended(&run("b", json!({})));
        assert_eq!(heads.of("other", "a"), None);
        assert_eq!(heads.of("agents", "a"), Some(Previous { uid: "a-uid".to_owned(), head: "abc".to_owned() }));
        assert!(heads.of("agents", "a").is_some(), "an assignment that failed is tried again");
        heads.forget("agents", "a");
        assert_eq!(heads.of("agents", "a"), None);
        assert_eq!(heads.of("agents", "b"), None);
    }
}
