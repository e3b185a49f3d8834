//! Which records go: pure. A prefix of each agent's chain, never the newest, never what is not over, never what limits still count.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use jiff::Timestamp;

use super::Retention;

/// A record, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Its number. None: it ended without having begun, and stands in no chain.
    pub(super) sequence: Option<i64>,
    pub(super) created: Timestamp,
    /// When it was over. None: it is not.
    pub(super) completed: Option<Timestamp>,
    pub(super) bytes: u64,
}

/// The records of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shelf {
    /// Whether the agent is there. Of one that is gone nothing is kept beyond its time.
    pub(super) lives: bool,
    pub(super) records: Vec<Record>,
}

/// What is to be removed, by agent. The chained ones are in the order of their numbers, and nothing before them stays.
pub(super) fn plan(
    shelves: &BTreeMap<String, Shelf>,
    settings: &Retention,
    counted: Duration,
    now: Timestamp,
) -> BTreeMap<String, Vec<Record>> {
    let age = |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let mut rows: BTreeMap<&str, std::iter::Peekable<std::vec::IntoIter<&Record>>> = BTreeMap::new();
    let mut removed: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let mut bytes: u64 = shelves.values().flat_map(|shelf| &shelf.records).map(|record| record.bytes).fold(0, u64::saturating_add);
    for (agent, shelf) in shelves {
        let row = removable(shelf, settings, |record| age(record.created) > counted);
        rows.insert(agent, row.into_iter().peekable());
    }
    let mut take = |agent: &str, record: &Record, bytes: &mut u64| {
        *bytes = bytes.saturating_sub(record.bytes);
        removed.entry(agent.to_owned()).or_default().push(record.clone());
    };
    for (agent, row) in &mut rows {
        while let Some(record) = row.next_if(|record| record.completed.is_some_and(|completed| age(completed) > settings.ttl)) {
            take(agent, record, &mut bytes);
        }
    }
    // The oldest first, whoever's it is.
    let mut oldest: BinaryHeap<Reverse<(Option<Timestamp>, &str)>> =
        rows.iter_mut().filter_map(|(agent, row)| Some(Reverse((row.peek()?.completed, *agent)))).collect();
    while settings.bytes > 0 && bytes > settings.bytes {
        let Some(Reverse((_, agent))) = oldest.pop() else { break };
        let Some(row) = rows.get_mut(agent) else { break };
        if let Some(record) = row.next() {
            take(agent, record, &mut bytes);
        }
        if let Some(next) = row.peek() {
            oldest.push(Reverse((next.completed, agent)));
        }
    }
    removed
}

