//! What a name may look like. Every string of a skill becomes one of these before anything is decided; nothing else reaches a URL.

use alloc::{borrow::ToOwned, format, string::String};
use core::fmt;

pub use crate::kinds::{GroupResource, Readable};

/// A value that is not what its place in a call demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    message: String,
}

impl Invalid {
    /// An error about `what`, shown with the offending input (escaped and cut to 80 characters).
    pub fn new(what: &str, input: &str, expected: &str) -> Self {
        let shown: String = input.chars().take(80).flat_map(char::escape_debug).collect();
        Self { message: format!("{what} `{shown}` is not valid: expected {expected}") }
    }

    /// An error that needs no input to be understood.
    pub fn plain(message: &str) -> Self {
        Self { message: message.to_owned() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Invalid {}

pub(crate) fn is_label(input: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&input.len()) && input.bytes().all(inner) && !input.starts_with('-') && !input.ends_with('-')
}

pub(crate) fn is_subdomain(input: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-');
    (1..=253).contains(&input.len()) && input.split('.').all(is_part)
}

pub(crate) fn is_word(input: &str, max: usize, extra: &[u8]) -> bool {
    (1..=max).contains(&input.len()) && input.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b)) && !input.contains("..")
}

name!(
    /// A namespace: an RFC 1123 label of at most 63 characters.
    Namespace, "namespace", "an RFC 1123 label (a-z, 0-9, `-`, at most 63 characters)", is_label
);
name!(
    /// The name of an object: an RFC 1123 subdomain of at most 253 characters.
    ObjectName, "name", "an RFC 1123 subdomain (a-z, 0-9, `-`, `.`, at most 253 characters)", is_subdomain
);
name!(
    /// The id of an action in an action sheet: an RFC 1123 label.
    ActionId, "action id", "an id of the action sheet (a-z, 0-9, `-`, at most 63 characters)", is_label
);
name!(
    /// The name of a tool: a lower-case letter, then a-z, 0-9 and `_`, at most 64 characters, so that no two names collide for any model provider.
    ToolName, "tool name", "a lower-case letter, then a-z, 0-9, `_`, at most 64 characters",
    |s| s.starts_with(|c: char| c.is_ascii_lowercase()) && s.len() <= 64
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
);
name!(
    /// The name of an endpoint or MCP server of the environment: an RFC 1123 label.
    EndpointName, "endpoint", "the name of an endpoint of the environment (a-z, 0-9, `-`)", is_label
);
name!(
    /// The name of an MCP tool: letters, digits, `_`, `-`, `.` and `/`, at most 128 characters, no `..`.
    McpTool, "MCP tool", "letters, digits, `_`, `-`, `.`, `/`, at most 128 characters", |s| is_word(s, 128, b"_-./")
);
name!(
    /// Scheme, host and port of an endpoint in the only spelling: `https://api.github.com`, lower case, without the usual port.
    Origin, "origin", "scheme, host and perhaps port, in lower case, such as `https://api.example.com`", |s| {
        let (scheme, host) = s.split_once("://").unwrap_or_default();
        let usual = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return false,
        };
        !host.is_empty() && !host.ends_with(usual) && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b))
    }
);
name!(
    /// A container of a pod: an RFC 1123 label.
    Container, "container", "an RFC 1123 label (a-z, 0-9, `-`, at most 63 characters)", is_label
);
name!(
    /// The uid of an object, opaque: letters, digits, `-`, `_`, `.`, `:`, at most 128 characters.
    Uid, "uid", "letters, digits and `-`, at most 128 characters", |s| is_word(s, 128, b"-_.:")
);
name!(
    /// The resource version of an object, opaque: letters, digits, `-`, `_`, `.`, at most 128 characters.
    ResourceVersion, "resource version", "letters, digits and `-`, at most 128 characters", |s| is_word(s, 128, b"-_.")
);
name!(
    /// A key of an agent's state: letters, digits, `_`, `-`, `.`, `/`, at most 128 characters, no `..`.
    StateKey, "state key", "letters, digits, `_`, `-`, `.`, `/`, at most 128 characters", |s| is_word(s, 128, b"_-./")
);
name!(
    /// A path below an endpoint, in its only spelling: starts with `/`, no `.`, `..` or empty segment, no query, fragment or parameters. Characters that
    /// may stand for themselves do; an escape (upper-case hex, UTF-8) is only for those that may not, and never for a separator, a control character
    /// or a look-alike of a dot or slash. So no two paths mean the same, and a pattern cannot be evaded by spelling. At most 1024 characters.
    HttpPath, "path", "a normal absolute path: no `..`, `//`, `?`, `#`, `\\`, `;`, and only needed escapes, in upper case", is_http_path
);

fn is_http_path(input: &str) -> bool {
    let Some(rest) = input.strip_prefix('/') else { return false };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/%".contains(&b);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && has_plain_escapes(segment);
    input.len() <= 1024
        && input.bytes().all(plain)
        && (rest.is_empty() || rest.strip_suffix('/').unwrap_or(rest).split('/').all(is_segment))
}

fn has_plain_escapes(segment: &str) -> bool {
    let mut pieces = segment.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let Some((hex, after)) = piece.split_at_checked(2) else { return false };
        let is_hex = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
        match u8::from_str_radix(hex, 16) {
            Ok(byte) if is_hex && (byte >= 0x80 || b" \"#<>?[]^`{|}".contains(&byte)) => bytes.push(byte),
            Ok(_) | Err(_) => return false,
        }
        bytes.extend_from_slice(after.as_bytes());
    }
    // Control characters, one- to three-dot leaders, fraction and division slashes, small and full-width forms.
    let misleading = |c: char| {
        c.is_control()
            || matches!(c, '\u{2024}'..='\u{2026}' | '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{fe50}'..='\u{fe6f}' | '\u{ff00}'..='\u{ffef}')
    };
    core::str::from_utf8(&bytes).is_ok_and(|text| !text.chars().any(misleading))
}
