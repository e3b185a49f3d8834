//! What a model server says: the layout of recorded conversations, with faults between the replies.

use std::{io, path::Path, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Fault, Gate};

/// Steps, one for each request that is accepted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// In order.
    pub steps: Vec<Step>,
    /// Every conversation gets all the steps: which one is next is how often the model has spoken in it. Else all conversations share them.
    pub per_conversation: bool,
    /// How long the model thinks before each reply.
    pub pause: Duration,
}

/// What a request gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// An answer.
    Reply(Reply),
    /// An answer that is given when the gate lets it through.
    Held(Gate, Reply),
    /// Something else.
    Fault(Fault),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "conversation", default)]
    _version: u32,
    #[serde(rename = "perConversation", default)]
    per_conversation: bool,
    #[serde(rename = "pauseMs", default)]
    pause: u64,
    turns: Vec<Turn>,
}

/// `request` and `note` belong to a recording; nobody here reads them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    #[serde(rename = "note", default)]
    _note: Value,
    #[serde(rename = "request", default)]
    _request: Value,
    #[serde(default)]
    reply: Option<Reply>,
    #[serde(default)]
    fault: Option<Fault>,
}

/// What the model says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reply {
    /// Its words.
    pub text: String,
    /// Its tool calls.
    pub calls: Vec<Call>,
    /// Why it stops; None: what follows from the calls.
    pub stop: Option<Stop>,
    /// Tokens; None: a quarter of the request's bytes.
    pub usage: Option<Usage>,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Its id; None: `call-<reply>-<position>`, counted from 1, as a replay counts.
    #[serde(default)]
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// The arguments.
    #[serde(default = "no_arguments")]
    pub arguments: Value,
    /// Text in place of the arguments, which need not be JSON. Anthropic's format has no place for such a text and carries it as a string.
    #[serde(default)]
    pub unreadable: Option<String>,
}

fn no_arguments() -> Value {
    json!({})
}

/// Why a reply ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Everything is said.
    EndTurn,
    /// It waits for tools.
    ToolUse,
    /// It reached its longest length.
    MaxTokens,
    /// The model declines.
    Refusal,
    /// A word that no vendor knows.
    Other,
}

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Input, cached tokens included.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Of the input, read from the cache.
    #[serde(default)]
    pub cached: u64,
    /// Of the input, written into the cache.
    #[serde(default)]
    pub cache_written: u64,
}

impl Script {
    /// Replies and nothing else.
    pub fn replies(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self { steps: replies.into_iter().map(Step::Reply).collect(), ..Self::default() }
    }

    /// The same for every conversation.
    pub fn for_each_conversation(self) -> Self {
        Self { per_conversation: true, ..self }
    }

    /// The same, with time to think before each reply.
    pub fn slow(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Replies that each wait at the gate.
    pub fn held(gate: &Gate, replies: impl IntoIterator<Item = Reply>) -> Self {
        Self { steps: replies.into_iter().map(|reply| Step::Held(gate.clone(), reply)).collect(), ..Self::default() }
    }

    /// From YAML or JSON.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Document { _version, per_conversation, pause, turns } = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let step = |(at, Turn { _note, _request, reply, fault })| match (reply, fault) {
            (Some(reply), None) => Ok(Step::Reply(reply)),
            (None, Some(fault)) => Ok(Step::Fault(fault)),
            (Some(_), Some(_)) | (None, None) => Err(format!("turn {}: write either `reply` or `fault`", at + 1)),
        };
        let steps = turns.into_iter().enumerate().map(step).collect::<Result<_, _>>()?;
        Ok(Self { steps, per_conversation, pause: Duration::from_millis(pause) })
    }

    /// From a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let bad = |error| io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is no script: {error}", path.display()));
        Self::parse(&std::fs::read_to_string(path)?).map_err(bad)
    }

    /// With a step before the others.
    pub fn after(mut self, fault: Fault) -> Self {
        self.steps.insert(0, Step::Fault(fault));
        self
    }
}

impl Reply {
    /// Words only.
    pub fn says(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// One more call.
    pub fn calls(mut self, name: &str, arguments: Value) -> Self {
        self.calls.push(Call { id: None, name: name.to_owned(), arguments, unreadable: None });
        self
    }

    /// Why it stops.
    pub(super) fn stop(&self) -> Stop {
        self.stop.clone().unwrap_or(if self.calls.is_empty() { Stop::EndTurn } else { Stop::ToolUse })
    }

    pub(super) fn usage(&self, question: &Value) -> Usage {
        let input = (question.to_string().len() / 4) as u64;
        self.usage.unwrap_or(Usage { input, output: (self.text.len() / 4 + 1) as u64, cached: 0, cache_written: 0 })
    }
}

impl Call {
    pub(super) fn id(&self, turn: usize, at: usize) -> String {
        self.id.clone().unwrap_or_else(|| format!("call-{turn}-{}", at + 1))
    }
}
