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
    kubernetes::Kubernetes,
    snapshot::Snapshot,
};
use crate::audit::Recorded;

/// What acts on the world.
#[derive(Debug)]
pub enum Executor {
    /// A cluster in memory.
    Snapshot(Box<Snapshot>),
    /// A real cluster.
    Kubernetes(Box<Kubernetes>),
}

impl Executor {
    /// What a screened mutation would do. None for reads.
    pub async fn facts<P: Preconditions>(&self, context: &facts::Context<'_, P>, screened: &Screened) -> Option<Facts> {
        match self {
            Self::Snapshot(snapshot) => facts::gather(&**snapshot, context, screened).await,
            Self::Kubernetes(kubernetes) => kubernetes.facts(context, screened).await,
        }
    }

    /// The time, as this world has it.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Snapshot(snapshot) => snapshot.now(),
            Self::Kubernetes(kubernetes) => kubernetes.now(),
        }
    }

    /// Looks.
    pub async fn read(&self, permit: Recorded<Permit<Read>>) -> Result<Answer, CallError> {
        match self {
            Self::Snapshot(snapshot) => snapshot.read(permit),
            Self::Kubernetes(kubernetes) => kubernetes.read(permit).await,
        }
    }

    /// Changes.
    pub async fn mutate(&self, permit: Recorded<Permit<Mutation>>) -> Result<Receipt, CallError> {
        match self {
            Self::Snapshot(snapshot) => snapshot.mutate(permit),
            Self::Kubernetes(kubernetes) => kubernetes.mutate(permit).await,
        }
    }

    /// Checks a change as far as this world can without making it. A snapshot cannot: what it allows is allowed.
    pub async fn rehearse(&self, permit: Recorded<Permit<Mutation>>) -> Result<Receipt, CallError> {
        match self {
            Self::Snapshot(_) => {
                let resource_version = permit.get().observed().map(|observed| observed.resource_version.to_string());
                Ok(Receipt { audit_seq: permit.seq(), changed: true, resource_version })
            }
            Self::Kubernetes(kubernetes) => kubernetes.rehearse(permit).await,
        }
    }
}
