//! Everything that can be decided without looking at the world. Nothing is read before a call has passed here, so a forged call is no oracle and no load.

use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::{ops::Deref, slice};

use crate::call::{Ambient, Call, Effect, Finding, HttpRequest, Mutation, Read};
use crate::checks::{Check, Checks, Code, Denial, Outcome};
use crate::name::{ActionId, GroupResource, Namespace, ToolName};
use crate::pattern::{Object, Subject};
use crate::permit::{Grounds, Reach};
use crate::policy::{Action, Autonomy, Endpoint, Grant, KubernetesGrant, Policy, Suspend, Tier, Tool, Verb};
use crate::view::View;

/// A call, and what the skill says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The tool that is running: known to the host, not claimed by the guest.
    pub tool: ToolName,
    /// The action that the guest claims; none for ambient calls.
    pub action: Option<ActionId>,
    /// The call.
    pub call: Call,
}

/// What the decision may not find out by itself: there is no clock and no counter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// A freeze window of the platform is open.
    pub frozen: bool,
    /// Entries that the record still takes, for mutations.
    pub entries: u32,
    /// Bytes that the run may still send.
    pub egress_bytes: u64,
    /// Milliseconds that the run still has.
    pub millis: u64,
}

/// A call that passed every check that needs no knowledge of the world. Only this can gather facts.
#[derive(Debug)]
#[must_use = "a screened call must be decided"]
pub struct Screened {
    pub(crate) call: Call,
    pub(crate) grounds: Grounds,
    /// What the sheet says about each of the action's pre-conditions, for the case that it does not hold.
    pub(crate) messages: Vec<String>,
}

impl Screened {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }
}

impl Deref for Screened {
    type Target = Grounds;

    fn deref(&self) -> &Grounds {
        &self.grounds
    }
}

/// Runs every check that needs no knowledge of the world. All are run, so that the record shows all; the first that fails gives the code.
pub fn screen(policy: &Policy, claim: Claim, now: &Circumstances) -> Result<Screened, Box<Denial>> {
    let call = &claim.call;
    let mut checks = Checks::none();
    let autonomy = policy.effective_autonomy();
    let view = View::of(call);
    let endpoint = view.endpoint(&policy.environment);

    let tool = policy.sheet.tool(&claim.tool);
    let found = claim.action.as_ref().and_then(|id| policy.sheet.find(id));
    let action = found.map(|(_, action)| action);
    checks.set(Check::Action, covered(policy, &claim, &view, tool, found));

    // A tool that the site calls a mutation cannot be reached through the read interface, nor the reverse.
    let listed = view.tier(&policy.environment);
    let right_interface = |tier| Code::WrongTier.unless((tier > Tier::Read) == call.mutates());
    checks.set(Check::Tier, listed.ok_or(Code::NotListed).and_then(right_interface));

    let tier = listed.map(|tier| action.and_then(|action| action.raise).map_or(tier, |raise| raise.max(tier)));
    let granted = match tier {
        None => Outcome::Skipped,
        Some(tier) if autonomy >= tier.needs() => Outcome::Pass,
        // A read whose tier was raised changes nothing that a human could approve.
        Some(_) if autonomy == Autonomy::Observe || !call.mutates() => Outcome::Fail(Code::TierNotGranted),
        Some(_) => Outcome::Propose,
    };
    checks.set(Check::Autonomy, granted);

    let Places { in_scope, lists, reach } = match (&view, endpoint) {
        (View::Nothing, _) => Places::elsewhere(about_is_in_scope(policy, call, tool), None),
        (View::Http(method, request), Some(Endpoint { origin, base, holds_data: _, allowed: _, writes: _ })) => {
            let path = format!("{base}{}", request.path);
            Places::elsewhere(true, Some(lists(policy, &Subject::Http { method: *method, origin, path: &path })))
        }
        (View::Http(..), None) => Places::elsewhere(false, None),
        (View::Mcp(call), _) => {
            let subject = Subject::Mcp { server: call.server.as_str(), tool: call.tool.as_str() };
            Places::elsewhere(policy.environment.servers.contains_key(&call.server), Some(lists(policy, &subject)))
        }
        (View::Kubernetes(object), _) => Places::in_cluster(policy, object, action),
    };
    checks.set(Check::Environment, Code::OutOfScope.unless(in_scope));
    if let Some((deny_list, allow_list)) = lists {
        checks.set(Check::DenyList, deny_list);
        checks.set(Check::AllowList, allow_list);
    }

    checks.set(Check::Platform, platform(policy, call, endpoint, now));
    checks.set(Check::Budget, budget(call, now));
    if call.mutates() && endpoint.is_some_and(|endpoint| endpoint.holds_data) {
        checks.set(Check::Data, Outcome::Fail(Code::DataProtection));
    } else if action.is_some_and(|action| action.data_impact) && autonomy < Autonomy::AutomateDestructive {
        checks.set(Check::Data, Outcome::Fail(Code::DataImpact));
    }

    let refused = checks.first_failure().map(|(_, code)| code);
    let messages = action.into_iter().flat_map(|action| &action.preconditions).map(|condition| condition.message.clone()).collect();
    let Claim { tool: _, action, call } = claim;
    match (refused, tier) {
        (None, Some(tier)) => {
            let (scope, policy) = (Arc::clone(&policy.scope), Arc::clone(&policy.revision));
            Ok(Screened { call, grounds: Grounds { action, tier, checks, scope, policy, observed: None, reach }, messages })
        }
        // An unknown tier has failed above; if it had not, it would be refused here all the same.
        (refused, tier) => {
            let code = refused.unwrap_or(Code::NotListed);
            Err(Box::new(Denial { code, call: Some(call), action, tier, checks, detail: None }))
        }
    }
}

