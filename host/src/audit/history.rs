//! The records of one agent together: each is verified alone, and then whether they are all that there were, one after the other, from the floor on.
//!
//! A run knows its number and in what the run before it ended. So a record that was removed, exchanged or put elsewhere is missed by its successor; only at the
//! newest end nobody misses anything.

use std::collections::{BTreeMap, HashMap};

use infraagent_api::run::{Previous, RunPhase};
use serde::Serialize;

use super::{
    document::Document,
    floor::{Floor, Forged},
    key::PublicKey,
    verify::{Answer, Report, verify},
};

/// What is kept of a record once it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Name of the run.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its agent's uid, if the order says so.
    pub agent_uid: Option<String>,
    /// Its number. None: it ended without having begun, and is in no chain.
    pub sequence: Option<i64>,
    /// In what the run before it ended.
    pub previous: Option<Previous>,
    /// Whether it is over.
    pub ended: bool,
    /// What the record says alone.
    pub report: Report,
}

impl Link {
    /// Verifies a record.
    pub fn of(document: &Document, key: Option<&PublicKey>) -> Self {
        let run = &document.run;
        let status = run.status.as_ref();
        Self {
            name: run.metadata.name.clone().unwrap_or_default(),
            uid: run.metadata.uid.clone().unwrap_or_default(),
            agent_uid: run.spec.agent_uid.clone(),
            sequence: status.and_then(|status| status.sequence),
            previous: status.and_then(|status| status.previous.clone()),
            ended: status.and_then(|status| status.phase).is_some_and(RunPhase::is_terminal),
            report: verify(document, key, None),
        }
    }

    fn kin(&self) -> Kin<'_> {
        (self.sequence, &self.uid, self.agent_uid.as_deref(), self.previous.as_ref().map(|previous| previous.uid.as_str()))
    }

    /// What is wrong with the record alone.
    fn broken(&self) -> Option<&str> {
        [&self.report.consistent, &self.report.authentic].into_iter().find_map(|answer| match answer {
            Answer::No(why) => Some(why.as_str()),
            Answer::Yes(_) | Answer::NotChecked(_) => None,
        })
    }

    /// Why it does not follow what came before it: number, uid and head of the last record, if there was one.
    pub fn does_not_follow(&self, before: Option<(i64, &str, &str)>) -> Option<String> {
        let sequence = self.sequence.unwrap_or(0);
        let (number, uid, head) = before.unwrap_or((0, "", ""));
        if sequence != number + 1 {
            return Some(match sequence - number - 1 {
                1 => format!("record {} is missing", number + 1),
                missing if missing > 1 => format!("the records {} to {} are missing", number + 1, sequence - 1),
                _ => format!("there are two records with the number {sequence}"),
            });
        }
        let linked = match &self.previous {
            Some(previous) => previous.uid == uid && previous.head == head,
            None => before.is_none(),
        };
        (!linked).then(|| format!("record {sequence} ({}) does not follow the record {number} that is there", self.name))
    }

    /// Number, uid and head, for the next one.
    pub fn end(&self) -> (i64, &str, &str) {
        (self.sequence.unwrap_or(0), &self.uid, self.report.head.as_deref().unwrap_or_default())
    }
}

/// What the records of an agent prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The agent's uid.
    pub agent_uid: String,
    /// Numbers of the first and the last record.
    pub from: Option<i64>,
    /// See [`Self::from`].
    pub to: Option<i64>,
    /// How many records are in the chain.
    pub records: usize,
    /// How many of them are not over.
    pub open: usize,
    /// Runs that ended without having begun: nothing happened in them, and no chain holds them.
    pub never_begun: usize,
    /// What each record says is what was written.
    pub content: Answer,
    /// Each one follows the one before it.
    pub order: Answer,
    /// None is missing after the floor.
    pub completeness: Answer,
    /// Each is signed by the key, and so is the floor.
    pub signature: Answer,
    /// What no look at the cluster can tell.
    pub never_checked: Vec<String>,
}

impl History {
    /// Whether anything that was checked does not hold.
    pub fn refuted(&self) -> bool {
        [&self.content, &self.order, &self.completeness, &self.signature].into_iter().any(Answer::is_no)
    }

