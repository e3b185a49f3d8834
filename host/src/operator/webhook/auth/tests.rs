use super::*;

const SECRET: &str = "0123456789abcdef-secret";
const BODY: &[u8] = br#"{"action":"opened","number":7}"#;
/// By `openssl dgst -sha256 -hmac`, over the body and over `v0:1763863200:<body>`.
const GITHUB: &str = "1968ec5d164a39a47e154d960d4216680f1b1b6e9f9ac3a15bab5e9dcccd6101";
const SLACK: &str = "14b9ae0966fdbfd81f7a16d9018bdf903e994de6ea67160ee8e080f72da27a7c";
const SENT: i64 = 1_763_863_200;

fn credential(scheme: &str, secret: &str) -> Credential {
    parse(&[("type", scheme), ("secret", secret)]).unwrap()
}

fn parse(data: &[(&str, &str)]) -> Result<Credential, Unusable> {
    Credential::parse(&data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect())
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn slack(time: &str, signature: &str) -> HeaderMap {
    headers(&[("x-slack-request-timestamp", time), ("x-slack-signature", &format!("v0={signature}"))])
}

#[test]
fn a_token_is_accepted_and_nothing_like_it() {
    let credential = credential("bearer", SECRET);
    let verify = |value: &str| credential.verify(&headers(&[("authorization", value)]), BODY, SENT);
    assert_eq!(verify(&format!("Bearer {SECRET}")), Some(Proof::Token));
    assert_eq!(verify(&format!("bearer  {SECRET}")), Some(Proof::Token));
    for wrong in
        ["", "Bearer", "Bearer ", "Basic 0123456789abcdef-secret", "Bearer 0123456789abcdef-secres", "Bearer 0123456789abcdef-secret2"]
    {
        assert_eq!(verify(wrong), None, "{wrong}");
    }
    let line = format!("Bearer {SECRET}");
    assert_eq!(credential.verify(&headers(&[("authorization", &line), ("authorization", &line)]), BODY, SENT), None, "twice");
    assert_eq!(credential.verify(&HeaderMap::new(), BODY, SENT), None);
}

#[test]
fn a_signed_body_is_accepted_and_no_other_body_key_or_kind_of_signature() {
    let line = format!("sha256={GITHUB}");
    let signed = headers(&[("x-hub-signature-256", &line)]);
    assert_eq!(credential("github", SECRET).verify(&signed, BODY, SENT), Some(Proof::Body));
    assert_eq!(credential("github", SECRET).verify(&signed, br#"{"action":"opened","number":8}"#, SENT), None);
    assert_eq!(credential("github", "0123456789abcdef-other").verify(&signed, BODY, SENT), None);
    assert_eq!(credential("slack", SECRET).verify(&signed, BODY, SENT), None);
    assert_eq!(credential("bearer", SECRET).verify(&signed, BODY, SENT), None);
    for wrong in [GITHUB, "sha1=00", "sha256=", "sha256=xyz", &format!("sha256={}", &GITHUB[..62]), &format!("sha256={GITHUB}00")] {
        assert_eq!(credential("github", SECRET).verify(&headers(&[("x-hub-signature-256", wrong)]), BODY, SENT), None, "{wrong}");
    }
}

#[test]
fn a_body_signed_with_its_time_is_accepted_for_five_minutes() {
    let credential = credential("slack", SECRET);
    let signed = slack("1763863200", SLACK);
    for now in [SENT, SENT + 300, SENT - 300] {
        assert_eq!(credential.verify(&signed, BODY, now), Some(Proof::Timed(SENT)), "{now}");
    }
    for now in [SENT + 301, SENT - 301, 0, i64::MAX, i64::MIN] {
        assert_eq!(credential.verify(&signed, BODY, now), None, "{now}");
    }
    assert_eq!(credential.verify(&slack("1763863201", SLACK), BODY, SENT), None, "another time with the same signature");
    assert_eq!(credential.verify(&slack("01763863200", SLACK), BODY, SENT), None, "the same time in other words");
}

#[test]
fn a_secret_that_could_be_guessed_authenticates_nobody() {
    assert_eq!(parse(&[("type", "bearer")]).unwrap_err(), Unusable::Missing("secret"));
    assert_eq!(parse(&[("secret", SECRET)]).unwrap_err(), Unusable::Missing("type"));
    assert_eq!(parse(&[("type", "basic"), ("secret", SECRET)]).unwrap_err(), Unusable::Type);
    for short in ["", "\n", "0123456789abcde", "0123456789abcde\n\n"] {
        assert_eq!(parse(&[("type", "github"), ("secret", short)]).unwrap_err(), Unusable::Short);
    }
    let from_a_file = parse(&[("type", "bearer\n"), ("secret", "0123456789abcdef-secret\r\n")]).unwrap();
    assert_eq!(from_a_file.verify(&headers(&[("authorization", &format!("Bearer {SECRET}"))]), BODY, SENT), Some(Proof::Token));
    assert!(!format!("{from_a_file:?}").contains(SECRET));
}

#[test]
fn a_source_can_be_kept_to_some_namespaces() {
    assert!(credential("bearer", SECRET).reaches("anywhere"));
    let kept = parse(&[("type", "bearer"), ("secret", SECRET), ("namespaces", "team-a, team-b")]).unwrap();
    assert!(kept.reaches("team-a") && kept.reaches("team-b") && !kept.reaches("team-c") && !kept.reaches(""));
    assert!(!parse(&[("type", "bearer"), ("secret", SECRET), ("namespaces", "")]).unwrap().reaches("team-a"), "empty is nowhere");
}
