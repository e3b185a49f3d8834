//! Runs with the same secrets share a redactor: an operator's own token alone makes most of it, and is the same for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::Redactor;

/// The redactors that are in use.
#[derive(Debug, Default)]
pub struct Redactors(Mutex<HashMap<[u8; 32], Weak<Redactor>>>);

impl Redactors {
    /// The redactor that knows exactly these secrets. It goes with the last one who holds it.
    pub fn of(&self, secrets: &[SecretString]) -> Arc<Redactor> {
        let mut name = Sha256::new();
        for secret in secrets {
            let secret = secret.expose_secret();
            name.update(secret.len().to_le_bytes());
            name.update(secret);
        }
        let name: [u8; 32] = name.finalize().into();
        // Held while one is made: of a hundred runs that begin together one makes it.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&name).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, known| known.strong_count() > 0);
        let made = Arc::new(Redactor::new(secrets.iter().map(|secret| secret.expose_secret())));
        all.insert(name, Arc::downgrade(&made));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    #[test]
    fn only_who_knows_exactly_the_same_secrets_shares() {
        let redactors = Redactors::default();
        let first = redactors.of(&secrets(&["correct-horse", "battery"]));
        assert!(Arc::ptr_eq(&first, &redactors.of(&secrets(&["correct-horse", "battery"]))));
        let other = redactors.of(&secrets(&["correct-horseb", "attery"]));
        assert!(!Arc::ptr_eq(&first, &other));
        assert_eq!(first.text("a battery and attery"), "a [redacted] and attery");
        assert_eq!(other.text("an attery"), "an [redacted]");
        drop((first, other));
        assert_eq!(redactors.of(&secrets(&["battery"])).text("battery"), "[redacted]");
        assert_eq!(redactors.0.lock().unwrap().len(), 1, "what nobody holds is forgotten");
    }
}
