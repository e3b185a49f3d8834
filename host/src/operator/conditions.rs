//! Conditions: what stands, since when, and what the API server said when something did not work.

use infraagent_api::{Condition, Time};
use jiff::Timestamp;

/// The longest message, in characters.
const LONGEST: usize = 256;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    Unknown,
}

/// A condition, now.
pub(super) fn condition(
    kind: &str,
    holds: Holds,
    reason: &str,
    message: impl Into<String>,
    now: Timestamp,
    generation: Option<i64>,
) -> Condition {
    let status = match holds {
        Holds::Yes => "True",
        Holds::No => "False",
        Holds::Unknown => "Unknown",
    };
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.into().chars().take(LONGEST).collect(),
        last_transition_time: Time(now),
        observed_generation: generation,
    }
}

/// The new conditions in place of the old ones of the same type. What did not change keeps its time; others stay.
pub(super) fn merge(old: &[Condition], new: Vec<Condition>) -> Vec<Condition> {
    let mut merged: Vec<Condition> = old.iter().filter(|old| !new.iter().any(|new| new.type_ == old.type_)).cloned().collect();
    for mut condition in new {
        if let Some(before) = old.iter().find(|old| old.type_ == condition.type_ && old.status == condition.status) {
            condition.last_transition_time = before.last_transition_time.clone();
        }
        merged.push(condition);
    }
    merged.sort_by(|a, b| a.type_.cmp(&b.type_));
    merged
}

/// What the API server said, without the debug output that kube adds.
pub(super) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Whether somebody else wrote the object first.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_change_keeps_its_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ready = |holds, reason: &str, second| condition("Ready", holds, reason, "m", at(second), Some(1));
        let other = condition("Other", Holds::Yes, "X", "", at(1), None);
        let old = vec![ready(Holds::Yes, "A", 1), other.clone()];
        let same = merge(&old, vec![ready(Holds::Yes, "B", 2)]);
        assert_eq!(same, [other.clone(), ready(Holds::Yes, "B", 1)]);
        let changed = merge(&old, vec![ready(Holds::No, "C", 2)]);
        assert_eq!(changed, [other, ready(Holds::No, "C", 2)]);
    }
}
