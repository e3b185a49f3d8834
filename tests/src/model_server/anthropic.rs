//! Anthropic's Messages API, from the server's side.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    check::{Checked, count, list, name, object, text, unique},
    script::{Reply, Stop, Usage},
};

/// The versions of the API, oldest first. The newer one takes nothing that the older one does not.
const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];

/// What the newer one no longer takes.
const GONE: [&str; 3] = ["temperature", "top_k", "top_p"];

const OPTIONAL: [&str; 21] = [
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "mcp_servers",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
    "workspace_id",
];

/// The most places that may be marked for the cache.
const MAX_BREAKPOINTS: usize = 4;

/// Whether Anthropic would accept it.
pub(super) fn check(headers: &HeaderMap, question: &Value) -> Checked {
    let version = headers.get("anthropic-version").and_then(|version| version.to_str().ok());
    let Some(version) = VERSIONS.iter().position(|known| Some(*known) == version) else {
        return Err("anthropic-version: a valid header is required".to_owned());
    };
    if headers.get("content-type").is_none_or(|kind| !kind.as_bytes().starts_with(b"application/json")) {
        return Err("content-type: must be application/json".to_owned());
    }
    let members = object(question, "request", &["model", "max_tokens", "messages"], &OPTIONAL)?;
    if let Some(gone) = GONE.iter().find(|key| version > 0 && members.contains_key(**key)) {
        return Err(format!("request.{gone}: was removed in {}", VERSIONS[version]));
    }
    text(members, "model", "request")?;
    count(members, "max_tokens", "request")?;
    if members.get("stream").is_some_and(|stream| stream != false) {
        return Err("request.stream: this server does not stream".to_owned());
    }
    let mut breakpoints = 0;
    match members.get("system") {
        None | Some(Value::String(_)) => {}
        Some(system) => {
            for (at, block) in list(system, "system")?.iter().enumerate() {
                let at = format!("system.{at}");
                let block = object(block, &at, &["type", "text"], &["cache_control"])?;
                text(block, "text", &at)?;
                breakpoints += breakpoint(block, &at)?;
            }
        }
    }
    let tools = members.get("tools").map_or(Ok(&[][..]), |tools| list(tools, "tools"))?;
    breakpoints += check_tools(tools)?;
    if let Some(choice) = members.get("tool_choice") {
        check_choice(choice, tools.is_empty())?;
    }
    breakpoints += check_messages(list(&members["messages"], "messages")?, tools.is_empty())?;
    if breakpoints > MAX_BREAKPOINTS {
        return Err(format!("a maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided, found {breakpoints}"));
    }
    Ok(())
}

fn breakpoint(block: &Map<String, Value>, at: &str) -> Checked<usize> {
    let Some(control) = block.get("cache_control") else { return Ok(0) };
    let at = format!("{at}.cache_control");
    let control = object(control, &at, &["type"], &["ttl"])?;
    if control["type"] == "ephemeral" { Ok(1) } else { Err(format!("{at}.type: must be `ephemeral`")) }
}

fn check_tools(tools: &[Value]) -> Checked<usize> {
    let (mut breakpoints, mut names) = (0, Vec::new());
    for (at, tool) in tools.iter().enumerate() {
        let at = format!("tools.{at}");
        let tool = object(tool, &at, &["name", "input_schema"], &["type", "description", "cache_control", "strict"])?;
        names.push(name(tool, "name", &at, 128)?);
        if tool["input_schema"].get("type").is_none_or(|kind| kind != "object") {
            return Err(format!("{at}.input_schema.type: must be `object`"));
        }
        breakpoints += breakpoint(tool, &at)?;
    }
    unique(names, "tools: tool names must be unique")?;
    Ok(breakpoints)
}

fn check_choice(choice: &Value, no_tools: bool) -> Checked {
    let choice = object(choice, "tool_choice", &["type"], &["name", "disable_parallel_tool_use"])?;
    match choice["type"].as_str() {
        Some("auto" | "any" | "none" | "tool") if no_tools => Err("tool_choice: may only be specified while providing tools".to_owned()),
        Some("auto" | "any" | "none" | "tool") => Ok(()),
        _ => Err("tool_choice.type: must be auto, any, none or tool".to_owned()),
    }
}