/// Check 1: the action is declared, in the tool's list, and covers verb and target.
fn covered(policy: &Policy, claim: &Claim, view: &View<'_>, tool: Option<&Tool>, action: Option<(usize, &Action)>) -> Result<(), Code> {
    let tool = tool.ok_or(Code::NotThisTool)?;
    Code::Malformed.unless(claim.call.is_bounded())?;
    if let Call::Ambient(ambient) = &claim.call {
        Code::Malformed.unless(claim.action.is_none())?;
        return match ambient {
            Ambient::Log(_) | Ambient::Finding(_) | Ambient::Site | Ambient::Clock => Ok(()),
            Ambient::StateGet(_) | Ambient::StatePut(_) | Ambient::StateRemove(_) | Ambient::StateKeys(_) => {
                Code::StateNotDeclared.unless(tool.state())
            }
        };
    }
    Code::MissingAction.unless(claim.action.is_some())?;
    let (position, action) = action.ok_or(Code::UndeclaredAction)?;
    Code::NotThisTool.unless(tool.may_claim(position))?;
    match (&action.grant, view) {
        (Grant::Kubernetes(grant), View::Kubernetes(object)) => grant.covers(policy, object),
        (Grant::Http(grant), View::Http(method, request)) => {
            Code::VerbNotCovered.unless(grant.methods.contains(method))?;
            let endpoint = grant.endpoints.iter().any(|glob| glob.matches(request.endpoint.as_str()));
            Code::TargetNotCovered.unless(endpoint && grant.paths.iter().any(|glob| glob.matches(request.path.as_str())))
        }
        (Grant::Mcp(grant), View::Mcp(call)) => {
            let tool = grant.tools.iter().any(|glob| glob.is_any() || glob.matches(call.tool.as_str()));
            Code::TargetNotCovered.unless(grant.server == call.server && tool)
        }
        (Grant::Kubernetes(_) | Grant::Http(_) | Grant::Mcp(_), _) => Err(Code::VerbNotCovered),
    }
}

/// Kinds of this product: only the agent's own runs and neighbours, and only in its own namespace.
fn is_ours(group: &str) -> bool {
    group == "infraagent.io" || group.ends_with(".infraagent.io")
}

