//! Compiled code and the proof of where it comes from. Native code from anybody else would be the end of the sandbox.
//!
//! An entry of a cache is the code and a seal over it, its component's digest and the engine's fingerprint. The key is the host's: this crate only asks.

use crate::engine::Engine;

/// Proof that these bytes are the output of this product's own compiler.
///
/// INVARIANT: made only from the answer of the compiling child (or of this very process) and from entries whose seal was verified.
pub struct Authentic {
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Authentic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authentic").field("bytes", &self.bytes.len()).finish()
    }
}

impl Authentic {
    /// From the standard output of the child that this process started to run [`Engine::precompile`], and from nothing else: never a file, never a network.
    pub fn from_compiler(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Holds the key of the cache. Implemented by the host.
pub trait Seal {
    /// A message authentication code over the parts, each with its length.
    fn seal(&self, parts: &[&[u8]]) -> [u8; 32];

    /// Compares in constant time.
    fn verify(&self, parts: &[&[u8]], seal: &[u8; 32]) -> bool;
}

/// An entry for the cache.
pub fn seal(code: &Authentic, digest: &str, engine: &Engine, key: &dyn Seal) -> Vec<u8> {
    let seal = key.seal(&[PURPOSE, digest.as_bytes(), engine.fingerprint(), code.bytes()]);
    [&seal[..], code.bytes()].concat()
}

/// The code of an entry, if it was sealed for exactly this component and this engine. Nothing of an entry is looked at before that is sure.
pub fn open(entry: &[u8], digest: &str, engine: &Engine, key: &dyn Seal) -> Option<Authentic> {
    let (seal, code) = entry.split_first_chunk::<32>()?;
    key.verify(&[PURPOSE, digest.as_bytes(), engine.fingerprint(), code], seal).then(|| Authentic { bytes: code.to_vec() })
}

/// Seals of this key for other things are none for code.
const PURPOSE: &[u8] = b"infraagent compiled component 1";
