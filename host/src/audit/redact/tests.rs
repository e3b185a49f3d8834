//! What is found, what is left alone, and that a known secret survives in no encoding.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{REDACTED, Redactor};

fn clean(text: &str) -> String {
    Redactor::default().text(text).into_owned()
}

/// Put together so that no scanner takes this file for a leak.
fn token(prefix: &str, length: usize) -> String {
    format!("{prefix}{}", "aB3dE5gH7jK9mN1pQ3sT5vX7z".repeat(4).get(..length).unwrap())
}

#[test]
fn tokens_that_say_whose_they_are_are_found_anywhere() {
    let tokens = [
        token("ghp_", 36),
        token("gho_", 36),
        token("github_pat_", 60),
        token("glpat-", 20),
        token("xoxb-", 40),
        token("sk-ant-", 40),
        token("sk-", 48),
        token("sk-proj-", 48),
        token("AIza", 35),
        token("hvs.", 24),
        format!("AKIA{}", "ABCDEFGH12345678"),
        format!("eyJ{}.eyJ{}.{}", token("", 20), token("", 20), token("", 20)),
    ];
    for token in &tokens {
        for text in [
            token.clone(),
            format!("log: {token}, next"),
            format!("https://x/?k={token}&a=b"),
            json!({"a": [format!("x {token}")]}).to_string(),
            format!("({token})"),
            format!("é{token}\u{202e}"),
        ] {
            let cleaned = clean(&text);
            assert!(!cleaned.contains(token.get(8..).unwrap()) && cleaned.contains(REDACTED), "{text} -> {cleaned}");
        }
    }
}

