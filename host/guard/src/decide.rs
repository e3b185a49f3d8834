//! The decision on what was screened, given what was seen. Pure.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use crate::call::{Call, Effect};
use crate::checks::{Check, Code, Denial, Outcome};
use crate::facts::{Conditions, Consequence, Fact, Facts, Seen};
use crate::permit::{Allowed, Grounds, Observed, Permit, Proposal};
use crate::screen::Screened;

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
    let Screened { call, mut grounds, messages } = screened;
    let mutation = match call {
        Call::Ambient(call) => return Decision::Allow(Allowed::Ambient(Permit { call, grounds })),
        Call::Read(call) => return Decision::Allow(Allowed::Read(Permit { call, grounds })),
        Call::Mutation(mutation) => mutation,
    };

    // What is told belongs to the first failure, as the code does.
    let mut detail = None;
    let mut settle = |check, verdict: Verdict| {
        let refused = verdict.map_err(|(code, what)| {
            detail.get_or_insert(what);
            code
        });
        grounds.checks.set(check, refused);
    };
    match &facts {
        None => settle(Check::Data, Err((Code::Unknown, Some(String::from("no facts were gathered"))))),
        Some(facts) => {
            settle(Check::Data, look(&mutation.effect, facts));
            settle(Check::Preconditions, hold(&facts.preconditions, messages));
            settle(Check::Cooldown, known(&facts.cooldown, Code::Cooldown, "cooldown"));
        }
    }

    if let Some((_, code)) = grounds.checks.first_failure() {
        let Grounds { action, tier, checks, scope: _, policy: _, observed: _, reach: _ } = grounds;
        return Decision::Deny(Box::new(Denial {
            code,
            call: Some(Call::Mutation(mutation)),
            action,
            tier: Some(tier),
            checks,
            detail: detail.flatten(),
        }));
    }
    if let Some(Seen::Present(observed)) = facts.map(|facts| facts.target) {
        grounds.observed = Some(observed);
    }
    let permit = Permit { call: mutation, grounds };
    match permit.checks.outcome(Check::Autonomy) {
        Outcome::Pass => Decision::Allow(Allowed::Mutation(permit)),
        Outcome::Propose | Outcome::Skipped | Outcome::Fail(_) => Decision::Propose(Proposal { permit }),
    }
}

impl Effect {
    /// True if this is the object that the skill looked at, as far as the call says which.
    fn means(&self, observed: &Observed) -> bool {
        let Observed { uid, resource_version } = observed;
        match self {
            Self::Evict(_, _, wanted) => wanted == uid,
            Self::Delete(victim) => victim.uid == *uid && victim.resource_version == *resource_version,
            Self::Restart(_) | Self::Scale(_) | Self::Pause(..) | Self::Cordon(..) | Self::RequestSync(..) | Self::Rollback(..) => true,
            Self::Http(_) | Self::Mcp(_) => true,
        }
    }
}

type Verdict = Result<(), (Code, Option<String>)>;

/// The target is there, is the one that was looked at, and nothing that holds data depends on it.
fn look(effect: &Effect, facts: &Facts) -> Verdict {
    let beyond_cluster = matches!(effect, Effect::Http(_) | Effect::Mcp(_));
    match &facts.target {
        Seen::Absent => return Err((Code::TargetAbsent, None)),
        Seen::Unknown(what) => return Err((Code::Unknown, Some(format!("target: {what}")))),
        Seen::Elsewhere if beyond_cluster => {}
        Seen::Elsewhere => return Err((Code::Unknown, Some(String::from("the target was not looked at")))),
        Seen::Present(observed) if effect.means(observed) => {}
        Seen::Present(_) => return Err((Code::TargetChanged, None)),
    }
    known(&facts.node, Code::NodeNotCovered, "node labels")?;
    let possible = Consequence::of(effect);
    for consequence in Consequence::ALL {
        match facts.about(consequence) {
            Fact::Impact if possible.contains(&consequence) => return Err((Code::DataProtection, Some(consequence.as_str().into()))),
            Fact::Impact | Fact::Clear => {}
            Fact::Unknown(what) => return Err((Code::Unknown, Some(format!("{}: {what}", consequence.as_str())))),
        }
    }
    Ok(())
}

/// A broken pre-condition is told in the words of the sheet.
fn hold(conditions: &Conditions, messages: Vec<String>) -> Verdict {
    match conditions {
        Conditions::Hold => Ok(()),
        Conditions::Broken(at) => Err((Code::Precondition, messages.into_iter().nth(*at))),
        Conditions::Unknown(missing) => Err((Code::Unknown, Some(format!("pre-conditions: {missing}")))),
    }
}

fn known(fact: &Fact, code: Code, what: &str) -> Verdict {
    match fact {
        Fact::Clear => Ok(()),
        Fact::Impact => Err((code, None)),
        Fact::Unknown(missing) => Err((Code::Unknown, Some(format!("{what}: {missing}")))),
    }
}
