//! Durations as Go and Kubernetes write them: `24h`, `120s`, `1h30m`.
//!
//! The text a user wrote is kept (a tool that shows `120s` as `2m0s` is tiresome), equality and order look at the value.

use std::{cmp::Ordering, fmt, hash, str::FromStr, time::Duration};

/// What the API server accepts: a sequence of decimal numbers with units. Days do not exist in Go: `1d` is an error, not nothing.
pub(crate) const DURATION_PATTERN: &str = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ns|us|µs|ms|s|m|h))+$";
const MAX_LENGTH: u32 = 32;

/// A length of time as Go writes it, never negative.
#[derive(Clone)]
pub struct GoDuration {
    text: String,
    value: Duration,
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid duration `{input}`: write numbers with units, for example `90s`, `24h` or `1h30m` (units: ns, us, ms, s, m, h; a day is `24h`)"
)]
pub struct InvalidDuration {
    /// What was written.
    pub input: String,
}

impl GoDuration {
    /// A duration of whole seconds, written with the largest units that fit.
    pub fn from_secs(seconds: u64) -> Self {
        Self::from(Duration::from_secs(seconds))
    }

    /// The value.
    pub fn as_std(&self) -> Duration {
        self.value
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A default of this crate; a test visits every one.
    pub(crate) fn literal(text: &'static str) -> Self {
        text.parse().expect("a default is a valid duration")
    }
}

impl From<Duration> for GoDuration {
    fn from(value: Duration) -> Self {
        Self { text: canonical(value), value }
    }
}

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Self {
        duration.value
    }
}

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    fn from_str(input: &str) -> Result<Self, Self::Err> {
        let nanos = parse(input).ok_or_else(|| InvalidDuration { input: input.to_owned() })?;
        Ok(Self { text: input.to_owned(), value: Duration::from_nanos(nanos) })
    }
}

/// Nanoseconds, at most what Go's own 63 bits hold.
fn parse(input: &str) -> Option<u64> {
    if input.is_empty() || input.len() > MAX_LENGTH as usize {
        return None;
    }
    let mut rest = input;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => {
                let (fraction, after) = digits(after);
                if fraction.is_empty() {
                    return None;
                }
                (fraction, after)
            }
            None => ("", after),
        };
        if whole.is_empty() || whole.len() > 9 || fraction.len() > 9 {
            return None;
        }
        let (unit, after) = unit(after)?;
        let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
        let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        let whole: u64 = whole.parse().ok()?;
        let part =
            whole.checked_mul(unit)?.checked_add(u64::try_from(u128::from(fraction) * u128::from(unit) / u128::from(scale)).ok()?)?;
        total = total.checked_add(part)?;
        rest = after;
    }
    i64::try_from(total).ok().map(|_| total)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Longer names first: `m` is a prefix of `ms`.
fn unit(text: &str) -> Option<(u64, &str)> {
    const UNITS: [(&str, u64); 7] =
        [("ns", 1), ("us", 1_000), ("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
    UNITS.iter().find_map(|(name, nanos)| text.strip_prefix(name).map(|rest| (*nanos, rest)))
}

/// `1h30m`, `90ms`: no zero parts.
fn canonical(value: Duration) -> String {
    let nanos = value.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let parts = [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1_u128)];
    let mut text = String::new();
    let mut rest = nanos;
    for (unit, size) in parts {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for GoDuration {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for GoDuration {}

impl PartialOrd for GoDuration {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GoDuration {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl hash::Hash for GoDuration {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl serde::Serialize for GoDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for GoDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::from_str(deserializer)
    }
}

impl schemars::JsonSchema for GoDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GoDuration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": DURATION_PATTERN, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("24h", 86_400_000),
            ("120s", 120_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("0s", 0),
            ("1m0.5s", 60_500),
        ] {
            let duration: GoDuration = text.parse().unwrap();
            assert_eq!(duration.as_std(), Duration::from_millis(millis), "{text}");
            assert_eq!(duration.to_string(), text, "the text is kept");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_with_an_example() {
        for text in ["", "1d", "1w", "10", "-5s", "+5s", "5 s", "s", "1.s", ".5s", "1h-5m", "5S", "9999999999s", "999999999h", "1e3s"] {
            let error = text.parse::<GoDuration>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
            assert!(error.to_string().contains("`24h`"), "{error}");
        }
    }

    #[test]
    fn equality_and_order_look_at_the_value() {
        let (hour, minutes): (GoDuration, GoDuration) = ("1h".parse().unwrap(), "60m".parse().unwrap());
        assert_eq!(hour, minutes);
        assert!(GoDuration::from_secs(59) < "1m".parse().unwrap());
        assert_eq!(GoDuration::from_secs(5_400).as_str(), "1h30m");
        assert_eq!(GoDuration::from_secs(0).as_str(), "0s");
        assert_eq!(GoDuration::from(Duration::from_millis(1_001)).as_str(), "1s1ms");
    }
}
