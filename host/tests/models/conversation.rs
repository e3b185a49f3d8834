//! What is said and heard, in every wire format.

use infraagent::llm::{Arguments, Content, Message, Role, Stop, ToolResult, ToolStatus, Trust, Usage};
use infraagent_tests::model_server::{Call, ModelServer, Reply, Script, Stop as Said, Usage as Counted};
use serde_json::{Value, json};

use crate::support::{KEY, PROVIDERS, all_were_fine, ask, question, tool};

fn result(call: &str, status: ToolStatus, text: &str) -> Content {
    let trust = Trust::World { source: "tool look".to_owned() };
    Content::ToolResult(ToolResult { call: call.to_owned(), status, text: text.to_owned(), trust })
}

/// An alias of a name, as the server saw it in the request.
fn tools(body: &Value) -> Vec<String> {
    let name = |tool: &Value| tool["name"].as_str().or(tool["function"]["name"].as_str()).unwrap().to_owned();
    body["tools"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn calls_and_results_go_back_and_forth() {
    for name in PROVIDERS {
        let usage = Some(Counted { input: 1000, output: 80, cached: 600, cache_written: 300 });
        let first =
            Reply { usage, ..Reply::says("I look.").calls("look", json!({ "name": "web" })).calls("restart", json!({ "name": "db" })) };
        let server = ModelServer::start_with_key(Script::replies([first, Reply::says("All is well.")]), KEY).unwrap();

        let mut request = question();
        let reply = ask(name, &server, &request).await.unwrap();
        assert_eq!((reply.text.as_str(), reply.stop), ("I look.", Stop::ToolUse), "{name}");
        let calls: Vec<_> = reply.calls.iter().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.to_string())).collect();
        let (one, two) = (r#"{"name":"web"}"#.to_owned(), r#"{"name":"db"}"#.to_owned());
        assert_eq!(calls, [("call-1-1", "look", one), ("call-1-2", "restart", two)]);
        let written = if name == "anthropic" { 300 } else { 0 };
        assert_eq!(reply.usage, Usage { input: 1000, output: 80, cached: 600, cache_written: written }, "{name}");

        // The last turn: no calls any more, and a word of the host after the results.
        request.messages.push(Message::assistant(&reply).into());
        let mut results = vec![result("call-1-1", ToolStatus::Ok, "fine"), result("call-1-2", ToolStatus::Blocked, "no")];
        results.push(Content::Text { text: "Report now.".to_owned(), trust: Trust::Host });
        request.messages.push(Message { role: Role::User, content: results }.into());
        request.may_call = false;
        let reply = ask(name, &server, &request).await.unwrap();
        assert_eq!((reply.text.as_str(), reply.stop, reply.calls.len()), ("All is well.", Stop::EndTurn, 0), "{name}");
        all_were_fine(&server);

        let seen = server.seen();
        let (header, value) = if name == "anthropic" { ("x-api-key", KEY.to_owned()) } else { ("authorization", format!("Bearer {KEY}")) };
        assert!(seen.iter().all(|seen| seen.header(header) == Some(&value)), "{name}");
        let (old, new) = (&seen[0].body, &seen[1].body);
        assert_eq!(new["tools"], old["tools"], "{name}: the vendors want to know what was called, and their caches begin with the tools");
        let data = "<untrusted-data source=\"tool look\">\nfine\n</untrusted-data>";
        let refused = "BLOCKED: <untrusted-data source=\"tool look\">\nno\n</untrusted-data>";
        if name == "anthropic" {
            assert_eq!(new["tool_choice"], json!({ "type": "none" }));
            let result =
                |id: &str, text: &str, error: bool| json!({ "type": "tool_result", "tool_use_id": id, "content": text, "is_error": error });
            let words = json!({ "type": "text", "text": "Report now." });
            assert_eq!(new["messages"][2]["content"], json!([result("call-1-1", data, false), result("call-1-2", refused, true), words]));
        } else {
            assert_eq!((&new["tool_choice"], &old["tool_choice"]), (&json!("none"), &Value::Null));
            assert_eq!(new["messages"][3], json!({ "role": "tool", "tool_call_id": "call-1-1", "content": data }));
            assert_eq!(new["messages"][4], json!({ "role": "tool", "tool_call_id": "call-1-2", "content": refused }));
            assert_eq!(new["messages"][5], json!({ "role": "user", "content": "Report now." }));
            let longest = if name == "openai" { "max_completion_tokens" } else { "max_tokens" };
            assert_eq!(old[longest], 1000, "{name}");
        }
    }
}

#[tokio::test]
async fn cache_breakpoints_stand_where_the_next_request_will_be_the_same() {
    let server = ModelServer::start(Script::replies([Reply::says("a"), Reply::says("b")])).unwrap();
    let mut request = question();
    for text in ["x", "y"] {
        request
            .messages
            .push(Message { role: Role::Assistant, content: vec![Content::Text { text: text.to_owned(), trust: Trust::Host }] }.into());
        request.messages.push(Message::user(text).into());
    }
    ask("anthropic", &server, &request).await.unwrap();
    request.stable = 3;
    ask("anthropic", &server, &request).await.unwrap();
    all_were_fine(&server);
    let mark = json!({ "type": "ephemeral" });
    let marked = |body: &Value| -> Vec<bool> {
        body["messages"].as_array().unwrap().iter().map(|message| message["content"][0]["cache_control"] == mark).collect()
    };
    let seen = server.seen();
    for body in seen.iter().map(|seen| &seen.body) {
        assert_eq!(body["system"][0]["cache_control"], mark);
        assert_eq!((&body["tools"][0]["cache_control"], &body["tools"][1]["cache_control"]), (&Value::Null, &mark));
    }
    assert_eq!(marked(&seen[0].body), [false; 5]);
    assert_eq!(marked(&seen[1].body), [false, false, true, false, false]);
}

#[tokio::test]
async fn names_that_a_vendor_refuses_are_mapped_and_come_back() {
    for name in PROVIDERS {
        // The server learns the words from the first request, so the second script is made of them.
        let mut request = question();
        request.tools = vec![tool("mcp.k8sgpt.analyze"), tool("mcp_k8sgpt_analyze"), tool("mcp/k8sgpt/analyze")];
        let server = ModelServer::start(Script::replies([Reply::says("x")])).unwrap();
        ask(name, &server, &request).await.unwrap();
        let words = tools(&server.seen()[0].body);
        all_were_fine(&server);

        let called = words.iter().fold(Reply::default(), |reply, word| reply.calls(word, json!({}))).calls("never_heard_of", json!({}));
        let server = ModelServer::start(Script::replies([called, Reply::says("x")])).unwrap();
        let reply = ask(name, &server, &request).await.unwrap();
        let back: Vec<_> = reply.calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(back, ["mcp.k8sgpt.analyze", "mcp_k8sgpt_analyze", "mcp/k8sgpt/analyze", "never_heard_of"], "{name}");

        request.messages.push(Message::assistant(&reply).into());
        let results = reply.calls.iter().map(|call| result(&call.id, ToolStatus::Ok, "x")).collect();
        request.messages.push(Message { role: Role::User, content: results }.into());
        ask(name, &server, &request).await.unwrap();
        all_were_fine(&server);
        assert_eq!(tools(&server.seen()[1].body), words);
    }
}

#[tokio::test]
async fn arguments_that_are_no_json_are_said_to_be_so_and_can_be_repeated() {
    for name in PROVIDERS {
        let unreadable = |text: &str| Call { id: None, name: "look".to_owned(), arguments: json!({}), unreadable: Some(text.to_owned()) };
        let bad = Reply { calls: vec![unreadable(r#"{"name": "we"#), unreadable("")], ..Reply::default() }.calls("look", json!([1]));
        let server = ModelServer::start(Script::replies([bad, Reply::says("Sorry.")])).unwrap();
        let mut request = question();
        let reply = ask(name, &server, &request).await.unwrap();
        // Anthropic's format carries JSON only: there the text is a string, which the tool's schema refuses.
        match (name, &reply.calls[0].arguments) {
            ("anthropic", Arguments::Json(Value::String(text))) => assert_eq!(text, r#"{"name": "we"#),
            (_, Arguments::Unreadable(why)) => assert!(why.to_string().contains("EOF while parsing a string"), "{why}"),
            (_, other) => panic!("{name}: {other:?}"),
        }
        assert!(reply.calls.iter().all(|call| call.arguments != Arguments::Json(json!({}))), "{name}");
        assert_eq!(reply.calls[2].arguments, Arguments::Json(json!([1])));

        request.messages.push(Message::assistant(&reply).into());
        let results = reply.calls.iter().map(|call| result(&call.id, ToolStatus::Error, "no JSON")).collect();
        request.messages.push(Message { role: Role::User, content: results }.into());
        ask(name, &server, &request).await.unwrap();
        all_were_fine(&server);
    }
}

#[tokio::test]
async fn ids_that_are_missing_repeated_or_malformed_are_replaced() {
    for name in PROVIDERS {
        let with = |id: &str| Call { id: Some(id.to_owned()), name: "look".to_owned(), arguments: json!({}), unreadable: None };
        let turn = || Reply { calls: ["", "a", "a", "b.c", "good-1"].map(with).into(), ..Reply::default() };
        let server = ModelServer::start(Script::replies([turn(), turn(), Reply::says("x")])).unwrap();
        let mut request = question();
        for _ in 0..2 {
            let reply = ask(name, &server, &request).await.unwrap();
            request.messages.push(Message::assistant(&reply).into());
            let results = reply.calls.iter().map(|call| result(&call.id, ToolStatus::Ok, "x")).collect();
            request.messages.push(Message { role: Role::User, content: results }.into());
        }
        ask(name, &server, &request).await.unwrap();
        all_were_fine(&server);
        let ids = |at: usize| {
            request.messages[at].content.iter().map(|piece| match piece {
                Content::ToolUse(call) => call.id.clone(),
                Content::Text { .. } | Content::ToolResult(_) => panic!("{piece:?}"),
            })
        };
        let all: Vec<_> = ids(1).chain(ids(3)).collect();
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 10, "{all:?}");
        assert_eq!((all[1].as_str(), all[4].as_str()), ("a", "good-1"), "what is fine stays");
    }
}

#[tokio::test]
async fn every_reason_to_stop_is_told_apart() {
    for name in PROVIDERS {
        for (said, heard) in
            [(Said::EndTurn, Stop::EndTurn), (Said::MaxTokens, Stop::MaxTokens), (Said::Refusal, Stop::Refusal), (Said::Other, Stop::Other)]
        {
            let server = ModelServer::start(Script::replies([Reply { stop: Some(said), ..Reply::says("Hm.") }])).unwrap();
            let reply = ask(name, &server, &question()).await.unwrap();
            assert_eq!((reply.stop, reply.text.as_str()), (heard, "Hm."), "{name}");
        }
    }
}
