//! Anthropic's Messages API.
//!
//! Cache breakpoints stand after the tools, after the system prompt, and after the last message that the next request will repeat: a provider
//! then reads what it has seen before for a tenth of the price. A breakpoint on what will change would be paid for and never used.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Arguments, Content, Endpoint, Message, Reply, Request, Stop, ToolCall, Usage,
    names::Names,
    provider::{BadReply, CallIds, Error},
    transport::{self, KeyHeader, Transport},
};

/// The version of the API. A newer one (2026-10-21) takes away what is not used here and adds nothing that is; this one is what every gateway
/// and every model knows.
const VERSION: &str = "2023-06-01";

/// A model behind this API.
#[derive(Debug)]
pub struct Anthropic {
    transport: Transport,
    model: String,
    ids: CallIds,
}

impl Anthropic {
    /// A model of an endpoint, as the provider calls it.
    pub fn new(endpoint: &Endpoint, model: &str) -> Result<Self, transport::Error> {
        let transport = Transport::new(endpoint, &["messages"], KeyHeader::XApiKey)?.with_header("anthropic-version", VERSION);
        Ok(Self { transport, model: model.to_owned(), ids: CallIds::default() })
    }

    /// The same, with another way to ask.
    pub fn with_transport(self, change: impl FnOnce(Transport) -> Transport) -> Self {
        Self { transport: change(self.transport), ..self }
    }

    /// Asks for one reply, and again where that may help, until `until`.
    pub async fn complete(&self, request: &Request, until: Instant) -> Result<Reply, Error> {
        // Nothing that can be had again is kept while the model is waited for.
        let write = || serde_json::to_string(&question(&self.model, request, &Names::of(request)));
        let bytes = self.transport.ask(write, until).await?;
        let names = Names::of(request);
        let asked = || write().map_or(0, |question| question.len());
        let mut reply = read(&bytes, &names, asked)
            .map_err(|message| BadReply { origin: self.transport.origin().to_owned(), message: self.transport.quoted(&message) })?;
        self.ids.make_unique(request, &mut reply);
        Ok(reply)
    }
}

#[derive(Serialize)]
struct Question<'r> {
    model: &'r str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Piece<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice>,
    messages: Vec<Said<'r>>,
}

#[derive(Serialize)]
struct Tool<'r> {
    name: &'r str,
    description: &'r str,
    input_schema: &'r Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Breakpoint>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Choice {
    None,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Breakpoint {
    Ephemeral,
}

#[derive(Serialize)]
struct Said<'r> {
    role: &'static str,
    content: Vec<Piece<'r>>,
}

#[derive(Serialize)]
struct Piece<'r> {
    #[serde(flatten)]
    body: Body<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Breakpoint>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body<'r> {
    Text { text: String },
    ToolUse { id: &'r str, name: &'r str, input: Value },
    ToolResult { tool_use_id: &'r str, content: String, is_error: bool },
}

fn question<'r>(model: &'r str, request: &'r Request, names: &'r Names) -> Question<'r> {
    let Request { model: _, system, messages, tools, may_call, stable, max_tokens } = request;
    let plain = |body| Piece { body, cache_control: None };
    let mut said: Vec<Said<'_>> = messages.iter().map(|message| said(message, names)).collect();
    // The first message alone is not worth a breakpoint: the system prompt's is just before it.
    if *stable > 1
        && let Some(piece) = said.get_mut(stable - 1).and_then(|message| message.content.last_mut())
    {
        piece.cache_control = Some(Breakpoint::Ephemeral);
    }
    let mut tools: Vec<_> = tools
        .iter()
        .map(|tool| Tool {
            name: names.wire(&tool.name),
            description: &tool.description,
            input_schema: &tool.input_schema,
            cache_control: None,
        })
        .collect();
    if let Some(last) = tools.last_mut() {
        last.cache_control = Some(Breakpoint::Ephemeral);
    }
    let tool_choice = (!may_call && !tools.is_empty()).then_some(Choice::None);
    let mut system: Vec<_> =
        Some(system).filter(|text| !is_blank(text)).map(|text| plain(Body::Text { text: text.clone() })).into_iter().collect();
    if let Some(last) = system.last_mut() {
        last.cache_control = Some(Breakpoint::Ephemeral);
    }
    Question { model, max_tokens: *max_tokens, system, tools, tool_choice, messages: said }
}

fn said<'r>(message: &'r Message, names: &'r Names) -> Said<'r> {
    let Message { role, content } = message;
    let piece = |content: &'r Content| {
        let body = match content {
            Content::Text { text, trust } => Some(trust.mark(text)).filter(|text| !is_blank(text)).map(|text| Body::Text { text })?,
            Content::ToolUse(ToolCall { id, name, arguments }) => {
                Body::ToolUse { id, name: names.wire(name), input: arguments.to_object() }
            }
            Content::ToolResult(result) => {
                Body::ToolResult { tool_use_id: &result.call, content: result.wire_text(), is_error: result.status.is_error() }
            }
        };
        Some(Piece { body, cache_control: None })
    };
    Said { role: role.as_str(), content: content.iter().filter_map(piece).collect() }
}

/// The API refuses a text of nothing but white space.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[derive(Deserialize)]
struct Answer {
    content: Vec<Block>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    model: Option<String>,
}

/// Blocks of other types are about features that were not asked for.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
}

fn read(bytes: &[u8], names: &Names, asked: impl FnOnce() -> usize) -> Result<Reply, String> {
    let Answer { content, stop_reason, usage, model } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let (mut text, mut calls) = (String::new(), Vec::new());
    for block in content {
        match block {
            Block::Text { text: more } => text.push_str(&more),
            Block::ToolUse { id, name, input } => calls.push(ToolCall { id, name: names.back(&name), arguments: Arguments::Json(input) }),
            Block::Other => {}
        }
    }
    let stop = match stop_reason.as_deref() {
        Some("end_turn" | "stop_sequence") => Stop::EndTurn,
        Some("tool_use") => Stop::ToolUse,
        Some("max_tokens" | "model_context_window_exceeded") => Stop::MaxTokens,
        Some("refusal") => Stop::Refusal,
        other => {
            tracing::warn!(reason = ?other, "the model stopped for a reason that is not known here");
            Stop::Other
        }
    };
    let usage = usage.map_or_else(
        || Usage::estimated(asked(), bytes.len()),
        |Tokens { input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens }| {
            let (written, cached) = (cache_creation_input_tokens.unwrap_or_default(), cache_read_input_tokens.unwrap_or_default());
            // Here what went through the cache is counted apart; in a `Usage` it is part of the input.
            let input = input_tokens.saturating_add(written).saturating_add(cached);
            Usage { input, output: output_tokens, cached, cache_written: written }
        },
    );
    Ok(Reply { text, calls, stop, usage, model })
}
