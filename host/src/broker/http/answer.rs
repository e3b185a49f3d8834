//! What a guest gets of an answer: the status, harmless headers, and the first bytes of the body, without secrets.
//!
//! Secrets are looked for before anything is cut: half of one would not be found. So more is read than is shown, and where the body goes on, the end of what was
//! read, in which a secret could have been cut, is not shown.

use http::{HeaderMap, HeaderName, header};
use reqwest::Response;

use crate::audit::Redactor;

/// The most of a body that a guest gets, in bytes.
pub(super) const MAX_BODY: usize = 8 << 10;
/// More than any secret takes, in any encoding, in bytes.
const MARGIN: usize = 32 << 10;
/// The most of one header, in bytes.
const MAX_VALUE: usize = 2 << 10;
/// The most headers.
const MAX_HEADERS: usize = 48;

/// The response headers that a guest sees. No cookie, no challenge, nothing that names a session.
const HEADERS: [HeaderName; 22] = [
    header::ACCEPT_RANGES,
    header::AGE,
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    header::SERVER,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::VIA,
    header::X_FRAME_OPTIONS,
];

/// Families of headers that a guest sees: how much of a rate limit is left, how many items there are.
const FAMILIES: [&str; 3] = ["x-ratelimit-", "ratelimit", "x-total"];

/// The headers that a guest sees, sorted by name.
pub(super) fn headers(all: &HeaderMap, redactor: &Redactor) -> Vec<(String, String)> {
    let is_shown = |name: &HeaderName| HEADERS.contains(name) || FAMILIES.iter().any(|family| name.as_str().starts_with(family));
    let mut shown: Vec<(String, String)> = all
        .iter()
        .filter(|(name, _)| is_shown(name))
        .map(|(name, value)| {
            (name.to_string(), cut(redactor.text(&String::from_utf8_lossy(value.as_bytes())).as_ref(), MAX_VALUE).to_owned())
        })
        .take(MAX_HEADERS)
        .collect();
    shown.sort();
    shown
}

/// A body that was read as far as it is needed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) is_cut: bool,
}

/// Reads the body. One in an encoding that was not asked for is not read: no secret could be found in it, and a guest could undo it.
pub(super) async fn body(mut response: Response, redactor: &Redactor) -> Result<Body, reqwest::Error> {
    let is_encoded = response.headers().get_all(header::CONTENT_ENCODING).iter().any(|encoding| encoding != "identity");
    if is_encoded {
        return Ok(Body { bytes: Vec::new(), is_cut: true });
    }
    let mut read = Vec::new();
    while read.len() <= MAX_BODY + MARGIN {
        match response.chunk().await? {
            Some(chunk) => read.extend_from_slice(&chunk),
            None => return Ok(shown(read, false, redactor)),
        }
    }
    Ok(shown(read, true, redactor))
}

fn shown(mut read: Vec<u8>, goes_on: bool, redactor: &Redactor) -> Body {
    if goes_on {
        read.truncate(MAX_BODY + MARGIN);
        // A character that was cut would make the whole text bytes that nobody can read.
        let broken = std::str::from_utf8(&read).err().filter(|error| error.error_len().is_none()).map(|error| error.valid_up_to());
        read.truncate(broken.unwrap_or(read.len()));
    }
    let mut bytes = redactor.bytes(&read).into_owned();
    let length = bytes.len();
    let end = if goes_on { length.saturating_sub(MARGIN) } else { length }.min(MAX_BODY);
    // Not within a character, if it is text.
    let end = (end.saturating_sub(3)..=end).rev().find(|at| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80)).unwrap_or(end);
    bytes.truncate(end);
    Body { bytes, is_cut: goes_on || end < length }
}

fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct-horse-battery-staple";

    fn body(text: &str, goes_on: bool) -> Body {
        shown(text.as_bytes().to_vec(), goes_on, &Redactor::new([SECRET]))
    }

    #[test]
    fn a_short_body_is_shown_whole_and_without_secrets() {
        assert_eq!(body("fine", false), Body { bytes: b"fine".to_vec(), is_cut: false });
        assert_eq!(body(&format!("key {SECRET}!"), false), Body { bytes: b"key [redacted]!".to_vec(), is_cut: false });
        assert_eq!(body("", false), Body { bytes: Vec::new(), is_cut: false });
    }

    #[test]
    fn no_part_of_a_secret_is_shown_wherever_the_body_is_cut() {
        for end in [MAX_BODY, MAX_BODY + MARGIN] {
            for before in 0..=SECRET.len() {
                let text = format!("{}{SECRET}{}", "-".repeat(end - before), "-".repeat(MARGIN));
                let read = body(&text[..(MAX_BODY + MARGIN).min(text.len())], true);
                assert!(read.is_cut && read.bytes.len() <= MAX_BODY, "{}", read.bytes.len());
                let seen = String::from_utf8(read.bytes).unwrap();
                assert!(
                    !seen.contains(&SECRET[..4]) && !seen.contains(&SECRET[SECRET.len() - 4..]),
                    "{before}: {}",
                    &seen[seen.len() - 60..]
                );
                assert!(seen.len() > MAX_BODY - 40, "what is harmless stays: {}", seen.len());
            }
        }
    }

    #[test]
    fn many_secrets_do_not_bring_the_cut_end_into_view() {
        // What is cut out is longer than its mark, so everything behind it moves forward.
        let text = "-".repeat(MARGIN) + &format!("{SECRET} ").repeat(2000);
        for end in 0..SECRET.len() {
            let read = body(&text[..MAX_BODY + MARGIN - end], true);
            let seen = String::from_utf8(read.bytes).unwrap();
            assert!(!seen.contains("corr"), "{}", &seen[seen.len().saturating_sub(60)..]);
        }
    }

    #[test]
    fn a_text_is_not_cut_within_a_character() {
        let text = "€".repeat(MAX_BODY + MARGIN);
        for goes_on in [true, false] {
            let read = body(&text, goes_on);
            assert!(read.is_cut && std::str::from_utf8(&read.bytes).is_ok() && read.bytes.len() > MAX_BODY - 4);
        }
    }

    #[test]
    fn headers_are_those_of_the_list_and_without_secrets() {
        let mut all = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/plain"),
            ("set-cookie", "session=1"),
            ("www-authenticate", "Basic realm=x"),
            ("authorization", "x"),
            ("x-amz-security-token", "x"),
            ("x-ratelimit-remaining", "12"),
            ("location", "/login?key=correct-horse-battery-staple"),
            ("server", "x"),
        ] {
            all.append(HeaderName::from_static(name), http::HeaderValue::from_static(value));
        }
        all.append(header::LINK, "y".repeat(5000).parse().unwrap());
        let shown = headers(&all, &Redactor::new([SECRET]));
        let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "link", "location", "server", "x-ratelimit-remaining"]);
        assert_eq!(shown[1].1.len(), MAX_VALUE);
        assert!(!shown[2].1.contains(SECRET), "{}", shown[2].1);
    }
}
