use axum::http::HeaderMap;
use serde_json::json;

use super::*;

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    headers
}

/// Each change makes a request that was fine one that the vendor refuses, and the reason names it.
fn each_change_is_refused(good: &Value, check: impl Fn(&HeaderMap, &Value) -> Result<(), String>, changes: &[(&str, Value, &str)]) {
    assert_eq!(check(&headers(), good), Ok(()));
    for (pointer, value, word) in changes {
        let mut question = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match question.pointer_mut(parent).unwrap() {
            Value::Object(members) if value.is_null() => drop(members.remove(key).unwrap()),
            Value::Object(members) => drop(members.insert(key.to_owned(), value.clone())),
            Value::Array(items) if value.is_null() => drop(items.remove(key.parse().unwrap())),
            Value::Array(items) if key == "-" => items.push(value.clone()),
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{pointer}"),
        }
        let why = check(&headers(), &question).expect_err(pointer);
        assert!(why.contains(word), "{pointer}: {why}");
    }
}

#[test]
fn requests_that_anthropic_would_refuse_are_refused() {
    let good = json!({
        "model": "claude", "max_tokens": 10, "system": [{ "type": "text", "text": "You.", "cache_control": { "type": "ephemeral" } }],
        "tools": [{ "name": "look", "description": "Looks.", "input_schema": { "type": "object" } }],
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "Go." }] },
            { "role": "assistant", "content": [{ "type": "text", "text": "I look." }, { "type": "tool_use", "id": "a", "name": "look", "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "a", "content": "x", "is_error": false }, { "type": "text", "text": "y" }] },
        ],
    });
    let control = json!({ "type": "ephemeral" });
    let text = |text: &str| json!({ "type": "text", "text": text, "cache_control": control });
    each_change_is_refused(
        &good,
        anthropic::check,
        &[
            ("/seed", json!(1), "seed: extra inputs"),
            ("/max_tokens", Value::Null, "max_tokens: field required"),
            ("/max_tokens", json!(0), "max_tokens"),
            ("/model", json!(1), "model"),
            ("/stream", json!(true), "does not stream"),
            ("/messages", json!([]), "must not be empty"),
            ("/messages/0", Value::Null, "alternate"),
            ("/messages/1", Value::Null, "alternate"),
            ("/messages/2", Value::Null, "without a `tool_result`"),
            ("/messages/0/content/0/text", json!(" \n"), "non-whitespace"),
            ("/messages/1/content/1/id", json!("a.b"), "must match"),
            ("/messages/1/content/1/input", json!("{}"), "must be an object"),
            ("/messages/1/content/1/name", json!("a.b"), "must match"),
            ("/messages/1/content/1", Value::Null, "unexpected `tool_use_id` `a`"),
            ("/messages/2/content/0", Value::Null, "without a `tool_result`"),
            ("/messages/2/content/0/tool_use_id", json!("b"), "without a `tool_result`"),
            ("/messages/2/content/-", json!({ "type": "tool_result", "tool_use_id": "a" }), "must come before"),
            ("/messages/2/content/0/error", json!(true), "error: extra inputs"),
            ("/tools", Value::Null, "must define tools"),
            ("/tools/0/name", json!("a.b"), "must match"),
            ("/tools/0/input_schema", json!({}), "input_schema.type"),
            ("/tools/-", json!({ "name": "look", "input_schema": { "type": "object" } }), "unique"),
            ("/tool_choice", json!("none"), "tool_choice"),
            ("/system/0/cache_control/type", json!("forever"), "cache_control"),
            ("/system", json!([text("a"), text("b"), text("c"), text("d"), text("e")]), "maximum of 4"),
        ],
    );
    assert!(anthropic::check(&HeaderMap::new(), &good).is_err());
    let mut warm = good.clone();
    warm["temperature"] = json!(1);
    let mut newer = headers();
    newer.insert("anthropic-version", HeaderValue::from_static("2026-10-21"));
    assert_eq!((anthropic::check(&headers(), &warm), anthropic::check(&newer, &good)), (Ok(()), Ok(())));
    assert!(anthropic::check(&newer, &warm).unwrap_err().contains("temperature"));
    let mut choice = good.clone();
    choice["tool_choice"] = json!({ "type": "none" });
    assert_eq!(anthropic::check(&headers(), &choice), Ok(()));
}

