//! A guest that would like to reach further than the environment lists, or to carry something out on the way.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use infraagent::llm::ToolStatus;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    chain::{Chain, KNOWN_SECRET, World, actions, failed},
    guest::Guest,
};

const GITHUB: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

/// Tells everybody what it was told, in clear and in base64, and keeps it.
struct Echo {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &head);
                let body = format!("you said:\n{head}\n{encoded}");
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nset-cookie: id={KNOWN_SECRET}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                kept.lock().unwrap().push(head);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// A world with this endpoint as `site`, of which the skill may ask for `/public/**`, and `other`, of which it may not ask at all.
    fn world(&self) -> World {
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", self.port);
        let mut actions = actions();
        actions.push(json!({ "id": "probe", "http": { "endpoints": ["site"], "methods": ["GET"], "paths": ["/public/**"] } }));
        let endpoints = json!({ "site": { "url": url("/api"), "internal": true }, "other": { "url": url("/other"), "internal": true } });
        World { actions, endpoints, ..World::default() }
    }
}

fn get(path: &str) -> Guest {
    Guest::new().http("probe", "site", false, path, &[], &[]).or_fail_http()
}

#[tokio::test]
async fn an_endpoint_that_echoes_its_credential_gives_the_guest_nothing() {
    let echo = Echo::start().await;
    // Kept with every bit of each byte turned: no search on the way out could find it.
    let chain = Chain::open(echo.world(), &get("/public/x").keep_body("loot", 0xff).build()).await;
    let outcome = chain.attack().await;
    assert_eq!(outcome.status, ToolStatus::Ok, "{outcome:?}");
    assert!(echo.heads()[0].contains(&format!("authorization: Bearer {KNOWN_SECRET}\r\n")), "{:?}", echo.heads());
    let loot: Vec<u8> = chain.kept("loot").expect("something was kept").iter().map(|byte| !byte).collect();
    let loot = String::from_utf8(loot).expect("text");
    assert!(loot.contains("GET /api/public/x") && loot.contains("[redacted]"), "what is harmless stays: {loot}");
    let encoded = loot.lines().last().unwrap();
    for secret in [KNOWN_SECRET, "correct", "staple"] {
        assert!(!loot.contains(secret), "the guest saw `{secret}`: {loot}");
    }
    assert!(encoded.contains("[redacted]"), "nor in another encoding: {encoded}");
    let record = chain.close().await;
    assert!(!record.text.contains(KNOWN_SECRET) && record.folded()[0] == "http.get site:/public/x", "{:?}", record.folded());
}

#[tokio::test]
async fn a_guest_reaches_what_is_listed_and_nothing_else() {
    let echo = Echo::start().await;
    let http =
        |action: &str, endpoint: &str, head: bool, path: &str| Guest::new().http(action, endpoint, head, path, &[], &[]).or_fail_http();
    let url = format!("http://127.0.0.1:{}", echo.port);
    for (guest, status, words) in [
        (http("probe", "other", false, "/public/x"), ToolStatus::Blocked, "target-not-covered"),
        (http("probe", "nowhere", false, "/public/x"), ToolStatus::Blocked, ""),
        (http("probe", "site", true, "/public/x"), ToolStatus::Blocked, "verb-not-covered"),
        (http("probe", "site", false, "/private/x"), ToolStatus::Blocked, "target-not-covered"),
        (http("look", "site", false, "/public/x"), ToolStatus::Blocked, "verb-not-covered"),
        (http("prob\u{435}", "site", false, "/public/x"), ToolStatus::Error, "action id"),
        (http("probe", &url, false, "/public/x"), ToolStatus::Error, "endpoint"),
        (http("probe", "site", false, "/public/../private"), ToolStatus::Error, "path"),
        (http("probe", "site", false, "/public/%2e%2e/private"), ToolStatus::Error, "path"),
        (http("probe", "site", false, "//127.0.0.1/public/x"), ToolStatus::Error, "path"),
        (http("probe", "site", false, "/public/x?q=1"), ToolStatus::Error, "path"),
    ] {
        let chain = Chain::open(echo.world(), &guest.build()).await;
        failed(&chain.attack().await, status, words);
        chain.close().await;
    }
    assert!(echo.heads().is_empty(), "{:?}", echo.heads());
    let chain = Chain::open(echo.world(), &get("/public/x").build()).await;
    assert_eq!(chain.attack().await.status, ToolStatus::Ok);
    assert_eq!(echo.heads().len(), 1);
}

