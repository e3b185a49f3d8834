//! Records as they are written, attacked in every way we know.

mod bounds;
mod crash;
mod random;
pub(crate) mod support;
mod tamper;
mod writing;