#[test]
fn headers_addresses_and_assignments_lose_their_secret_and_keep_the_rest() {
    let basic = BASE64_STANDARD.encode("user:hunter22");
    for (text, expected) in [
        (format!("Authorization: Basic {basic}"), "Authorization: Basic [redacted]"),
        (format!("sent Basic {basic} twice"), "sent Basic [redacted] twice"),
        ("authorization: bearer abcdefgh".to_owned(), "authorization: bearer [redacted]"),
        ("curl -H 'Authorization: Bearer abc.def-123456'".to_owned(), "curl -H 'Authorization: Bearer [redacted]'"),
        ("postgres://app:p%40ss@db.prod:5432/x".to_owned(), "postgres://[redacted]@db.prod:5432/x"),
        ("https://u:p@ss@host/".to_owned(), "https://[redacted]@host/"),
        ("GET /?access_token=abc&x=1".to_owned(), "GET /?access_token=[redacted]&x=1"),
        ("client_secret=s3cr3t; path=/".to_owned(), "client_secret=[redacted]; path=/"),
        ("PGPASSWORD=hunter2 psql".to_owned(), "PGPASSWORD=[redacted] psql"),
        ("password = \"two words\", user=x".to_owned(), "password = \"[redacted]\", user=x"),
        ("{\"password\":\"two words\",\"user\":\"x\"}".to_owned(), "{\"password\":\"[redacted]\",\"user\":\"x\"}"),
        (r#"{"body":"{\"password\":\"hunter2\",\"a\":1}"}"#.to_owned(), r#"{"body":"{\"password\":\"[redacted]\",\"a\":1}"}"#),
        (r#"{"apiKey": ["abc", "d\"ef"], "user": ["x"]}"#.to_owned(), r#"{"apiKey": ["[redacted]", "[redacted]"], "user": ["x"]}"#),
        (
            r#"{"body":"{\"apiKey\":[\"abc\",\"def\"],\"a\":1}"}"#.to_owned(),
            r#"{"body":"{\"apiKey\":[\"[redacted]\",\"[redacted]\"],\"a\":1}"}"#,
        ),
        (
            "passwords: [x], password: ['two words', three, 4, true, null], user: [me]".to_owned(),
            "passwords: [x], password: ['[redacted]', [redacted], [redacted], true, null], user: [me]",
        ),
        ("api_key=[\"abc\", \"def\"] next".to_owned(), "api_key=[\"[redacted]\", \"[redacted]\"] next"),
        ("clientSecret: [\"abc\", \"cut o".to_owned(), "clientSecret: [\"[redacted]\", \"[redacted]"),
        (format!("token: [\"{}\"]", token("", 16)), "token: [\"[redacted]\"]"),
        ("set-cookie: sid=1; HttpOnly\nnext".to_owned(), "set-cookie: [redacted]\nnext"),
        ("x-api-key: 12345".to_owned(), "x-api-key: [redacted]"),
    ] {
        assert_eq!(clean(&text), expected, "{text}");
    }
}

#[test]
fn private_keys_are_found_whole_cut_wrapped_and_escaped() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n".repeat(3);
    let (begin, end) = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----");
    let pem = format!("{begin}\n{body}{end}");
    let escaped = pem.replace('\n', "\\n");
    for text in [
        format!("a {pem} z"),
        format!("{{\"key\":\"{escaped}\"}} z"),
        format!("{begin}\n{body}"),
        format!("{body}{end} z"),
        format!("{} z", pem.replace('\n', "\r\n")),
    ] {
        let cleaned = clean(&text);
        assert!(!cleaned.contains("MIIE") && !cleaned.contains("PRIVATE") && cleaned.contains(REDACTED), "{cleaned}");
        assert_eq!(cleaned.ends_with('z'), text.ends_with('z'));
    }
    let public = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
    assert_eq!(clean(public), public);
}

#[test]
fn ordinary_text_is_left_alone() {
    for text in [
        "kubectl.rollout restart deployment/web -n shop",
        "task-runner-deployment-7d9f8b6c5d-x2x9z",
        "disk-pressure-12345678901234567890",
        "basic authentication is not enabled; bearer authentication is",
        "secretName: web-tls, serviceAccountToken: {expirationSeconds: 3607}",
        "imagePullSecrets=[registry]",
        "image: registry.example/shop/web@sha256:4c1a2b3d4c1a2b3d4c1a2b3d4c1a2b3d4c1a2b3d4c1a2b3d4c1a2b3d4c1a2b3d",
        "git clone ssh://git@github.com/infra/agent",
        "error: token: invalid",
        "token: [name, kind], secret: [web-tls], password: [], apiKey: [true, null]",
        "tokens: 1234, maxTokens=4096",
        "Back-off pulling image \"nginx:1.99\"",
        "mail@example.com and http://example.com/a@b",
    ] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn members_that_are_credentials_by_name_lose_their_value() {
    let mut value = json!({
        "password": "x", "dbPassword": "hunter2", "clientSecret": "y", "token": "z", "api-key": "k", "secretName": "web-tls", "tokenCount": 3,
        "env": [{"name": "DB_PASSWORD", "value": "v"}, {"name": "LOG_LEVEL", "value": "debug"}, {"name": "GITHUB_TOKEN", "value": "w"}],
        "secret": {"secretName": "tls"}, "password2": null, "key": "value", "empty": {"password": ""},
    });
    Redactor::default().json(&mut value);
    assert_eq!(
        value,
        json!({
            "password": REDACTED, "dbPassword": REDACTED, "clientSecret": REDACTED, "token": REDACTED, "api-key": REDACTED, "secretName": "web-tls",
            "tokenCount": 3,
            "env": [{"name": "DB_PASSWORD", "value": REDACTED}, {"name": "LOG_LEVEL", "value": "debug"}, {"name": "GITHUB_TOKEN", "value": REDACTED}],
            "secret": {"secretName": "tls"}, "password2": null, "key": "value", "empty": {"password": ""},
        })
    );
}

#[test]
fn a_credential_is_no_safer_as_a_number_or_in_a_list() {
    let mut value = json!({
        "password": 123_456, "apiKey": ["abc", 7, true, null, ["deep"], {"name": "web", "token": 5}], "secret": false, "env": {"name": "API_TOKEN", "value": 42},
    });
    let expected = json!({
        "password": REDACTED, "apiKey": [REDACTED, REDACTED, true, null, [REDACTED], {"name": "web", "token": REDACTED}], "secret": false,
        "env": {"name": "API_TOKEN", "value": REDACTED},
    });
    for _ in 0..2 {
        Redactor::default().json(&mut value);
        assert_eq!(value, expected);
    }
}

#[test]
fn short_secrets_do_not_erase_everything_and_overlapping_ones_do_not_shield_each_other() {
    assert_eq!(Redactor::new(["a", "ab", ""]).text("ab a b"), "ab a b");
    let redactor = Redactor::new(["xab1", "ab1LONGSECRET"]);
    assert_eq!(redactor.text("-xab1LONGSECRET-"), "-[redacted]-");
    assert_eq!(Redactor::new(["acted"]).text("[redacted]"), "[redacted]");
    assert_eq!(Redactor::new(["line\n"]).text("a line b"), "a [redacted] b");
}

#[test]
fn a_redactor_that_is_printed_for_debugging_shows_nothing() {
    assert_eq!(format!("{:?}", Redactor::new(["topsecret"])), "Redactor { known: Known { .. } }");
}

#[test]
fn long_hostile_texts_come_to_an_end() {
    let redactor = Redactor::new((0..64).map(|number| format!("known-secret-number-{number}")));
    let hostile = [
        "apiKey: [",
        "apiKey: [\"\\",
        "-----BEGIN PRIVATE KEY-----",
        "://",
        "eyJ",
        "password=",
        "A",
        "Basic ",
        "%41",
        "\\u0041",
        "sk-",
        "known-secret-number-",
        "a:b@",
    ];
    // Whatever looks back over the text for each of its parts would be at it for hours.
    for piece in hostile {
        let text = piece.repeat(320_000 / piece.len());
        assert!(!redactor.text(&text).is_empty(), "{piece}");
    }
}

/// All usual ways in which a secret travels.
fn encodings(secret: &[u8], before: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
    let joined = [before, secret, after].concat();
    let percent = |all: bool| -> Vec<u8> {
        secret
            .iter()
            .flat_map(|byte| if all || !byte.is_ascii_alphanumeric() { format!("%{byte:02X}").into_bytes() } else { vec![*byte] })
            .collect()
    };
    let mut texts = vec![
        secret.to_vec(),
        percent(true),
        percent(false),
        percent(true).to_ascii_lowercase(),
        secret.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        secret.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect(),
    ];
    for engine in [&BASE64_STANDARD, &BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE, &BASE64_URL_SAFE_NO_PAD] {
        texts.push(engine.encode(&joined).into_bytes());
        texts.push(engine.encode(secret).into_bytes());
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let quoted = serde_json::to_string(text).unwrap();
        texts.push(quoted.as_bytes()[1..quoted.len() - 1].to_vec());
        texts.push(text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>().into_bytes());
        texts.push(
            secret
                .iter()
                .flat_map(|byte| {
                    if *byte == b' ' {
                        vec![b'+']
                    } else if byte.is_ascii_alphanumeric() {
                        vec![*byte]
                    } else {
                        format!("%{byte:02X}").into_bytes()
                    }
                })
                .collect(),
        );
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_known_secret_survives_in_no_encoding(secret in "[ -~é😀]{6,40}", before in "[a-z ]{0,9}", after in "[a-z ]{0,9}") {
        // The marker itself cannot be a secret.
        prop_assume!(!REDACTED.contains(secret.trim()) && secret.trim().len() >= 6);
        let redactor = Redactor::new([secret.as_bytes()]);
        let secret = secret.trim();
        for encoded in encodings(secret.as_bytes(), before.as_bytes(), after.as_bytes()) {
            let text = format!("{before}|{}|{after}", String::from_utf8(encoded.clone()).unwrap());
            let cleaned = redactor.text(&text);
            prop_assert!(!cleaned.contains(std::str::from_utf8(&encoded).unwrap()), "{} -> {}", text, cleaned);
            prop_assert!(cleaned.contains(REDACTED), "{} -> {}", text, cleaned);
            prop_assert_eq!(redactor.text(&cleaned), cleaned.clone());
        }
    }

    #[test]
    fn a_long_secret_is_found_across_lines(secret in "[A-Za-z0-9]{60,90}", width in 8..77usize) {
        let redactor = Redactor::new([&secret]);
        for line_break in ["\n", "\r\n", "\\n", "\n    "] {
            for text in [secret.clone(), BASE64_STANDARD.encode(&secret)] {
                let wrapped = text.as_bytes().chunks(width).map(|chunk| std::str::from_utf8(chunk).unwrap()).collect::<Vec<_>>().join(line_break);
                let cleaned = redactor.text(&wrapped).into_owned();
                // Only the digits of base64 that hold bits of neighbours too may stay.
                prop_assert!(cleaned.len() < REDACTED.len() + 16, "{} -> {}", wrapped, cleaned);
            }
        }
    }

    #[test]
    fn redacting_twice_changes_nothing(parts in prop::collection::vec(prop_oneof![
        any::<String>(), Just("password=".to_owned()), Just("Bearer ".to_owned()), Just("ghp_aB3dE5gH7jK9mN1pQ3sT5vX7z".to_owned()), Just("[redacted]".to_owned()),
        Just("://u:p@h".to_owned()), Just("topsecret".to_owned()), Just("-----BEGIN PRIVATE KEY-----".to_owned()), Just("sk-aB3dE5gH7jK9mN1pQ3sT5vX7z".to_owned()),
        Just("\"token\":\"a1b2c3d4e5f6g7\"".to_owned()), Just("[red".to_owned()), Just("acted]".to_owned())], 0..12)) {
        let redactor = Redactor::new(["topsecret", "redacted"]);
        let once = redactor.text(&parts.concat()).into_owned();
        prop_assert_eq!(redactor.text(&once).into_owned(), once.clone());
        let mut value = json!({"a": parts.concat(), "b": [parts.concat()]});
        redactor.json(&mut value);
        let first: Value = value.clone();
        redactor.json(&mut value);
        prop_assert_eq!(value, first);
        prop_assert!(!once.contains("topsecret"));
    }

    #[test]
    fn bytes_that_are_no_text_are_searched_too(before in prop::collection::vec(any::<u8>(), 0..20)) {
        let text = [before.as_slice(), b"\xff", b"topsecret", b"\xfe"].concat();
        let cleaned = Redactor::new(["topsecret"]).bytes(&text).into_owned();
        prop_assert!(!cleaned.windows(9).any(|window| window == b"topsecret"));
    }
}
