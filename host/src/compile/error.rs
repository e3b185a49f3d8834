//! Why there is no native code.

use std::{io, time::Duration};

use super::Size;

/// Why a component was not compiled. The host and its other skills are well in every case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Larger than anything that is compiled.
    #[error("the component has {size} bytes, more than the {limit} that are compiled; make it smaller")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The largest size.
        limit: usize,
    },
    /// Not a component at all.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// A component that does not hold what the format promises, or uses what is not supported.
    #[error("the component is not valid: {0}")]
    Invalid(String),
    /// Needs more memory than it may have.
    #[error(
        "compiling the component needs more than {limit} of memory; make it smaller, or allow more with `--compile-memory {suggestion}`"
    )]
    Memory {
        /// What it may have.
        limit: Size,
        /// What is likely to be enough for a component of this size.
        suggestion: Size,
    },
    /// Computes longer than it may.
    #[error("compiling the component takes more than {} s of processor time; make it smaller, or allow more with `--compile-cpu`", limit.as_secs())]
    Cpu {
        /// What it may take.
        limit: Duration,
    },
    /// Takes longer than it may.
    #[error("compiling the component took longer than {:.1} s and was stopped; make it smaller, or try again on a machine with less to do", limit.as_secs_f64())]
    Wall {
        /// What it may take.
        limit: Duration,
    },
    /// The answer is too large.
    #[error("the component compiles to more than {limit} of native code; make it smaller")]
    Output {
        /// The largest answer.
        limit: Size,
    },
    /// There is no child.
    #[error("the compiler `{program}` does not start: {source}")]
    Start {
        /// What was to be started.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The child could not give up what it must give up, and therefore read nothing.
    #[error("the compiler cannot be confined on this system: {0}")]
    Confine(String),
    /// The child ended in a way that it should not.
    #[error("the compiler ended with {how}; the component is not used")]
    Crash {
        /// Its exit status, and the beginning of what it said.
        how: String,
    },
    /// The pipe to the child.
    #[error("talking to the compiler failed: {0}")]
    Pipe(#[source] io::Error),
}

impl Error {
    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::NotAComponent(_) => "not-a-component",
            Self::Invalid(_) => "invalid-component",
            Self::Memory { .. } => "compile-memory",
            Self::Cpu { .. } => "compile-cpu",
            Self::Wall { .. } => "compile-wall-clock",
            Self::Output { .. } => "compile-output",
            Self::Start { .. } => "compiler-missing",
            Self::Confine(_) => "compiler-not-confined",
            Self::Crash { .. } => "compiler-crash",
            Self::Pipe(_) => "compiler-pipe",
        }
    }
}
