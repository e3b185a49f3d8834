//! Everything that can be decided without looking at the world. Nothing is read before a call has passed here, so a forged call is no oracle and no load.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{ops::Deref, slice};

use crate::{
    call::{Ambient, Call, Effect, Finding, HttpRequest, McpCall, Mutation, Read},
    checks::{Check, Checks, Code, Denial, Outcome},
    name::{ActionId, GroupResource, Namespace, ToolName},
    pattern::Subject,
    permit::{Grounds, Reach},
    policy::{Action, Autonomy, Endpoint, Grant, HttpGrant, KubernetesGrant, McpGrant, Method, Policy, Suspend, Tier, Tool, Verb},
    view::{Object, View},
};

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
    pub(crate) propose: bool,
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
    let Claim { tool, action: claimed, call } = claim;
    let mut checks = Checks::none();
    let autonomy = policy.effective_autonomy();
    let view = View::of(&call);
    let endpoint = view.endpoint(&policy.environment);

    let tool = policy.sheet.tool(&tool);
    let found = claimed.as_ref().and_then(|id| policy.sheet.find(id));
    let action = found.map(|(_, action)| action);
    checks.set(Check::Action, outcome(covered(policy, &call, &view, tool, claimed.as_ref(), found)));

    let listed = view.tier(&policy.environment);
    checks.set(Check::Tier, outcome(listed.ok_or(Code::NotListed).and_then(|tier| through_the_right_interface(&call, tier))));
    let tier = listed.map(|tier| action.and_then(|action| action.raise).map_or(tier, |raise| raise.max(tier)));

    let mut propose = false;
    let granted = match tier {
        None => Outcome::Skipped,
        Some(tier) if autonomy >= tier.needs() => Outcome::Pass,
        // A read whose tier was raised changes nothing that a human could approve.
        Some(_) if autonomy == Autonomy::Observe || !matches!(call, Call::Mutation(_)) => Outcome::Fail(Code::TierNotGranted),
        Some(_) => {
            propose = true;
            Outcome::Propose
        }
    };
    checks.set(Check::Autonomy, granted);

    let places = match (&view, endpoint) {
        (View::Nothing, _) => Places::elsewhere(about_is_in_scope(policy, &call, tool), None),
        (View::Http(method, request), Some(Endpoint { origin, base, holds_data: _, allowed: _, writes: _ })) => {
            let path = if lists_are_empty(policy) { String::new() } else { alloc::format!("{base}{}", request.path) };
            Places::elsewhere(true, Some(lists(policy, &Subject::Http { method: *method, origin, path: &path })))
        }
        (View::Http(..), None) => Places::elsewhere(false, None),
        (View::Mcp(call), _) => {
            let subject = Subject::Mcp { server: call.server.as_str(), tool: call.tool.as_str() };
            Places::elsewhere(policy.environment.servers.contains_key(&call.server), Some(lists(policy, &subject)))
        }
        (View::Kubernetes(object), _) => Places::in_cluster(policy, object, action),
    };
    checks.set(Check::Environment, places.environment);
    checks.set(Check::DenyList, places.deny_list);
    checks.set(Check::AllowList, places.allow_list);

    checks.set(Check::Platform, outcome(platform(policy, &call, endpoint, now)));
    checks.set(Check::Budget, outcome(budget(&call, now)));
    if matches!(call, Call::Mutation(_)) && endpoint.is_some_and(|endpoint| endpoint.holds_data) {
        checks.set(Check::Data, Outcome::Fail(Code::DataProtection));
    } else if action.is_some_and(|action| action.data_impact) && autonomy < Autonomy::AutomateDestructive {
        checks.set(Check::Data, Outcome::Fail(Code::DataImpact));
    }

    let refused = checks.first_failure().map(|(_, code)| code);
    match (refused, tier) {
        (None, Some(tier)) => {
            let (scope, policy) = (Arc::clone(&policy.scope), Arc::clone(&policy.revision));
            let grounds = Grounds { action: claimed, tier, checks, scope, policy, observed: None, reach: places.reach };
            Ok(Screened { call, grounds, propose })
        }
        // An unknown tier has failed above; if it had not, it would be refused here all the same.
        (refused, tier) => {
            let code = refused.unwrap_or(Code::NotListed);
            Err(Box::new(Denial { code, call: Some(call), action: claimed, tier, checks, detail: None }))
        }
    }
}