    /// Puts the records of one agent together. `floor` is what retention left, or why that proves nothing; `counted` is how many runs the agent's status counts.
    pub fn of(
        agent_uid: &str,
        links: &[Link],
        floor: Option<&Result<Floor, Forged>>,
        key: Option<&PublicKey>,
        counted: Option<i64>,
    ) -> Self {
        let mut chained: Vec<&Link> = links.iter().filter(|link| link.sequence.is_some()).collect();
        chained.sort_by_key(|link| (link.sequence, &link.name));
        let never_begun: Vec<&Link> = links.iter().filter(|link| link.sequence.is_none()).collect();
        let known = floor.and_then(|floor| floor.as_ref().ok());
        let broken = links.iter().find_map(|link| Some(format!("{}: {}", link.name, link.broken()?)));
        let content = match broken.filter(|_| links.iter().any(|link| link.report.consistent.is_no())) {
            Some(why) => Answer::No(why),
            None => Answer::Yes(format!("{} records are what their hashes were made of", links.len())),
        };
        let signature = signature(links, floor, key);
        let mut order = None;
        let mut completeness = begins(&chained, floor, known);
        let leftover = known.map_or(0, |floor| floor.sequence);
        for pair in chained.windows(2) {
            let [before, after] = pair else { continue };
            if let Some(why) = after.does_not_follow(Some(before.end())) {
                let gap = after.sequence.unwrap_or(0) > before.sequence.unwrap_or(0) + 1;
                let said = if gap { &mut completeness } else { &mut order };
                said.get_or_insert(why);
            }
        }
        if let (Some(floor), Some(last)) = (known, chained.iter().find(|link| link.sequence == Some(leftover)))
            && (last.uid != floor.run_uid || last.report.head.as_deref().unwrap_or_default() != floor.head)
        {
            order.get_or_insert(format!("record {leftover} ({}) is not the one that the floor names", last.name));
        }
        let (from, to) = (chained.first().and_then(|link| link.sequence), chained.last().and_then(|link| link.sequence));
        if let (None, Some(counted)) = (&completeness, counted)
            && counted > to.or(known.map(|floor| floor.sequence)).unwrap_or(0)
        {
            completeness = Some(format!("the agent's status counts {counted} runs, and the newest record is {}", to.unwrap_or(0)));
        }
        let mut never_checked =
            vec!["that the newest records were not removed together with what the agent's status says: compare with a copy that was kept elsewhere".to_owned()];
        if let Some(floor) = known {
            never_checked.push(format!("what was in the records up to {}, which retention removed", floor.sequence));
            if floor.breaks > 0 {
                never_checked.push(format!("ATTENTION: retention found {} breaks in what it removed, and signed that", floor.breaks));
            }
        }
        if !never_begun.is_empty() {
            never_checked.push(format!("whether there were more runs than these {} that ended without having begun", never_begun.len()));
        }
        Self {
            agent_uid: agent_uid.to_owned(),
            from,
            to,
            records: chained.len(),
            open: chained.iter().filter(|link| !link.ended).count(),
            never_begun: never_begun.len(),
            content,
            order: order.map_or_else(|| Answer::Yes("each record names the end of the one before it".to_owned()), Answer::No),
            completeness: completeness.map_or_else(
                || match known {
                    Some(floor) => Answer::Yes(format!("none is missing after the floor at {}", floor.sequence)),
                    None => Answer::Yes("none is missing from the first one on".to_owned()),
                },
                Answer::No,
            ),
            signature,
            never_checked,
        }
    }
}

/// Why the first record is not where the records begin.
fn begins(chained: &[&Link], floor: Option<&Result<Floor, Forged>>, known: Option<&Floor>) -> Option<String> {
    let first = chained.first()?;
    let sequence = first.sequence.unwrap_or(0);
    match (known, floor) {
        // Retention was interrupted after it had signed the floor.
        (Some(floor), _) if sequence <= floor.sequence => None,
        (Some(floor), _) => first.does_not_follow(Some((floor.sequence, &floor.run_uid, &floor.head))),
        (None, Some(Err(forged))) => Some(format!("the floor of the records proves nothing: {forged}")),
        (None, _) => {
            let why = first.does_not_follow(None)?;
            Some(format!("{why}, and no floor says that retention removed what was before"))
        }
    }
}

fn signature(links: &[Link], floor: Option<&Result<Floor, Forged>>, key: Option<&PublicKey>) -> Answer {
    if let Some(Err(forged)) = floor {
        return Answer::No(format!("the floor of the records: {forged}"));
    }
    let Some(key) = key else { return Answer::NotChecked("no key was given".to_owned()) };
    let unsigned = links.iter().filter(|link| link.ended).find_map(|link| match &link.report.authentic {
        Answer::No(why) | Answer::NotChecked(why) => Some(format!("{}: {why}", link.name)),
        Answer::Yes(_) => None,
    });
    let of_floor = if floor.is_some() { ", and so is the floor" } else { "" };
    unsigned.map_or_else(|| Answer::Yes(format!("every record that is over is signed by key {}{of_floor}", key.id())), Answer::No)
}

/// A run, as far as it says whose it is: number, uid, the uid of its agent if the order names it, and the uid of the run before it.
pub type Kin<'a> = (Option<i64>, &'a str, Option<&'a str>, Option<&'a str>);

/// The agent of each run, by their uids. An order made by hand need not name its agent; such a run belongs to those that it is linked with. Of one that is linked
/// with none it is not known.
pub fn owners(mut runs: Vec<Kin<'_>>) -> HashMap<String, String> {
    runs.sort_unstable();
    let mut owners: HashMap<&str, &str> = runs.iter().filter_map(|(_, uid, agent, _)| Some((*uid, (*agent)?))).collect();
    let up = |owners: &mut HashMap<_, _>| {
        for (_, uid, _, previous) in &runs {
            if let Some(agent) = previous.and_then(|previous| owners.get(previous).copied()) {
                owners.entry(*uid).or_insert(agent);
            }
        }
    };
    // The run before has the lower number, so each way once is enough, and once more for what was learned on the way down.
    up(&mut owners);
    for (_, uid, _, previous) in runs.iter().rev() {
        if let (Some(previous), Some(agent)) = (previous, owners.get(uid).copied()) {
            owners.entry(previous).or_insert(agent);
        }
    }
    up(&mut owners);
    owners.into_iter().map(|(uid, agent)| (uid.to_owned(), agent.to_owned())).collect()
}

/// Sorts records by the uid of their agent; those of which it is not known are taken for `current`.
pub fn by_agent(links: Vec<Link>, current: &str) -> BTreeMap<String, Vec<Link>> {
    let owners = owners(links.iter().map(Link::kin).collect());
    let mut sorted: BTreeMap<String, Vec<Link>> = BTreeMap::new();
    for link in links {
        let agent = owners.get(&link.uid).map_or(current, String::as_str).to_owned();
        sorted.entry(agent).or_default().push(link);
    }
    sorted
}

#[cfg(test)]
mod tests;
