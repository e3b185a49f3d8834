//! What is sent: exactly the endpoint's origin, the call's path and query below it, and no header that changes what it means.

use infraagent_guard::call::ReadMethod;
use infraagent_sandbox::broker::CallError;

use super::{
    server::{Reply, Server, answer},
    site::Site,
    text,
};

#[tokio::test]
async fn a_get_asks_for_its_path_and_query_below_the_base() {
    let server = Server::plain(Reply::ok("fine")).await;
    let site = Site { base: "/api", ..Site::new(server.origin()) }.open().await;
    let query = [("q", "a&b=c#d e/é"), ("page", "2")];
    let response = site.ask(ReadMethod::Get, "/repos/a%20b", &query, &[("accept", "text/plain")]).await.unwrap();
    assert_eq!((response.status, response.body.as_slice(), response.truncated), (200, b"fine".as_slice(), false));
    assert_eq!(response.tls, None);
    let head = server.head();
    assert!(head.starts_with("GET /api/repos/a%20b?q=a%26b%3Dc%23d+e%2F%C3%A9&page=2 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("accept: text/plain\r\n") && head.contains("accept-encoding: identity\r\n"), "{head}");
    assert!(head.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)) && head.contains("user-agent: infraagent/"), "{head}");
    for absent in ["authorization", "cookie", "referer", "forwarded"] {
        assert!(!head.to_ascii_lowercase().contains(absent), "{head}");
    }
}

#[tokio::test]
async fn a_head_brings_status_and_headers_and_no_body() {
    let server = Server::plain(Reply::fixed("HTTP/1.1 200 OK\r\ncontent-length: 500\r\netag: \"x\"\r\n\r\n")).await;
    let site = Site::new(server.origin()).open().await;
    let response = site.head("/").await.unwrap();
    assert_eq!((response.status, response.body.len(), response.truncated), (200, 0, false));
    assert!(response.headers.contains(&("etag".to_owned(), "\"x\"".to_owned())), "{:?}", response.headers);
    assert!(server.head().starts_with("HEAD / HTTP/1.1"));
}

#[tokio::test]
async fn nothing_in_a_path_leads_to_another_host() {
    let (server, evil) = (Server::plain(Reply::ok("fine")).await, Server::plain(Reply::ok("loot")).await);
    let site = Site::new(server.origin()).token("token-0123456789").open().await;
    let other = format!("127.0.0.1:{}", evil.port);
    let refused = [
        format!("//{other}/"),
        format!("/\\{other}/"),
        format!("@{other}/"),
        format!("http://{other}/"),
        format!("/..//{other}"),
        format!("/%2f%2f{other}"),
        "/%2e%2e/x".to_owned(),
        "/%2f..".to_owned(),
        "/x\r\nhost: evil.example".to_owned(),
        "/x HTTP/1.1".to_owned(),
    ];
    for path in &refused {
        assert!(matches!(site.get(path).await, Err(CallError::Invalid(_))), "{path}");
    }
    for path in [format!("/@{other}/"), format!("/a:b@{other}"), "/,/evil.example".to_owned()] {
        assert_eq!(text(site.get(&path).await), "fine", "{path}");
    }
    assert_eq!((server.heads().len(), evil.connections()), (3, 0));
    assert!(server.heads().iter().all(|head| head.contains(&format!("host: 127.0.0.1:{}\r\n", server.port))));
}

#[tokio::test]
async fn no_header_and_no_parameter_turns_a_get_into_something_else() {
    let server = Server::plain(Reply::ok("fine")).await;
    let site = Site::new(server.origin()).open().await;
    for header in
        ["x-http-method-override", "x-http-method", "x-method-override", "host", "authorization", "cookie", "connection", "range", "Accept"]
    {
        let refused = site.ask(ReadMethod::Get, "/", &[], &[(header, "DELETE")]).await;
        assert!(matches!(refused, Err(CallError::Invalid(_))), "{header}");
    }
    for parameter in ["_method", "$httpMethod", "X-HTTP-Method-Override", ".method", "x_http_method"] {
        let refused = site.ask(ReadMethod::Get, "/", &[(parameter, "DELETE")], &[]).await;
        assert!(matches!(refused, Err(CallError::Invalid(_))), "{parameter}");
    }
    let split = site.ask(ReadMethod::Get, "/", &[], &[("accept", "x\r\nx-http-method-override: DELETE")]).await;
    assert!(matches!(split, Err(CallError::Invalid(_))));
    assert_eq!(server.connections(), 0);
    let fine = site.ask(ReadMethod::Get, "/", &[("method", "DELETE"), ("q", "\r\nx: y")], &[("if-none-match", "\"x\"")]).await;
    assert_eq!(text(fine), "fine");
    assert!(server.head().starts_with("GET /?method=DELETE&q=%0D%0Ax%3A+y HTTP/1.1\r\n"), "{}", server.head());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_never_followed() {
    let evil = Server::plain(Reply::ok("loot")).await;
    for target in [format!("http://127.0.0.1:{}/steal", evil.port), "/admin".to_owned(), "//evil.example/".to_owned()] {
        for status in [301, 302, 303, 307, 308] {
            let server = Server::plain(Reply::fixed(answer(status, &format!("location: {target}\r\n"), "moved"))).await;
            let site = Site { denied: "http.get /admin", ..Site::new(server.origin()) }.token("token-0123456789").open().await;
            let response = site.get("/").await.unwrap();
            assert_eq!(response.status, status);
            assert!(response.headers.contains(&("location".to_owned(), target.clone())), "{:?}", response.headers);
            assert_eq!(server.heads().len(), 1, "nobody decided about `{target}`");
        }
    }
    assert_eq!(evil.connections(), 0);
}

#[tokio::test]
async fn a_permit_of_another_run_is_refused() {
    let server = Server::plain(Reply::ok("fine")).await;
    let (site, mut other) = (Site::new(server.origin()).open().await, Site::new(server.origin()).open().await);
    other.http.scope.run = "run-2".to_owned();
    let permit = site.permit(ReadMethod::Get, "/", &[], &[]).unwrap();
    assert!(matches!(other.http.send(permit, &Default::default()).await, Err(CallError::Internal(_))));
    // An endpoint that the environment no longer has is not guessed.
    let permit = site.permit(ReadMethod::Get, "/", &[], &[]).unwrap();
    assert!(matches!(site.http.send(permit, &Default::default()).await, Err(CallError::Internal(_))));
    assert_eq!(server.connections(), 0);
    assert_eq!(text(site.get("/").await), "fine");
}
