//! Durations as Go and Kubernetes write them (`90s`, `5m`, `1h30m`), as whole seconds rounded up.

/// The longest cooldown: seven days.
pub(super) const MAX_SECONDS: u64 = 7 * 24 * 3600;

/// Longer names first: `m` is a prefix of `ms`.
const UNITS: [(&str, u64); 7] =
    [("ns", 1), ("us", 1_000), ("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

/// None if it is no duration (`1d` is none: Go knows no days), is longer than seven days, or is nothing.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let (mut rest, mut nanos) = (text, 0u128);
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => Some(digits(after)).filter(|(fraction, _)| !fraction.is_empty())?,
            None => ("", after),
        };
        if whole.is_empty() || whole.len() > 9 || fraction.len() > 9 {
            return None;
        }
        let (unit, after) = UNITS.iter().find_map(|(name, nanos)| after.strip_prefix(name).map(|after| (u128::from(*nanos), after)))?;
        let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        let part = whole.parse::<u128>().ok()?.checked_mul(unit)?.checked_add(fraction.checked_mul(unit)?.checked_div(scale)?)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    let seconds = u64::try_from(nanos.div_ceil(1_000_000_000)).ok()?;
    u32::try_from(seconds).ok().filter(|_| (1..=MAX_SECONDS).contains(&seconds))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 1), ("1m0.5s", 61), ("168h", 604_800)]
        {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_cooldown_is_refused() {
        for text in ["", "0s", "1d", "1w", "10", "-5s", "+5s", "5 s", "s", "1.s", ".5s", "5S", "169h", "9999999999s", "1e3s", "٣s"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
