//! OpenAI's Chat Completions API, from the server's side.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    check::{Checked, count, list, name, object, text, unique},
    script::{Reply, Stop, Usage},
};

const OPTIONAL: [&str; 35] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// Whether OpenAI would accept it.
pub(super) fn check(headers: &HeaderMap, question: &Value) -> Checked {
    if headers.get("content-type").is_none_or(|kind| !kind.as_bytes().starts_with(b"application/json")) {
        return Err("content-type: must be application/json".to_owned());
    }
    let members = object(question, "request", &["model", "messages"], &OPTIONAL)?;
    text(members, "model", "request")?;
    count(members, "max_tokens", "request")?;
    count(members, "max_completion_tokens", "request")?;
    if members.contains_key("max_tokens") && members.contains_key("max_completion_tokens") {
        return Err("setting `max_tokens` and `max_completion_tokens` at the same time is not supported".to_owned());
    }
    if members.get("stream").is_some_and(|stream| stream != false) {
        return Err("request.stream: this server does not stream".to_owned());
    }
    let tools = members.get("tools").map_or(Ok(&[][..]), |tools| list(tools, "tools"))?;
    check_tools(tools)?;
    if let Some(choice) = members.get("tool_choice") {
        if tools.is_empty() {
            return Err("`tool_choice` is only allowed when `tools` are specified".to_owned());
        }
        if !choice.is_object() && !["none", "auto", "required"].iter().any(|word| choice == word) {
            return Err("tool_choice: must be none, auto, required or an object".to_owned());
        }
    }
    check_messages(list(&members["messages"], "messages")?)
}

fn check_tools(tools: &[Value]) -> Checked {
    let mut names = Vec::new();
    for (at, tool) in tools.iter().enumerate() {
        let at = format!("tools.{at}");
        let tool = object(tool, &at, &["type", "function"], &[])?;
        if tool["type"] != "function" {
            return Err(format!("{at}.type: must be `function`"));
        }
        let at = format!("{at}.function");
        let function = object(&tool["function"], &at, &["name"], &["description", "parameters", "strict"])?;
        names.push(name(function, "name", &at, 64)?);
        if function.get("parameters").is_some_and(|schema| !schema.is_object()) {
            return Err(format!("{at}.parameters: must be an object"));
        }
    }
    unique(names, "tools")
}

fn check_messages(messages: &[Value]) -> Checked {
    let mut open = Vec::<String>::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if role != "tool"
            && let Some(id) = open.first()
        {
            return Err(format!(
                "an assistant message with `tool_calls` must be followed by tool messages responding to each `tool_call_id`: `{id}` did not get a response"
            ));
        }
        match role {
            "system" | "developer" | "user" => {
                let message = object(message, &at, &["role", "content"], &["name"])?;
                check_content(&message["content"], &at)?;
            }
            "assistant" => open = check_assistant(message, &at)?,
            "tool" => {
                let message = object(message, &at, &["role", "tool_call_id", "content"], &[])?;
                let id = text(message, "tool_call_id", &at)?;
                check_content(&message["content"], &at)?;
                let Some(place) = open.iter().position(|have| have == id) else {
                    return Err(format!("{at}: messages with role `tool` must be a response to a preceding message with `tool_calls`"));
                };
                open.remove(place);
            }
            other => return Err(format!("{at}.role: `{other}` is not one of system, developer, user, assistant, tool")),
        }
    }
    if open.is_empty() { Ok(()) } else { Err("the last `tool_calls` have no response".to_owned()) }
}

/// Text, or pieces of text. OpenAI takes empty ones.
fn check_content(content: &Value, at: &str) -> Checked {
    if content.is_string() {
        return Ok(());
    }
    for (place, part) in list(content, &format!("{at}.content"))?.iter().enumerate() {
        let at = format!("{at}.content.{place}");
        let part = object(part, &at, &["type", "text"], &[])?;
        if part["type"] != "text" || !part["text"].is_string() {
            return Err(format!("{at}: must be a text"));
        }
    }
    Ok(())
}

/// The calls that must be answered.
fn check_assistant(message: &Value, at: &str) -> Checked<Vec<String>> {
    let message = object(message, at, &["role"], &["content", "tool_calls", "refusal", "name", "audio"])?;
    let calls = message.get("tool_calls").map_or(Ok(&[][..]), |calls| list(calls, &format!("{at}.tool_calls")))?;
    match message.get("content") {
        None | Some(Value::Null) if !calls.is_empty() => {}
        content => check_content(content.unwrap_or(&Value::Null), at)?,
    }
    let mut ids = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        let at = format!("{at}.tool_calls.{place}");
        let call = object(call, &at, &["id", "type", "function"], &[])?;
        ids.push(text(call, "id", &at)?.to_owned());
        let at = format!("{at}.function");
        let function = object(&call["function"], &at, &["name", "arguments"], &[])?;
        name(function, "name", &at, 64)?;
        let arguments = function["arguments"].as_str().ok_or_else(|| format!("{at}.arguments: must be a string"))?;
        // OpenAI itself does not look; servers that put arguments into a template do.
        if !serde_json::from_str::<Value>(arguments).is_ok_and(|value| value.is_object()) {
            return Err(format!("{at}.arguments: must be the text of a JSON object"));
        }
    }
    unique(ids.iter().map(String::as_str), at)?;
    Ok(ids)
}

/// A reply as OpenAI writes it.
pub(super) fn render(reply: &Reply, turn: usize, question: &Value) -> Value {
    let calls: Vec<_> = reply
        .calls
        .iter()
        .enumerate()
        .map(|(at, call)| {
            let arguments = call.unreadable.clone().unwrap_or_else(|| call.arguments.to_string());
            json!({ "id": call.id(turn, at), "type": "function", "function": { "name": call.name, "arguments": arguments } })
        })
        .collect();
    let (finish, refusal) = match reply.stop() {
        Stop::EndTurn => ("stop", Value::Null),
        Stop::ToolUse => ("tool_calls", Value::Null),
        Stop::MaxTokens => ("length", Value::Null),
        Stop::Refusal => ("stop", json!(reply.text)),
        Stop::Other => ("lost_interest", Value::Null),
    };
    let content = if reply.text.is_empty() || !refusal.is_null() { Value::Null } else { json!(reply.text) };
    let mut message = json!({ "role": "assistant", "content": content, "refusal": refusal });
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let Usage { input, output, cached, cache_written: _ } = reply.usage(question);
    json!({
        "id": format!("chatcmpl-{turn}"),
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": question["model"],
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish }],
        "usage": {
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input + output,
            "prompt_tokens_details": { "cached_tokens": cached, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0 },
        },
    })
}

/// An error as OpenAI writes it.
pub(super) fn error(status: StatusCode, message: &str) -> Value {
    let kind = match status.as_u16() {
        401 => "invalid_api_key",
        429 => "rate_limit_exceeded",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": kind } })
}
