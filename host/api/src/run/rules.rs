//! What the API server refuses, to everybody, on an AgentRun.
//!
//! Guarantees: an entry is never edited, swapped, dropped or reopened; only an intended one gets an outcome, and its intent stays equal
//! field by field; an ended run never changes; the status cannot be removed; the order (spec) never changes.
//!
//! Assumptions: `actions` is an atomic list with `seq` equal to the position, so an index identifies an entry. A rule on a field that
//! is removed never runs: hence the rule on the root, and `!has(oldSelf.x) || has(self.x)` for what may not disappear.
//!
//! Caveats: rules cannot know *who* writes. Forged entries at the end are refused by an admission policy, and found by the hash chain.

use crate::schema::Rule;

/// Fields of an entry that are written before anything happens.
#[cfg(test)]
pub(crate) const INTENT: &[&str] = &[
    "seq",
    "timestamp",
    "tool",
    "target",
    "tier",
    "action",
    "call",
    "nonce",
    "checks",
    "preFlightCheck",
    "objectVersion",
    "decidedAgainst",
    "intentHash",
];

/// Fields of an entry that are added with its outcome.
#[cfg(test)]
pub(crate) const OUTCOME: &[&str] = &["status", "reason", "result", "reads", "escalation", "outcomeHash"];

/// A field that every entry has.
macro_rules! same {
    ($field:literal) => {
        concat!("self.actions[i].", $field, " == old.", $field)
    };
}

/// A field that an entry may lack. (`.?field.orValue('')` would be shorter, but the API server takes its result for unbounded and
/// refuses the rule as too expensive.)
macro_rules! same_if_any {
    ($field:literal) => {
        concat!("has(self.actions[i].", $field, ") == has(old.", $field, ") && (!has(old.", $field, ") || ", same!($field), ")")
    };
}

/// On the whole object.
pub(crate) const ROOT: &[Rule] = &[("!has(oldSelf.status) || has(self.status)", "status is the record of the run: it cannot be removed")];

/// On the spec.
pub(crate) const SPEC: &[Rule] = &[
    ("self == oldSelf", "spec of an AgentRun never changes: create another AgentRun"),
    ("self.trigger != 'approval' || has(self.approvalRef)", "trigger is approval: set approvalRef to the ActionApproval"),
    ("self.attempt == 1 || has(self.retryOf)", "attempt is greater than 1: set retryOf to the first run"),
];

/// On the status.
pub(crate) const STATUS: &[Rule] = &[
    (
        "!(has(oldSelf.phase) && oldSelf.phase in ['Succeeded', 'Failed', 'Escalated', 'Blocked']) || self == oldSelf",
        "the run has ended: its record is final",
    ),
    ("!has(oldSelf.phase) || has(self.phase)", "phase cannot be removed"),
    (
        "!(has(oldSelf.phase) && oldSelf.phase == 'Running' && has(self.phase) && self.phase == 'Pending')",
        "phase cannot go back from Running to Pending",
    ),
    (
        concat!(
            "!has(oldSelf.actions) || (has(self.actions) && size(self.actions) >= size(oldSelf.actions) && ",
            "oldSelf.actions.all(i, old, self.actions[i] == old || (old.status == 'intended' && self.actions[i].status != 'intended' && ",
            same!("seq"),
            " && ",
            same!("timestamp"),
            " && ",
            same!("tool"),
            " && ",
            same!("target"),
            " && ",
            same!("tier"),
            " && ",
            same!("call"),
            " && ",
            same!("nonce"),
            " && ",
            same!("intentHash"),
            " && ",
            same_if_any!("action"),
            " && ",
            same_if_any!("checks"),
            " && ",
            same_if_any!("preFlightCheck"),
            " && ",
            same_if_any!("objectVersion"),
            " && ",
            same_if_any!("decidedAgainst"),
            ")))",
        ),
        "actions can only be appended; an intended one can get its outcome, once, and its intent stays as it is",
    ),
    ("!has(self.actions) || self.actions.all(i, action, action.seq == i)", "actions[].seq must count from 0 without gaps"),
    (
        "!(has(self.phase) && self.phase in ['Succeeded', 'Failed', 'Escalated', 'Blocked']) || !has(self.actions) || \
         self.actions.all(action, action.status != 'intended')",
        "a run that has ended has no intended action: give it its outcome, or unknown",
    ),
    (
        "!has(oldSelf.findings) || (has(self.findings) && size(self.findings) >= size(oldSelf.findings) && \
         oldSelf.findings.all(i, old, self.findings[i] == old))",
        "findings can only be appended",
    ),
    ("!has(oldSelf.holder) || has(self.holder)", "holder can be replaced, not removed"),
    (
        "!(has(oldSelf.holder) && has(self.holder)) || self.holder == oldSelf.holder || self.holder.epoch > oldSelf.holder.epoch",
        "a new holder needs a higher holder.epoch",
    ),
    ("!has(oldSelf.startTime) || (has(self.startTime) && self.startTime == oldSelf.startTime)", "startTime is set once"),
    ("!has(oldSelf.sequence) || (has(self.sequence) && self.sequence == oldSelf.sequence)", "sequence is set once"),
    (
        "!has(oldSelf.sequence) || (has(self.previous) == has(oldSelf.previous) && (!has(self.previous) || self.previous == oldSelf.previous))",
        "previous is set once, together with sequence",
    ),
    ("!has(oldSelf.model) || (has(self.model) && self.model == oldSelf.model)", "model is set once"),
    ("!has(oldSelf.skills) || (has(self.skills) && self.skills == oldSelf.skills)", "skills are set once"),
    (
        "!has(self.head) || (has(self.phase) && self.phase in ['Succeeded', 'Failed', 'Escalated', 'Blocked'])",
        "head is written when the run ends: set phase in the same write",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of an entry by the schema.
    fn fields() -> Vec<String> {
        let definition = crate::definition::<crate::AgentRun>();
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let entry = schema.pointer("/openAPIV3Schema/properties/status/properties/actions/items/properties").unwrap();
        entry.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_field_of_an_entry_is_intent_or_outcome() {
        let mut known: Vec<_> = INTENT.iter().chain(OUTCOME).map(|field| (*field).to_owned()).collect();
        known.sort();
        assert_eq!(fields(), known);
    }

    #[test]
    fn the_append_rule_compares_every_field_of_the_intent_and_none_of_the_outcome() {
        let (rule, _) = STATUS.iter().find(|(rule, _)| rule.contains("oldSelf.actions.all(")).unwrap();
        for field in INTENT {
            assert!(rule.contains(&format!("self.actions[i].{field} == old.{field}")), "{field}");
            let is_required = crate::crd::ENTRY_REQUIRES.contains(field);
            assert_eq!(rule.contains(&format!("has(self.actions[i].{field}) == has(old.{field})")), !is_required, "{field}");
        }
        for field in OUTCOME.iter().filter(|field| **field != "status") {
            assert!(!rule.contains(field), "{field}");
        }
    }

    #[test]
    fn the_rules_know_the_terminal_phases() {
        use crate::run::RunPhase;
        let terminal: Vec<_> = RunPhase::ALL.iter().filter(|phase| phase.is_terminal()).map(|phase| format!("'{phase}'")).collect();
        let list = format!("in [{}]", terminal.join(", "));
        assert_eq!(STATUS.iter().filter(|(rule, _)| rule.contains(&list)).count(), 3);
    }
}
