//! What webhooks and Events of the cluster have in common: which filter holds, what is remembered of what happened, what a run is told, and what it is called.
//!
//! A run that something started is called `<agent>-<uid8>-<key>`. The key is a hash of what happened, so two replicas that learn of the same thing, or a leader
//! that learns of it after another leader did, start one run.

pub(super) mod filters;
pub(super) mod recent;

use infraagent_api::run::RunInput;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::audit::Redactor;

/// SHA-256 of something.
pub(super) type Hash = [u8; 32];

/// For so long the same thing counts once, in seconds.
pub(super) const WINDOW: u64 = 30;

/// A hash over parts; where one ends and the next begins is part of it.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The end of a run's name.
pub(super) fn key(hash: &Hash) -> String {
    hash.iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}

/// Which window of [`WINDOW`] seconds a moment is in.
pub(super) fn window(unix_seconds: i64) -> u64 {
    u64::try_from(unix_seconds).unwrap_or(0) / WINDOW
}

/// What the run is told, without secrets. They are looked for before anything is cut: half a secret is one too.
pub(super) fn told(source: &str, mut event: Value, redactor: &Redactor) -> RunInput {
    redactor.json(&mut event);
    let whole = event.to_string();
    let text = whole.get(..whole.floor_char_boundary(RunInput::MAX_TEXT)).unwrap_or_default().to_owned();
    RunInput {
        source: source.to_owned(),
        text,
        bytes: i64::try_from(whole.len()).unwrap_or(i64::MAX),
        digest: format!("sha256:{}", hex(&Sha256::digest(whole.as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_run_is_told_has_no_secret_and_is_never_too_long() {
        let redactor = Redactor::new(["hunter22"]);
        let event = told("ci", json!({ "status": "firing", "password": "x", "text": "it is hunter22" }), &redactor);
        assert_eq!((event.source.as_str(), event.text.len() as i64), ("ci", event.bytes));
        assert!(event.text.contains("firing") && !event.text.contains("hunter22") && !event.text.contains("\"x\""), "{event:?}");

        let long = told("ci", json!({ "a": "ü".repeat(RunInput::MAX_TEXT) }), &redactor);
        assert!(long.text.len() <= RunInput::MAX_TEXT && long.text.len() > RunInput::MAX_TEXT - 4);
        assert_eq!((long.bytes, long.digest.len()), (2 * RunInput::MAX_TEXT as i64 + 8, 71));
    }

    #[test]
    fn a_secret_on_the_edge_of_the_cut_does_not_survive_in_part() {
        let secret = "s3cr3t-token-of-some-length";
        for before in (RunInput::MAX_TEXT - 40)..RunInput::MAX_TEXT {
            let event = told("ci", json!({ "a": format!("{}{secret}", " ".repeat(before)) }), &Redactor::new([secret]));
            assert!(!event.text.contains("s3cr3"), "{before}");
        }
    }

    #[test]
    fn where_a_part_ends_is_part_of_the_hash() {
        assert_ne!(hash([b"ab".as_slice(), b"c"]), hash([b"a".as_slice(), b"bc"]));
        assert_eq!(key(&hash([b"ab".as_slice()])).len(), 20);
        assert_eq!((window(59), window(60), window(-1)), (1, 2, 0));
    }
}
