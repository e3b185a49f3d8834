//! Everything that can be decided without looking at the world. Nothing is read before a call has passed here, so a forged call is no oracle and no load.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

use crate::{
    call::{Ambient, Call, Effect, HttpRequest, McpCall, Mutation, ObjectRef, Read},
    checks::{Check, Checks, Code, Denial, Outcome},
    name::{ActionId, Namespace, ToolName},
    pattern::Subject,
    permit::Reach,
    policy::{
        Action, Autonomy, Endpoint, Grant, HttpGrant, KubernetesGrant, McpGrant, Method, Policy, Scope, Suspend, Tier, Tool, Verb, tier,
    },
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
    pub(crate) action: Option<ActionId>,
    pub(crate) tier: Tier,
    pub(crate) checks: Checks,
    pub(crate) scope: Arc<Scope>,
    pub(crate) policy: Arc<str>,
    pub(crate) reach: Reach,
    pub(crate) autonomy: Autonomy,
    pub(crate) data_impact: bool,
    pub(crate) propose: bool,
}

impl Screened {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The action that covers it.
    pub fn action(&self) -> Option<&ActionId> {
        self.action.as_ref()
    }

    /// The tier.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The checks so far.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The namespaces that the call may look into.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }
}

/// Runs every check that needs no knowledge of the world. All are run, so that the record shows all; the first that fails gives the code.
pub fn screen(policy: &Policy, claim: Claim, now: &Circumstances) -> Result<Screened, Box<Denial>> {
    let Claim { tool, action: claimed, call } = claim;
    let mut checks = Checks::none();
    let autonomy = policy.effective_autonomy();

    let tool = policy.sheet.tool(&tool);
    let action = claimed.as_ref().and_then(|id| policy.sheet.action(id));
    checks.set(Check::Action, outcome(covered(policy, &call, tool, claimed.as_ref(), action)));

    let listed = tier(&call, &policy.environment);
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

    let places = Places::of(policy, &call, action);
    checks.set(Check::Environment, outcome(places.environment));
    checks.set(Check::DenyList, places.deny_list);
    checks.set(Check::AllowList, places.allow_list);

    checks.set(Check::Platform, outcome(platform(policy, &call, now)));
    checks.set(Check::Budget, outcome(budget(&call, now)));
    if let Call::Mutation(Mutation { effect: Effect::Http(call), reason: _ }) = &call
        && policy.environment.endpoints.get(&call.request.endpoint).is_some_and(|endpoint| endpoint.holds_data)
    {
        checks.set(Check::Data, Outcome::Fail(Code::DataProtection));
    }

    match (checks.first_failure(), tier) {
        (Some((_, code)), tier) => Err(Denial::new(code, call, claimed, tier, checks, None)),
        // Unreachable: an unknown tier has failed above. Denied all the same.
        (None, None) => Err(Denial::new(Code::NotListed, call, claimed, None, checks, None)),
        (None, Some(tier)) => Ok(Screened {
            call,
            action: claimed,
            tier,
            checks,
            scope: Arc::clone(&policy.scope),
            policy: Arc::clone(&policy.revision),
            reach: places.reach,
            autonomy,
            data_impact: action.is_some_and(|action| action.data_impact),
            propose,
        }),
    }
}

fn outcome(result: Result<(), Code>) -> Outcome {
    match result {
        Ok(()) => Outcome::Pass,
        Err(code) => Outcome::Fail(code),
    }
}

/// Check 1: the action is declared, in the tool's list, and covers verb and target.
fn covered(policy: &Policy, call: &Call, tool: Option<&Tool>, claimed: Option<&ActionId>, action: Option<&Action>) -> Result<(), Code> {
    let tool = tool.ok_or(Code::NotThisTool)?;
    if let Call::Ambient(ambient) = call {
        return match ambient {
            Ambient::Log(_) | Ambient::Finding(_) | Ambient::Site | Ambient::Clock => Ok(()),
            Ambient::StateGet(_) | Ambient::StatePut(_) | Ambient::StateRemove(_) | Ambient::StateKeys(_) if tool.state() => Ok(()),
            Ambient::StateGet(_) | Ambient::StatePut(_) | Ambient::StateRemove(_) | Ambient::StateKeys(_) => Err(Code::StateNotDeclared),
        };
    }
    let claimed = claimed.ok_or(Code::MissingAction)?;
    let action = action.ok_or(Code::UndeclaredAction)?;
    if !tool.may_claim(claimed) {
        return Err(Code::NotThisTool);
    }
    match (&action.grant, View::of(call)) {
        (Grant::Kubernetes(grant), View::Kubernetes(view)) => grant.covers(policy, &view),
        (Grant::Http(grant), View::Http(method, request)) => grant.covers(method, request),
        (Grant::Mcp(grant), View::Mcp(call)) => grant.covers(call),
        (Grant::Kubernetes(_) | Grant::Http(_) | Grant::Mcp(_), _) => Err(Code::VerbNotCovered),
    }
}

