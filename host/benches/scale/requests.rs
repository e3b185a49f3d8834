//! What the operator asked of the API server, by the API server's own log.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use infraagent_tests::{AuditEvent, OPERATOR};

/// From here on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

/// Requests by verb and resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Requests(BTreeMap<(String, String), usize>);

impl Mark {
    /// Now.
    pub(crate) fn now(log: &Path) -> anyhow::Result<Self> {
        Ok(Self(fs::metadata(log)?.len()))
    }

    /// What the operator asked, as himself or as an agent, and got an answer to, in order.
    pub(crate) fn events(self, log: &Path) -> anyhow::Result<Vec<AuditEvent>> {
        let complete = self.lines(log)?;
        let user = format!("system:serviceaccount:{}:{}", OPERATOR.0, OPERATOR.1);
        let mut events = Vec::new();
        for line in complete.lines().filter(|line| line.contains(&user)) {
            let event: AuditEvent = serde_json::from_str(line)?;
            if event.user.username == user {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// What was written since, in whole lines.
    pub(crate) fn lines(self, log: &Path) -> anyhow::Result<String> {
        let (mut file, mut text) = (File::open(log)?, String::new());
        file.seek(SeekFrom::Start(self.0))?;
        file.read_to_string(&mut text)?;
        // The last line may still be in the making.
        text.truncate(text.rfind('\n').unwrap_or(0));
        Ok(text)
    }

    /// The same, counted.
    pub(crate) fn requests(self, log: &Path) -> anyhow::Result<Requests> {
        let mut counts = BTreeMap::new();
        for event in self.events(log)? {
            let what = event.object_ref.unwrap_or_default();
            let resource = if what.subresource.is_empty() { what.resource } else { format!("{}/{}", what.resource, what.subresource) };
            *counts.entry((event.verb, resource)).or_insert(0) += 1;
        }
        Ok(Requests(counts))
    }
}

impl Requests {
    pub(crate) fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Those that changed something, but renewals of Leases.
    pub(crate) fn writes(&self) -> usize {
        let changes = |(verb, resource): &(String, String)| !matches!(verb.as_str(), "get" | "list" | "watch") && resource != "leases";
        self.0.iter().filter(|(what, _)| changes(what)).map(|(_, count)| count).sum()
    }

    /// What nobody needs who only waits: anything but watches and renewals of Leases.
    pub(crate) fn needless(&self) -> Vec<String> {
        let renews =
            |(verb, resource): &(String, String)| verb == "watch" || (resource == "leases" && (verb == "patch" || verb == "update"));
        self.0.iter().filter(|(what, _)| !renews(what)).map(|((verb, resource), count)| format!("{count} {verb} {resource}")).collect()
    }

    /// With those of another time.
    pub(crate) fn add(&mut self, others: Self) {
        for (what, count) in others.0 {
            *self.0.entry(what).or_insert(0) += count;
        }
    }

    /// Per item, most first.
    pub(crate) fn per(&self, items: usize) -> String {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(what, count)| (std::cmp::Reverse(**count), *what));
        let one = |((verb, resource), count): (&(String, String), &usize)| {
            let each = *count as f64 / items as f64;
            (each >= 0.005).then(|| format!("{} {verb} {resource}", (each * 100.0).round() / 100.0))
        };
        all.into_iter().filter_map(one).collect::<Vec<_>>().join(", ")
    }
}
