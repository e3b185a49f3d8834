//! Where calls go: to the host, or, off WebAssembly, to the fake host of [`testing`](crate::testing).
//!
//! Both sides have the same functions in the SDK's own types, so no generated type is part of the SDK's interface. The describer goes to the fake
//! host too, where nothing is installed: it is a component without imports, and never calls anything.

#[cfg(all(target_arch = "wasm32", not(feature = "describe")))]
mod guest;
#[cfg(any(not(target_arch = "wasm32"), feature = "describe"))]
mod native;

#[cfg(all(target_arch = "wasm32", not(feature = "describe")))]
pub use guest::invoke;
#[cfg(all(target_arch = "wasm32", not(feature = "describe")))]
pub(crate) use guest::*;
#[cfg(any(not(target_arch = "wasm32"), feature = "describe"))]
pub(crate) use native::*;