#[tokio::test]
async fn headers_and_parameters_that_mean_something_else_are_refused() {
    let echo = Echo::start().await;
    let with = |query: &[(&str, &str)], headers: &[(&str, &str)]| {
        Guest::new().http("probe", "site", false, "/public/x", query, headers).or_fail_http()
    };
    for guest in [
        with(&[], &[("x-http-method-override", "DELETE")]),
        with(&[], &[("authorization", "Bearer mine")]),
        with(&[], &[("host", "evil.example")]),
        with(&[], &[("range", "bytes=0-3")]),
        with(&[], &[("accept", "a\r\nx-http-method-override: DELETE")]),
        with(&[("_method", "DELETE")], &[]),
    ] {
        let chain = Chain::open(echo.world(), &guest.build()).await;
        assert_eq!(chain.attack().await.status, ToolStatus::Error);
        let record = chain.close().await;
        assert_eq!(record.work().reads.as_ref().map(|reads| reads.denied), Some(1), "and the refusal is recorded");
    }
    assert!(echo.heads().is_empty(), "{:?}", echo.heads());
    let chain = Chain::open(echo.world(), &with(&[("page", "2")], &[("accept", "text/plain")]).build()).await;
    assert_eq!(chain.attack().await.status, ToolStatus::Ok);
    assert!(echo.heads()[0].starts_with("GET /api/public/x?page=2 HTTP/1.1\r\n") && echo.heads()[0].contains("accept: text/plain\r\n"));
}

#[tokio::test]
async fn what_a_guest_says_in_path_query_and_header_is_recorded_without_secrets_and_only_as_far_as_it_should() {
    let echo = Echo::start().await;
    let path = format!("/public/{GITHUB}/{KNOWN_SECRET}");
    let guest = Guest::new()
        .http("probe", "site", false, &path, &[("q", "the-loot-in-the-query")], &[("accept", "the-loot-in-a-header")])
        .or_fail_http();
    let chain = Chain::open(echo.world(), &guest.build()).await;
    let outcome = chain.attack().await;
    assert_eq!(outcome.status, ToolStatus::Ok, "who is listed may be told: {outcome:?}");
    assert_eq!(echo.heads().len(), 1);
    let seen = chain.seen();
    let record = chain.close().await;
    for (place, text) in [("record", &record.text), ("timeline", &seen), ("model", &outcome.text)] {
        for secret in [GITHUB, KNOWN_SECRET, "the-loot"] {
            assert!(!text.contains(secret), "{place} has `{secret}`: {text}");
        }
    }
    assert!(record.folded()[0].starts_with("http.get site:/public/"), "the call itself is there: {:?}", record.folded());
}

#[tokio::test]
async fn a_storm_of_requests_ends_at_the_bounds_of_the_call() {
    let echo = Echo::start().await;
    let long = "x".repeat(1000);
    let world = World { limits: json!({ "hostCalls": 20, "wallMillis": 30_000 }), ..echo.world() };
    let chain = Chain::open(world, &Guest::new().http("probe", "site", false, "/public/x", &[("q", &long)], &[]).forever().build()).await;
    failed(&chain.attack().await, ToolStatus::Error, "host");
    assert!((1..=20).contains(&echo.heads().len()), "{}", echo.heads().len());
    chain.close().await;
}

#[tokio::test]
async fn an_endpoint_that_the_environment_drops_is_gone_with_the_next_call() {
    let echo = Echo::start().await;
    let chain = Chain::open(echo.world(), &get("/public/x").build()).await;
    assert_eq!(chain.attack().await.status, ToolStatus::Ok);
    let file = chain.dir.path().join("environment.yaml");
    let mut environment: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    environment["spec"]["endpoints"].as_object_mut().unwrap().remove("site");
    crate::chain::write(&file, &environment);
    failed(&chain.call("work", json!({})).await, ToolStatus::Blocked, "");
    assert_eq!(echo.heads().len(), 1);
    chain.close().await;
}
