//! Findings in the lines of a report, as the original release wrote them: `CRITICAL:`, `WARNING:`, `INFO:` or their coloured dots at the
//! beginning of a line.
//!
//! Only the model's own words count: a line in a code block, an indented block or a quotation is somebody else's text.

use infraagent_api::{names::Severity, run::Finding};

const WORDS: [(&str, Severity); 3] = [("CRITICAL:", Severity::Critical), ("WARNING:", Severity::Warning), ("INFO:", Severity::Info)];
const DOTS: [(&str, Severity); 5] = [
    ("\u{1f534}", Severity::Critical),
    ("\u{26a0}", Severity::Warning),
    ("\u{1f7e1}", Severity::Warning),
    ("\u{2139}", Severity::Info),
    ("\u{1f535}", Severity::Info),
];
/// Asks for the coloured form of the character before it; some models leave it out.
const EMOJI_FORM: char = '\u{fe0f}';
/// The longest message, in bytes: what the record takes.
const MAX_MESSAGE: usize = 1024;

/// The findings of a report, in its order.
pub fn parse(report: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fence: Option<&str> = None;
    for line in report.lines() {
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        let marker = ["```", "~~~"].into_iter().find(|marker| text.starts_with(marker));
        match (fence, marker) {
            (Some(open), Some(marker)) if open == marker => fence = None,
            (None, Some(marker)) => fence = Some(marker),
            (Some(_), _) => {}
            (None, None) if indent > 3 || text.starts_with(['>', '\t']) => {}
            (None, None) => findings.extend(finding(text)),
        }
    }
    findings
}

fn finding(text: &str) -> Option<Finding> {
    let word = |text: &str| WORDS.into_iter().find_map(|(word, severity)| text.strip_prefix(word).map(|rest| (severity, rest.to_owned())));
    let dot = DOTS
        .into_iter()
        .find_map(|(dot, severity)| text.strip_prefix(dot).map(|rest| (severity, rest.trim_start_matches(EMOJI_FORM).trim_start())));
    let (severity, message) = match dot {
        // A dot may stand before the word; then the word counts.
        Some((severity, rest)) => word(rest).unwrap_or((severity, rest.to_owned())),
        None => word(text)?,
    };
    let message = message.trim();
    let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
    (!message.is_empty()).then(|| Finding { severity, resource: None, message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_with_a_severity_are_findings() {
        let report = "# Report\nCRITICAL: web is down\n  WARNING: disk 91 %\nINFO: 3 nodes\n🔴 db\n⚠️ slow\n⚠ slower\n🟡 yellow\nℹ️ fyi\n🔵 blue\n🔴 WARNING: the word counts\n";
        let found: Vec<_> = parse(report).into_iter().map(|finding| (finding.severity, finding.message)).collect();
        let expected = [
            (Severity::Critical, "web is down"),
            (Severity::Warning, "disk 91 %"),
            (Severity::Info, "3 nodes"),
            (Severity::Critical, "db"),
            (Severity::Warning, "slow"),
            (Severity::Warning, "slower"),
            (Severity::Warning, "yellow"),
            (Severity::Info, "fyi"),
            (Severity::Info, "blue"),
            (Severity::Warning, "the word counts"),
        ];
        assert_eq!(found, expected.map(|(severity, message)| (severity, message.to_owned())));
    }

    #[test]
    fn quoted_lines_are_none() {
        for report in [
            "> CRITICAL: from a log",
            "```\nCRITICAL: from a log\n```",
            "~~~text\nCRITICAL: a\n```\nCRITICAL: b\n~~~",
            "    CRITICAL: indented",
            "\tCRITICAL: indented",
            "the log says CRITICAL: x",
            "\"CRITICAL: x\"",
            "`CRITICAL: x`",
            "critical: x",
            "CRITICAL x",
            "CRITICAL:   ",
            "```\nCRITICAL: a fence that is never closed",
        ] {
            assert_eq!(parse(report), [], "{report}");
        }
        assert_eq!(parse("```\nlog\n```\nCRITICAL: own words").len(), 1);
    }

    #[test]
    fn a_message_fits_into_the_record() {
        let found = parse(&format!("INFO: {}", "ü".repeat(2000)));
        assert_eq!(found[0].message.len(), MAX_MESSAGE);
    }
}
