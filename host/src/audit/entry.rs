//! Entries from what the guard decided: the texts that stand in an [`ActionRecord`], within their bounds.

use infraagent_api::{
    Time,
    names::Tier,
    run::{ActionEscalation, ActionRecord, ActionStatus, PreFlightCheck, Reads},
};
use infraagent_guard::{
    call::{Call, Effect, HttpMutation, Mutation},
    checks::{Check, Checks, Denial, Outcome},
    permit::{Observed, Permit, Proposal},
    policy,
};
use serde::Serialize;
use serde_json::Map;

use super::{
    bound::{self, MARK},
    canonical::{self, Error},
    chain,
};

/// What an entry is made of before it is bounded.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) tool: String,
    pub(crate) target: String,
    pub(crate) tier: Tier,
    pub(crate) action: Option<String>,
    pub(crate) call: String,
    pub(crate) checks: Option<Checks>,
    pub(crate) observed: Option<String>,
    pub(crate) policy: Option<String>,
}

impl Intent {
    /// A tool call of the model.
    pub(crate) fn tool(tool: &str, target: &str, call: &str) -> Self {
        Self {
            tool: tool.to_owned(),
            target: target.to_owned(),
            tier: Tier::Read,
            action: None,
            call: call.to_owned(),
            checks: None,
            observed: None,
            policy: None,
        }
    }

    /// A change that was allowed.
    pub(crate) fn permitted(permit: &Permit<Mutation>) -> Self {
        let (tool, target) = verb_and_target(permit.call());
        Self {
            tool,
            target,
            tier: tier(permit.tier()),
            action: permit.action().map(ToString::to_string),
            call: mutation_text(permit.call()),
            checks: Some(*permit.checks()),
            observed: permit.observed().map(observed_text),
            policy: Some(permit.policy().to_owned()),
        }
    }

    /// A change that a human may allow.
    pub(crate) fn proposed(proposal: &Proposal) -> Self {
        let (tool, target) = verb_and_target(proposal.call());
        Self {
            tool,
            target,
            tier: tier(proposal.tier()),
            action: proposal.action().map(ToString::to_string),
            call: mutation_text(proposal.call()),
            checks: Some(*proposal.checks()),
            observed: proposal.observed().map(observed_text),
            policy: Some(proposal.policy().to_owned()),
        }
    }

    /// A change that was refused.
    pub(crate) fn denied(mutation: &Mutation, denial: &Denial) -> Self {
        let Denial { code: _, call: _, action, tier: known, checks, detail: _ } = denial;
        let (tool, target) = verb_and_target(mutation);
        Self {
            tool,
            target,
            // The least that a change can be, where the environment does not say.
            tier: known.map_or(Tier::ServiceMutation, tier),
            action: action.as_ref().map(ToString::to_string),
            call: mutation_text(mutation),
            checks: Some(*checks),
            observed: None,
            policy: None,
        }
    }

    /// The entry, intended and without hash, and the canonical text of its intent; in at most `room` bytes together with the outcome that is still to come.
    pub(crate) fn into_record(self, seq: u32, timestamp: Time, nonce: String, room: usize) -> Result<(ActionRecord, String), Error> {
        let mut entry = ActionRecord {
            seq: i32::try_from(seq).unwrap_or(i32::MAX),
            timestamp,
            tool: bound::short(&self.tool, 64),
            target: bound::short(&self.target, 256),
            tier: self.tier,
            action: self.action.map(|action| bound::short(&action, 63)),
            call: String::new(),
            nonce,
            checks: self.checks.map(|checks| checks.to_string()),
            pre_flight_check: self.checks.map(pre_flight),
            object_version: self.observed.map(|observed| bound::short(&observed, 128)),
            decided_against: self.policy.map(|policy| bound::short(&policy, 256)),
            intent_hash: "0".repeat(64),
            status: ActionStatus::Intended,
            reason: None,
            result: None,
            reads: None,
            escalation: None,
            outcome_hash: None,
        };
        // Long names give way first: everything that is shortened stands in full, or with its digest, elsewhere in the entry.
        let shorten: [fn(&mut ActionRecord); 7] = [
            |_| {},
            |entry| entry.pre_flight_check = None,
            |entry| entry.target = bound::short(&entry.target, 64),
            |entry| entry.decided_against = entry.decided_against.take().map(|text| bound::short(&initials(&text), 48)),
            |entry| {
                entry.checks = entry.checks.take().map(|text| bound::short(&text, 160));
                entry.object_version = entry.object_version.take().map(|text| bound::short(&text, 64));
            },
            |entry| entry.checks = entry.checks.take().map(|text| remarkable(&text)),
            |entry| {
                entry.tool = bound::short(&entry.tool, 40);
                entry.target = bound::short(&entry.target, 40);
                entry.action = entry.action.take().map(|text| bound::short(&text, 40));
                entry.checks = entry.checks.take().map(|text| bound::short(&text, 40));
                entry.object_version = entry.object_version.take().map(|text| bound::short(&text, 48));
                entry.decided_against = entry.decided_against.take().map(|text| bound::short(&text, 40));
            },
        ];
        let (mut members, mut spare) = (Map::new(), 0);
        for step in shorten {
            step(&mut entry);
            members = canonical::members(&entry)?;
            spare = room.saturating_sub(canonical::object(members.iter())?.len() + OUTCOME_BYTES);
            if spare >= 2 * MARK {
                break;
            }
        }
        entry.call = bound::cut(&self.call, spare.saturating_sub(MARK).min(bound::SHARE));
        // Nothing but the call has changed since the members were made.
        members.insert("call".to_owned(), entry.call.as_str().into());
        Ok((entry, chain::intent_text(&members)?))
    }
}

