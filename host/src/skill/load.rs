//! From the bytes of a component to a skill that can be invoked: admit, look into the cache, else compile in a child and keep, load.
//!
//! The order is the promise: nothing is compiled that was not admitted, nothing is loaded that this program did not compile.

use infraagent_sandbox::{
    compiled::Authentic,
    engine::Engine,
};
use sha2::{Digest as _, Sha256};

use super::cache::Cache;
use crate::compile::{self, Compiler};

/// The native code of an admitted or bundled component: from the cache, else compiled in a child and kept. Without a cache it is compiled each time.
///
/// A cache that fails costs time, never the skill.
pub async fn native(component: &[u8], engine: &Engine, cache: Option<&Cache>, compiler: &Compiler) -> Result<Authentic, compile::Error> {
    let digest = digest(component);
    if let Some(code) = cache.and_then(|cache| cache.find(&digest, engine)) {
        return Ok(code);
    }
    let code = Authentic::from_compiler(compiler.in_child(component).await?);
    if let Some(cache) = cache
        && let Err(error) = cache.keep(&digest, engine, &code)
    {
        tracing::warn!(%error, "compiled component is not kept");
    }
    Ok(code)
}

fn digest(component: &[u8]) -> String {
    let digest: String = Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digest}")
}
