//! The floor of an agent's records: how many were removed, and in what the last of them ended. Retention signs it before it removes anything, so what is left
//! still begins somewhere.
//!
//! `hash = H("floor", canonical(floor))` and the signature is over `infraagent audit v1 floor`, one newline and the hash, with the words of [`crate::audit`].
//! A floor names its agent's uid, so that of another agent proves nothing; an older one of the same agent leaves a gap.

use serde::{Deserialize, Serialize};

use super::{
    canonical, chain,
    key::{AuditKey, PublicKey},
};

/// What was removed of one agent's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Floor {
    /// Namespace of the agent.
    pub namespace: String,
    /// Its name.
    pub agent: String,
    /// Its uid.
    pub agent_uid: String,
    /// Number of the last record that was removed.
    pub sequence: i64,
    /// Uid of that run.
    pub run_uid: String,
    /// Its head, computed from its content when it was removed. Empty if it had none.
    pub head: String,
    /// In how many places what was removed did not hang together, or was not what was signed. 0 in an installation that nobody tampered with.
    pub breaks: u64,
}

/// A floor and its signature, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedFloor {
    /// The floor in canonical JSON.
    pub floor: String,
    /// Which key signed it.
    pub key_id: String,
    /// Base64 of the Ed25519 signature.
    pub signature: String,
}

/// Why a floor proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// It is no floor.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Somebody else signed it, or changed it.
    #[error("its signature is not that of key {0} for this content")]
    Signature(String),
    /// It belongs to another agent.
    #[error("it is that of the agent with uid {0}")]
    Agent(String),
}

impl Floor {
    /// Signs it. None if it has no canonical form, which a floor always has.
    pub fn sign(&self, key: &AuditKey) -> Option<SignedFloor> {
        let floor = canonical::text(&serde_json::to_value(self).ok()?).ok()?;
        let signature = key.sign(&signed_text(&floor));
        Some(SignedFloor { floor, key_id: key.id(), signature })
    }
}

impl SignedFloor {
    /// What it says, if this key signed it for this agent. Without a key the signature is not looked at.
    pub fn open(&self, key: Option<&PublicKey>, agent_uid: &str) -> Result<Floor, Forged> {
        let floor: Floor = serde_json::from_str(&self.floor).map_err(|error| Forged::Unreadable(error.to_string()))?;
        let value = serde_json::to_value(&floor).map_err(|error| Forged::Unreadable(error.to_string()))?;
        let text = canonical::text(&value).map_err(|error| Forged::Unreadable(error.to_string()))?;
        if let Some(key) = key
            && (key.id() != self.key_id || !key.verifies(&signed_text(&text), &self.signature))
        {
            return Err(Forged::Signature(key.id()));
        }
        if floor.agent_uid != agent_uid {
            return Err(Forged::Agent(floor.agent_uid));
        }
        Ok(floor)
    }
}

fn signed_text(floor: &str) -> String {
    format!("infraagent audit v1 floor\n{}", chain::hash("floor", &[floor]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor() -> Floor {
        Floor {
            namespace: "agents".to_owned(),
            agent: "forge".to_owned(),
            agent_uid: "uid-1".to_owned(),
            sequence: 7,
            run_uid: "run-7".to_owned(),
            head: "ab".repeat(32),
            breaks: 0,
        }
    }

    #[test]
    fn a_floor_proves_what_was_signed_for_its_agent_and_nothing_else() {
        let (key, other) = (AuditKey::generate().unwrap(), AuditKey::generate().unwrap());
        let signed = floor().sign(&key).unwrap();
        assert_eq!(signed.open(Some(&key.public()), "uid-1"), Ok(floor()));
        let forged = SignedFloor { floor: signed.floor.replace("\"sequence\":7", "\"sequence\":9"), ..signed.clone() };
        assert!(matches!(forged.open(Some(&key.public()), "uid-1"), Err(Forged::Signature(_))));
        assert!(matches!(floor().sign(&other).unwrap().open(Some(&key.public()), "uid-1"), Err(Forged::Signature(_))));
        assert_eq!(signed.open(Some(&key.public()), "uid-2"), Err(Forged::Agent("uid-1".to_owned())));
        let more = SignedFloor { floor: signed.floor.replace("{", "{\"x\":1,"), ..signed };
        assert!(matches!(more.open(Some(&key.public()), "uid-1"), Err(Forged::Unreadable(_))));
    }
}
