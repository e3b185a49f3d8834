//! What looks like a credential.

use std::sync::LazyLock;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use regex::{Captures, Regex, RegexSet};

use super::Span;

/// One kind of credential, if `is` says so. What is cut out is the group `secret`, `single` or `bare` of the expression, or every item of its group `list`.
struct Pattern {
    expression: Regex,
    is: Check,
}

/// How many expressions there are; a test checks that all of them compile.
const EXPRESSIONS: usize = 11;

type Check = fn(&Captures<'_>) -> bool;

fn always(_: &Captures<'_>) -> bool {
    true
}

/// Every expression is compiled once. The engine is linear in the text; no expression can match the empty text.
static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let table: [(&str, Check); EXPRESSIONS] = [
        // A private key, to its end; to the end of the text if the end was cut off.
        (
            r"(?s)(?P<secret>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\z))",
            always,
        ),
        // One whose beginning was cut off: lines of base64, real or escaped line breaks between them.
        (
            r"(?P<secret>(?:[A-Za-z0-9+/=]{16,}(?:\s|\\[nr])+)*[A-Za-z0-9+/=]*(?:\s|\\[nr])*-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----)",
            always,
        ),
        // JSON Web Tokens, signed or encrypted.
        (r"(?P<secret>eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4})", always),
        // Tokens that say whose they are.
        (
            r"(?P<secret>gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|gl(?:pat|ptt|dt|rt|cbt|soat|ft|agent)-[A-Za-z0-9_.-]{16,}|xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}|sk-ant-[A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|hv[sbr]\.[A-Za-z0-9_-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|npm_[A-Za-z0-9]{30,}|dckr_pat_[A-Za-z0-9_-]{16,}|(?:sk|rk)_live_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{16,})",
            always,
        ),
        // OpenAI and the many that do alike; `task-...` is none.
        (r"(?:^|[^A-Za-z0-9])(?P<secret>sk-[A-Za-z0-9_-]{20,})", |found| random(found, 1)),
        // Schemes of the Authorization header, wherever they stand.
        (
            r#"(?i)(?P<header>authorization(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?)?\b(?P<scheme>basic|bearer|token|apikey)\s+(?P<secret>[A-Za-z0-9+/_.~=-]{4,})"#,
            |found| found.name("header").is_some() || authorizes(found),
        ),
        // Headers whose whole value is the credential.
        (
            r#"(?im)\b(?:x-api-key|api-key|x-auth-token|private-token|x-vault-token|x-amz-security-token|proxy-authorization|set-cookie|cookie)(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?(?P<secret>[^\s"'\\][^\r\n"'\\]*)"#,
            always,
        ),
        // user:password@ or a token in front of a host.
        (r#"://(?P<secret>[^\s/?#"'<>\\]+)@"#, |found| {
            found.name("secret").is_some_and(|user| user.as_str().contains(':') || user.len() >= 16)
        }),
        // name=value, with or without quotes; `\"` inside of JSON inside of JSON.
        (
            r#"(?i)(?:access[_-]?token|refresh[_-]?token|id[_-]?token|auth[_-]?token|client[_-]?secret|api[_-]?key|secret[_-]?(?:access[_-]?)?key|private[_-]?key|passw(?:or)?d|passphrase|pwd|token|secret|credentials?)(?:\\*["'])?\s*=\s*(?:\\*"(?P<secret>[^"\\]+)|\\*'(?P<single>[^'\\]+)|\[(?P<list>[^\]{]+)|(?P<bare>[^\s&"',;\\]+))"#,
            always,
        ),
        // name: value where the name leaves no doubt.
        (
            r#"(?i)(?:access[_-]?token|refresh[_-]?token|id[_-]?token|auth[_-]?token|client[_-]?secret|api[_-]?key|secret[_-]?(?:access[_-]?)?key|private[_-]?key|passw(?:or)?d|passphrase)(?:\\*["'])?\s*:\s*(?:\\*"(?P<secret>[^"\\]+)|\\*'(?P<single>[^'\\]+)|\[(?P<list>[^\]{]+)|(?P<bare>[^\s&"',;\\{\[]+))"#,
            always,
        ),
        // token: value and secret: value only if the value looks like one.
        (
            r#"(?i)(?:token|secret|credentials?|pwd)(?:\\*["'])?\s*:\s*(?:\\*"(?P<secret>[^"\\]+)|\\*'(?P<single>[^'\\]+)|\[(?P<list>[^\]{]+)|(?P<bare>[^\s&"',;\\{\[]+))"#,
            |found| random(found, 12),
        ),
    ];
    table.into_iter().filter_map(|(expression, is)| Regex::new(expression).ok().map(|expression| Pattern { expression, is })).collect()
});

/// All expressions at once: whether any of them matches, but not where. None if they are too much for one automaton.
static ANY: LazyLock<Option<RegexSet>> = LazyLock::new(|| RegexSet::new(PATTERNS.iter().map(|pattern| pattern.expression.as_str())).ok());

