//! The layout of a recording, and which part of a request a turn holds.

use std::{io::Write, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canonical::{normalise, normalise_json};
use crate::llm::{Arguments, Content, Message, Reply, Request, Stop, ToolCall, ToolDefinition, Usage, arguments::Unreadable};

/// The only version of the layout.
const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    conversation: u32,
    turns: Vec<Turn>,
}

/// A recording.
#[derive(Debug)]
pub(super) struct File {
    /// Comment lines at the top.
    head: String,
    pub(super) turns: Vec<Turn>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Turn {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Asked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply: Option<Said>,
}

/// What was asked, in canonical form, as far as it differs from the turn before; the first turn holds everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The model, if it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The longest reply, if it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The system prompt, if it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The tools, if they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<RecordedTool>>,
    /// This turn must be answered with text.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_calls: bool,
    /// How many of the oldest messages left the window; the first message, the task, always stays.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: usize,
    /// The previous reply is not part of the conversation as it was given.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reply_changed: bool,
    /// The task itself changed: all messages follow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rewritten: bool,
    /// The new messages, after the previous reply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<RecordedMessage>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A tool as the model saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The schema of its arguments, keys sorted.
    pub input_schema: Value,
}

/// A message in canonical form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedMessage {
    /// `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: Vec<RecordedContent>,
}

/// A piece of a message: one of the three.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RecordedContent {
    /// Words, marked as the model read them.
    Text(String),
    /// A tool call.
    Call(RecordedCall),
    /// The result of one.
    Result {
        /// The id of the call.
        call: String,
        /// The error flag.
        #[serde(default, skip_serializing_if = "is_false")]
        error: bool,
        /// What the model read.
        text: String,
    },
}

/// What the model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Its words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Its tool calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<RecordedCall>,
    /// Why it stopped, where that does not follow from the calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<RecordedStop>,
    /// Tokens. Absent: estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<RecordedUsage>,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// The provider's id. Absent: `call-<turn>-<position>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// Its arguments.
    #[serde(default = "no_arguments")]
    pub arguments: Value,
    /// What the model wrote instead of arguments that are JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl RecordedCall {
    fn of(call: &ToolCall) -> Self {
        let ToolCall { id, name, arguments } = call;
        let (arguments, unreadable) = match arguments {
            Arguments::Json(value) => (value.clone(), None),
            Arguments::Unreadable(Unreadable { text, reason: _ }) => (no_arguments(), Some(text.clone())),
        };
        Self { id: Some(id.clone()), name: name.clone(), arguments, unreadable }
    }
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedStop {
    /// Everything was said.
    EndTurn,
    /// It waits for tools.
    ToolUse,
    /// It reached its longest length.
    MaxTokens,
    /// The model declined.
    Refusal,
    /// Something else.
    Other,
}

impl From<RecordedStop> for Stop {
    fn from(stop: RecordedStop) -> Self {
        match stop {
            RecordedStop::EndTurn => Self::EndTurn,
            RecordedStop::ToolUse => Self::ToolUse,
            RecordedStop::MaxTokens => Self::MaxTokens,
            RecordedStop::Refusal => Self::Refusal,
            RecordedStop::Other => Self::Other,
        }
    }
}

impl From<Stop> for RecordedStop {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::EndTurn => Self::EndTurn,
            Stop::ToolUse => Self::ToolUse,
            Stop::MaxTokens => Self::MaxTokens,
            Stop::Refusal => Self::Refusal,
            Stop::Other => Self::Other,
        }
    }
}

/// Tokens of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedUsage {
    /// Input, cached tokens included.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Input from the cache.
    #[serde(default, skip_serializing_if = "no_tokens")]
    pub cached: u64,
    /// Input that was written into the cache.
    #[serde(default, skip_serializing_if = "no_tokens")]
    pub cache_written: u64,
}

