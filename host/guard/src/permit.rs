//! The proof that a call was allowed, and the written wish that a human may allow.

use alloc::{sync::Arc, vec::Vec};
use core::ops::Deref;

use crate::call::{Ambient, Mutation, Read};
use crate::checks::Checks;
use crate::name::{ActionId, Namespace, ResourceVersion, Uid};
use crate::policy::{Scope, Tier};

/// Why and where a call may be made: what a screened call, a permit and a proposal have in common. Made only by [`screen`](fn@crate::screen).
#[derive(Debug, PartialEq, Eq)]
pub struct Grounds {
    pub(crate) action: Option<ActionId>,
    pub(crate) tier: Tier,
    pub(crate) checks: Checks,
    pub(crate) scope: Arc<Scope>,
    pub(crate) policy: Arc<str>,
    pub(crate) observed: Option<Observed>,
    pub(crate) reach: Reach,
}

impl Grounds {
    /// The action that covers the call; none for ambient calls.
    pub fn action(&self) -> Option<&ActionId> {
        self.action.as_ref()
    }

    /// Its tier.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Every check so far, for the record.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Where it may be executed: an executor of another scope must refuse.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The revision of the policy that was asked.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// The target as it was when the facts were gathered: the precondition of the effect. None before, and for calls without a target in the cluster.
    pub fn observed(&self) -> Option<&Observed> {
        self.observed.as_ref()
    }

    /// The namespaces that the call may look into.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }
}

/// Allowed: exactly this call, once, in this scope, on the object as it was observed.
///
/// Made only by [`decide`](fn@crate::decide), not `Clone`, fields private: "decide on A, execute B" cannot be written.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not executed is a decision without effect"]
pub struct Permit<C> {
    pub(crate) call: C,
    pub(crate) grounds: Grounds,
}

impl<C> Permit<C> {
    /// The call that was allowed.
    pub fn call(&self) -> &C {
        &self.call
    }
}

impl<C> Deref for Permit<C> {
    type Target = Grounds;

    fn deref(&self) -> &Grounds {
        &self.grounds
    }
}

/// An object as it was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its uid.
    pub uid: Uid,
    /// Its resource version.
    pub resource_version: ResourceVersion,
}

/// Which namespaces a read may look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The call names no namespaced object: only a cluster-scoped kind may be read. An executor that finds the kind to be namespaced must refuse.
    Cluster,
    /// Only these namespaces: the grant ∩ the environment ∩ the agent's lists. Never empty.
    Namespaces(Vec<Namespace>),
    /// The call does not concern the cluster.
    Elsewhere,
}

/// A permit of any kind.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not executed is a decision without effect"]
pub enum Allowed {
    /// Touches nothing beyond the run.
    Ambient(Permit<Ambient>),
    /// Looks.
    Read(Permit<Read>),
    /// Changes.
    Mutation(Permit<Mutation>),
}

/// A mutation that all checks but autonomy allow: written down for a human, bound to the exact call and object.
#[derive(Debug, PartialEq, Eq)]
pub struct Proposal {
    pub(crate) permit: Permit<Mutation>,
}

impl Proposal {
    /// What is proposed.
    pub fn call(&self) -> &Mutation {
        &self.permit.call
    }
}

impl Deref for Proposal {
    type Target = Grounds;

    fn deref(&self) -> &Grounds {
        &self.permit.grounds
    }
}