/// The longest text that is looked at with [`ANY`]: in longer ones each expression by itself is faster, since it can skip.
const SHORT: usize = 1024;

/// True only if no expression matches. Most texts are short members of JSON objects in which nothing is found.
fn is_plain(text: &str) -> bool {
    text.len() <= SHORT && text.is_ascii() && ANY.as_ref().is_some_and(|any| !any.is_match(text))
}

/// Where something looks like a credential.
pub(super) fn find(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    if is_plain(text) {
        return spans;
    }
    for Pattern { expression, is } in PATTERNS.iter().filter(|pattern| pattern.expression.is_match(text)) {
        spans.extend(expression.captures_iter(text).filter(is).flat_map(|found| secrets(&found)));
    }
    spans
}

/// Where the secrets are in something that was found.
fn secrets(found: &Captures<'_>) -> Vec<Span> {
    match (["secret", "single", "bare"].iter().find_map(|name| found.name(name)), found.name("list")) {
        (Some(secret), _) => vec![(secret.start(), secret.end())],
        (None, Some(list)) => items(list.as_str()).into_iter().map(|(from, to)| (from + list.start(), to + list.start())).collect(),
        (None, None) => Vec::new(),
    }
}

/// One item of a list in the ways in which programs write it: in quotes, in quotes that are escaped, or bare.
static ITEM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#""(?P<double>(?:[^"\\]|\\.)*)"?|'(?P<single>[^']*)'?|\\+["'](?P<escaped>[^"'\\]*)(?:\\+["']?)?|(?P<bare>[^\s,;"'\\\[\]]+)"#,
    )
    .ok()
});

/// The items of a list, without what is no credential anywhere: truth values and nothing.
fn items(list: &str) -> Vec<Span> {
    let Some(item) = ITEM.as_ref() else { return vec![(0, list.len())] };
    let value = |found: Captures<'_>| {
        let one = ["double", "single", "escaped", "bare"].iter().find_map(|name| found.name(name))?;
        (!matches!(one.as_str(), "" | "true" | "false" | "null")).then(|| (one.start(), one.end()))
    };
    item.captures_iter(list).filter_map(value).collect()
}

/// Whether the name of a member leaves no doubt that its value is a credential.
pub(super) fn names_a_credential(name: &str) -> bool {
    const ENDINGS: [&str; 14] = [
        "password",
        "passwd",
        "passphrase",
        "clientsecret",
        "apikey",
        "accesstoken",
        "refreshtoken",
        "idtoken",
        "authtoken",
        "bearertoken",
        "secretkey",
        "accesskey",
        "privatekey",
        "connectionstring",
    ];
    const WHOLE: [&str; 8] = ["token", "secret", "pwd", "authorization", "cookie", "setcookie", "credential", "credentials"];
    let plain: String =
        name.chars().filter(|character| character.is_ascii_alphanumeric()).map(|character| character.to_ascii_lowercase()).collect();
    let shouted = name.ends_with("_TOKEN") || name.ends_with("_SECRET");
    WHOLE.contains(&plain.as_str()) || shouted || ENDINGS.iter().any(|ending| plain.ends_with(ending))
}

/// At least `min` characters with a digit among them: what people do not write by hand. In a list, any of its items.
fn random(found: &Captures<'_>, min: usize) -> bool {
    let whole = found.get_match();
    secrets(found).into_iter().any(|(from, to)| {
        let value = whole.as_str().get(from.saturating_sub(whole.start())..to.saturating_sub(whole.start()));
        value.is_some_and(|value| looks_random(value, min))
    })
}

fn looks_random(value: &str, min: usize) -> bool {
    value.len() >= min && value.bytes().any(|byte| byte.is_ascii_digit()) && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// `Basic` is followed by base64 of `user:password`, `Bearer` by something random; in a sentence they are not.
fn authorizes(found: &Captures<'_>) -> bool {
    let (Some(scheme), Some(secret)) = (found.name("scheme"), found.name("secret")) else { return true };
    let mixed = |value: &str| value.len() >= 16 && value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    match scheme.as_str().to_ascii_lowercase().as_str() {
        "basic" => decodes_to_a_pair(secret.as_str()) || looks_random(secret.as_str(), 16),
        "bearer" => looks_random(secret.as_str(), 8) || mixed(secret.as_str()),
        _ => looks_random(secret.as_str(), 16),
    }
}

fn decodes_to_a_pair(text: &str) -> bool {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .any(|alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(text).is_ok_and(|pair| pair.contains(&b':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_compiles_and_none_matches_nothing() {
        assert_eq!(PATTERNS.len(), EXPRESSIONS);
        assert!(PATTERNS.iter().all(|pattern| !pattern.expression.is_match("")));
        assert!(ITEM.is_some());
    }
}
