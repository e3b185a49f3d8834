//! What was seen of the world. Codes only: no content of any object ever passes through a decision.

use alloc::string::String;

use crate::{call::Effect, permit::Observed};

/// One question about the world and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Looked at, and harmless.
    Clear,
    /// Looked at, and it is so.
    Impact,
    /// Not known: denied. Says what is missing (a rule such as "list persistentvolumeclaims", a time-out), never content.
    Unknown(String),
}

impl Fact {
    /// The worse of two: what is so outweighs what is unknown, which outweighs what is clear.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Impact, _) | (_, Self::Impact) => Self::Impact,
            (Self::Unknown(what), _) | (_, Self::Unknown(what)) => Self::Unknown(what),
            (Self::Clear, Self::Clear) => Self::Clear,
        }
    }
}

/// Whether the pre-conditions of the action hold. It carries no text of the world, so that what is told of a broken one can only be what the sheet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditions {
    /// There is none, or all hold.
    Hold,
    /// Those do not; this is the place, in the sheet, of the first. The others are not told: each answer about an object tells the skill something of it, and
    /// all of them at once would let eight expressions read eight bits per call of an object that the skill may only change.
    Broken(usize),
    /// None is known to be broken, but one has no answer. Says what is missing, never content.
    Unknown(String),
}

words! {
    /// A way in which a mutation could destroy data.
    Consequence {
        /// A pod that would end owns a claim (generic ephemeral volume): the claim goes with it.
        EphemeralVolume = "ephemeral-volume",
        /// A pod that would end is the last one that uses a claim already marked for deletion.
        TerminatingClaim = "terminating-claim",
        /// A StatefulSet whose retention policy deletes claims is scaled down or deleted.
        ClaimRetention = "claim-retention",
        /// A claim or custom resource has the target, or a pod that would end, among its owners: garbage collection would take it.
        Dependants = "dependants",
        /// The target is a declared data resource, owns one, or is owned by one.
        DeclaredData = "declared-data",
        /// The target carries a finalizer: what its deletion sets off is another controller's choice.
        Finalizers = "finalizers",
        /// The target, or an owner of it, belongs to a database operator.
        DatabaseOperator = "database-operator",
    }
}

impl Consequence {
    /// The consequences that a mutation can have, and that must be looked at before it is decided. The others are answered with [`Fact::Clear`]: a fact
    /// left unknown denies every mutation.
    pub fn of(effect: &Effect) -> &'static [Self] {
        use Consequence::{ClaimRetention, DatabaseOperator, DeclaredData, Dependants, EphemeralVolume, Finalizers, TerminatingClaim};
        match effect {
            // Resuming a rollout replaces the pods whose replacement the pause held back.
            Effect::Restart(_) | Effect::Rollback(..) | Effect::Pause(_, _, false) => {
                &[EphemeralVolume, TerminatingClaim, Dependants, DeclaredData, DatabaseOperator]
            }
            Effect::Evict(..) => &[EphemeralVolume, TerminatingClaim, Dependants, DeclaredData, Finalizers, DatabaseOperator],
            Effect::Scale(_) => &[EphemeralVolume, TerminatingClaim, ClaimRetention, Dependants, DeclaredData, DatabaseOperator],
            Effect::Delete(_) => &Self::ALL,
            Effect::Pause(_, _, true) | Effect::RequestSync(..) => &[DeclaredData, DatabaseOperator],
            Effect::Cordon(..) | Effect::Http(_) | Effect::Mcp(_) => &[],
        }
    }
}

/// The target of a mutation, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Present(Observed),
    /// It is not there.
    Absent,
    /// It could not be read; says what is missing.
    Unknown(String),
    /// The call has no target in the cluster (http, mcp).
    Elsewhere,
}

/// Everything that a mutation's decision needs to know. No `Default`: each field is a deliberate answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The target.
    pub target: Seen,
    /// See [`Consequence::EphemeralVolume`].
    pub ephemeral_volume: Fact,
    /// See [`Consequence::TerminatingClaim`].
    pub terminating_claim: Fact,
    /// See [`Consequence::ClaimRetention`].
    pub claim_retention: Fact,
    /// See [`Consequence::Dependants`].
    pub dependants: Fact,
    /// See [`Consequence::DeclaredData`].
    pub declared_data: Fact,
    /// See [`Consequence::Finalizers`].
    pub finalizers: Fact,
    /// See [`Consequence::DatabaseOperator`].
    pub database_operator: Fact,
    /// Impact: the node lacks a label that the sheet asks for. Clear for calls without a node.
    pub node: Fact,
    /// The pre-conditions of the action.
    pub preconditions: Conditions,
    /// Impact: the action was used on this target a shorter while ago than its cooldown.
    pub cooldown: Fact,
}

impl Facts {
    /// The answer about one consequence.
    pub fn about(&self, consequence: Consequence) -> &Fact {
        match consequence {
            Consequence::EphemeralVolume => &self.ephemeral_volume,
            Consequence::TerminatingClaim => &self.terminating_claim,
            Consequence::ClaimRetention => &self.claim_retention,
            Consequence::Dependants => &self.dependants,
            Consequence::DeclaredData => &self.declared_data,
            Consequence::Finalizers => &self.finalizers,
            Consequence::DatabaseOperator => &self.database_operator,
        }
    }
}
