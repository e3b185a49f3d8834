//! What is wrong with a file of a skill: which file, where, and what to write instead.

use std::fmt;

/// One mistake in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name, such as `actions.yaml`.
    pub file: &'static str,
    /// The line, counted from 1, where it is known.
    pub line: Option<u64>,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Problem {
    /// A mistake that concerns the file as a whole.
    pub(super) fn in_file(file: &'static str, message: impl Into<String>) -> Self {
        Self { file, line: None, message: message.into() }
    }

    /// A mistake at a line.
    pub(super) fn at(file: &'static str, line: u64, message: impl Into<String>) -> Self {
        Self { file, line: (line > 0).then_some(line), message: message.into() }
    }

    /// A mistake that the YAML parser found in `text`. Where the parser names no key, the line is quoted.
    pub(super) fn of_yaml(file: &'static str, text: &str, error: &serde_saphyr::Error) -> Self {
        let message = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let mut message = without_place(&message);
        let line = error.location().map(|location| location.line());
        let quoted = line.and_then(|line| text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?));
        if let Some(quoted) = quoted.map(str::trim).filter(|quoted| !quoted.is_empty() && !message.contains('`')) {
            message.push_str(" in `");
            message.extend(quoted.chars().take(80).flat_map(char::escape_debug));
            message.push('`');
        }
        Self { file, line, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// The parser appends where it was; the file and line are said in front already, and for front matter its line would be wrong.
fn without_place(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message.split_at(end).0.trim_end().to_owned()
}

/// Every mistake, one per line.
pub(super) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