/// Bytes that an outcome takes beside the texts of result and listed calls: status, a reason of at most 40, reads, hash.
const OUTCOME_BYTES: usize = 300;
/// Most bytes of a reason.
pub(crate) const REASON: usize = 40;

/// The members of an entry that come with its outcome, under the names and rules of [`ActionRecord`]: they are hashed without the rest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutcomeMembers<'a> {
    status: ActionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: &'a Option<Reads>,
    #[serde(skip_serializing_if = "Option::is_none")]
    escalation: &'a Option<ActionEscalation>,
}

/// The canonical text of an entry's outcome, as [`chain::outcome_text`] makes it of the whole entry.
pub(crate) fn outcome_text(entry: &ActionRecord) -> Result<String, Error> {
    let ActionRecord {
        seq: _,
        timestamp: _,
        tool: _,
        target: _,
        tier: _,
        action: _,
        call: _,
        nonce: _,
        checks: _,
        pre_flight_check: _,
        object_version: _,
        decided_against: _,
        intent_hash: _,
        status,
        reason,
        result,
        reads,
        escalation,
        outcome_hash: _,
    } = entry;
    canonical::text(&serde_json::to_value(OutcomeMembers { status: *status, reason, result, reads, escalation })?)
}

/// The tier in the words of the API.
pub(crate) fn tier(tier: policy::Tier) -> Tier {
    match tier {
        policy::Tier::Read => Tier::Read,
        policy::Tier::ServiceMutation => Tier::ServiceMutation,
        policy::Tier::DestructiveMutation => Tier::DestructiveMutation,
    }
}

fn observed_text(observed: &Observed) -> String {
    let Observed { uid, resource_version } = observed;
    format!("{uid}/{resource_version}")
}

/// `a=300 e=301 p=302` of `agent=300 environment=301 policy=302`: the versions matter, the words do not.
fn initials(versions: &str) -> String {
    let short = |word: &str| match word.split_once('=') {
        Some((name, version)) => format!("{}={version}", name.chars().take(1).collect::<String>()),
        None => word.to_owned(),
    };
    versions.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// `tier=fail:wrong-tier` of `action=pass tier=fail:wrong-tier ...`; only `pass` if everything passed.
fn remarkable(checks: &str) -> String {
    let words: Vec<&str> = checks.split(' ').filter(|word| !word.ends_with("=pass")).collect();
    if words.is_empty() { "pass".to_owned() } else { words.join(" ") }
}

/// `kubectl.rollout restart` and `deployment/web -n shop` of `kubectl.rollout restart deployment/web -n shop`.
fn verb_and_target(mutation: &Mutation) -> (String, String) {
    let text = mutation.to_string();
    let words = match &mutation.effect {
        Effect::Restart(_) | Effect::Pause(..) | Effect::Rollback(..) => 2,
        Effect::Scale(_)
        | Effect::Evict(..)
        | Effect::Cordon(..)
        | Effect::RequestSync(..)
        | Effect::Delete(_)
        | Effect::Http(_)
        | Effect::Mcp(_) => 1,
    };
    let split = text.match_indices(' ').nth(words - 1).map(|(at, _)| at);
    match split.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))) {
        Some((verb, target)) => (verb.to_owned(), target.to_owned()),
        None => (text, String::new()),
    }
}

/// The canonical text of a change, the digest of what the text leaves out, and the skill's reason.
fn mutation_text(mutation: &Mutation) -> String {
    let mut text = mutation.to_string();
    let digest = |bytes: &[u8]| chain::sha256(bytes).chars().take(16).collect::<String>();
    match &mutation.effect {
        Effect::Http(HttpMutation { method: _, request, body }) => {
            if !request.query.is_empty() {
                text.push_str(&format!(" query={}", digest(format!("{:?}", request.query).as_bytes())));
            }
            text.push_str(&format!(" body={} {} bytes", digest(body), body.len()));
        }
        Effect::Mcp(call) => text.push_str(&format!(" arguments={}", digest(call.arguments.as_bytes()))),
        Effect::Restart(_)
        | Effect::Scale(_)
        | Effect::Pause(..)
        | Effect::Evict(..)
        | Effect::Cordon(..)
        | Effect::RequestSync(..)
        | Effect::Delete(_)
        | Effect::Rollback(..) => {}
    }
    if !mutation.reason.is_empty() {
        text.push_str(&format!(" # {}", mutation.reason));
    }
    text
}

/// The change that a denial is about, if it is about one.
pub(crate) fn mutation_of(denial: &Denial) -> Option<&Mutation> {
    match &denial.call {
        Some(Call::Mutation(mutation)) => Some(mutation),
        Some(Call::Read(_) | Call::Ambient(_)) | None => None,
    }
}

fn pre_flight(checks: Checks) -> PreFlightCheck {
    let say = |check| match checks.outcome(check) {
        Outcome::Skipped => None,
        Outcome::Pass => Some("pass".to_owned()),
        Outcome::Propose => Some("propose".to_owned()),
        Outcome::Fail(code) => Some(format!("fail: {}", code.as_str())),
    };
    let lists = [Check::DenyList, Check::AllowList].map(say);
    let allow_list = lists.iter().flatten().find(|said| *said != "pass").or_else(|| lists.iter().flatten().next()).cloned();
    PreFlightCheck {
        autonomy_check: say(Check::Autonomy),
        data_impact_check: say(Check::Data),
        allow_list_check: allow_list,
        data_protection: say(Check::Data),
        reason: checks.first_failure().map(|(_, code)| code.message().to_owned()),
    }
}