#[test]
fn requests_that_openai_would_refuse_are_refused() {
    let good = json!({
        "model": "gpt", "max_completion_tokens": 10,
        "tools": [{ "type": "function", "function": { "name": "look", "parameters": { "type": "object" } } }],
        "tool_choice": "none",
        "messages": [
            { "role": "system", "content": "You." },
            { "role": "user", "content": "Go." },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "a", "type": "function", "function": { "name": "look", "arguments": "{}" } },
                { "id": "b", "type": "function", "function": { "name": "look", "arguments": "{}" } },
            ] },
            { "role": "tool", "tool_call_id": "b", "content": "x" },
            { "role": "tool", "tool_call_id": "a", "content": "" },
        ],
    });
    each_change_is_refused(
        &good,
        openai::check,
        &[
            ("/system", json!("You."), "system: extra inputs"),
            ("/max_tokens", json!(10), "at the same time"),
            ("/max_completion_tokens", json!("10"), "max_completion_tokens"),
            ("/stream", json!(true), "does not stream"),
            ("/tools", Value::Null, "only allowed when"),
            ("/tools/0/type", json!("tool"), "must be `function`"),
            ("/tools/0/function/name", json!("a.b"), "must match"),
            ("/tools/0/function/name", json!("a".repeat(65)), "must match"),
            ("/tool_choice", json!("never"), "tool_choice"),
            ("/messages/1/role", json!("human"), "not one of"),
            ("/messages/2", Value::Null, "preceding message"),
            ("/messages/2/tool_calls", Value::Null, "content: must be a list"),
            ("/messages/1/content", json!([]), "content: must not be empty"),
            ("/messages/1/content", json!([{ "type": "text", "text": "x", "cache_control": {} }]), "extra inputs"),
            ("/messages/1/content", json!([{ "type": "text", "text": 1 }]), "must be a text"),
            ("/messages/2/tool_calls/0/function/arguments", json!({}), "must be a string"),
            ("/messages/2/tool_calls/0/function/arguments", json!("{"), "text of a JSON object"),
            ("/messages/2/tool_calls/0/id", json!("b"), "more than once"),
            ("/messages/3", Value::Null, "no response"),
            ("/messages/3", json!({ "role": "user", "content": "x" }), "did not get a response"),
            ("/messages/3/is_error", json!(true), "extra inputs"),
            ("/messages/4/tool_call_id", json!("b"), "preceding message"),
        ],
    );
    assert!(openai::check(&HeaderMap::new(), &good).is_err());
    let mut parts = good.clone();
    parts["messages"][1]["content"] = json!([{ "type": "text", "text": "Go" }, { "type": "text", "text": "." }]);
    assert_eq!(openai::check(&headers(), &parts), Ok(()));
}

#[test]
fn a_recorded_conversation_is_a_script_and_faults_may_stand_between() {
    let script = Script::parse(
        "conversation: 1
turns:
  - note: first
    request: {model: x, messages: []}
    reply: {text: I look., calls: [{name: look, arguments: {a: 1}}], usage: {input: 10, output: 2, cached: 4}}
  - fault: {status: {code: 429, retry_after: '1'}}
  - fault: hang
  - reply: {text: Done.}
",
    )
    .unwrap();
    let usage = Some(Usage { input: 10, output: 2, cached: 4, cache_written: 0 });
    let first = Reply { usage, ..Reply::says("I look.").calls("look", json!({ "a": 1 })) };
    let steps =
        [Step::Reply(first), Step::Fault(Fault::retry_after(429, "1")), Step::Fault(Fault::Hang), Step::Reply(Reply::says("Done."))];
    assert_eq!(script.steps, steps);
    for (text, word) in [
        ("turns: [{}]", "turn 1"),
        ("turns: [{reply: {}, fault: hang}]", "turn 1"),
        ("turns: [{fault: sulk}]", "sulk"),
        ("turns: [{reply: {txt: a}}]", "txt"),
        ("conversation: 1", "turns"),
    ] {
        assert!(Script::parse(text).unwrap_err().contains(word), "{text}");
    }
}

#[test]
fn replies_have_the_vendors_shape() {
    let reply = Reply {
        usage: Some(Usage { input: 100, output: 7, cached: 60, cache_written: 30 }),
        ..Reply::says("Hm.").calls("look", json!({}))
    };
    let anthropic = anthropic::render(&reply, 2, &json!({ "model": "m" }));
    assert_eq!(anthropic["content"][1], json!({ "type": "tool_use", "id": "call-2-1", "name": "look", "input": {} }));
    assert_eq!(anthropic["usage"]["input_tokens"], 10, "what went through the cache is counted apart");
    let openai = openai::render(&reply, 2, &json!({ "model": "m" }));
    assert_eq!(openai["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(openai["usage"]["prompt_tokens"], 100);
    assert_eq!((&anthropic["stop_reason"], &openai["choices"][0]["finish_reason"]), (&json!("tool_use"), &json!("tool_calls")));
}
