//! The decision on what was screened, given what was seen. Pure.

use alloc::{boxed::Box, format, string::String};

use crate::call::{Call, Effect};
use crate::checks::{Check, Code, Denial, Outcome};
use crate::facts::{Consequence, Fact, Facts, Seen};
use crate::permit::{Allowed, Grounds, Permit, Proposal};
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
    let Screened { call, mut grounds } = screened;
    let mutation = match call {
        Call::Ambient(call) => return Decision::Allow(Allowed::Ambient(Permit { call, grounds })),
        Call::Read(call) => return Decision::Allow(Allowed::Read(Permit { call, grounds })),
        Call::Mutation(mutation) => mutation,
    };

    // The first detail is kept: it belongs to the first failure.
    let mut detail = None;
    let mut settle = |check, verdict: Verdict| {
        let refused = verdict.map_err(|(code, what)| {
            detail = detail.take().or(what);
            code
        });
        grounds.checks.set(check, refused);
    };
    match &facts {
        None => settle(Check::Data, Err((Code::Unknown, Some(String::from("no facts were gathered"))))),
        Some(facts) => {
            settle(Check::Data, look(&mutation.effect, facts));
            settle(Check::Preconditions, known(&facts.preconditions, Code::Precondition, "pre-conditions"));
            settle(Check::Cooldown, known(&facts.cooldown, Code::Cooldown, "cooldown"));
        }
    }

    if let Some((_, code)) = grounds.checks.first_failure() {
        let Grounds { action, tier, checks, scope: _, policy: _, observed: _, reach: _ } = grounds;
        return Decision::Deny(Box::new(Denial { code, call: Some(Call::Mutation(mutation)), action, tier: Some(tier), checks, detail }));
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

type Verdict = Result<(), (Code, Option<String>)>;

/// The target is there, is the one that was looked at, and nothing that holds data depends on it.
fn look(effect: &Effect, facts: &Facts) -> Verdict {
    match (&facts.target, effect) {
        (Seen::Absent, _) => return Err((Code::TargetAbsent, None)),
        (Seen::Unknown(what), _) => return Err((Code::Unknown, Some(format!("target: {what}")))),
        (Seen::Elsewhere, Effect::Http(_) | Effect::Mcp(_)) => {}
        (Seen::Elsewhere, _) => return Err((Code::Unknown, Some(String::from("the target was not looked at")))),
        (Seen::Present(observed), Effect::Evict(_, _, uid)) if *uid != observed.uid => return Err((Code::TargetChanged, None)),
        (Seen::Present(observed), Effect::Delete(victim))
            if victim.uid != observed.uid || victim.resource_version != observed.resource_version =>
        {
            return Err((Code::TargetChanged, None));
        }
        (Seen::Present(_), Effect::Evict(..) | Effect::Delete(_)) => {}
        (Seen::Present(_), Effect::Restart(_) | Effect::Scale(_) | Effect::Pause(..) | Effect::Cordon(..)) => {}
        (Seen::Present(_), Effect::RequestSync(..) | Effect::Rollback(..) | Effect::Http(_) | Effect::Mcp(_)) => {}
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

fn known(fact: &Fact, code: Code, what: &str) -> Verdict {
    match fact {
        Fact::Clear => Ok(()),
        Fact::Impact => Err((code, None)),
        Fact::Unknown(missing) => Err((Code::Unknown, Some(format!("{what}: {missing}")))),
    }
}
