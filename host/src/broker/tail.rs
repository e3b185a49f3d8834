//! The end of a log: so many lines, of so many seconds, within so many bytes.

use jiff::Timestamp;

/// The last `tail` lines of the last `since` seconds, within `max_bytes`; and whether something of what was asked for was cut.
///
/// Times are those that lines start with, as `kubectl logs --timestamps` writes them; a line without one belongs to the line before.
pub(crate) fn cut(text: &str, tail: u32, since: Option<u32>, now: Timestamp, max_bytes: usize) -> (String, bool) {
    let lines: Vec<&str> = text.lines().collect();
    let from = since.map_or(0, |seconds| {
        let earliest = now.as_second().saturating_sub(i64::from(seconds));
        let time = |line: &&str| line.split(' ').next().and_then(|word| word.parse::<Timestamp>().ok());
        let timed = lines.iter().any(|line| time(line).is_some());
        let recent = lines.iter().position(|line| time(line).is_some_and(|time| time.as_second() >= earliest));
        // A log without any time cannot be narrowed.
        recent.unwrap_or(if timed { lines.len() } else { 0 })
    });
    let wanted = lines.get(from..).unwrap_or_default();
    let skip = wanted.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX));
    let mut kept: Vec<&str> = Vec::new();
    let mut bytes = 0usize;
    let mut truncated = skip > 0;
    for line in wanted.iter().skip(skip).rev() {
        bytes = bytes.saturating_add(line.len()).saturating_add(1);
        if bytes > max_bytes {
            truncated = true;
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    let mut text = kept.join("\n");
    if !kept.is_empty() {
        text.push('\n');
    }
    (text, truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-22T16:00:00Z one\n  at x\n2026-11-22T16:05:00Z two\n2026-11-22T16:06:00Z three\n";

    fn now() -> Timestamp {
        "2026-11-22T16:06:30Z".parse().unwrap()
    }

    #[test]
    fn a_log_is_cut_by_lines_time_and_bytes() {
        assert_eq!(cut(LOG, 100, None, now(), 1000), (LOG.to_owned(), false));
        assert_eq!(cut(LOG, 1, None, now(), 1000), ("2026-11-22T16:06:00Z three\n".to_owned(), true));
        assert_eq!(cut(LOG, 100, Some(60), now(), 1000), ("2026-11-22T16:06:00Z three\n".to_owned(), false));
        assert_eq!(cut(LOG, 100, Some(10), now(), 1000), (String::new(), false));
        assert_eq!(cut(LOG, 100, None, now(), 30), ("2026-11-22T16:06:00Z three\n".to_owned(), true));
        assert_eq!(cut("a\nb\n", 100, Some(10), now(), 1000), ("a\nb\n".to_owned(), false));
    }
}
