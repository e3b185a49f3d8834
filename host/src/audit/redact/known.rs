//! Known secrets, in the encodings in which they travel.
//!
//! Encodings with one text (base64, hexadecimal) are searched for as texts; those with many (percent signs, JSON escapes, wrapped lines) are undone first: the
//! text is read through a [`View`] that remembers where each byte came from.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};

use super::{Redactor, Span};

/// Shorter texts are not searched for across line breaks: `prod` is in `a pro dog`.
const MIN_WRAPPED: usize = 16;

/// The known secrets.
#[derive(Default)]
pub(super) struct Known {
    /// As they are.
    plain: Option<AhoCorasick>,
    /// In base64 and hexadecimal digits. Letters of hexadecimal digits in both cases.
    encoded: Option<AhoCorasick>,
    /// Everything long enough, without white space.
    wrapped: Option<AhoCorasick>,
}

/// Says nothing of the secrets.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl Known {
    pub(super) fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let (mut plain, mut encoded) = (Vec::new(), Vec::new());
        for secret in secrets {
            let whole = secret.as_ref();
            // Secrets in files usually end in a line break that nobody sends.
            for secret in [whole, whole.trim_ascii()] {
                if secret.len() < Redactor::MIN_SECRET || plain.iter().any(|known| known == secret) {
                    continue;
                }
                plain.push(secret.to_vec());
                encoded.extend(base64(secret));
                let lower = hex(secret);
                encoded.push(lower.to_ascii_uppercase());
                encoded.push(lower);
            }
        }
        let wrapped: Vec<Vec<u8>> = plain
            .iter()
            .chain(&encoded)
            .map(|text| text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>())
            .filter(|text| text.len() >= MIN_WRAPPED)
            .collect();
        Self { plain: automaton(&plain), encoded: automaton(&encoded), wrapped: automaton(&wrapped) }
    }

    /// Where secrets are.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        let Some(plain) = &self.plain else { return spans };
        search(plain, &View::identity(text), &mut spans);
        if let Some(encoded) = &self.encoded {
            search(encoded, &View::identity(text), &mut spans);
        }
        if text.contains(&b'%') || text.contains(&b'+') {
            search(plain, &View::percent(text, false), &mut spans);
            search(plain, &View::percent(text, true), &mut spans);
        }
        if text.contains(&b'\\') {
            search(plain, &View::escapes(text), &mut spans);
        }
        if let Some(wrapped) = &self.wrapped
            && text.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'\\')
        {
            search(wrapped, &View::unwrapped(text), &mut spans);
        }
        spans
    }
}

/// Of the compact kind: with a table for each state, one token of a ServiceAccount in all its encodings would take megabytes.
fn automaton(texts: &[Vec<u8>]) -> Option<AhoCorasick> {
    let mut builder = AhoCorasick::builder();
    builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
    if texts.is_empty() { None } else { builder.build(texts).ok() }
}

/// Every match, also those that overlap: cutting out only one of two would leave most of the other.
fn search(automaton: &AhoCorasick, view: &View<'_>, spans: &mut Vec<Span>) {
    for found in automaton.find_overlapping_iter(view.bytes.as_ref()) {
        let span = view.span(found.start(), found.end());
        match spans.last_mut() {
            Some(last) if span.0 <= last.1 && last.0 <= span.0 => last.1 = last.1.max(span.1),
            Some(_) | None => spans.push(span),
        }
    }
}

/// The base64 digits that depend on the secret alone, for each of the three places where it can begin within a group of three bytes.
fn base64(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for before in 0..3usize {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret);
        let first = (before * 8).div_ceil(6);
        let last = bytes.len() * 8 / 6;
        for text in [BASE64_STANDARD_NO_PAD.encode(&bytes), BASE64_URL_SAFE_NO_PAD.encode(&bytes)] {
            if let Some(digits) = text.as_bytes().get(first..last) {
                texts.push(digits.to_vec());
            }
        }
    }
    texts.sort_unstable();
    texts.dedup();
    texts
}

