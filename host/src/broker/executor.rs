//! What acts on the world, closed: one variant per kind of world. Executors take nothing but recorded permits.

use infraagent_guard::{
    Facts,
    call::{Mutation, Read},
    permit::Permit,
    screen::Screened,
};
use infraagent_sandbox::broker::{Answer, CallError, Receipt};
use jiff::Timestamp;

use super::{
    facts::{self, Preconditions},
    snapshot::Snapshot,
};
use crate::audit::Recorded;

/// What acts on the world.
#[derive(Debug)]
pub enum Executor {
    /// A cluster in memory.
    Snapshot(Snapshot),
}

impl Executor {
    /// What a screened mutation would do. None for reads.
    pub async fn facts<P: Preconditions>(&self, context: &facts::Context<'_, P>, screened: &Screened) -> Option<Facts> {
        match self {
            Self::Snapshot(snapshot) => facts::gather(snapshot, context, screened).await,
        }
    }

    /// The time, as this world has it.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Snapshot(snapshot) => snapshot.now(),
        }
    }

    /// Looks.
    pub async fn read(&self, permit: Recorded<Permit<Read>>) -> Result<Answer, CallError> {
        match self {
            Self::Snapshot(snapshot) => snapshot.read(permit),
        }
    }

    /// Changes.
    pub async fn mutate(&self, permit: Recorded<Permit<Mutation>>) -> Result<Receipt, CallError> {
        match self {
            Self::Snapshot(snapshot) => snapshot.mutate(permit),
        }
    }
}
