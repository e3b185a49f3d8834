//! Logs of the program itself, on standard error: one line for each thing that happened, as text for people or as JSON for programs.
//!
//! * A line of a run carries the run, its agent and its namespace, because whoever executes the run does so inside of [`Context::span`].
//! * A decision is one line, with the message `decided`: tool, call, action, tier, verdict, code.
//! * Nothing is written that did not go through a redactor ([`lines`]): the patterns for every line, and the secrets that a run knows for its own.
//! * Values are quoted where they need it, and control characters are always escaped: no value can look like a line, or like another value.
//! * What skills log has the target `skill`.
//!
//! What is logged is said by the process ([`Levels`]) and, for its own runs, by the agent (`observability.logLevel`): a line must be severe enough for both. An agent that asks for
//! `debug` gets the debug lines of its runs already where the process logs `info`, so that one agent can be looked at alone.

mod context;
mod lines;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
    str::FromStr,
    sync::Arc,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

pub use self::context::Context;
use self::lines::Lines;

/// The target of what skills log.
pub const SKILL: &str = "skill";

/// How a program logs.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Which lines are logged to standard error: error, warn, info, debug, trace or off, also by target (`info,skill=debug`)
    ///
    /// What skills log has the target `skill`, the program's own lines have `infraagent`.
    #[arg(long, value_name = "LEVELS", env = "INFRAAGENT_LOG", global = true)]
    log_level: Option<Levels>,
    /// How a line is written: `text` for people, `json` for programs
    #[arg(long, value_name = "FORMAT", env = "INFRAAGENT_LOG_FORMAT", default_value = "text", global = true)]
    log_format: Format,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least severity of a line, by target.
#[derive(Clone, PartialEq)]
pub struct Levels(Targets);

/// A text that names no levels.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no levels: write for example `info`, or `warn,skill=debug`")]
pub struct UnknownLevels(String);

impl FromStr for Levels {
    type Err = UnknownLevels;

    fn from_str(text: &str) -> Result<Self, UnknownLevels> {
        // A bare word that is no level would be taken for a target of which everything is logged.
        let is_known = |part: &str| part.contains('=') || text.trim().is_empty() || part.trim().parse::<LevelFilter>().is_ok();
        let unknown = || UnknownLevels(text.escape_debug().to_string());
        if !text.split(',').all(is_known) {
            return Err(unknown());
        }
        text.parse().map(Self).map_err(|_| unknown())
    }
}

impl Levels {
    /// The same, with this severity for targets that are not named, if there is none yet.
    fn or(self, severity: LevelFilter) -> Self {
        let Self(targets) = self;
        Self(if targets.default_level().is_none() { targets.with_default(severity) } else { targets })
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(targets) = self;
        targets.fmt(f)
    }
}

/// Starts logging to standard error. `severity` is that of targets for which nothing was said. A second start changes nothing.
pub fn start(args: &Args, severity: LevelFilter) {
    let Args { log_level, log_format } = args;
    let levels = log_level.clone().unwrap_or_else(|| Levels(Targets::new())).or(severity);
    // A standard error that nobody reads ends nothing.
    let write = Arc::new(|line: &str| drop(std::io::stderr().lock().write_all(line.as_bytes())));
    let colours = *log_format == Format::Text && std::io::stderr().is_terminal();
    let _ = tracing_subscriber::registry().with(Lines::new(levels, *log_format, colours, write)).try_init();
}
