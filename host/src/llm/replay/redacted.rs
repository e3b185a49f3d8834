//! Questions and replies without secrets, as they may be written into a recording.

use serde_json::Value;

use crate::{
    audit::Redactor,
    llm::{Arguments, Content, Message, Reply, Request, ToolCall, ToolDefinition, ToolResult, arguments::Unreadable},
};

pub(super) fn request(request: &Request, redactor: &Redactor) -> Request {
    let Request { model, system, messages, tools, may_call, stable, max_tokens } = request;
    Request {
        model: model.clone(),
        system: text(system, redactor),
        messages: messages.iter().map(|message| self::message(message, redactor).into()).collect(),
        tools: tools.iter().map(|tool| self::tool(tool, redactor)).collect(),
        may_call: *may_call,
        stable: *stable,
        max_tokens: *max_tokens,
    }
}

pub(super) fn reply(reply: &Reply, redactor: &Redactor) -> Reply {
    let Reply { text, calls, stop, usage, model } = reply;
    Reply {
        text: self::text(text, redactor),
        calls: calls.iter().map(|call| self::call(call, redactor)).collect(),
        stop: *stop,
        usage: *usage,
        model: model.clone(),
    }
}

fn text(text: &str, redactor: &Redactor) -> String {
    redactor.text(text).into_owned()
}

fn tool(tool: &ToolDefinition, redactor: &Redactor) -> ToolDefinition {
    let ToolDefinition { name, description, input_schema } = tool;
    let mut input_schema = Value::clone(input_schema);
    redactor.json(&mut input_schema);
    ToolDefinition { name: name.clone(), description: text(description, redactor), input_schema: input_schema.into() }
}

fn message(message: &Message, redactor: &Redactor) -> Message {
    let Message { role, content } = message;
    let piece = |piece: &Content| match piece {
        Content::Text { text, trust } => Content::Text { text: self::text(text, redactor), trust: trust.clone() },
        Content::ToolUse(call) => Content::ToolUse(self::call(call, redactor)),
        Content::ToolResult(ToolResult { call, status, text, trust }) => {
            Content::ToolResult(ToolResult { call: call.clone(), status: *status, text: self::text(text, redactor), trust: trust.clone() })
        }
    };
    Message { role: *role, content: content.iter().map(piece).collect() }
}

fn call(call: &ToolCall, redactor: &Redactor) -> ToolCall {
    let ToolCall { id, name, arguments } = call;
    let arguments = match arguments {
        Arguments::Json(value) => {
            let mut value = value.clone();
            redactor.json(&mut value);
            Arguments::Json(value)
        }
        Arguments::Unreadable(Unreadable { text, reason }) => {
            Arguments::Unreadable(Unreadable { text: self::text(text, redactor), reason: reason.clone() })
        }
    };
    ToolCall { id: id.clone(), name: text(name, redactor), arguments }
}