fn is_readable((group, resource): (&str, &str)) -> bool {
    !is_ours(group) || (group == "core.infraagent.io" && matches!(resource, "infraagents" | "agentruns"))
}

impl KubernetesGrant {
    fn covers(&self, policy: &Policy, object: &Object<'_>) -> Result<(), Code> {
        let Object { verb, kind, namespace, name, replicas } = *object;
        Code::VerbNotCovered.unless(self.verbs.contains(&verb))?;
        let has_kind = self.kinds.iter().any(|granted| granted.is(kind.0, kind.1));
        let has_namespace = match (&self.namespaces, namespace) {
            _ if is_ours(kind.0) => namespace.map_or(verb == Verb::List, |namespace| *namespace == policy.home),
            (None, None) => !GroupResource::is_known_as_namespaced(kind.0, kind.1),
            (Some(granted), Some(namespace)) => granted.contains(namespace),
            // A list over all granted namespaces; an object of a namespaced kind needs its namespace.
            (Some(granted), None) => verb == Verb::List && !granted.is_empty(),
            (None, Some(_)) => false,
        };
        let has_replicas = replicas.is_none_or(|wanted| self.replicas.is_some_and(|(min, max)| (min..=max).contains(&wanted)));
        let has_node = verb != Verb::Cordon || !self.nodes.is_empty();
        Code::TargetNotCovered.unless(has_kind && has_namespace && self.covers_name(name) && has_replicas && has_node)
    }

    fn covers_name(&self, name: Option<&str>) -> bool {
        self.names.is_empty() || self.names.iter().any(|glob| name.map_or(glob.is_any(), |name| glob.matches(name)))
    }
}

/// Outcomes of the deny list and the allow list.
type Lists = (Result<(), Code>, Result<(), Code>);

/// Checks 4, 5 and 6. A list over several namespaces is narrowed to those that pass all three.
struct Places {
    in_scope: bool,
    lists: Option<Lists>,
    reach: Reach,
}

impl Places {
    fn elsewhere(in_scope: bool, lists: Option<Lists>) -> Self {
        Self { in_scope, lists, reach: Reach::Elsewhere }
    }

    fn in_cluster(policy: &Policy, object: &Object<'_>, action: Option<&Action>) -> Self {
        let in_scope = is_readable(object.kind);
        let candidates: &[Namespace] = match (object.namespace, action.map(|action| &action.grant)) {
            (Some(namespace), _) => slice::from_ref(namespace),
            (None, _) if is_ours(object.kind.0) => slice::from_ref(&policy.home),
            (None, Some(Grant::Kubernetes(grant))) => grant.namespaces.as_deref().unwrap_or_default(),
            (None, Some(Grant::Http(_) | Grant::Mcp(_)) | None) => &[],
        };
        let judge = |namespace| lists(policy, &Subject::Kubernetes(Object { namespace, ..*object }));
        if candidates.is_empty() {
            return Self { in_scope, lists: Some(judge(None)), reach: Reach::Cluster };
        }
        let (mut reach, mut shown) = (Vec::new(), None);
        for namespace in candidates.iter().filter(|namespace| in_scope && in_environment(policy, object.kind.0, namespace)) {
            let lists = judge(Some(namespace));
            if lists == (Ok(()), Ok(())) {
                reach.push(namespace.clone());
                shown = Some(lists);
            } else if reach.is_empty() {
                // If no namespace passes, the record shows the last refusal.
                shown = Some(lists);
            }
        }
        Self { in_scope: shown.is_some(), lists: shown, reach: Reach::Namespaces(reach) }
    }
}

