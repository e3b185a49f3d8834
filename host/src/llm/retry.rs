//! When a question is asked again, and how long that waits. Pure: time and chance are arguments.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

/// How patient a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often it asks again after the first time.
    pub retries: u32,
    /// The wait before the first retry; each further one is twice as long.
    pub first: Duration,
    /// The longest wait of its own choice. A provider that names a longer one gets it.
    pub longest: Duration,
}

impl Default for Pace {
    /// 3 retries, after 1, 2 and 4 seconds.
    fn default() -> Self {
        Self { retries: 3, first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl Pace {
    /// The wait after `tries` unsuccessful ones (from 1): between half and the whole of what doubles each time. If the provider asked for a wait, at
    /// least that long, and at most half of [`Pace::first`] longer, so that many clients do not come back at the same moment.
    pub fn wait(&self, tries: u32, asked: Option<Duration>, chance: u32) -> Duration {
        let share = f64::from(chance) / f64::from(u32::MAX);
        match asked {
            Some(asked) => asked.saturating_add(self.first.mul_f64(share / 2.0)),
            None => {
                let whole = self.first.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(self.longest);
                whole.mul_f64(0.5 + share / 2.0)
            }
        }
    }
}

/// Whether the same question may get another answer: too many of them (429), and whatever is wrong on the other side (5xx, 529 among them).
pub fn is_temporary(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// The value of `Retry-After`: seconds or an HTTP date. A moment that has passed is no wait.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let moment = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(moment.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let pace = Pace { retries: 9, first: Duration::from_secs(1), longest: Duration::from_secs(5) };
        let range = |tries| (pace.wait(tries, None, 0).as_millis(), pace.wait(tries, None, u32::MAX).as_millis());
        assert_eq!(
            [range(1), range(2), range(3), range(4), range(99)],
            [(500, 1000), (1000, 2000), (2000, 4000), (2500, 5000), (2500, 5000)]
        );
        let asked = Duration::from_secs(60);
        assert_eq!(pace.wait(1, Some(asked), 0), asked, "what the provider asks for is honoured");
        assert_eq!(pace.wait(1, Some(asked), u32::MAX), asked + Duration::from_millis(500));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-22T16:30:51Z".parse().unwrap();
        for (value, seconds) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("Sun, 22 Nov 2026 16:31:00 GMT", Some(9)),
            ("Sun, 22 Nov 2026 16:30:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("99999999999", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn only_what_may_pass_is_temporary() {
        let temporary = |status: u16| is_temporary(StatusCode::from_u16(status).unwrap());
        assert!([429, 500, 502, 503, 504, 529].into_iter().all(temporary));
        assert!(![200, 301, 400, 401, 403, 404, 413, 422].into_iter().any(temporary));
    }
}
