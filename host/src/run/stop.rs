//! Why a run is ended from outside.

/// Why a run is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A signal to the process.
    Signal(&'static str),
    /// The process that executes it shuts down.
    Shutdown,
    /// Somebody set the annotation `infraagent.io/cancel`.
    Cancelled,
    /// Somebody else closed its record or holds it, or its object was deleted.
    Lost,
    /// A newer run takes its place: the agent's `concurrencyPolicy` is `Replace`.
    Replaced,
}

impl Stop {
    /// A stable word for conditions and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Signal(_) | Self::Shutdown => "Interrupted",
            Self::Cancelled => "Cancelled",
            Self::Lost => "ClaimLost",
            Self::Replaced => "Replaced",
        }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal(name) => write!(f, "interrupted by {name}"),
            Self::Shutdown => f.write_str("interrupted: the replica that executed it shut down"),
            Self::Cancelled => f.write_str("cancelled by the annotation infraagent.io/cancel"),
            Self::Lost => f.write_str("its record was closed or taken over by another replica, or deleted"),
            Self::Replaced => f.write_str("replaced by a newer run"),
        }
    }
}
