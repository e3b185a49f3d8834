//! Where connections go: only to addresses that were admitted at the moment of the connection.

use std::sync::Arc;

use reqwest::dns::Resolve as _;

use super::{
    server::{Reply, Server},
    site::{Scripted, Site},
    text, word,
};
use crate::broker::http::names::{Admission, Protected};

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_unless_the_endpoint_is_internal() {
    let server = Server::plain(Reply::ok("inside")).await;
    for address in ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1", "::1", "fd12::1", "100.64.0.1", "64:ff9b::7f00:1"] {
        let names = Scripted::new(&[&[address]]);
        let site = Site { internal: false, names: names.clone(), ..Site::new(server.named("http", "status.example.com")) }.open().await;
        assert_eq!(word(site.get("/").await), "address-refused", "{address}");
        assert_eq!(names.asked(), 1);
    }
    assert_eq!(server.connections(), 0);
    let names = Scripted::new(&[&["127.0.0.1"]]);
    let site = Site { names, ..Site::new(server.named("http", "status.example.com")) }.open().await;
    assert_eq!(text(site.get("/").await), "inside");
    assert!(server.head().contains(&format!("host: status.example.com:{}\r\n", server.port)));
}

#[tokio::test]
async fn link_local_is_never_reached_not_even_by_an_internal_endpoint() {
    let server = Server::plain(Reply::ok("inside")).await;
    for address in ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "224.0.0.1"] {
        let names = Scripted::new(&[&[address]]);
        let site = Site { names, ..Site::new(server.named("http", "metadata.example.com")) }.open().await;
        assert_eq!(word(site.get("/").await), "address-refused", "{address}");
    }
    // Beside an address that is admitted, the other one is dropped.
    let names = Scripted::new(&[&["169.254.169.254", "127.0.0.1", "0.0.0.0"]]);
    let site = Site { names, ..Site::new(server.named("http", "metadata.example.com")) }.open().await;
    assert_eq!(text(site.get("/").await), "inside");
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_connected_to() {
    // A resolver that answers differently each time: first for the judge, then for the connection.
    let names = Scripted::new(&[&["93.184.215.14"], &["127.0.0.1"]]);
    let admission = Admission { names: names.clone(), internal: false, port: 80, protected: Arc::new([]) };
    let admitted: Vec<_> = admission.resolve("rebind.example.com".parse().unwrap()).await.ok().unwrap().collect();
    assert_eq!((admitted.len(), admitted[0].ip().to_string(), names.asked()), (1, "93.184.215.14".to_owned(), 1));
    assert!(admission.resolve("rebind.example.com".parse().unwrap()).await.is_err(), "each connection is judged anew");

    let server = Server::plain(Reply::ok("inside")).await;
    let names = Scripted::new(&[&["127.0.0.1"], &["93.184.215.14"]]);
    let site = Site { internal: false, names: names.clone(), ..Site::new(server.named("http", "rebind.example.com")) }.open().await;
    assert_eq!(word(site.get("/").await), "address-refused");
    assert_eq!((names.asked(), server.connections()), (1, 0), "one look-up for one connection");
}

#[tokio::test]
async fn a_name_without_an_address_and_a_closed_port_say_so() {
    let site = Site { names: Scripted::new(&[]), ..Site::new("http://gone.example.com") }.open().await;
    assert_eq!(word(site.get("/").await), "unresolved");
    let port = Server::plain(Reply::Silence).await.port;
    tokio::task::yield_now().await;
    let site = Site::new(format!("http://127.0.0.1:{port}")).open().await;
    assert_eq!(word(site.get("/").await), "connection-refused");
}

#[tokio::test]
async fn what_is_protected_is_no_endpoint_under_any_name() {
    let (server, neighbour) = (Server::plain(Reply::ok("secrets")).await, Server::plain(Reply::ok("fine")).await);
    let what = "the API server of the cluster";
    let protected = |host: &str| vec![Protected { what, host: host.to_owned(), port: server.port }];
    for (origin, host) in [
        (server.origin(), "127.0.0.1"),
        (server.named("http", "api.example.com"), "127.0.0.1"),
        (server.named("http", "api.example.com"), "::ffff:127.0.0.1"),
        (server.named("http", "api.example.com"), "api.example.com"),
        (server.named("http", "alias.example.com"), "api.example.com"),
    ] {
        let site = Site { names: Scripted::new(&[&["127.0.0.1"]]), protected: protected(host), ..Site::new(origin.clone()) }.open().await;
        assert_eq!(word(site.get("/api/v1/secrets").await), "target-refused", "{origin} is {host}");
    }
    assert_eq!(server.connections(), 0);
    let names = Scripted::new(&[&["127.0.0.1"]]);
    let site = Site { names, protected: protected("127.0.0.1"), ..Site::new(neighbour.named("http", "api.example.com")) }.open().await;
    assert_eq!(text(site.get("/").await), "fine", "another port is another server");
}
