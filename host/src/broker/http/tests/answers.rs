//! What comes back: bounded in time and size, whatever the server does.

use std::time::Duration;

use infraagent_sandbox::broker::CallError;

use super::{
    server::{Reply, Server, answer},
    site::Site,
    text, word,
};
use crate::broker::http::answer::MAX_BODY;

#[tokio::test]
async fn every_status_is_an_answer() {
    for status in [200, 204, 304, 404, 418, 429, 500, 503] {
        let body = if matches!(status, 204 | 304) { "" } else { "text" };
        let server = Server::plain(Reply::fixed(answer(status, "retry-after: 7\r\n", body))).await;
        let response = Site::new(server.origin()).open().await.get("/").await.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (status, body.as_bytes()));
        assert!(response.headers.contains(&("retry-after".to_owned(), "7".to_owned())));
    }
}

#[tokio::test]
async fn a_server_that_takes_for_ever_ends_in_a_time_out() {
    for reply in [Reply::Silence, Reply::Drip] {
        let server = Server::plain(reply).await;
        let site = Site { timeout: Duration::from_millis(300), ..Site::new(server.origin()) }.open().await;
        assert_eq!(site.get("/").await, Err(CallError::Timeout));
        assert_eq!(server.heads().len(), 1, "asked once");
    }
    let server = Server::plain(Reply::ok("fine")).await;
    assert_eq!(text(Site::new(server.origin()).open().await.get("/").await), "fine");
}

#[tokio::test]
async fn a_body_without_an_end_is_cut() {
    let server = Server::plain(Reply::Endless).await;
    let response = Site::new(server.origin()).open().await.get("/").await.unwrap();
    assert_eq!((response.body.len(), response.truncated), (MAX_BODY, true));
    let exact = Server::plain(Reply::ok(&"y".repeat(MAX_BODY))).await;
    let response = Site::new(exact.origin()).open().await.get("/").await.unwrap();
    assert_eq!((response.body.len(), response.truncated), (MAX_BODY, false));
}

#[tokio::test]
async fn headers_without_measure_are_no_answer() {
    let many: String = (0..500).map(|number| format!("x-{number}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "z".repeat(2 << 20));
    for headers in [many, large] {
        let server = Server::plain(Reply::fixed(answer(200, &headers, "fine"))).await;
        assert_eq!(word(Site::new(server.origin()).open().await.get("/").await), "invalid-answer");
    }
    let some: String = (0..60).map(|number| format!("x-ratelimit-{number}: y\r\n")).collect();
    let server = Server::plain(Reply::fixed(answer(200, &some, "fine"))).await;
    assert_eq!(Site::new(server.origin()).open().await.get("/").await.unwrap().headers.len(), 48);
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    for nonsense in ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort", "HTTP/1.1 OK\r\n\r\n"] {
        let server = Server::plain(Reply::fixed(nonsense)).await;
        assert_eq!(word(Site::new(server.origin()).open().await.get("/").await), "invalid-answer", "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_body_in_an_encoding_that_hides_it_is_not_given_out() {
    let server = Server::plain(Reply::fixed(answer(200, "content-encoding: gzip\r\n", "\u{1f}..."))).await;
    let response = Site::new(server.origin()).open().await.get("/").await.unwrap();
    assert_eq!((response.status, response.body.len(), response.truncated), (200, 0, true));
    let server = Server::plain(Reply::fixed(answer(200, "content-encoding: identity\r\n", "plain"))).await;
    assert_eq!(text(Site::new(server.origin()).open().await.get("/").await), "plain");
}

#[tokio::test]
async fn cookies_and_challenges_stay_with_the_host() {
    let headers =
        "set-cookie: session=1\r\nwww-authenticate: Bearer realm=\"x\"\r\nproxy-authenticate: Basic\r\nx-internal: y\r\nserver: nginx\r\n";
    let server = Server::plain(Reply::fixed(answer(401, headers, ""))).await;
    let response = Site::new(server.origin()).open().await.get("/").await.unwrap();
    let names: Vec<&str> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-length", "server"]);
}
