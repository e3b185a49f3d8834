use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn agent(uid: &str, created: &str, schedule: Value, deadline: Option<&str>) -> InfraAgent {
    let mut spec = json!({ "description": "d", "schedule": schedule, "skills": [{ "name": "s" }], "environmentRef": "e" });
    if let Some(deadline) = deadline {
        spec["startingDeadline"] = json!(deadline);
    }
    let metadata = json!({ "name": "a", "uid": uid, "creationTimestamp": created });
    serde_json::from_value(json!({ "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent", "metadata": metadata, "spec": spec }))
        .unwrap()
}

fn line(cron: &str, zone: &str) -> Schedule {
    Schedule::of(&agent("u", "2026-01-01T00:00:00Z", json!({ "cron": cron, "timezone": zone }), None)).unwrap().unwrap()
}

fn every(interval: &str, created: &str) -> Schedule {
    Schedule::of(&agent("u", created, json!({ "interval": interval }), None)).unwrap().unwrap()
}

/// Of an agent that is due at the tick itself.
fn punctual(schedule: Schedule) -> Schedule {
    Schedule { share: 0, ..schedule }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The ticks after a time, in the order in which they come.
fn ticks(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let next = |tick: &Timestamp| schedule.ticks.after(*tick);
    std::iter::successors(schedule.ticks.after(at(from)), next).take(count).map(|tick| tick.to_string()).collect()
}

#[test]
fn cron_lines_tick_where_the_wall_clock_of_their_zone_says() {
    for (cron, zone, from, expected) in [
        // Plain.
        ("*/15 * * * *", "UTC", "2026-11-23T10:07:00Z", vec!["2026-11-23T10:15:00Z", "2026-11-23T10:30:00Z"]),
        ("@hourly", "UTC", "2026-11-23T10:00:00Z", vec!["2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z"]),
        ("@daily", "Asia/Kathmandu", "2026-11-23T10:00:00Z", vec!["2026-11-23T18:15:00Z", "2026-11-24T18:15:00Z"]),
        ("@weekly", "UTC", "2026-11-23T10:00:00Z", vec!["2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"]),
        ("0 9 * * MON-FRI", "UTC", "2026-11-27T09:00:00Z", vec!["2026-11-30T09:00:00Z", "2026-12-01T09:00:00Z"]),
        ("0 0 * * 7", "UTC", "2026-11-23T00:00:00Z", vec!["2026-11-29T00:00:00Z"]),
        // Day of month or day of week, as cron has it.
        (
            "0 0 13 * 5",
            "UTC",
            "2026-11-06T00:00:00Z",
            vec![
                "2026-11-13T00:00:00Z",
                "2026-11-20T00:00:00Z",
                "2026-11-27T00:00:00Z",
                "2026-12-04T00:00:00Z",
                "2026-12-11T00:00:00Z",
                "2026-12-13T00:00:00Z",
            ],
        ),
        // Ends of months and years, and leap days.
        ("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", vec!["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z"]),
        ("0 0 30 1-3 *", "UTC", "2026-01-30T00:00:00Z", vec!["2026-03-30T00:00:00Z", "2027-01-30T00:00:00Z"]),
        ("59 23 31 12 *", "UTC", "2026-12-31T23:59:00Z", vec!["2027-12-31T23:59:00Z"]),
        ("0 12 29 2 *", "UTC", "2026-01-01T00:00:00Z", vec!["2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"]),
        ("0 12 29 2 *", "UTC", "2096-02-29T12:00:00Z", vec!["2104-02-29T12:00:00Z"]),
        // Clocks go ahead: what would be in the hour that is not there comes right after it, once; what comes every so often goes on.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            vec!["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        ),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", vec!["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", vec!["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:00:00Z",
            vec!["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
        ),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", vec!["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"]),
        // Clocks go back: a time of day that comes twice is taken once; what comes every so often comes in both hours.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", vec!["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", vec!["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]),
        ("30 2 * * *", "Australia/Sydney", "2026-04-04T00:00:00Z", vec!["2026-04-04T15:30:00Z", "2026-04-05T16:30:00Z"]),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            vec!["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"],
        ),
        (
            "0 * * * *",
            "America/New_York",
            "2026-11-01T04:30:00Z",
            vec!["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"],
        ),
        // A day that a zone left out.
        ("0 12 30 12 *", "Pacific/Apia", "2010-12-30T23:00:00Z", vec!["2012-12-29T22:00:00Z"]),
    ] {
        assert_eq!(ticks(&line(cron, zone), from, expected.len().max(1)), expected, "{cron} in {zone} from {from}");
    }
}