/// A finding may be about an object in the environment, or about a cluster-scoped one that an action of the tool covers.
fn about_is_in_scope(policy: &Policy, call: &Call, tool: Option<&Tool>) -> bool {
    let Call::Ambient(Ambient::Finding(Finding { about: Some(object), severity: _, message: _ })) = call else { return true };
    let (kind, name) = (object.kind.kind.kind(), object.name.as_str());
    let granted = |id: &ActionId| match policy.sheet.action(id).map(|action| &action.grant) {
        Some(Grant::Kubernetes(grant)) => grant.namespaces.is_none() && grant.kinds.contains(kind) && grant.covers_name(Some(name)),
        Some(Grant::Http(_) | Grant::Mcp(_)) | None => false,
    };
    let is_cluster_scoped = !GroupResource::is_known_as_namespaced(kind.group(), kind.resource());
    match &object.namespace {
        _ if !is_readable(object.kind.pair()) => false,
        Some(namespace) => in_environment(policy, kind.group(), namespace),
        None if kind.is("", "namespaces") && policy.environment.namespaces.iter().any(|namespace| namespace.as_str() == name) => true,
        None => is_cluster_scoped && tool.is_some_and(|tool| tool.actions().iter().any(granted)),
    }
}

fn in_environment(policy: &Policy, group: &str, namespace: &Namespace) -> bool {
    if is_ours(group) { *namespace == policy.home } else { policy.environment.namespaces.contains(namespace) }
}

fn lists(policy: &Policy, subject: &Subject<'_>) -> Lists {
    let denied = policy.denied.iter().any(|pattern| pattern.denies(subject));
    let allowed = policy.allowed.as_ref().is_none_or(|entries| entries.iter().any(|pattern| pattern.allows(subject)));
    (Code::DenyListed.unless(!denied), Code::NotAllowListed.unless(allowed))
}

/// Check 7: suspension, freeze windows, allowed endpoints. The ceiling of autonomy is part of check 3.
fn platform(policy: &Policy, call: &Call, endpoint: Option<&Endpoint>, now: &Circumstances) -> Result<(), Code> {
    let suspended = match policy.platform.suspend {
        Suspend::Nothing => false,
        Suspend::Mutations => call.mutates(),
        Suspend::All => true,
    };
    Code::Suspended.unless(!suspended)?;
    Code::Frozen.unless(!(now.frozen && call.mutates()))?;
    Code::EndpointNotAllowed.unless(endpoint.is_none_or(|endpoint| endpoint.allowed))
}

/// Check 8: the run has time, entries and bytes left for this call.
fn budget(call: &Call, now: &Circumstances) -> Result<(), Code> {
    let has_entry = !call.mutates() || now.entries > 0;
    Code::BudgetExhausted.unless(now.millis > 0 && has_entry && bytes_out(call) <= now.egress_bytes)
}

/// Bytes of the guest's own making that a call carries out of the sandbox.
pub fn bytes_out(call: &Call) -> u64 {
    let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(k, v)| k.len().saturating_add(v.len())).sum::<usize>();
    let request = |r: &HttpRequest| r.path.as_str().len().saturating_add(pairs(&r.query)).saturating_add(pairs(&r.headers));
    let bytes = match call {
        Call::Ambient(Ambient::StatePut(put)) => put.value.len(),
        Call::Ambient(Ambient::Finding(finding)) => finding.message.len(),
        Call::Ambient(Ambient::Log(line)) => line.message.len().saturating_add(pairs(&line.fields)),
        Call::Ambient(Ambient::Site | Ambient::Clock | Ambient::StateGet(_) | Ambient::StateRemove(_) | Ambient::StateKeys(_)) => 0,
        Call::Read(Read::Http(call)) => request(&call.request),
        Call::Read(Read::Mcp(call)) => call.arguments.len(),
        Call::Read(Read::Get(_) | Read::List(_) | Read::Logs(_) | Read::Wait(_)) => 0,
        Call::Mutation(Mutation { effect: Effect::Http(call), reason: _ }) => request(&call.request).saturating_add(call.body.len()),
        Call::Mutation(Mutation { effect: Effect::Mcp(call), reason: _ }) => call.arguments.len(),
        Call::Mutation(Mutation { effect: _, reason }) => reason.len(),
    };
    bytes as u64
}