/// What of an agent may go at all, in the order in which it has to go.
fn removable<'a>(shelf: &'a Shelf, settings: &Retention, is_counted_no_more: impl Fn(&Record) -> bool) -> Vec<&'a Record> {
    let mut over: Vec<&Record> = shelf.records.iter().filter(|record| record.completed.is_some()).collect();
    over.sort_by_key(|record| Reverse((record.completed, record.sequence)));
    let keep = if shelf.lives { settings.keep } else { 0 };
    let newest: Vec<&Record> = over.iter().take(keep).copied().collect();
    let mut chained: Vec<&Record> = shelf.records.iter().filter(|record| record.sequence.is_some()).collect();
    chained.sort_by_key(|record| record.sequence);
    if shelf.lives {
        // The next run names the end of the last one.
        chained.pop();
    }
    let may_go = |record: &&Record| record.completed.is_some() && !newest.contains(record) && is_counted_no_more(record);
    let loose = over.iter().rev().copied().filter(|record| record.sequence.is_none()).filter(may_go);
    let mut row: Vec<&Record> = chained.into_iter().take_while(may_go).collect();
    // A stable sort: the chain keeps its order even if a clock was wrong.
    let mut latest = Timestamp::MIN;
    let mut timed: Vec<(Timestamp, &Record)> = Vec::new();
    for record in row.drain(..) {
        latest = latest.max(record.completed.unwrap_or(latest));
        timed.push((latest, record));
    }
    timed.extend(loose.map(|record| (record.completed.unwrap_or(Timestamp::MIN), record)));
    timed.sort_by_key(|(time, _)| *time);
    timed.into_iter().map(|(_, record)| record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A record that was made and over at this second.
    fn record(name: &str, sequence: Option<i64>, second: i64) -> Record {
        Record { namespace: "n".to_owned(), name: name.to_owned(), sequence, created: at(second), completed: Some(at(second)), bytes: 100 }
    }

    fn chain(count: i64, every: i64) -> Shelf {
        let records = (1..=count).map(|number| record(&format!("r{number}"), Some(number), number * every)).collect();
        Shelf { lives: true, records }
    }

    fn settings(ttl: i64, keep: usize, bytes: u64) -> Retention {
        Retention { ttl: Duration::from_secs(u64::try_from(ttl).unwrap()), keep, bytes, ..Retention::default() }
    }

    fn told(shelf: Shelf, settings: &Retention, now: i64) -> Vec<String> {
        let shelves = [("a".to_owned(), shelf)].into();
        let counted = Duration::from_secs(3600);
        plan(&shelves, settings, counted, at(now)).remove("a").unwrap_or_default().into_iter().map(|record| record.name).collect()
    }

    #[test]
    fn what_is_old_goes_but_the_newest_stay() {
        assert_eq!(told(chain(10, HOUR), &settings(5 * HOUR, 5, 0), 12 * HOUR), ["r1", "r2", "r3", "r4", "r5"]);
        assert_eq!(told(chain(10, HOUR), &settings(8 * HOUR, 5, 0), 12 * HOUR), ["r1", "r2", "r3"]);
        assert_eq!(told(chain(10, HOUR), &settings(5 * HOUR, 8, 0), 100 * HOUR), ["r1", "r2"]);
        assert_eq!(told(chain(3, HOUR), &settings(HOUR, 0, 0), 100 * HOUR), ["r1", "r2"], "the next run follows the last one");
        let gone = Shelf { lives: false, ..chain(3, HOUR) };
        assert_eq!(told(gone, &settings(HOUR, 5, 0), 100 * HOUR), ["r1", "r2", "r3"]);
    }

    #[test]
    fn only_a_beginning_of_the_chain_goes() {
        let mut shelf = chain(6, HOUR);
        shelf.records[2].completed = None;
        assert_eq!(told(shelf, &settings(HOUR, 0, 0), 100 * HOUR), ["r1", "r2"], "the third is not over");
        let mut shelf = chain(6, HOUR);
        shelf.records[1].completed = Some(at(99 * HOUR));
        assert_eq!(told(shelf, &settings(10 * HOUR, 0, 0), 100 * HOUR), ["r1"], "whatever the clock of a replica said");
        let mut shelf = chain(4, HOUR);
        shelf.records.push(record("loose", None, 2 * HOUR));
        let mut removed = told(shelf, &settings(HOUR, 0, 0), 100 * HOUR);
        removed.sort();
        assert_eq!(removed, ["loose", "r1", "r2", "r3"]);
    }

    #[test]
    fn what_the_limits_of_the_hour_count_stays_whatever_its_time() {
        assert_eq!(told(chain(10, 600), &settings(60, 0, 0), 6000), ["r1", "r2", "r3"], "made more than an hour ago");
        assert_eq!(told(chain(10, 600), &settings(7000, 0, 1), 6000), ["r1", "r2", "r3"]);
    }

    #[test]
    fn too_many_bytes_go_oldest_first_across_agents() {
        let (a, mut b) = (chain(5, HOUR), chain(5, HOUR));
        for record in &mut b.records {
            record.completed = record.completed.map(|time| time + jiff::SignedDuration::from_mins(30));
        }
        let shelves: BTreeMap<String, Shelf> = [("a".to_owned(), a), ("b".to_owned(), b)].into();
        let shown = |bytes| {
            let plan = plan(&shelves, &settings(1000 * HOUR, 2, bytes), Duration::from_secs(3600), at(20 * HOUR));
            plan.into_iter()
                .flat_map(|(agent, records)| records.into_iter().map(move |record| format!("{agent}{}", record.name)))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(1000), [""; 0]);
        assert_eq!(shown(700), ["ar1", "ar2", "br1"]);
        assert_eq!(shown(1), ["ar1", "ar2", "ar3", "br1", "br2", "br3"], "the newest two of each stay");
        assert_eq!(shown(0), [""; 0], "no limit");
    }
}