fn check_messages(messages: &[Value], no_tools: bool) -> Checked<usize> {
    let (mut breakpoints, mut open) = (0, Vec::<String>::new());
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        let message = object(message, &at, &["role", "content"], &[])?;
        let role = text(message, "role", &at)?;
        if role != ["user", "assistant"][index % 2] {
            return Err(format!("{at}.role: roles must alternate between user and assistant, beginning with user"));
        }
        let blocks = match &message["content"] {
            Value::String(_) => {
                text(message, "content", &at)?;
                &[]
            }
            content => list(content, &format!("{at}.content"))?,
        };
        let (mut calls, mut results) = (Vec::new(), Vec::new());
        for (place, block) in blocks.iter().enumerate() {
            let at = format!("{at}.content.{place}");
            let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
            let block = match (kind, role) {
                ("text", _) => {
                    let block = object(block, &at, &["type", "text"], &["cache_control"])?;
                    text(block, "text", &at)?;
                    block
                }
                ("tool_use", "assistant") => {
                    let block = object(block, &at, &["type", "id", "name", "input"], &["cache_control"])?;
                    calls.push(name(block, "id", &at, 256)?.to_owned());
                    name(block, "name", &at, 200)?;
                    if !block["input"].is_object() {
                        return Err(format!("{at}.input: must be an object"));
                    }
                    block
                }
                ("tool_result", "user") => {
                    let block = object(block, &at, &["type", "tool_use_id"], &["content", "is_error", "cache_control"])?;
                    if results.len() != place {
                        return Err(format!("{at}: tool results must come before everything else"));
                    }
                    results.push(text(block, "tool_use_id", &at)?.to_owned());
                    if block.get("content").is_some_and(|content| !content.is_string()) {
                        return Err(format!("{at}.content: must be a string"));
                    }
                    if block.get("is_error").is_some_and(|flag| !flag.is_boolean()) {
                        return Err(format!("{at}.is_error: must be a boolean"));
                    }
                    block
                }
                _ => return Err(format!("{at}.type: `{kind}` is not expected in a message of {role}")),
            };
            breakpoints += breakpoint(block, &at)?;
        }
        unique(calls.iter().map(String::as_str), "messages: `tool_use` ids must be unique")?;
        if let Some(unanswered) = open.iter().find(|id| !results.contains(id)) {
            return Err(format!("{at}: `tool_use` id `{unanswered}` was found without a `tool_result` block immediately after"));
        }
        if let Some(stray) = results.iter().find(|id| !open.contains(id)) {
            return Err(format!("{at}: unexpected `tool_use_id` `{stray}`: it has no `tool_use` block in the previous message"));
        }
        unique(results.iter().map(String::as_str), "messages: each `tool_use` must have a single result")?;
        if no_tools && !calls.is_empty() {
            return Err("requests which include `tool_use` or `tool_result` blocks must define tools".to_owned());
        }
        open = calls;
    }
    match open.first() {
        Some(id) => Err(format!("messages: `tool_use` id `{id}` was found without a `tool_result` block immediately after")),
        None => Ok(breakpoints),
    }
}

/// A reply as Anthropic writes it.
pub(super) fn render(reply: &Reply, turn: usize, question: &Value) -> Value {
    let mut content = Vec::new();
    if !reply.text.is_empty() {
        content.push(json!({ "type": "text", "text": reply.text }));
    }
    for (at, call) in reply.calls.iter().enumerate() {
        let input = call.unreadable.as_ref().map_or_else(|| call.arguments.clone(), |text| json!(text));
        content.push(json!({ "type": "tool_use", "id": call.id(turn, at), "name": call.name, "input": input }));
    }
    let stop = match reply.stop() {
        Stop::EndTurn => "end_turn",
        Stop::ToolUse => "tool_use",
        Stop::MaxTokens => "max_tokens",
        Stop::Refusal => "refusal",
        Stop::Other => "lost_interest",
    };
    let Usage { input, output, cached, cache_written } = reply.usage(question);
    json!({
        "id": format!("msg_{turn:024}"),
        "type": "message",
        "role": "assistant",
        "model": question["model"],
        "content": content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": {
            "input_tokens": input.saturating_sub(cached).saturating_sub(cache_written),
            "cache_creation_input_tokens": cache_written,
            "cache_read_input_tokens": cached,
            "output_tokens": output,
        },
    })
}

/// An error as Anthropic writes it.
pub(super) fn error(status: StatusCode, message: &str) -> Value {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}
