//! The mark of a run that was exported: an annotation, signed with the audit key over the run, its head and the receiver.
//!
//! It is the cursor of the export: there is no other, so nothing that a crash, a failover or a restored cluster could leave behind. A record that is over never changes, so one
//! with a mark needs no second look.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use crate::audit::{AuditKey, canonical, chain};

/// The annotation.
pub const EXPORTED: &str = "infraagent.io/exported";
/// In place of the head of a record that has none.
const NONE: &str = "-";

/// Makes and reads marks for one receiver.
#[derive(Debug)]
pub struct Marker {
    key: Arc<AuditKey>,
    target: String,
}

impl Marker {
    /// For the receiver of this name.
    pub fn new(key: Arc<AuditKey>, target: String) -> Self {
        Self { key, target }
    }

    /// The mark of the run with this uid, whose record ended in this head; empty if it has none.
    pub fn make(&self, uid: &str, head: &str) -> String {
        let head = if head.is_empty() { NONE } else { head };
        format!("{head} {}", self.key.sign(&self.text(uid, head)))
    }

    /// Whether the annotations say that this receiver has the whole record of the run with this uid. With a head, only if it is that one.
    pub fn is_on(&self, annotations: Option<&BTreeMap<String, String>>, uid: &str, head: Option<&str>) -> bool {
        let Some((marked, signature)) = annotations.and_then(|all| all.get(EXPORTED)?.split_once(' ')) else { return false };
        let expected = head.is_none_or(|head| marked == if head.is_empty() { NONE } else { head });
        expected && self.key.public().verifies(&self.text(uid, marked), signature)
    }

    fn text(&self, uid: &str, head: &str) -> String {
        // Texts alone always have a canonical form.
        let what = canonical::text(&json!({ "head": head, "run": uid, "target": self.target })).unwrap_or_default();
        format!("infraagent audit v1 exported\n{}", chain::hash("exported", &[&what]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(value: &str) -> BTreeMap<String, String> {
        [(EXPORTED.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn a_mark_counts_for_its_run_its_head_its_receiver_and_its_key() {
        let (key, other) = (Arc::new(AuditKey::generate().unwrap()), Arc::new(AuditKey::generate().unwrap()));
        let marker = Marker::new(Arc::clone(&key), "file /a".to_owned());
        let mark = on(&marker.make("run-1", "abc"));
        assert!(marker.is_on(Some(&mark), "run-1", Some("abc")) && marker.is_on(Some(&mark), "run-1", None));
        assert!(!marker.is_on(Some(&mark), "run-2", None), "copied from another run");
        assert!(!marker.is_on(Some(&mark), "run-1", Some("abd")), "of another record");
        assert!(!marker.is_on(None, "run-1", None));
        let replaced = on(&mark[EXPORTED].replacen("abc", "abd", 1));
        assert!(!marker.is_on(Some(&replaced), "run-1", Some("abd")), "changed");
        assert!(!Marker::new(key, "file /b".to_owned()).is_on(Some(&mark), "run-1", None), "another receiver has nothing yet");
        assert!(!Marker::new(other, "file /a".to_owned()).is_on(Some(&mark), "run-1", None), "somebody else's signature");
        for forged in ["true", "abc", "abc ", "abc AAAA", " "] {
            assert!(!marker.is_on(Some(&on(forged)), "run-1", None), "{forged}");
        }
        let headless = on(&marker.make("run-3", ""));
        assert!(marker.is_on(Some(&headless), "run-3", Some("")) && !marker.is_on(Some(&headless), "run-3", Some("abc")));
    }
}
