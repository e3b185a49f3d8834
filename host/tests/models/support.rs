//! What the tests share: one question in both wire formats.

use std::time::{Duration, Instant};

use infraagent::llm::{Endpoint, Error, Message, Provider, Reply, Request, ToolDefinition, retry::Pace};
use infraagent_tests::model_server::ModelServer;
use serde_json::json;

pub(crate) const KEY: &str = "canary-5f1e-the-api-key";

/// The three kinds of providers: two formats, and the second in two dialects.
pub(crate) const PROVIDERS: [&str; 3] = ["anthropic", "openai", "somebody-else"];

pub(crate) fn tool(name: &str) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        description: format!("Does {name}."),
        input_schema: json!({ "type": "object", "properties": { "name": { "type": "string" } } }).into(),
    }
}

pub(crate) fn question() -> Request {
    Request {
        model: "provider/model-1".to_owned(),
        system: "You are forge.".to_owned(),
        messages: vec![Message::user("Begin.").into()],
        tools: vec![tool("look"), tool("restart")],
        may_call: true,
        stable: 1,
        max_tokens: 1000,
    }
}

/// Waits next to nothing between its tries, and long enough for an answer on a busy machine.
pub(crate) fn provider(provider: &str, server: &ModelServer) -> Provider {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = Endpoint::new(provider, Some(&server.url()), Some(KEY.into())).unwrap();
    Provider::connect(provider, "model-1", &endpoint).unwrap().with_patience(PACE, Duration::from_secs(20))
}

pub(crate) const PACE: Pace = Pace { retries: 3, first: Duration::from_millis(2), longest: Duration::from_millis(10) };

pub(crate) async fn ask(name: &str, server: &ModelServer, request: &Request) -> Result<Reply, Error> {
    provider(name, server).complete(request, Instant::now() + Duration::from_secs(100)).await
}

/// No request was one that the vendor would refuse.
pub(crate) fn all_were_fine(server: &ModelServer) {
    for seen in server.seen() {
        assert_eq!(seen.refused, None, "{:#}", seen.body);
    }
}
