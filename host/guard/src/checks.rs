//! What was checked, with which outcome, and the refusal that follows from it.

use alloc::{format, string::String};
use core::fmt;

use crate::{call::Call, name::ActionId, policy::Tier};

words! {
    /// The checks, in the order in which they are made.
    Check {
        /// The action is declared, in the tool's list, and covers this verb and target.
        Action = "action",
        /// The tier is known: from the verb, for http and mcp from the environment.
        Tier = "tier",
        /// The agent's autonomy reaches the tier.
        Autonomy = "autonomy",
        /// The namespaces and endpoints belong to the environment.
        Environment = "environment",
        /// Nothing in the agent's deny list matches.
        DenyList = "deny-list",
        /// Something in the agent's allow list matches, if there is one.
        AllowList = "allow-list",
        /// The platform's policy: freeze, suspension, ceilings.
        Platform = "platform",
        /// The run has calls, bytes and time left.
        Budget = "budget",
        /// No consequence for data.
        Data = "data",
        /// The action's pre-conditions hold.
        Preconditions = "preconditions",
        /// The action is not cooling down on this target.
        Cooldown = "cooldown",
    }
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It does not apply, or was not reached.
    Skipped,
    /// It holds.
    Pass,
    /// It holds only for a proposal: a human must approve.
    Propose,
    /// It does not hold.
    Fail(Code),
}

impl From<Result<(), Code>> for Outcome {
    fn from(result: Result<(), Code>) -> Self {
        result.map_or_else(Self::Fail, |()| Self::Pass)
    }
}

/// The outcomes of all checks. Its text is the `checks` of an audit entry: `action=pass tier=pass autonomy=fail:tier-not-granted ...`, without the skipped ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks([Outcome; 11]);

impl Checks {
    pub(crate) const fn none() -> Self {
        Self([Outcome::Skipped; 11])
    }

    pub(crate) fn set(&mut self, check: Check, outcome: impl Into<Outcome>) {
        if let Some(slot) = self.0.get_mut(check as usize) {
            *slot = outcome.into();
        }
    }

    /// The outcome of one check.
    pub fn outcome(&self, check: Check) -> Outcome {
        self.0.get(check as usize).copied().unwrap_or(Outcome::Skipped)
    }

    /// The first check that failed.
    pub fn first_failure(&self) -> Option<(Check, Code)> {
        Check::ALL.into_iter().find_map(|check| match self.outcome(check) {
            Outcome::Fail(code) => Some((check, code)),
            Outcome::Skipped | Outcome::Pass | Outcome::Propose => None,
        })
    }
}

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for check in Check::ALL {
            let (word, code) = match self.outcome(check) {
                Outcome::Skipped => continue,
                Outcome::Pass => ("pass", ""),
                Outcome::Propose => ("propose", ""),
                Outcome::Fail(code) => ("fail:", code.as_str()),
            };
            write!(f, "{space}{}={word}{code}", check.as_str())?;
            space = " ";
        }
        Ok(())
    }
}

words! {
    /// Why a call is refused. Open for the guest (a string there), closed here.
    Code,
    /// One sentence for the model and for people; says nothing about what was read.
    message: &'static str {
        /// A value of the call is malformed; it never became a [`Call`].
        Malformed = "malformed" => "the call is malformed",
        /// No such action in the sheet.
        UndeclaredAction = "undeclared-action" => "the action sheet declares no such action",
        /// The call needs an action id and has none.
        MissingAction = "missing-action" => "this call must name an action of the sheet",
        /// The action exists, but not in this tool's list.
        NotThisTool = "not-this-tool" => "the action belongs to another tool",
        /// The action does not cover this verb.
        VerbNotCovered = "verb-not-covered" => "the action does not cover this verb",
        /// The action does not cover this kind, namespace, name, count, endpoint or path.
        TargetNotCovered = "target-not-covered" => "the action does not cover this target",
        /// The sheet does not ask for state.
        StateNotDeclared = "state-not-declared" => "the action sheet does not ask for state",
        /// The environment does not list this method, path or MCP tool.
        NotListed = "not-listed" => "the environment does not list this method and path, or this tool",
        /// The environment lists it at another tier than the interface it was called through.
        WrongTier = "wrong-tier" => "the environment lists this at another tier",
        /// The agent's autonomy is below the tier.
        TierNotGranted = "tier-not-granted" => "the agent's autonomy does not reach this tier",
        /// The namespace or endpoint is not part of the environment.
        OutOfScope = "out-of-scope" => "the target is outside of the agent's environment",
        /// The deny list matches.
        DenyListed = "deny-listed" => "the agent's denied actions match this call",
        /// The allow list does not match.
        NotAllowListed = "not-allow-listed" => "the agent's allowed actions do not match this call",
        /// The platform suspended agents.
        Suspended = "suspended" => "the platform suspended this agent",
        /// A freeze window is open.
        Frozen = "frozen" => "a freeze window of the platform is open",
        /// The platform does not allow this endpoint.
        EndpointNotAllowed = "endpoint-not-allowed" => "the platform does not allow this endpoint",
        /// Nothing is left of the run's calls, bytes or time.
        BudgetExhausted = "budget-exhausted" => "the budget of this run is used up",
        /// A consequence for data.
        DataProtection = "data-protection" => "the call could destroy data",
        /// The action may touch data, and the agent's autonomy is not automate-destructive.
        DataImpact = "data-impact" => "the action may have an impact on data, which needs automate-destructive",
        /// A fact could not be found out.
        Unknown = "unknown" => "a fact that the decision needs could not be established",
        /// The target does not exist.
        TargetAbsent = "target-absent" => "the target does not exist",
        /// The target is not what the skill looked at.
        TargetChanged = "target-changed" => "the target is not the object that was looked at",
        /// The node does not carry the labels that the sheet asks for.
        NodeNotCovered = "node-not-covered" => "the action does not cover this node",
        /// A pre-condition does not hold.
        Precondition = "precondition" => "a pre-condition of the action does not hold",
        /// The action was used on this target a short while ago.
        Cooldown = "cooldown" => "the action is cooling down on this target",
        /// A human must approve.
        ApprovalRequired = "approval-required" => "the agent's autonomy only allows to propose this: it was written down for a human",
    }
}

impl Code {
    /// The refusal of what is not so.
    pub(crate) fn unless(self, fine: bool) -> Result<(), Self> {
        if fine { Ok(()) } else { Err(self) }
    }
}

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The first reason.
    pub code: Code,
    /// What was asked for; none when the claim never became a call.
    pub call: Option<Call>,
    /// The action that was claimed.
    pub action: Option<ActionId>,
    /// The tier, as far as it is known.
    pub tier: Option<Tier>,
    /// All checks.
    pub checks: Checks,
    /// Which fact or rule is missing, or what the sheet says about a pre-condition that does not hold: never content of an object.
    pub detail: Option<String>,
}

impl Denial {
    /// What the guest and the model are told.
    pub fn message(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.code.message()),
            None => self.code.message().into(),
        }
    }
}