fn outcome(result: Result<(), Code>) -> Outcome {
    match result {
        Ok(()) => Outcome::Pass,
        Err(code) => Outcome::Fail(code),
    }
}

/// Check 1: the action is declared, in the tool's list, and covers verb and target.
fn covered(
    policy: &Policy,
    call: &Call,
    view: &View<'_>,
    tool: Option<&Tool>,
    claimed: Option<&ActionId>,
    found: Option<(usize, &Action)>,
) -> Result<(), Code> {
    let tool = tool.ok_or(Code::NotThisTool)?;
    if !call.is_bounded() {
        return Err(Code::Malformed);
    }
    if let Call::Ambient(ambient) = call {
        return match ambient {
            _ if claimed.is_some() => Err(Code::Malformed),
            Ambient::Log(_) | Ambient::Finding(_) | Ambient::Site | Ambient::Clock => Ok(()),
            Ambient::StateGet(_) | Ambient::StatePut(_) | Ambient::StateRemove(_) | Ambient::StateKeys(_) if tool.state() => Ok(()),
            Ambient::StateGet(_) | Ambient::StatePut(_) | Ambient::StateRemove(_) | Ambient::StateKeys(_) => Err(Code::StateNotDeclared),
        };
    }
    claimed.ok_or(Code::MissingAction)?;
    let (position, action) = found.ok_or(Code::UndeclaredAction)?;
    if !tool.may_claim(position) {
        return Err(Code::NotThisTool);
    }
    match (&action.grant, view) {
        (Grant::Kubernetes(grant), View::Kubernetes(object)) => grant.covers(policy, object),
        (Grant::Http(grant), View::Http(method, request)) => grant.covers(*method, request),
        (Grant::Mcp(grant), View::Mcp(call)) => grant.covers(call),
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
    fn covers(&self, policy: &Policy, view: &Object<'_>) -> Result<(), Code> {
        if !self.verbs.contains(&view.verb) {
            return Err(Code::VerbNotCovered);
        }
        let kind = self.kinds.iter().any(|kind| (kind.group(), kind.resource()) == view.kind);
        let namespace = match (&self.namespaces, view.namespace) {
            _ if is_ours(view.kind.0) => view.namespace.map_or(view.verb == Verb::List, |namespace| *namespace == policy.home),
            (None, None) => !GroupResource::is_known_as_namespaced(view.kind.0, view.kind.1),
            (Some(granted), Some(namespace)) => granted.contains(namespace),
            // A list over all granted namespaces; an object of a namespaced kind needs its namespace.
            (Some(granted), None) => view.verb == Verb::List && !granted.is_empty(),
            (None, Some(_)) => false,
        };
        let name = self.names.is_empty()
            || view
                .name
                .map_or_else(|| self.names.iter().any(|glob| glob.is_any()), |name| self.names.iter().any(|glob| glob.matches(name)));
        let replicas = view.replicas.is_none_or(|wanted| self.replicas.is_some_and(|(min, max)| (min..=max).contains(&wanted)));
        let node = view.verb != Verb::Cordon || !self.nodes.is_empty();
        if kind && namespace && name && replicas && node { Ok(()) } else { Err(Code::TargetNotCovered) }
    }
}

impl HttpGrant {
    fn covers(&self, method: Method, request: &HttpRequest) -> Result<(), Code> {
        if !self.methods.contains(&method) {
            return Err(Code::VerbNotCovered);
        }
        let endpoint = self.endpoints.iter().any(|glob| glob.matches(request.endpoint.as_str()));
        let path = self.paths.iter().any(|glob| glob.matches(request.path.as_str()));
        if endpoint && path { Ok(()) } else { Err(Code::TargetNotCovered) }
    }
}

impl McpGrant {
    fn covers(&self, call: &McpCall) -> Result<(), Code> {
        let tool = self.tools.iter().any(|glob| glob.is_any() || glob.matches(call.tool.as_str()));
        if self.server == call.server && tool { Ok(()) } else { Err(Code::TargetNotCovered) }
    }
}

/// Check 2: a tool that the site calls a mutation cannot be reached through the read interface, nor the reverse.
fn through_the_right_interface(call: &Call, tier: Tier) -> Result<(), Code> {
    let fits = match call {
        Call::Ambient(_) | Call::Read(_) => tier == Tier::Read,
        Call::Mutation(_) => tier > Tier::Read,
    };
    if fits { Ok(()) } else { Err(Code::WrongTier) }
}

/// Checks 4, 5 and 6. A list over several namespaces is narrowed to those that pass all three.
struct Places {
    environment: Outcome,
    deny_list: Outcome,
    allow_list: Outcome,
    reach: Reach,
}

impl Places {
    fn elsewhere(in_scope: bool, lists: Option<(Outcome, Outcome)>) -> Self {
        let (deny_list, allow_list) = lists.unwrap_or((Outcome::Skipped, Outcome::Skipped));
        Self { environment: in_scope_or_fail(in_scope), deny_list, allow_list, reach: Reach::Elsewhere }
    }

    fn in_cluster(policy: &Policy, view: &Object<'_>, action: Option<&Action>) -> Self {
        let readable = is_readable(view.kind);
        let candidates: &[Namespace] = match (view.namespace, action.map(|action| &action.grant)) {
            (Some(namespace), _) => slice::from_ref(namespace),
            (None, _) if is_ours(view.kind.0) => slice::from_ref(&policy.home),
            (None, Some(Grant::Kubernetes(grant))) => grant.namespaces.as_deref().unwrap_or_default(),
            (None, Some(Grant::Http(_) | Grant::Mcp(_)) | None) => &[],
        };
        let subject =
            |namespace| Subject::Kubernetes { verb: view.verb, kind: view.kind, namespace, name: view.name, replicas: view.replicas };
        if candidates.is_empty() {
            let (deny_list, allow_list) = lists(policy, &subject(None));
            return Self { environment: in_scope_or_fail(readable), deny_list, allow_list, reach: Reach::Cluster };
        }
        let (mut deny_list, mut allow_list) = (Outcome::Skipped, Outcome::Skipped);
        let (mut in_scope, mut reach) = (false, Vec::new());
        for namespace in candidates.iter().filter(|namespace| readable && in_environment(policy, view.kind.0, namespace)) {
            in_scope = true;
            let (denied, allowed) = lists(policy, &subject(Some(namespace.as_str())));
            if (denied, allowed) == (Outcome::Pass, Outcome::Pass) {
                reach.push(namespace.clone());
            }
            // Until one namespace passes, the record shows the last refusal.
            if (deny_list, allow_list) != (Outcome::Pass, Outcome::Pass) {
                (deny_list, allow_list) = (denied, allowed);
            }
        }
        Self { environment: in_scope_or_fail(in_scope), deny_list, allow_list, reach: Reach::Namespaces(reach) }
    }
}

fn in_scope_or_fail(in_scope: bool) -> Outcome {
    if in_scope { Outcome::Pass } else { Outcome::Fail(Code::OutOfScope) }
}

/// A finding may be about an object in the environment, or about a cluster-scoped one that an action of the tool covers.
fn about_is_in_scope(policy: &Policy, call: &Call, tool: Option<&Tool>) -> bool {
    let Call::Ambient(Ambient::Finding(Finding { about: Some(object), severity: _, message: _ })) = call else { return true };
    let (kind, name) = (object.kind.kind.kind(), object.name.as_str());
    let granted = |id: &ActionId| match policy.sheet.action(id).map(|action| &action.grant) {
        Some(Grant::Kubernetes(grant)) => {
            grant.namespaces.is_none()
                && grant.kinds.contains(kind)
                && (grant.names.is_empty() || grant.names.iter().any(|glob| glob.matches(name)))
        }
        Some(Grant::Http(_) | Grant::Mcp(_)) | None => false,
    };
    match &object.namespace {
        _ if !is_readable(object.kind.pair()) => false,
        Some(namespace) => in_environment(policy, kind.group(), namespace),
        None if kind.is("", "namespaces") && policy.environment.namespaces.iter().any(|namespace| namespace.as_str() == name) => true,
        None => {
            !GroupResource::is_known_as_namespaced(kind.group(), kind.resource())
                && tool.is_some_and(|tool| tool.actions().iter().any(granted))
        }
    }
}

fn in_environment(policy: &Policy, group: &str, namespace: &Namespace) -> bool {
    if is_ours(group) { *namespace == policy.home } else { policy.environment.namespaces.contains(namespace) }
}

fn lists_are_empty(policy: &Policy) -> bool {
    policy.denied.is_empty() && policy.allowed.is_empty()
}

fn lists(policy: &Policy, subject: &Subject<'_>) -> (Outcome, Outcome) {
    let denied = policy.denied.iter().any(|pattern| pattern.denies(subject));
    let allowed = policy.allowed.is_empty() || policy.allowed.iter().any(|pattern| pattern.allows(subject));
    (
        if denied { Outcome::Fail(Code::DenyListed) } else { Outcome::Pass },
        if allowed { Outcome::Pass } else { Outcome::Fail(Code::NotAllowListed) },
    )
}

/// Check 7: suspension, freeze windows, allowed endpoints. The ceiling of autonomy is part of check 3.
fn platform(policy: &Policy, call: &Call, endpoint: Option<&Endpoint>, now: &Circumstances) -> Result<(), Code> {
    let mutates = match call {
        Call::Ambient(_) | Call::Read(_) => false,
        Call::Mutation(_) => true,
    };
    match policy.platform.suspend {
        Suspend::All => return Err(Code::Suspended),
        Suspend::Mutations if mutates => return Err(Code::Suspended),
        Suspend::Mutations | Suspend::Nothing => {}
    }
    if now.frozen && mutates {
        return Err(Code::Frozen);
    }
    if endpoint.is_some_and(|endpoint| !endpoint.allowed) { Err(Code::EndpointNotAllowed) } else { Ok(()) }
}

/// Check 8: the run has time, entries and bytes left for this call.
fn budget(call: &Call, now: &Circumstances) -> Result<(), Code> {
    let entries = match call {
        Call::Ambient(_) | Call::Read(_) => true,
        Call::Mutation(_) => now.entries > 0,
    };
    if now.millis > 0 && entries && bytes_out(call) <= now.egress_bytes { Ok(()) } else { Err(Code::BudgetExhausted) }
}

/// Bytes of the guest's own making that a call carries out of the sandbox.
pub fn bytes_out(call: &Call) -> u64 {
    let pairs = |pairs: &[(String, String)]| pairs.iter().fold(0u64, |sum, (k, v)| sum.saturating_add(size(k)).saturating_add(size(v)));
    let request =
        |request: &HttpRequest| size(request.path.as_str()).saturating_add(pairs(&request.query)).saturating_add(pairs(&request.headers));
    match call {
        Call::Ambient(Ambient::StatePut(put)) => put.value.len() as u64,
        Call::Ambient(Ambient::Finding(finding)) => size(&finding.message),
        Call::Ambient(Ambient::Log(line)) => size(&line.message).saturating_add(pairs(&line.fields)),
        Call::Ambient(Ambient::Site | Ambient::Clock | Ambient::StateGet(_) | Ambient::StateRemove(_) | Ambient::StateKeys(_)) => 0,
        Call::Read(Read::Http(call)) => request(&call.request),
        Call::Read(Read::Mcp(call)) => size(&call.arguments),
        Call::Read(Read::Get(_) | Read::List(_) | Read::Logs(_) | Read::Wait(_)) => 0,
        Call::Mutation(Mutation { effect: Effect::Http(call), reason: _ }) => request(&call.request).saturating_add(call.body.len() as u64),
        Call::Mutation(Mutation { effect: Effect::Mcp(call), reason: _ }) => size(&call.arguments),
        Call::Mutation(Mutation { effect: _, reason }) => size(reason),
    }
}

fn size(text: &str) -> u64 {
    text.len() as u64
}
