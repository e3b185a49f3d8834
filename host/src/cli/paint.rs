//! How text looks on a terminal: a few styles, text of the world made harmless, numbers and times for people.
//!
//! Everything is painted; the stream that it is written to drops the colours where they cannot be shown or are not wanted (`NO_COLOR`). Nothing is said by
//! colour alone.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use infraagent_api::{
    names::Severity,
    run::{ActionStatus, RunPhase},
};
use jiff::Timestamp;

use crate::audit::{escape_terminal, escape_terminal_lines};

/// What is looked for first.
pub const BOLD: Style = Style::new().bold();
/// What is looked for last.
pub const DIM: Style = Style::new().dimmed();
/// As it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Not as it should be.
pub const BAD: Style = AnsiColor::Red.on_default();
/// To be looked at.
pub const ODD: Style = AnsiColor::Yellow.on_default();
/// Neither good nor bad.
pub const NOTE: Style = AnsiColor::Cyan.on_default();

/// The longest line of text from elsewhere.
const WIDTH: usize = 110;

/// Text in a style.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// One line from elsewhere, cut to the width of a page.
pub fn shown(text: &str) -> String {
    cut(&escape_terminal(text), WIDTH)
}

/// One line from elsewhere, in full.
pub fn clean(text: &str) -> String {
    escape_terminal(text).into_owned()
}

/// At most so many characters; what is cut ends in `…`.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Lines of at most so many characters, broken between words. A longer word stays whole.
pub fn wrapped(line: &str, width: usize) -> Vec<String> {
    if line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) if last.chars().count() + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Words from elsewhere, which may have any form: each line has a mark of its own, so none can pass for a line of ours.
pub fn quoted(text: &str) -> impl Iterator<Item = String> {
    let lines: Vec<String> = escape_terminal_lines(text).lines().flat_map(|line| wrapped(line, WIDTH)).collect();
    lines.into_iter().map(|line| format!("{} {line}", paint(NOTE, "│")).trim_end().to_owned())
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `11 ms`, `2.4 s`.
pub fn lasted(took: Duration) -> String {
    if took < Duration::from_secs(1) { format!("{} ms", took.as_millis()) } else { format!("{:.1} s", took.as_secs_f64()) }
}

/// `1 call`, `3 calls`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(number)) }
}

/// How long ago, as Kubernetes writes ages: `42s`, `12m`, `5h`, `3d`. A time that is still to come is `0s`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long until then: `in 12m`, or `now`.
pub fn until(then: Timestamp, now: Timestamp) -> String {
    if then <= now { "now".to_owned() } else { format!("in {}", age(now, then)) }
}

/// A time that people and programs read: `2026-11-22 18:06:58Z`.
pub fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How a phase is marked and painted.
pub const fn of_phase(phase: RunPhase) -> (&'static str, Style) {
    match phase {
        RunPhase::Succeeded => ("✔", GOOD),
        RunPhase::Escalated => ("▲", ODD),
        RunPhase::Blocked | RunPhase::Failed => ("✗", BAD),
        RunPhase::Pending | RunPhase::Running => ("…", DIM),
    }
}

/// How what happened to an action is painted.
pub const fn of_status(status: ActionStatus) -> Style {
    match status {
        ActionStatus::Executed => GOOD,
        ActionStatus::Blocked | ActionStatus::Failed => BAD,
        ActionStatus::Intended | ActionStatus::Skipped | ActionStatus::Unknown => ODD,
    }
}

/// How serious a finding is.
pub fn badge(severity: Severity) -> String {
    match severity {
        Severity::Info => paint(NOTE, "● info"),
        Severity::Warning => paint(ODD, "▲ warning"),
        Severity::Critical => paint(BAD, "■ critical"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_kubernetes_writes_them() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ages = [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_799, "47h"), (172_800, "2d"), (-5, "0s")];
        for (seconds, expected) in ages {
            assert_eq!(age(Timestamp::from_second(1_000_000 - seconds).unwrap(), now), expected, "{seconds}");
        }
        assert_eq!(until(Timestamp::from_second(1_000_600).unwrap(), now), "in 10m");
        assert_eq!(until(now, now), "now");
        assert_eq!(moment(now), "1970-01-12 13:46:40Z");
    }

    #[test]
    fn what_comes_from_elsewhere_moves_no_cursor_and_starts_no_line_of_ours() {
        assert_eq!(clean("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
        let lines: Vec<_> = quoted("one\n✔ Succeeded\u{1b}[1A").map(|line| anstream::adapter::strip_str(&line).to_string()).collect();
        assert_eq!(lines, ["│ one", "│ ✔ Succeeded\\u{1b}[1A"]);
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!([count(1, "run", "runs"), count(1_200, "run", "runs")], ["1 run", "1,200 runs"]);
        assert_eq!(lasted(Duration::from_millis(999)), "999 ms");
        assert_eq!(cut("abcdef", 4), "abc…");
    }
}
