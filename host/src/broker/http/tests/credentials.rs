//! Credentials: sent to their endpoint only, and never seen by whoever asked.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderName;
use infraagent_guard::call::ReadMethod;

use super::{
    server::{Reply, Server, answer},
    site::Site,
    text, word,
};
use crate::broker::http::endpoint::Presentation;

const TOKEN: &str = "s3cret/token+with=signs0123456789";

/// Answers with everything that it was sent, in the body and in a header, in several encodings.
fn echo() -> Reply {
    Reply::With(Arc::new(|head| {
        let sent = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
        let percent: String = sent.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let hex: String = sent.bytes().map(|byte| format!("{byte:02X}")).collect();
        let json = serde_json::to_string(sent).unwrap();
        let body = format!("{head}\n{percent}\n{hex}\n{}\n{json}\n", BASE64_STANDARD.encode(sent));
        answer(200, &format!("location: /?{sent}\r\netag: \"{sent}\"\r\n"), &body).into_bytes()
    }))
}

/// The endpoint of the fixture's environment shows this type of credential.
async fn site(server: &Server, presentation: Presentation, values: &[(&'static str, &str)]) -> super::site::Open {
    let values = values.iter().map(|&(key, value)| (key, value.to_owned())).collect();
    Site { credential: Some((presentation, values)), ..Site::new(server.origin()) }.open().await
}

#[tokio::test]
async fn each_type_is_attached_as_its_endpoint_expects_it() {
    let api_key = Presentation::ApiKey(HeaderName::from_static("x-grafana-key"));
    let cases = [
        (Presentation::Bearer, vec![("token", TOKEN)], format!("authorization: Bearer {TOKEN}\r\n")),
        (Presentation::Token, vec![("token", "ghp_x\n")], "authorization: token ghp_x\r\n".to_owned()),
        (api_key, vec![("api-key", TOKEN)], format!("x-grafana-key: {TOKEN}\r\n")),
        (
            Presentation::Basic,
            vec![("username", "me"), ("password", "pw")],
            format!("authorization: Basic {}\r\n", BASE64_STANDARD.encode("me:pw")),
        ),
    ];
    for (presentation, values, expected) in cases {
        let server = Server::plain(Reply::ok("fine")).await;
        assert_eq!(text(site(&server, presentation, &values).await.get("/").await), "fine");
        assert!(server.head().contains(&expected), "{}", server.head());
    }
}

#[tokio::test]
async fn an_endpoint_that_echoes_its_credential_gives_nothing_away() {
    for (presentation, values) in
        [(Presentation::Bearer, vec![("token", TOKEN)]), (Presentation::Basic, vec![("username", "administrator"), ("password", TOKEN)])]
    {
        let server = Server::plain(echo()).await;
        let site = site(&server, presentation, &values).await;
        let response = site.get("/").await.unwrap();
        let mut seen = String::from_utf8(response.body).unwrap();
        seen.extend(response.headers.iter().map(|(name, value)| format!("{name}: {value}\n")));
        assert!(seen.contains("[redacted]") && seen.contains("user-agent: infraagent/"), "the rest is there: {seen}");
        let sent = server.head();
        let sent = sent.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap().split(' ').nth(1).unwrap();
        let percent: String = TOKEN.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02X}")).collect();
        for secret in [TOKEN, sent, &BASE64_STANDARD.encode(TOKEN), &percent, &hex, "s3cret"] {
            assert!(!seen.contains(secret), "`{secret}` is in {seen}");
        }
    }
}

#[tokio::test]
async fn a_guest_cannot_ask_for_pieces_that_are_too_small_to_be_recognised() {
    let server = Server::plain(echo()).await;
    let site = site(&server, Presentation::Bearer, &[("token", TOKEN)]).await;
    assert!(site.ask(ReadMethod::Get, "/", &[], &[("range", "bytes=40-43")]).await.is_err());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn without_its_credential_an_endpoint_is_not_asked() {
    let server = Server::plain(Reply::ok("fine")).await;
    for values in [vec![], vec![("api-key", "x")], vec![("token", "a\u{7}b")]] {
        let site = site(&server, Presentation::Bearer, &values).await;
        assert_eq!(word(site.get("/").await), "credential-missing", "{values:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn two_endpoints_do_not_share_a_credential() {
    let (github, evil) = (Server::plain(Reply::ok("fine")).await, Server::plain(Reply::ok("loot")).await);
    let with = site(&github, Presentation::Bearer, &[("token", TOKEN)]).await;
    let without = Site::new(evil.origin()).open().await;
    assert_eq!((text(with.get("/").await).as_str(), text(without.get("/").await).as_str()), ("fine", "loot"));
    let sent: BTreeMap<&str, bool> =
        [("github", github.head().contains(TOKEN)), ("evil", evil.head().contains("authorization"))].into_iter().collect();
    assert_eq!(sent, BTreeMap::from([("github", true), ("evil", false)]));
}
