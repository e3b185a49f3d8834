//! Cron lines and time zones, as people write them.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::tz::TimeZone;

/// Why a cron line or time zone is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// Not five fields that mean something.
    #[error("invalid cron line `{input}` ({reason}): write minute, hour, day of month, month and day of week, for example `0 22 * * 5`")]
    Cron {
        /// What was written.
        input: String,
        /// Why.
        reason: String,
    },
    /// A line like `0 0 30 2 *`.
    #[error("the cron line `{input}` fits no day: there is none of that number in those months")]
    NoDay {
        /// What was written.
        input: String,
    },
    /// No such zone.
    #[error("unknown time zone `{input}`: write a name of the IANA database, for example `Europe/Berlin`")]
    TimeZone {
        /// What was written.
        input: String,
    },
}

/// Reads a cron line of exactly five fields, or a nickname.
pub fn cron(input: &str) -> Result<Cron, InvalidSchedule> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(input)
        .map_err(|error| InvalidSchedule::Cron { input: input.to_owned(), reason: error.to_string() })
}

/// The same for a line that is to tick: one that fits no day is refused.
pub fn ticking(input: &str) -> Result<Cron, InvalidSchedule> {
    let cron = cron(input)?;
    // A leap year has every day that there is, and whatever names days of the week fits some day of every month.
    let first = jiff::civil::date(2024, 1, 1);
    let fits = |day: jiff::civil::Date| {
        let (month, number) = (u32::from(day.month().unsigned_abs()), u32::from(day.day().unsigned_abs()));
        let weekday = croner::Weekday::from_days_from_sunday(u32::from(day.weekday().to_sunday_zero_offset().unsigned_abs()));
        let pattern = &cron.pattern;
        pattern.month_match(month).unwrap_or(false) && pattern.day_match(2024, month, number, weekday).unwrap_or(false)
    };
    if first.series(jiff::Span::new().days(1)).take_while(|day| day.year() == 2024).any(fits) {
        Ok(cron)
    } else {
        Err(InvalidSchedule::NoDay { input: input.to_owned() })
    }
}

/// Looks a time zone up by its IANA name.
pub fn time_zone(input: &str) -> Result<TimeZone, InvalidSchedule> {
    TimeZone::get(input).map_err(|_| InvalidSchedule::TimeZone { input: input.to_owned() })
}
