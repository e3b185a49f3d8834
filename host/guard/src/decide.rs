//! The decision on what was screened, given what was seen. Pure.

use alloc::{boxed::Box, format, string::String};

use crate::{
    call::{Call, Effect, Mutation},
    checks::{Check, Code, Denial, Outcome},
    facts::{Consequence, Fact, Facts, Seen},
    permit::{Allowed, Permit, Proposal},
    screen::Screened,
};

/// What becomes of a call.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody obeys is none"]
pub enum Decision {
    /// Execute it.
    Allow(Allowed),
    /// Write it down for a human.
    Propose(Proposal),
    /// Refuse it.
    Deny(Box<Denial>),
}

/// Decides a screened call. `facts` are needed for mutations only; a mutation without facts is denied.
pub fn decide(screened: Screened, facts: Option<Facts>) -> Decision {
    let Screened { call, action, tier, mut checks, scope, policy, reach, propose } = screened;
    let mutation = match call {
        Call::Ambient(call) => {
            return Decision::Allow(Allowed::Ambient(Permit { call, action, tier, checks, scope, policy, observed: None, reach }));
        }
        Call::Read(call) => {
            return Decision::Allow(Allowed::Read(Permit { call, action, tier, checks, scope, policy, observed: None, reach }));
        }
        Call::Mutation(mutation) => mutation,
    };

    let mut detail = None;
    let verdict = match &facts {
        None => Err((Code::Unknown, Some(String::from("no facts were gathered")))),
        Some(facts) => look(&mutation, facts),
    };
    checks.set(Check::Data, settle(verdict, &mut detail));
    if let Some(facts) = &facts {
        checks.set(Check::Preconditions, settle(known(&facts.preconditions, Code::Precondition, "pre-conditions"), &mut detail));
        checks.set(Check::Cooldown, settle(known(&facts.cooldown, Code::Cooldown, "cooldown"), &mut detail));
    }

    if let Some((_, code)) = checks.first_failure() {
        return Decision::Deny(Box::new(Denial { code, call: Some(Call::Mutation(mutation)), action, tier: Some(tier), checks, detail }));
    }
    let observed = match facts.map(|facts| facts.target) {
        Some(Seen::Present(observed)) => Some(observed),
        Some(Seen::Absent | Seen::Unknown(_) | Seen::Elsewhere) | None => None,
    };
    let permit = Permit { call: mutation, action, tier, checks, scope, policy, observed, reach };
    if propose { Decision::Propose(Proposal { permit }) } else { Decision::Allow(Allowed::Mutation(permit)) }
}

type Verdict = Result<(), (Code, Option<String>)>;

/// Records the first detail only: it belongs to the first failure.
fn settle(verdict: Verdict, detail: &mut Option<String>) -> Outcome {
    match verdict {
        Ok(()) => Outcome::Pass,
        Err((code, what)) => {
            if detail.is_none() {
                *detail = what;
            }
            Outcome::Fail(code)
        }
    }
}

/// The target is there, is the one that was looked at, and nothing that holds data depends on it.
fn look(mutation: &Mutation, facts: &Facts) -> Verdict {
    let in_cluster = !matches!(mutation.effect, Effect::Http(_) | Effect::Mcp(_));
    let observed = match &facts.target {
        Seen::Present(observed) => Some(observed),
        Seen::Absent => return Err((Code::TargetAbsent, None)),
        Seen::Unknown(what) => return Err((Code::Unknown, Some(format!("target: {what}")))),
        Seen::Elsewhere if in_cluster => return Err((Code::Unknown, Some(String::from("the target was not looked at")))),
        Seen::Elsewhere => None,
    };
    if let Some(observed) = observed {
        let as_looked_at = match &mutation.effect {
            Effect::Evict(_, _, uid) => *uid == observed.uid,
            Effect::Delete(victim) => victim.uid == observed.uid && victim.resource_version == observed.resource_version,
            Effect::Restart(_)
            | Effect::Scale(_)
            | Effect::Pause(..)
            | Effect::Cordon(..)
            | Effect::RequestSync(..)
            | Effect::Rollback(..)
            | Effect::Http(_)
            | Effect::Mcp(_) => true,
        };
        if !as_looked_at {
            return Err((Code::TargetChanged, None));
        }
    }
    known(&facts.node, Code::NodeNotCovered, "node labels")?;
    for consequence in Consequence::of(&mutation.effect) {
        match facts.about(*consequence) {
            Fact::Clear => {}
            Fact::Impact => return Err((Code::DataProtection, Some(consequence.as_str().into()))),
            Fact::Unknown(what) => return Err((Code::Unknown, Some(format!("{}: {what}", consequence.as_str())))),
        }
    }
    Ok(())
}

fn known(fact: &Fact, code: Code, what: &str) -> Verdict {
    match fact {
        Fact::Clear => Ok(()),
        Fact::Impact => Err((code, None)),
        Fact::Unknown(missing) => Err((Code::Unknown, Some(format!("{what}: {missing}")))),
    }
}
