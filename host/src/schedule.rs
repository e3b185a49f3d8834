//! When an agent is due: a pure function of what its spec says, which time it waits for, and what time it is.
//!
//! A schedule is an endless row of *ticks*: what a cron line names in its time zone, or the agent's creation plus any number of intervals. No tick depends on what
//! happened before, so whoever leads computes the same ones. Each tick is *due* a moment later: by a share of the agent's own, always the same, of a tenth of the
//! time to the next tick and at most [`WIDEST`], so that agents with the same line do not start together.
//!
//! The only thing remembered is for which time the agent waits (`status.nextRunTime`). From that follow the rules, which are those of a CronJob:
//!
//! * An agent that waits for nothing yet (new, unpaused, ready again) starts to wait for the next tick, and does not fire.
//! * If the time that it waits for has come, it fires once: for the latest tick that is due, however many were missed. With a starting deadline, only if that is
//!   not longer ago.
//! * A wall clock that jumps ahead is a time that has come. One that jumps back, or an edited schedule, makes it wait for the next tick from there; a tick that
//!   comes round again has the same name, so nothing happens twice.

mod line;

use std::time::Duration;

use croner::{Cron, errors::CronError};
use infraagent_api::InfraAgent;
use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};
use sha2::{Digest as _, Sha256};

pub use self::line::{InvalidSchedule, cron, ticking, time_zone};

/// The widest that the ticks of many agents are spread.
pub const WIDEST: Duration = Duration::from_secs(30);
/// Into how many parts the time between two ticks is divided; one of them is the spread.
const PARTS: u32 = 10;

/// When one agent is due.
#[derive(Debug, Clone)]
pub struct Schedule {
    ticks: Ticks,
    /// This agent's place in the spread, in parts of 2^32.
    share: u32,
    deadline: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Ticks {
    Cron {
        line: Box<Cron>,
        zone: TimeZone,
    },
    /// From the creation of the agent; the interval in nanoseconds, more than 0.
    Every {
        from: Timestamp,
        nanos: i128,
    },
}

/// A tick, and when the agent is due for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// What the schedule names. The run is called after it.
    pub tick: Timestamp,
    /// When the run is created: a moment later.
    pub at: Timestamp,
}

impl Due {
    /// Minutes since 1970: no two ticks of an agent share one.
    pub fn minute(&self) -> i64 {
        self.tick.as_second().div_euclid(60)
    }
}

/// What is to be done now, and next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outlook {
    /// A run for this tick is created now.
    pub due: Option<Due>,
    /// This tick was missed, and its starting deadline is over.
    pub missed: Option<Due>,
    /// What the agent waits for afterwards. None: for nothing that will ever come.
    pub next: Option<Due>,
}

impl Schedule {
    /// That of an agent; None if it runs only when asked to.
    pub fn of(agent: &InfraAgent) -> Result<Option<Self>, InvalidSchedule> {
        let infraagent_api::agent::Schedule { cron: cron_line, interval, timezone, triggers: _ } = &agent.spec.schedule;
        let ticks = match (cron_line, interval) {
            (Some(text), _) => Ticks::Cron { line: Box::new(ticking(text)?), zone: time_zone(timezone)? },
            (None, Some(interval)) => {
                let from = agent.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
                // The API server refuses less than a minute.
                let nanos = interval.as_std().max(Duration::from_secs(60)).as_nanos();
                Ticks::Every { from, nanos: i128::try_from(nanos).unwrap_or(i128::MAX) }
            }
            (None, None) => return Ok(None),
        };
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(agent.metadata.uid.as_deref().unwrap_or_default()));
        let deadline = agent.spec.starting_deadline.as_ref().map(infraagent_api::GoDuration::as_std);
        Ok(Some(Self { ticks, share: u32::from_be_bytes([a, b, c, d]), deadline }))
    }

    /// What is to be done at this time by an agent that waits for `awaited`.
    pub fn look(&self, awaited: Option<Timestamp>, now: Timestamp) -> Outlook {
        let latest = self.ticks.until(now).map(|tick| self.due(tick));
        let (past, next) = match latest {
            // Its tick is here, its moment is not.
            Some(due) if due.at > now => (self.ticks.before(due.tick).map(|tick| self.due(tick)), Some(due)),
            past => (past, self.ticks.after(now).map(|tick| self.due(tick))),
        };
        let come = past.filter(|past| awaited.is_some_and(|awaited| past.at >= awaited));
        let is_late = |due: &Due| self.deadline.is_some_and(|deadline| now.duration_since(due.at).unsigned_abs() > deadline);
        Outlook { due: come.filter(|due| !is_late(due)), missed: come.filter(is_late), next }
    }

    /// How long a run of this tick may wait: until the agent is due again.
    pub fn lasts(&self, tick: Timestamp) -> Option<Duration> {
        let (this, next) = (self.due(tick), self.due(self.ticks.after(tick)?));
        Duration::try_from(next.at.duration_since(this.at)).ok()
    }

    /// When the agent is due for this tick.
    fn due(&self, tick: Timestamp) -> Due {
        let period = self.ticks.after(tick).map_or(WIDEST * PARTS, |next| next.duration_since(tick).unsigned_abs());
        let width = u64::try_from((period / PARTS).min(WIDEST).as_millis()).unwrap_or(u64::MAX);
        let moment = (u128::from(width) * u128::from(self.share)) >> 32;
        let moment = SignedDuration::from_millis(i64::try_from(moment).unwrap_or(0));
        Due { tick, at: tick.saturating_add(moment).unwrap_or(Timestamp::MAX) }
    }
}

impl Ticks {
    /// The first one after this time.
    fn after(&self, time: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { line, zone } => search(time, 1, |time| line.find_next_occurrence(&time.to_zoned(zone.clone()), false)),
            Self::Every { from, nanos } => {
                let times = (time.as_nanosecond() - from.as_nanosecond()).div_euclid(*nanos) + 1;
                // The creation itself is no tick.
                nth(*from, *nanos, if times == 0 { 1 } else { times })
            }
        }
    }

    /// The last one that is not after this time.
    fn until(&self, time: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { line, zone } => search(time, -1, |time| line.find_previous_occurrence(&time.to_zoned(zone.clone()), true)),
            Self::Every { from, nanos } => {
                let times = (time.as_nanosecond() - from.as_nanosecond()).div_euclid(*nanos);
                nth(*from, *nanos, if times == 0 { -1 } else { times })
            }
        }
    }

    /// The last one before this time.
    fn before(&self, time: Timestamp) -> Option<Timestamp> {
        self.until(time.checked_sub(SignedDuration::from_nanos(1)).ok()?)
    }
}

/// The first answer. The search gives up where a zone leaves out a whole day, as some at the date line have done: it begins anew beyond it.
fn search(time: Timestamp, direction: i64, ask: impl Fn(Timestamp) -> Result<Zoned, CronError>) -> Option<Timestamp> {
    let beyond = |days: i64| time.checked_add(SignedDuration::from_hours(24 * days * direction)).ok();
    [0, 1, 7, 31, 366].into_iter().find_map(|days| Some(ask(beyond(days)?).ok()?.timestamp()))
}

/// So many intervals after a time.
fn nth(from: Timestamp, nanos: i128, times: i128) -> Option<Timestamp> {
    Timestamp::from_nanosecond(from.as_nanosecond().checked_add(nanos.checked_mul(times)?)?).ok()
}

#[cfg(test)]
mod tests;
