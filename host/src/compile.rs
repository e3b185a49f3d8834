//! Compiling components of strangers, away from this process.
//!
//! Compilation cannot be cancelled, and its cost is the author's choice. So the parent ([`Compiler`]) starts this very program again as
//! `infraagent compile`, one at a time, and hands it the component over a pipe; the [`child`] gives up everything but computing before it reads the first
//! byte: bounded address space and processor time, no new file, socket or program. What comes back over the pipe is native code, which only
//! [`crate::skill::cache`] may keep.
//!
//! | who | bounds |
//! |---|---|
//! | child, on itself | address space, processor time, core dumps, file size, file descriptors, privileges |
//! | parent, on the child | wall clock, size of the answer, empty environment, one child at a time |

mod child;
mod error;
mod parent;
mod size;

pub use child::{Args, main};
pub use error::Error;
pub use parent::{CompileLimits, Compiler, Flags, in_child};
pub use size::{InvalidSize, Size};

/// The largest component that is compiled.
pub const MAX_COMPONENT: usize = 32 * 1024 * 1024;

/// What a line of the child's standard error begins with if the line is its verdict.
const PREFIX: &str = "infraagent-compile: ";
