//! Tool names as providers accept them: letters, digits, `_` and `-`, at most 64. One-to-one within a request, and the same name always
//! becomes the same word, so that a provider's cache hits.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{Content, Request};

/// The longest name that both providers take.
const MAX: usize = 64;

/// The names of a request.
#[derive(Debug, Default)]
pub struct Names {
    wire: BTreeMap<String, String>,
    back: BTreeMap<String, String>,
}

impl Names {
    /// Of its tools, and of whatever the model called in its messages.
    pub fn of(request: &Request) -> Self {
        let called = request.messages.iter().flat_map(|message| &message.content).filter_map(|content| match content {
            Content::ToolUse(call) => Some(&call.name),
            Content::Text { .. } | Content::ToolResult(_) => None,
        });
        Self::map(request.tools.iter().map(|tool| &tool.name).chain(called))
    }

    fn map<'n>(names: impl Iterator<Item = &'n String>) -> Self {
        // Those that fit stay what they are, whatever else there is.
        let (fit, other): (BTreeSet<_>, BTreeSet<_>) = names.partition(|name| fits(name));
        let mut names = Self::default();
        for name in fit {
            names.insert(name, name.clone());
        }
        for name in other {
            let mut salt = 0u32;
            let mut word = alias(name, salt);
            while names.back.contains_key(&word) {
                salt += 1;
                word = alias(name, salt);
            }
            names.insert(name, word);
        }
        names
    }

    fn insert(&mut self, name: &str, word: String) {
        self.back.insert(word.clone(), name.to_owned());
        self.wire.insert(name.to_owned(), word);
    }

    /// The word that a provider reads.
    pub fn wire<'n>(&'n self, name: &'n str) -> &'n str {
        self.wire.get(name).map_or(name, String::as_str)
    }

    /// The name that was meant; what was never said stays what it is: an unknown tool.
    pub fn back(&self, word: &str) -> String {
        self.back.get(word).cloned().unwrap_or_else(|| word.to_owned())
    }
}

fn fits(name: &str) -> bool {
    (1..=MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The beginning of the name, and a digest of the whole.
fn alias(name: &str, salt: u32) -> String {
    let begin: String = name.chars().take(MAX - 9).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let digest = Sha256::new().chain_update(salt.to_be_bytes()).chain_update(name).finalize();
    digest.iter().take(4).fold(format!("{begin}_"), |word, byte| format!("{word}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_look_alike_stay_distinct() {
        let all: Vec<String> = ["a.b", "a_b", "a/b", "ä", "", "mcp.k8sgpt.analyze"].map(str::to_owned).into();
        let names = Names::map(all.iter());
        assert_eq!(names.wire("a_b"), "a_b");
        assert!(names.wire("a.b").starts_with("a_b_"), "{}", names.wire("a.b"));
        assert_ne!(names.wire("a.b"), names.wire("a/b"));
        assert_eq!(names.back("never said"), "never said");
        let alone = Names::map(all.iter().take(1));
        assert_eq!(alone.wire("a.b"), names.wire("a.b"), "the same in every request");
        // Somebody named a tool like the word of another.
        let taken = [all[0].clone(), names.wire("a.b").to_owned()];
        let names = Names::map(taken.iter());
        assert_eq!(names.wire(&taken[1]), taken[1]);
        assert_ne!(names.wire("a.b"), taken[1]);
    }

    proptest! {
        #[test]
        fn every_name_comes_back(all in prop::collection::btree_set("\\PC{0,80}|[a-z._]{1,4}", 0..20)) {
            let names = Names::map(all.iter());
            let words: BTreeSet<&str> = all.iter().map(|name| names.wire(name)).collect();
            prop_assert_eq!(words.len(), all.len());
            for name in &all {
                prop_assert!(fits(names.wire(name)), "{}", names.wire(name));
                prop_assert_eq!(&names.back(names.wire(name)), name);
            }
        }
    }
}
