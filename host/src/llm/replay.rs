//! A recorded conversation as a provider: agents get deterministic tests, and a demo needs no key.
//!
//! Strict: at the first turn whose canonical request differs from the recording it fails, and shows the difference. Turns that nobody asked
//! for are an error as well.
//!
//! ## The file
//!
//! ```yaml
//! conversation: 1
//! turns:
//!   - note: free text, kept as it is
//!     request:                    # what was asked, as far as it differs from the turn before
//!       model: anthropic/claude-sonnet-4-5
//!       max_tokens: 8192
//!       system: |
//!         You are ...
//!       tools: [{name: inspect, description: ..., input_schema: {...}}]
//!       messages: [{role: user, content: [{text: Begin.}]}]
//!     reply:                      # what the model answered; usage and call ids may be left out
//!       text: I look at the rollouts first.
//!       calls: [{name: inspect, arguments: {namespace: shop}}]
//!       usage: {input: 1200, output: 80}
//!   - request:                    # only the messages that are new; the reply above is understood
//!       messages: [...]
//!     reply: {text: "All is well."}
//! ```
//!
//! Each turn holds only what changed since the turn before (see [`Asked`]); from the first to the last they determine every request
//! completely, so nothing is less strict than with full requests, but a person can read the file.
//!
//! ## Writing one
//!
//! Write the replies and leave the requests out. `infraagent run --replay F --update-replay` answers with the replies, whatever is asked, and
//! writes the requests into the file. Where the replies end, it appends the open request, so that the next reply can be written below it.
//! Replies and notes are never touched; comments at the top of the file stay, others are lost.

//!
//! ## Recording one
//!
//! `infraagent run --record F` asks a real model and writes this file, see [`Recorder`]. Secrets are taken out of it. A replay compares what is
//! left of a request when everything that looks like a secret is taken out, so what was redacted in the recording is not missed.

mod canonical;
mod file;
mod record;
mod redacted;

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

pub use canonical::normalise;
pub use file::{Asked, RecordedCall, RecordedContent, RecordedMessage, RecordedTool, RecordedUsage, Said};
use file::{File, Turn};
pub use record::Recorder;

use super::{Arguments, Reply, Request, Stop, ToolCall, Usage};
use crate::audit::Redactor;

/// What is done with the requests of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They must be equal to what is asked.
    Strict,
    /// They are replaced by what is asked.
    Update,
}

/// Why a recording does not fit. Turns count from 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("cannot access the recording `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no recording.
    #[error("`{path}` is no recorded conversation: {message}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// Something else was asked.
    #[error(
        "turn {turn}: the request differs from the recording (- recorded, + asked)\n{diff}if the change is intended, run once with --update-replay"
    )]
    Differs {
        /// Which turn.
        turn: usize,
        /// A unified diff.
        diff: String,
    },
    /// The recording does not say what was asked.
    #[error("turn {turn} has no recorded request: run once with --update-replay to write it")]
    NotRecorded {
        /// Which turn.
        turn: usize,
    },
    /// More was asked than is recorded.
    #[error("turn {turn} has no recorded reply: write one{}", if *.appended { " below the request that was appended to the file" } else { ", or let the conversation end earlier" })]
    Unanswered {
        /// Which turn.
        turn: usize,
        /// The request was added to the file.
        appended: bool,
    },
    /// Less was asked than is recorded.
    #[error("the conversation ended after turn {asked}, but {recorded} are recorded: remove the others, or find out why it ended")]
    Leftover {
        /// Turns that were asked.
        asked: usize,
        /// Turns in the recording.
        recorded: usize,
    },
}

/// A recorded conversation.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    mode: Mode,
    patterns: Redactor,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    asked: usize,
    before: Option<(file::Canonical, Reply)>,
}

impl Replay {
    /// Reads a recording.
    pub fn open(path: &Path, mode: Mode) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        Self::parse(path, &text, mode)
    }

    /// From the text of a recording; `path` is where an update is written.
    pub fn parse(path: &Path, text: &str, mode: Mode) -> Result<Self, Error> {
        let file = File::parse(text).map_err(|message| Error::Format { path: path.to_owned(), message })?;
        let state = Mutex::new(State { file, asked: 0, before: None });
        Ok(Self { path: path.to_owned(), mode, patterns: Redactor::default(), state })
    }

    /// Answers with the next recorded reply.
    pub fn complete(&self, request: &Request) -> Result<Reply, Error> {
        let mut guard = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let State { file, asked: count, before } = &mut *guard;
        let canonical = file::Canonical::of(&redacted::request(request, &self.patterns));
        let asked = canonical.since(before.as_ref().map(|(request, reply)| (request, reply)));
        *count += 1;
        let turn = *count;

        if file.turns.len() < turn {
            let appended = self.mode == Mode::Update;
            if appended {
                file.turns.push(Turn { note: None, request: Some(asked), reply: None });
            }
            return Err(Error::Unanswered { turn, appended });
        }
        let entry = &mut file.turns[turn - 1];
        match (self.mode, &entry.request) {
            (Mode::Update, _) => entry.request = Some(asked),
            (Mode::Strict, None) => return Err(Error::NotRecorded { turn }),
            (Mode::Strict, Some(recorded)) if *recorded == asked => {}
            (Mode::Strict, Some(recorded)) => return Err(Error::Differs { turn, diff: diff(recorded, &asked) }),
        }
        let said = entry.reply.clone().ok_or(Error::Unanswered { turn, appended: self.mode == Mode::Update })?;
        let reply = answer(turn, said, &canonical);
        *before = Some((canonical, redacted::reply(&reply, &self.patterns)));
        Ok(reply)
    }

    /// Writes an update, and refuses turns that nobody asked for.
    pub fn finish(&self) -> Result<(), Error> {
        let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.mode == Mode::Update {
            state.file.write(&self.path).map_err(|source| Error::File { path: self.path.clone(), source })?;
        }
        let (asked, recorded) = (state.asked, state.file.turns.len());
        if asked < recorded { Err(Error::Leftover { asked, recorded }) } else { Ok(()) }
    }
}

/// The recorded words as a reply. Missing usage is estimated at four bytes a token, from the canonical request: the same in every replay.
fn answer(turn: usize, said: Said, request: &file::Canonical) -> Reply {
    let Said { text, calls, stop, usage } = said;
    let calls: Vec<ToolCall> = calls
        .into_iter()
        .enumerate()
        .map(|(at, RecordedCall { id, name, arguments, unreadable })| ToolCall {
            id: id.unwrap_or_else(|| format!("call-{turn}-{}", at + 1)),
            name,
            arguments: unreadable.map_or(Arguments::Json(arguments), |text| Arguments::parse(&text)),
        })
        .collect();
    let usage = match usage {
        Some(RecordedUsage { input, output, cached, cache_written }) => Usage { input, output, cached, cache_written },
        None => {
            let output = text.len() + calls.iter().map(|call| call.name.len() + call.arguments.to_string().len()).sum::<usize>();
            Usage::estimated(request.len(), output)
        }
    };
    let stop = stop.map_or(if calls.is_empty() { Stop::EndTurn } else { Stop::ToolUse }, Stop::from);
    Reply { text, calls, stop, usage, model: None }
}

fn diff(recorded: &Asked, asked: &Asked) -> String {
    similar::TextDiff::from_lines(&recorded.to_yaml(), &asked.to_yaml())
        .unified_diff()
        .context_radius(3)
        .header("recorded", "asked")
        .missing_newline_hint(false)
        .to_string()
}

#[cfg(test)]
mod tests;