/// A call as the lists see it.
enum View<'a> {
    Kubernetes(Object<'a>),
    Http(Method, &'a HttpRequest),
    Mcp(&'a McpCall),
    Nothing,
}

/// The fields of a cluster call that grants and lists speak about.
struct Object<'a> {
    verb: Verb,
    kind: (&'a str, &'a str),
    namespace: Option<&'a Namespace>,
    name: Option<&'a str>,
    replicas: Option<u32>,
}

impl<'a> View<'a> {
    fn of(call: &'a Call) -> Self {
        let object = |verb, kind, namespace, name, replicas| Self::Kubernetes(Object { verb, kind, namespace, name, replicas });
        match call {
            Call::Ambient(_) => Self::Nothing,
            Call::Read(read) => match read {
                Read::Get(get) => {
                    object(Verb::Get, kind_of(&get.object), get.object.namespace.as_ref(), Some(get.object.name.as_str()), None)
                }
                Read::Wait(wait) => {
                    object(Verb::Wait, kind_of(&wait.object), wait.object.namespace.as_ref(), Some(wait.object.name.as_str()), None)
                }
                Read::List(list) => {
                    let kind = list.kind.kind.kind();
                    object(Verb::List, (kind.group(), kind.resource()), list.namespace.as_ref(), None, None)
                }
                Read::Logs(logs) => object(Verb::Logs, ("", "pods"), Some(&logs.namespace), Some(logs.pod.as_str()), None),
                Read::Http(call) => Self::Http(call.method.into(), &call.request),
                Read::Mcp(call) => Self::Mcp(call),
            },
            Call::Mutation(Mutation { effect, reason: _ }) => match effect {
                Effect::Restart(t) => object(Verb::Restart, t.kind.group_resource(), Some(&t.namespace), Some(t.name.as_str()), None),
                Effect::Scale(s) => {
                    object(Verb::Scale, s.kind.group_resource(), Some(&s.namespace), Some(s.name.as_str()), Some(s.replicas))
                }
                Effect::Pause(namespace, name, _) => {
                    object(Verb::Pause, ("apps", "deployments"), Some(namespace), Some(name.as_str()), None)
                }
                Effect::Evict(namespace, name, _) => object(Verb::Evict, ("", "pods"), Some(namespace), Some(name.as_str()), None),
                Effect::Cordon(name, _) => object(Verb::Cordon, ("", "nodes"), None, Some(name.as_str()), None),
                Effect::RequestSync(sync, namespace, name) => {
                    object(Verb::RequestSync, sync.group_resource(), Some(namespace), Some(name.as_str()), None)
                }
                Effect::Delete(v) => object(Verb::Delete, v.kind.group_resource(), Some(&v.namespace), Some(v.name.as_str()), None),
                Effect::Rollback(namespace, name, _) => {
                    object(Verb::Rollback, ("apps", "deployments"), Some(namespace), Some(name.as_str()), None)
                }
                Effect::Http(call) => Self::Http(call.method.into(), &call.request),
                Effect::Mcp(call) => Self::Mcp(call),
            },
        }
    }
}

fn kind_of(object: &ObjectRef) -> (&str, &str) {
    let kind = object.kind.kind.kind();
    (kind.group(), kind.resource())
}

/// Kinds of this product: only the agent's own runs and neighbours, and only in its own namespace.
fn is_ours(group: &str) -> bool {
    group == "infraagent.io" || group.ends_with(".infraagent.io")
}

impl KubernetesGrant {
    fn covers(&self, policy: &Policy, view: &Object<'_>) -> Result<(), Code> {
        if !self.verbs.contains(&view.verb) {
            return Err(Code::VerbNotCovered);
        }
        let kind = self.kinds.iter().any(|kind| (kind.group(), kind.resource()) == view.kind);
        let namespace = match (&self.namespaces, view.namespace) {
            _ if is_ours(view.kind.0) => view.namespace.is_none_or(|namespace| *namespace == policy.home),
            (None, None) => true,
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
    environment: Result<(), Code>,
    deny_list: Outcome,
    allow_list: Outcome,
    reach: Reach,
}

impl Places {
    fn of(policy: &Policy, call: &Call, action: Option<&Action>) -> Self {
        match View::of(call) {
            View::Nothing => {
                let about = match call {
                    Call::Ambient(Ambient::Finding(finding)) => finding.about.as_ref(),
                    Call::Ambient(_) | Call::Read(_) | Call::Mutation(_) => None,
                };
                let in_scope =
                    about.and_then(|object| object.namespace.as_ref()).is_none_or(|namespace| in_environment(policy, "", namespace));
                let environment = if in_scope { Ok(()) } else { Err(Code::OutOfScope) };
                Self { environment, deny_list: Outcome::Skipped, allow_list: Outcome::Skipped, reach: Reach::Elsewhere }
            }
            View::Http(method, request) => match policy.environment.endpoints.get(&request.endpoint) {
                None => Self {
                    environment: Err(Code::OutOfScope),
                    deny_list: Outcome::Skipped,
                    allow_list: Outcome::Skipped,
                    reach: Reach::Elsewhere,
                },
                Some(Endpoint { origin, base, holds_data: _, allowed: _, writes: _ }) => {
                    let path = alloc::format!("{base}{}", request.path);
                    let (deny_list, allow_list) = lists(policy, &Subject::Http { method, origin, path: &path });
                    Self { environment: Ok(()), deny_list, allow_list, reach: Reach::Elsewhere }
                }
            },
            View::Mcp(call) => {
                let environment = if policy.environment.servers.contains_key(&call.server) { Ok(()) } else { Err(Code::OutOfScope) };
                let (deny_list, allow_list) = lists(policy, &Subject::Mcp { server: call.server.as_str(), tool: call.tool.as_str() });
                Self { environment, deny_list, allow_list, reach: Reach::Elsewhere }
            }
            View::Kubernetes(view) => Self::in_cluster(policy, &view, action),
        }
    }

    fn in_cluster(policy: &Policy, view: &Object<'_>, action: Option<&Action>) -> Self {
        let ours = is_ours(view.kind.0);
        let readable = !ours || (view.kind.0 == "core.infraagent.io" && matches!(view.kind.1, "infraagents" | "agentruns"));
        let candidates: Vec<&Namespace> = match (view.namespace, action.map(|action| &action.grant)) {
            (Some(namespace), _) => Vec::from([namespace]),
            (None, _) if ours => Vec::from([&policy.home]),
            (None, Some(Grant::Kubernetes(KubernetesGrant { namespaces: Some(granted), .. }))) => granted.iter().collect(),
            (None, Some(Grant::Kubernetes(_) | Grant::Http(_) | Grant::Mcp(_)) | None) => Vec::new(),
        };
        let subject =
            |namespace| Subject::Kubernetes { verb: view.verb, kind: view.kind, namespace, name: view.name, replicas: view.replicas };
        if candidates.is_empty() {
            let (deny_list, allow_list) = lists(policy, &subject(None));
            return Self {
                environment: if readable { Ok(()) } else { Err(Code::OutOfScope) },
                deny_list,
                allow_list,
                reach: Reach::Cluster,
            };
        }
        let (mut environment, mut deny_list, mut allow_list) = (Err(Code::OutOfScope), Outcome::Skipped, Outcome::Skipped);
        let mut reach = Vec::new();
        for namespace in candidates {
            if !readable || !in_environment(policy, view.kind.0, namespace) {
                continue;
            }
            environment = Ok(());
            let (denied, allowed) = lists(policy, &subject(Some(namespace.as_str())));
            if denied == Outcome::Pass && allowed == Outcome::Pass {
                reach.push(namespace.clone());
            }
            // Until one namespace passes, the record shows the last refusal.
            if deny_list != Outcome::Pass || allow_list != Outcome::Pass {
                (deny_list, allow_list) = (denied, allowed);
            }
        }
        Self { environment, deny_list, allow_list, reach: Reach::Namespaces(reach) }
    }
}

fn in_environment(policy: &Policy, group: &str, namespace: &Namespace) -> bool {
    if is_ours(group) { *namespace == policy.home } else { policy.environment.namespaces.contains(namespace) }
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
fn platform(policy: &Policy, call: &Call, now: &Circumstances) -> Result<(), Code> {
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
    if let View::Http(_, request) = View::of(call)
        && policy.environment.endpoints.get(&request.endpoint).is_some_and(|endpoint| !endpoint.allowed)
    {
        return Err(Code::EndpointNotAllowed);
    }
    Ok(())
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
        Call::Mutation(Mutation { effect, reason }) => match effect {
            Effect::Http(call) => request(&call.request).saturating_add(call.body.len() as u64),
            Effect::Mcp(call) => size(&call.arguments),
            Effect::Restart(_)
            | Effect::Scale(_)
            | Effect::Pause(..)
            | Effect::Evict(..)
            | Effect::Cordon(..)
            | Effect::RequestSync(..)
            | Effect::Delete(_)
            | Effect::Rollback(..) => size(reason),
        },
    }
}

fn size(text: &str) -> u64 {
    text.len() as u64
}
