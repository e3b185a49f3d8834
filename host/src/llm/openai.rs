//! OpenAI's Chat Completions API, which many others speak as well.
//!
//! Lenient in what it reads, since compatible servers differ: missing usage is estimated, missing or repeated call ids are replaced, arguments
//! may be JSON instead of text that holds JSON.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Arguments, Content, Endpoint, Message, Reply, Request, Role, Stop, ToolCall, Usage,
    names::Names,
    provider::{BadReply, CallIds, Error},
    transport::{self, KeyHeader, Transport},
};

/// A model behind this API.
#[derive(Debug)]
pub struct OpenAi {
    transport: Transport,
    model: String,
    dialect: Dialect,
    ids: CallIds,
}

/// How the longest reply is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `max_completion_tokens`: OpenAI's newer models refuse the old name.
    OpenAi,
    /// `max_tokens`: compatible servers know the old name.
    Compatible,
}

impl OpenAi {
    /// A model of an endpoint, as the provider calls it.
    pub fn new(endpoint: &Endpoint, model: &str, dialect: Dialect) -> Result<Self, transport::Error> {
        let transport = Transport::new(endpoint, &["chat", "completions"], KeyHeader::Bearer)?;
        Ok(Self { transport, model: model.to_owned(), dialect, ids: CallIds::default() })
    }

    /// The same, with another way to ask.
    pub fn with_transport(self, change: impl FnOnce(Transport) -> Transport) -> Self {
        Self { transport: change(self.transport), ..self }
    }

    /// Asks for one reply, and again where that may help, until `until`.
    pub async fn complete(&self, request: &Request, until: Instant) -> Result<Reply, Error> {
        // Nothing that can be had again is kept while the model is waited for.
        let write = || serde_json::to_string(&question(&self.model, self.dialect, request, &Names::of(request)));
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
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    messages: Vec<Said<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Said<'r> {
    System {
        content: &'r str,
    },
    User {
        content: String,
    },
    Assistant {
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'r>>,
    },
    Tool {
        tool_call_id: &'r str,
        content: String,
    },
}

#[derive(Serialize)]
struct Call<'r> {
    id: &'r str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Called<'r>,
}

#[derive(Serialize)]
struct Called<'r> {
    name: &'r str,
    arguments: String,
}

#[derive(Serialize)]
struct Tool<'r> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'r>,
}

#[derive(Serialize)]
struct Function<'r> {
    name: &'r str,
    description: &'r str,
    parameters: &'r Value,
}

fn question<'r>(model: &'r str, dialect: Dialect, request: &'r Request, names: &'r Names) -> Question<'r> {
    // The provider caches the longest prefix that it has seen by itself: nothing to say about `stable`.
    let Request { model: _, system, messages, tools, may_call, stable: _, max_tokens } = request;
    let mut said = Vec::with_capacity(messages.len() + 1);
    if !system.is_empty() {
        said.push(Said::System { content: system });
    }
    for message in messages {
        say(message, names, &mut said);
    }
    let tools: Vec<_> = tools
        .iter()
        .map(|tool| Tool {
            kind: "function",
            function: Function { name: names.wire(&tool.name), description: &tool.description, parameters: &tool.input_schema },
        })
        .collect();
    let tool_choice = (!may_call && !tools.is_empty()).then_some("none");
    let (max_completion_tokens, max_tokens) = match dialect {
        Dialect::OpenAi => (Some(*max_tokens), None),
        Dialect::Compatible => (None, Some(*max_tokens)),
    };
    Question { model, max_completion_tokens, max_tokens, messages: said, tools, tool_choice }
}

/// One message is several here: each result stands alone, and before the words that follow the results.
fn say<'r>(message: &'r Message, names: &'r Names, said: &mut Vec<Said<'r>>) {
    let Message { role, content } = message;
    let (mut text, mut tool_calls) = (String::new(), Vec::new());
    for piece in content {
        match piece {
            Content::Text { text: more, trust } => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&trust.mark(more));
            }
            Content::ToolUse(ToolCall { id, name, arguments }) => tool_calls.push(Call {
                id,
                kind: "function",
                function: Called { name: names.wire(name), arguments: arguments.to_object().to_string() },
            }),
            Content::ToolResult(result) => said.push(Said::Tool { tool_call_id: &result.call, content: result.wire_text() }),
        }
    }
    match role {
        Role::Assistant => said.push(Said::Assistant { content: Some(text).filter(|text| !text.is_empty()), tool_calls }),
        Role::User if !text.is_empty() => said.push(Said::User { content: text }),
        Role::User => {}
    }
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Chosen>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    model: Option<String>,
}

#[derive(Deserialize)]
struct Chosen {
    message: Words,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<AskedCall>>,
}

#[derive(Deserialize)]
struct AskedCall {
    #[serde(default)]
    id: Option<String>,
    function: AskedFunction,
}

#[derive(Deserialize)]
struct AskedFunction {
    name: String,
    arguments: Value,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

fn read(bytes: &[u8], names: &Names, asked: impl FnOnce() -> usize) -> Result<Reply, String> {
    let Answer { choices, usage, model } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let Some(Chosen { message, finish_reason }) = choices.into_iter().next() else { return Err("it has no choices".to_owned()) };
    let Words { content, refusal, tool_calls } = message;
    let call = |AskedCall { id, function: AskedFunction { name, arguments } }| {
        let arguments = match arguments {
            Value::String(text) => Arguments::parse(&text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Arguments::Json(arguments),
        };
        ToolCall { id: id.unwrap_or_default(), name: names.back(&name), arguments }
    };
    let calls: Vec<_> = tool_calls.unwrap_or_default().into_iter().map(call).collect();
    let refusal = refusal.filter(|text| !text.is_empty());
    let stop = match finish_reason.as_deref() {
        _ if refusal.is_some() => Stop::Refusal,
        // Some compatible servers say `stop` with calls as well, and older ones `function_call`.
        Some("stop" | "tool_calls" | "function_call") if calls.is_empty() => Stop::EndTurn,
        Some("stop" | "tool_calls" | "function_call") => Stop::ToolUse,
        Some("length") => Stop::MaxTokens,
        Some("content_filter") => Stop::Refusal,
        other => {
            tracing::warn!(reason = ?other, "the model stopped for a reason that is not known here");
            Stop::Other
        }
    };
    let usage = usage.map_or_else(
        || Usage::estimated(asked(), bytes.len()),
        |Tokens { prompt_tokens, completion_tokens, prompt_tokens_details }| Usage {
            input: prompt_tokens,
            output: completion_tokens,
            cached: prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or_default().min(prompt_tokens),
            cache_written: 0,
        },
    );
    Ok(Reply { text: content.or(refusal).unwrap_or_default(), calls, stop, usage, model })
}
