//! Freeze windows: cron line, duration, time zone. Whether one is open is asked with the time as an argument.

use std::time::Duration;

use croner::Cron;
use infraagent_api::policy::FreezeWindow;
use jiff::{Timestamp, tz::TimeZone};

use crate::schedule::{InvalidSchedule, cron, time_zone};

/// A freeze window, ready to be asked.
#[derive(Debug, Clone)]
pub struct Freeze {
    name: String,
    cron: Cron,
    lasts: Duration,
    zone: TimeZone,
}

impl Freeze {
    /// From the policy.
    pub fn new(window: &FreezeWindow) -> Result<Self, InvalidSchedule> {
        let FreezeWindow { name, cron: line, duration, time_zone: zone } = window;
        Ok(Self { name: name.clone(), cron: cron(line)?, lasts: duration.as_std(), zone: time_zone(zone)? })
    }

    /// The name that denials mention.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True from the first instant of the window to the last before its end. What cannot be computed counts as open.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let now = now.to_zoned(self.zone.clone());
        match self.cron.find_previous_occurrence(&now, true) {
            Ok(began) => now.timestamp().duration_since(began.timestamp()).unsigned_abs() < self.lasts,
            // No occurrence in the past that the calendar reaches: a line such as `0 0 30 2 *` never opens anything.
            Err(croner::errors::CronError::TimeSearchLimitExceeded) => false,
            Err(_) => true,
        }
    }
}

/// The first window that is open.
pub fn open_at(windows: &[Freeze], now: Timestamp) -> Option<&Freeze> {
    windows.iter().find(|window| window.is_open(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(cron: &str, duration: &str, zone: &str) -> Result<Freeze, InvalidSchedule> {
        Freeze::new(&FreezeWindow {
            name: "w".to_owned(),
            cron: cron.to_owned(),
            duration: duration.parse().unwrap(),
            time_zone: zone.to_owned(),
        })
    }

    #[test]
    fn a_window_is_open_from_its_first_to_before_its_last_instant() {
        for (cron, duration, zone, now, open) in [
            ("0 22 * * 5", "48h", "UTC", "2026-11-20T21:59:59Z", false),
            ("0 22 * * 5", "48h", "UTC", "2026-11-20T22:00:00Z", true),
            ("0 22 * * 5", "48h", "UTC", "2026-11-22T21:59:59.999Z", true),
            ("0 22 * * 5", "48h", "UTC", "2026-11-22T22:00:00Z", false),
            ("0 22 * * 5", "48h", "Europe/Berlin", "2026-11-20T21:00:00Z", true),
            ("0 22 * * 5", "48h", "Europe/Berlin", "2026-11-20T20:59:59Z", false),
            ("@daily", "1h", "UTC", "2026-11-20T00:30:00Z", true),
            ("@daily", "1h", "UTC", "2026-11-20T01:00:00Z", false),
            // Begins in the hour that the clock skips.
            ("30 2 * * *", "2h", "Europe/Berlin", "2026-03-29T01:45:00Z", true),
            ("0 0 30 2 *", "8784h", "UTC", "2026-11-20T01:00:00Z", false),
        ] {
            let window = freeze(cron, duration, zone).unwrap();
            assert_eq!(window.is_open(now.parse().unwrap()), open, "{cron} for {duration} in {zone} at {now}");
        }
    }

    #[test]
    fn the_open_window_is_named() {
        let windows = [freeze("0 0 1 1 *", "1h", "UTC").unwrap(), freeze("* * * * *", "1m", "UTC").unwrap()];
        assert_eq!(open_at(&windows, "2026-11-20T21:59:59Z".parse().unwrap()).map(Freeze::name), Some("w"));
        assert!(open_at(&windows[..1], "2026-11-20T21:59:59Z".parse().unwrap()).is_none());
    }
}
