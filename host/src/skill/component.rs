//! From what a linker writes to a component.

use wit_component::ComponentEncoder;

/// Why a module is no component.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a component: {0}; a skill is a `cdylib` that calls `skills_sdk::skill!` exactly once")]
pub struct Error(String);

/// Makes a component of a core module that carries its world, as wit-bindgen leaves it.
pub fn encode(module: &[u8]) -> Result<Vec<u8>, Error> {
    let fail = |error: anyhow::Error| Error(format!("{error:#}"));
    ComponentEncoder::default().module(module).map_err(fail)?.validate(true).encode().map_err(fail)
}