fn hex(secret: &[u8]) -> Vec<u8> {
    secret.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// A text as it reads after one encoding was undone, and where each byte of it stands in the text.
struct View<'t> {
    bytes: std::borrow::Cow<'t, [u8]>,
    /// Start of each byte in the text, and the end of the last; none if nothing moved.
    places: Option<Vec<usize>>,
}

impl<'t> View<'t> {
    fn identity(text: &'t [u8]) -> Self {
        Self { bytes: text.into(), places: None }
    }

    fn span(&self, from: usize, to: usize) -> Span {
        match &self.places {
            None => (from, to),
            Some(places) => {
                let end = places.len().saturating_sub(1);
                (places.get(from).copied().unwrap_or_default(), places.get(to.min(end)).copied().unwrap_or_default())
            }
        }
    }

    /// `step` reads at a position: the bytes that stand there, and how many of the text they take.
    fn build(text: &[u8], step: impl Fn(&[u8]) -> (Option<char>, Option<u8>, usize)) -> View<'static> {
        let (mut bytes, mut places) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let (character, byte, taken) = step(rest);
            if let Some(character) = character {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    bytes.push(byte);
                    places.push(at);
                }
            }
            if let Some(byte) = byte {
                bytes.push(byte);
                places.push(at);
            }
            at += taken.max(1);
        }
        places.push(text.len());
        View { bytes: bytes.into(), places: Some(places) }
    }

    /// Percent signs undone; `plus`: and plus signs read as spaces, as forms have it.
    fn percent(text: &[u8], plus: bool) -> View<'static> {
        Self::build(text, |rest| match rest {
            [b'%', high, low, ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (None, Some(high << 4 | low), 3),
                (Some(_) | None, Some(_) | None) => (None, Some(b'%'), 1),
            },
            [b'+', ..] if plus => (None, Some(b' '), 1),
            [byte, ..] => (None, Some(*byte), 1),
            [] => (None, None, 1),
        })
    }

    /// JSON escapes undone. Two escaped halves of a surrogate pair count as one character.
    fn escapes(text: &[u8]) -> View<'static> {
        Self::build(text, |rest| match rest {
            [b'\\', b'u', tail @ ..] => match unit(tail) {
                Some(high @ 0xd800..=0xdbff) => {
                    let low = tail.get(4..).and_then(|rest| rest.strip_prefix(b"\\u")).and_then(unit);
                    match low.and_then(|low| char::decode_utf16([high, low]).next()?.ok()) {
                        Some(character) => (Some(character), None, 12),
                        None => (None, Some(b'\\'), 1),
                    }
                }
                Some(unit) => (char::from_u32(unit.into()), None, 6),
                None => (None, Some(b'\\'), 1),
            },
            [b'\\', escape, ..] => match escape {
                b'n' => (None, Some(b'\n'), 2),
                b'r' => (None, Some(b'\r'), 2),
                b't' => (None, Some(b'\t'), 2),
                b'b' => (None, Some(8), 2),
                b'f' => (None, Some(12), 2),
                b'"' | b'\\' | b'/' => (None, Some(*escape), 2),
                _ => (None, Some(b'\\'), 1),
            },
            [byte, ..] => (None, Some(*byte), 1),
            [] => (None, None, 1),
        })
    }

    /// Without white space and without escaped line breaks.
    fn unwrapped(text: &[u8]) -> View<'static> {
        Self::build(text, |rest| match rest {
            [b'\\', b'n' | b'r' | b't', ..] => (None, None, 2),
            [byte, ..] if byte.is_ascii_whitespace() => (None, None, 1),
            [byte, ..] => (None, Some(*byte), 1),
            [] => (None, None, 1),
        })
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn unit(text: &[u8]) -> Option<u16> {
    text.get(..4)?.iter().try_fold(0u16, |value, byte| Some(value << 4 | u16::from(digit(*byte)?)))
}
