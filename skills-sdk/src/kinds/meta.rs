//! What all objects have.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::part;

part! {
    /// Metadata of an object.
    Meta {
        /// The name.
        name: String,
        /// None for cluster-scoped kinds.
        namespace: Option<String>,
        /// Unlike the name, never used twice.
        uid: Option<String>,
        /// Changes with every write.
        resource_version: Option<String>,
        /// Changes with every write of the spec.
        generation: Option<i64>,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Annotations that the host does not hold back.
        annotations: BTreeMap<String, String>,
        /// When it was created.
        creation_timestamp: Option<Time>,
        /// Set while it is being deleted.
        deletion_timestamp: Option<Time>,
        /// What it belongs to.
        owner_references: Vec<OwnerReference>,
    }
}

part! {
    /// What an object belongs to.
    OwnerReference {
        /// The API version.
        api_version: String,
        /// The kind, as in `Deployment`.
        kind: String,
        /// The name.
        name: String,
        /// The uid.
        uid: String,
        /// Whether the owner manages the object.
        controller: Option<bool>,
    }
}

part! {
    /// A condition of an object's status.
    Condition {
        /// Its type, as in `Available`.
        r#type: String,
        /// `True`, `False` or `Unknown`.
        status: String,
        /// One word.
        reason: Option<String>,
        /// One sentence.
        message: Option<String>,
        /// When the status changed.
        last_transition_time: Option<Time>,
    }
}

impl Condition {
    /// Whether the condition holds.
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// The condition of this type.
    pub fn find<'a>(conditions: &'a [Self], r#type: &str) -> Option<&'a Self> {
        conditions.iter().find(|condition| condition.r#type == r#type)
    }
}

part! {
    /// Which pods belong to a workload.
    LabelSelector {
        /// Labels that must all match.
        match_labels: BTreeMap<String, String>,
    }
}

impl LabelSelector {
    /// As `kubectl -l` takes it.
    pub fn query(&self) -> String {
        let pairs: Vec<String> = self.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(",")
    }
}

impl Meta {
    /// The owner that manages the object.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }
}

/// A point in time, as Kubernetes writes it: `2026-03-01T12:00:00Z`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub String);

impl Time {
    /// Milliseconds since 1970, comparable with [`Cx::now_unix_ms`](crate::Cx::now_unix_ms). None if the text is no time.
    pub fn unix_ms(&self) -> Option<u64> {
        let text = self.0.as_bytes();
        let number = |from: usize, to: usize| -> Option<u64> {
            text.get(from..to)?.iter().try_fold(0_u64, |sum, c| c.is_ascii_digit().then(|| sum * 10 + u64::from(c - b'0')))
        };
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if !text.ends_with(b"Z") || separators.iter().any(|&(at, c)| text.get(at) != Some(&c)) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // Days from 1970-03-01-based years, so that the leap day is the last day of a year.
        let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
        let seconds = (days.checked_sub(719_468)?) * 86_400 + number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
        Some(seconds * 1_000)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_are_unix_milliseconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59Z", Some(951_868_799_000)),
            ("2026-11-22T16:00:00Z", Some(1_795_363_200_000)),
            ("2026-11-22T16:00:00.123456Z", Some(1_795_363_200_000)),
            ("2026-13-22T16:00:00Z", None),
            ("2026-11-22 16:00:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(Time(text.to_owned()).unix_ms(), expected, "{text}");
        }
    }
}
