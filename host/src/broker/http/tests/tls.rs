//! Certificates: believed only if they hold, and told about in either case.

use std::sync::Arc;

use infraagent_sandbox::broker::CallError;

use super::{
    server::{Authority, Days, Identity, Reply, Server},
    site::{Open, Scripted, Site},
    text, word,
};
use crate::broker::http::{Trust, endpoint::Presentation};

const NAME: &str = "status.example.com";
const NOW: Days = (-10, 30);

async fn site(server: &Server, authority: &Authority) -> Open {
    let site = Site::new(server.named("https", NAME)).token("token-0123456789");
    Site { names: Scripted::new(&[&["127.0.0.1"]]), trust: Trust::Roots(vec![authority.certificate()]), ..site }.open().await
}

#[tokio::test]
async fn a_certificate_that_holds_is_told_with_its_dates() {
    let authority = Authority::new();
    let server = Server::encrypted(Reply::ok("fine"), &authority.issue(&[NAME, "www.example.com"], NOW)).await;
    let site = site(&server, &authority).await;
    let response = site.get("/").await.unwrap();
    let certificate = response.tls.unwrap();
    assert_eq!(certificate.subject, format!("CN={NAME}, DNS:{NAME}, DNS:www.example.com"));
    assert_eq!(certificate.issuer, "CN=authority");
    let day = 86_400;
    let now = jiff::Timestamp::now().as_second();
    assert!((29 * day..=30 * day).contains(&(certificate.not_after - now)), "{certificate:?}");
    assert!((10 * day..=11 * day).contains(&(now - certificate.not_before)), "{certificate:?}");
    assert_eq!(site.head("/").await.unwrap().tls.unwrap().not_after, certificate.not_after, "each connection shows it");
    assert!(server.heads()[0].contains("authorization: Bearer token-0123456789\r\n"));
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_ends_it_before_anything_is_sent() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let cases = [
        ("certificate-expired", authority.issue(&[NAME], (-90, -3))),
        ("certificate-not-yet-valid", authority.issue(&[NAME], (2, 90))),
        ("certificate-wrong-name", authority.issue(&["other.example.com", "status.example.com.evil.example"], NOW)),
        ("certificate-untrusted", stranger.issue(&[NAME], NOW)),
        ("certificate-untrusted", Identity::self_signed(&[NAME], NOW)),
    ];
    for (expected, identity) in cases {
        let server = Server::encrypted(Reply::ok("loot"), &identity).await;
        assert_eq!(word(site(&server, &authority).await.get("/").await), expected);
        assert_eq!((server.connections(), server.heads().len()), (1, 0), "{expected}: no request, no credential");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_told_with_the_day_of_its_end() {
    let authority = Authority::new();
    let server = Server::encrypted(Reply::ok("loot"), &authority.issue(&[NAME], (-90, -3))).await;
    let Err(CallError::Unavailable { message, retry_after_ms: None }) = site(&server, &authority).await.get("/").await else {
        panic!("it is expired");
    };
    let date = |days: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days)).strftime("%Y-%m-%d").to_string();
    assert!(
        message.starts_with("certificate-expired: endpoint `status`: its certificate is expired (subject `CN=status.example.com"),
        "{message}"
    );
    assert!(message.contains(&format!("valid from {}", date(-90))) && message.contains(&format!("until {}", date(-3))), "{message}");
}

#[tokio::test]
async fn a_server_that_shows_the_certificate_of_an_api_server_is_no_endpoint() {
    let authority = Authority::new();
    for name in ["kubernetes.default.svc", "kubernetes.default", "KUBERNETES.default.svc"] {
        let server = Server::encrypted(Reply::ok("secrets"), &authority.issue(&[NAME, name], NOW)).await;
        assert_eq!(word(site(&server, &authority).await.get("/api/v1/secrets").await), "target-refused");
        assert_eq!(server.heads().len(), 0);
    }
    let server = Server::encrypted(Reply::ok("fine"), &authority.issue(&[NAME, "kubernetes.example.com"], NOW)).await;
    assert_eq!(text(site(&server, &authority).await.get("/").await), "fine");
}

#[tokio::test]
async fn schemes_are_not_mixed_up() {
    let authority = Authority::new();
    let plain = Server::plain(Reply::ok("loot")).await;
    assert_eq!(word(site(&plain, &authority).await.get("/").await), "tls-failed");
    assert!(plain.heads().is_empty(), "no credential in plain text");
    let encrypted = Server::encrypted(Reply::ok("loot"), &authority.issue(&[NAME], NOW)).await;
    assert_eq!(word(Site::new(encrypted.origin()).open().await.get("/").await), "invalid-answer");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_its_endpoint() {
    let authority = Authority::new();
    let server = Server::mutual(Reply::ok("members only"), &authority.issue(&[NAME], NOW), &authority).await;
    let (certificate, key) = authority.issue(&["agent"], NOW).pem();
    let credential = Some((Presentation::ClientCertificate, vec![("tls.crt", certificate), ("tls.key", key)]));
    let trust = Trust::Roots(vec![authority.certificate()]);
    let names = Scripted::new(&[&["127.0.0.1"]]);
    let origin = server.named("https", NAME);
    let member = Site { credential, trust: trust.clone(), names: names.clone(), ..Site::new(origin.clone()) }.open().await;
    assert_eq!(text(member.get("/").await), "members only");
    let guest = Site { trust, names: Arc::clone(&names) as _, ..Site::new(origin) }.open().await;
    assert!(guest.get("/").await.is_err());
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn without_any_authority_nothing_is_believed() {
    let authority = Authority::new();
    let server = Server::encrypted(Reply::ok("loot"), &authority.issue(&[NAME], NOW)).await;
    let site = Site { names: Scripted::new(&[&["127.0.0.1"]]), ..Site::new(server.named("https", NAME)) }.open().await;
    assert_eq!(word(site.get("/").await), "tls-failed");
    assert!(server.heads().is_empty());
}