impl Said {
    /// What a model said, with everything that was not said left out.
    pub(super) fn of(reply: &Reply) -> Self {
        let Reply { text, calls, stop, usage: Usage { input, output, cached, cache_written }, model: _ } = reply;
        let usual = if calls.is_empty() { Stop::EndTurn } else { Stop::ToolUse };
        Self {
            text: text.clone(),
            calls: calls.iter().map(RecordedCall::of).collect(),
            stop: (*stop != usual).then(|| (*stop).into()),
            usage: Some(RecordedUsage { input: *input, output: *output, cached: *cached, cache_written: *cache_written }),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn no_tokens(count: &u64) -> bool {
    *count == 0
}

impl File {
    /// One without turns, under this comment.
    pub(super) fn empty(comment: &str) -> Self {
        Self { head: format!("# {comment}\n"), turns: Vec::new() }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Document { conversation, turns } = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if conversation != VERSION {
            return Err(format!("`conversation: {conversation}` is not known here: write `conversation: {VERSION}`"));
        }
        let head = text.lines().take_while(|line| line.is_empty() || line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        Ok(Self { head, turns })
    }

    /// Replaces the file as a whole, so that an interrupted update leaves the old one.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let document = Document { conversation: VERSION, turns: self.turns.clone() };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(self.head.as_bytes())?;
        file.write_all(to_yaml(&document).as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

impl Asked {
    pub(super) fn to_yaml(&self) -> String {
        to_yaml(self)
    }
}

fn to_yaml(value: &impl Serialize) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: true, compact_list_indent: false, min_fold_chars: usize::MAX, folded_wrap_chars: usize::MAX };
    match serde_saphyr::to_string_with_options(value, options) {
        Ok(text) if text.ends_with('\n') => text,
        Ok(text) => text + "\n",
        // Plain structs of strings and JSON: nothing in them can fail to serialise.
        Err(error) => format!("# cannot be shown: {error}\n"),
    }
}

/// A whole request in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Canonical {
    model: String,
    max_tokens: u32,
    system: String,
    tools: Vec<RecordedTool>,
    no_calls: bool,
    messages: Vec<RecordedMessage>,
}

impl Canonical {
    pub(super) fn of(request: &Request) -> Self {
        let Request { model, system, messages, tools, may_call, stable: _, max_tokens } = request;
        let tool = |tool: &ToolDefinition| {
            let ToolDefinition { name, description, input_schema } = tool;
            RecordedTool { name: name.clone(), description: description.clone(), input_schema: normalise_json(input_schema) }
        };
        Self {
            model: model.clone(),
            max_tokens: *max_tokens,
            system: normalise(system),
            tools: tools.iter().map(tool).collect(),
            no_calls: !may_call,
            messages: messages.iter().map(|one| message(one)).collect(),
        }
    }

    /// Bytes of all texts.
    pub(super) fn len(&self) -> usize {
        let content = |content: &RecordedContent| match content {
            RecordedContent::Text(text) | RecordedContent::Result { text, call: _, error: _ } => text.len(),
            RecordedContent::Call(RecordedCall { id: _, name, arguments, unreadable }) => {
                name.len() + unreadable.as_ref().map_or_else(|| arguments.to_string().len(), String::len)
            }
        };
        let tools = self.tools.iter().map(|tool| tool.name.len() + tool.description.len() + tool.input_schema.to_string().len());
        let messages = self.messages.iter().flat_map(|message| &message.content).map(content);
        self.system.len() + tools.sum::<usize>() + messages.sum::<usize>()
    }

    /// What differs from the turn before. With the turn before it determines the whole request.
    pub(super) fn since(&self, before: Option<(&Self, &Reply)>) -> Asked {
        let Self { model, max_tokens, system, tools, no_calls, messages } = self;
        let Some((old, reply)) = before else {
            return Asked {
                model: Some(model.clone()),
                max_tokens: Some(*max_tokens),
                system: Some(system.clone()),
                tools: Some(tools.clone()),
                no_calls: *no_calls,
                messages: messages.clone(),
                ..Asked::default()
            };
        };
        let mut asked = Asked {
            model: (*model != old.model).then(|| model.clone()),
            max_tokens: (*max_tokens != old.max_tokens).then_some(*max_tokens),
            system: (*system != old.system).then(|| system.clone()),
            tools: (*tools != old.tools).then(|| tools.clone()),
            no_calls: *no_calls,
            ..Asked::default()
        };
        let (Some((task, rest)), Some((old_task, old_rest))) = (messages.split_first(), old.messages.split_first()) else {
            return Asked { rewritten: true, messages: messages.clone(), ..asked };
        };
        if task != old_task {
            return Asked { rewritten: true, messages: messages.clone(), ..asked };
        }
        // The fewest messages that must have left the window; if nothing of it stayed, all of them.
        asked.dropped = (0..=old_rest.len()).find(|gone| rest.starts_with(&old_rest[*gone..])).unwrap_or(old_rest.len());
        let new = &rest[old_rest.len() - asked.dropped..];
        match new.split_first() {
            Some((first, new)) if *first == message(&Message::assistant(reply)) => asked.messages = new.to_vec(),
            _ => {
                asked.reply_changed = true;
                asked.messages = new.to_vec();
            }
        }
        asked
    }
}

fn message(message: &Message) -> RecordedMessage {
    let Message { role, content } = message;
    let piece = |piece: &Content| match piece {
        Content::Text { text, trust } => RecordedContent::Text(normalise(&trust.mark(text))),
        Content::ToolUse(call) => {
            let RecordedCall { id, name, arguments, unreadable } = RecordedCall::of(call);
            let (arguments, unreadable) = (normalise_json(&arguments), unreadable.map(|text| normalise(&text)));
            RecordedContent::Call(RecordedCall { id, name, arguments, unreadable })
        }
        Content::ToolResult(result) => {
            RecordedContent::Result { call: result.call.clone(), error: result.status.is_error(), text: normalise(&result.wire_text()) }
        }
    };
    RecordedMessage { role: role.as_str().to_owned(), content: content.iter().map(piece).collect() }
}