#[test]
fn looking_back_finds_the_ticks_that_looking_ahead_names() {
    for (cron, zone, from, to) in [
        ("*/7 * * * *", "UTC", "2026-11-23T00:00:00Z", "2026-11-23T06:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-20T00:00:00Z", "2026-04-05T00:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-20T00:00:00Z", "2026-10-30T00:00:00Z"),
        ("*/20 * * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z"),
        ("*/20 * * * *", "Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T04:00:00Z"),
        ("10,40 1-3 * * *", "America/New_York", "2026-10-31T00:00:00Z", "2026-11-03T00:00:00Z"),
        ("10,40 1-3 * * *", "Australia/Lord_Howe", "2026-04-03T00:00:00Z", "2026-04-07T00:00:00Z"),
        ("0 2 * * 0", "America/Santiago", "2026-03-20T00:00:00Z", "2026-10-01T00:00:00Z"),
        ("0 12 31 * *", "Asia/Kathmandu", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ] {
        let schedule = line(cron, zone);
        let ahead: Vec<Timestamp> = std::iter::successors(schedule.ticks.after(at(from)), |tick| schedule.ticks.after(*tick))
            .take_while(|tick| *tick <= at(to))
            .collect();
        let mut back: Vec<Timestamp> = std::iter::successors(schedule.ticks.until(at(to)), |tick| schedule.ticks.before(*tick))
            .take_while(|tick| *tick > at(from))
            .collect();
        back.reverse();
        assert_eq!(ahead, back, "{cron} in {zone}");
        assert!(ahead.len() > 3, "{cron} in {zone}: {ahead:?}");
    }
}

#[test]
fn an_interval_counts_from_the_creation_which_is_no_tick_itself() {
    let schedule = every("90m", "2026-11-23T10:00:30Z");
    assert_eq!(ticks(&schedule, "2026-11-23T10:00:30Z", 2), ["2026-11-23T11:30:30Z", "2026-11-23T13:00:30Z"]);
    // The replica's clock is a little behind that of the API server: still nothing fires at once.
    assert_eq!(ticks(&schedule, "2026-11-23T10:00:28Z", 1), ["2026-11-23T11:30:30Z"]);
    // It is a year behind: the agent keeps its rhythm.
    assert_eq!(ticks(&schedule, "2025-11-23T10:00:30Z", 1), ["2025-11-23T11:30:30Z"]);
    assert_eq!(schedule.ticks.until(at("2026-11-23T10:30:00Z")), Some(at("2026-11-23T08:30:30Z")));
    // Cron comes first if there are both.
    let both = agent("u", "2026-11-23T10:00:30Z", json!({ "cron": "0 0 * * *", "interval": "60s" }), None);
    assert_eq!(ticks(&Schedule::of(&both).unwrap().unwrap(), "2026-11-23T10:00:30Z", 1), ["2026-11-24T00:00:00Z"]);
    assert!(Schedule::of(&agent("u", "2026-11-23T10:00:30Z", json!({}), None)).unwrap().is_none());
}

#[test]
fn what_is_no_schedule_is_named() {
    for (cron, zone, word) in [
        ("* * * *", "UTC", "`* * * *`"),
        ("0 0 * * * *", "UTC", "`0 0 * * * *`"),
        ("61 * * * *", "UTC", "`61 "),
        ("@daily", "Mars/Phobos", "`Mars/Phobos`"),
        ("0 0 30 2 *", "UTC", "no day"),
        ("0 0 31 2,4,6,9,11 *", "UTC", "no day"),
    ] {
        let refused = Schedule::of(&agent("u", "2026-01-01T00:00:00Z", json!({ "cron": cron, "timezone": zone }), None)).unwrap_err();
        assert!(refused.to_string().contains(word), "{refused}");
    }
}

/// What an agent does that waits for `awaited` when it is `now`: the tick that fires, the tick that was missed, the next one.
fn told(schedule: &Schedule, awaited: &str, now: &str) -> [String; 3] {
    let shown = |due: Option<Due>| due.map_or_else(|| "-".to_owned(), |due| due.tick.to_string());
    let Outlook { due, missed, next } = schedule.look((awaited != "-").then(|| at(awaited)), at(now));
    [shown(due), shown(missed), shown(next)]
}

#[test]
fn what_fires_and_what_is_awaited_next() {
    let hourly = punctual(line("0 * * * *", "UTC"));
    for (why, awaited, now, expected) in [
        ("a new agent waits", "-", "2026-11-23T10:00:00Z", ["-", "-", "2026-11-23T11:00:00Z"]),
        ("not yet", "2026-11-23T11:00:00Z", "2026-11-23T10:59:59.999Z", ["-", "-", "2026-11-23T11:00:00Z"]),
        ("now", "2026-11-23T11:00:00Z", "2026-11-23T11:00:00Z", ["2026-11-23T11:00:00Z", "-", "2026-11-23T12:00:00Z"]),
        ("it has fired", "2026-11-23T12:00:00Z", "2026-11-23T11:00:00Z", ["-", "-", "2026-11-23T12:00:00Z"]),
        ("a little late", "2026-11-23T11:00:00Z", "2026-11-23T11:59:00Z", ["2026-11-23T11:00:00Z", "-", "2026-11-23T12:00:00Z"]),
        (
            "nobody led for a month: once, for the latest tick",
            "2026-11-23T11:00:00Z",
            "2026-12-23T10:30:00Z",
            ["2026-12-23T10:00:00Z", "-", "2026-12-23T11:00:00Z"],
        ),
        ("unpaused after a month", "-", "2026-12-23T10:30:00Z", ["-", "-", "2026-12-23T11:00:00Z"]),
        ("the clock jumped ahead", "2026-11-23T11:00:00Z", "2026-11-23T14:20:00Z", ["2026-11-23T14:00:00Z", "-", "2026-11-23T15:00:00Z"]),
        ("the clock jumped back", "2026-11-23T11:00:00Z", "2026-11-23T08:20:00Z", ["-", "-", "2026-11-23T09:00:00Z"]),
        ("the clock was years ahead", "2036-11-23T11:00:00Z", "2026-11-23T08:20:00Z", ["-", "-", "2026-11-23T09:00:00Z"]),
    ] {
        assert_eq!(told(&hourly, awaited, now), expected, "{why}");
    }
    let nightly = punctual(line("0 2 * * *", "UTC"));
    let edited = told(&nightly, "2026-11-23T11:00:00Z", "2026-11-23T11:00:00Z");
    assert_eq!(edited, ["-", "-", "2026-11-24T02:00:00Z"], "a tick of the schedule before the edit is none");
}

#[test]
fn a_starting_deadline_bounds_how_late_a_missed_tick_may_fire() {
    let created = "2026-11-23T10:00:00Z";
    let hourly = agent("u", created, json!({ "cron": "0 * * * *" }), Some("10m"));
    let hourly = punctual(Schedule::of(&hourly).unwrap().unwrap());
    let awaited = "2026-11-23T11:00:00Z";
    assert_eq!(told(&hourly, awaited, "2026-11-23T11:10:00Z"), ["2026-11-23T11:00:00Z", "-", "2026-11-23T12:00:00Z"]);
    assert_eq!(told(&hourly, awaited, "2026-11-23T11:10:01Z"), ["-", "2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z"]);
    assert_eq!(told(&hourly, awaited, "2026-11-23T17:05:00Z"), ["2026-11-23T17:00:00Z", "-", "2026-11-23T18:00:00Z"]);
}

#[test]
fn a_run_may_wait_until_the_agent_is_due_again() {
    assert_eq!(punctual(line("0 * * * *", "UTC")).lasts(at("2026-11-23T11:00:00Z")), Some(Duration::from_secs(3600)));
    assert_eq!(punctual(line("0 2 * * *", "Europe/Berlin")).lasts(at("2026-03-28T01:00:00Z")), Some(Duration::from_secs(24 * 3600)));
    let last = punctual(line("0 0 1 1 *", "UTC"));
    assert_eq!(last.lasts(at("2026-01-01T00:00:00Z")), Some(Duration::from_secs(365 * 24 * 3600)));
}

#[test]
fn jitter_is_the_agents_own_and_spreads_many_agents_over_a_tenth_of_the_period_and_at_most_half_a_minute() {
    let tick = at("2026-11-23T11:00:00Z");
    for (cron, widest) in [("0 * * * *", 30_000), ("*/5 * * * *", 30_000), ("*/2 * * * *", 12_000), ("* * * * *", 6_000)] {
        let mut buckets = BTreeMap::<i64, usize>::new();
        for index in 0..1000 {
            let agent = agent(&format!("uid-{index}"), "2026-01-01T00:00:00Z", json!({ "cron": cron }), None);
            let schedule = Schedule::of(&agent).unwrap().unwrap();
            let wait = schedule.due(tick).at.duration_since(tick).as_millis();
            assert!((0..widest).contains(&wait), "{cron}: {wait} ms");
            assert_eq!(schedule.due(tick).at, Schedule::of(&agent).unwrap().unwrap().due(tick).at);
            *buckets.entry(i64::try_from(wait * 10 / widest).unwrap()).or_default() += 1;
        }
        assert!(buckets.len() == 10 && buckets.values().all(|count| (50..200).contains(count)), "{cron}: {buckets:?}");
    }
}

#[test]
fn between_its_tick_and_its_moment_an_agent_waits_for_that_moment() {
    let hourly = Schedule { share: u32::MAX / 2, ..line("0 * * * *", "UTC") };
    let moment = at("2026-11-23T11:00:14.999Z");
    assert_eq!(hourly.look(None, at("2026-11-23T11:00:05Z")).next.map(|due| due.at), Some(moment));
    // What the status says is cut to seconds.
    let waiting = hourly.look(Some(at("2026-11-23T11:00:14Z")), at("2026-11-23T11:00:14.500Z"));
    assert_eq!((waiting.due, waiting.next.map(|due| due.at)), (None, Some(moment)));
    let fires = hourly.look(Some(at("2026-11-23T11:00:14Z")), moment);
    assert_eq!((fires.due.map(|due| due.tick), fires.missed), (Some(at("2026-11-23T11:00:00Z")), None));
    assert_eq!(fires.due.map(|due| due.minute()), Some(29_923_860));
}

/// An agent that is looked at at random moments while somebody turns the clock: no tick fires twice, and between jumps each tick fires.
#[test]
fn however_often_it_is_looked_at_each_tick_fires_once() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for schedule in [line("*/10 * * * *", "Europe/Berlin"), every("7m30s", "2026-10-24T20:00:01Z"), line("30 2 * * *", "Europe/Berlin")] {
        let (start, end) = (at("2026-10-24T22:00:00Z"), at("2026-10-25T10:00:00Z"));
        let (mut now, mut awaited, mut fired) = (start, None, BTreeMap::<Timestamp, usize>::new());
        while now < end {
            let outlook = schedule.look(awaited, now);
            if let Some(due) = outlook.due {
                *fired.entry(due.tick).or_default() += 1;
            }
            let next = outlook.next.unwrap();
            assert!(next.at > now);
            awaited = Some(Timestamp::from_second(next.at.as_second()).unwrap());
            now += SignedDuration::from_millis(i64::try_from(1 + draw(200_000)).unwrap());
        }
        assert!(fired.values().all(|times| *times == 1), "{fired:?}");
        let expected: Vec<Timestamp> = std::iter::successors(schedule.ticks.after(start), |tick| schedule.ticks.after(*tick))
            .take_while(|tick| schedule.due(*tick).at + SignedDuration::from_secs(200) < end)
            .collect();
        assert!(expected.iter().all(|tick| fired.contains_key(tick)), "{expected:?} {fired:?}");
    }
}

/// A clock that is turned: ticks that come round again keep their names, and there is one run for each name.
#[test]
fn a_clock_that_is_turned_back_and_forth_names_no_tick_anew() {
    let schedule = line("*/10 * * * *", "UTC");
    let mut names = BTreeMap::<i64, Vec<Timestamp>>::new();
    let mut awaited = None;
    for now in ["10:03", "10:11", "10:25", "09:55", "10:01", "10:11", "10:21", "12:00", "12:05", "11:45", "11:51", "12:01", "12:11"] {
        let outlook = schedule.look(awaited, at(&format!("2026-11-23T{now}:00Z")));
        if let Some(due) = outlook.due {
            names.entry(due.minute()).or_default().push(due.tick);
        }
        awaited = outlook.next.map(|due| Timestamp::from_second(due.at.as_second()).unwrap());
    }
    assert!(names.values().all(|ticks| ticks.iter().all(|tick| *tick == ticks[0])), "{names:?}");
    let ticks: Vec<String> = names.values().map(|ticks| ticks[0].to_string()[11..16].to_owned()).collect();
    assert_eq!(ticks, ["10:00", "10:10", "10:20", "11:50", "12:00", "12:10"]);
}
