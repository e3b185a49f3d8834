//! What an action means: parsed once into typed values, then resolved against the namespace groups of one environment.

use std::collections::{BTreeMap, BTreeSet};

use infraagent_guard::{
    call::{Disposable, Scalable, Sync, Workload},
    name::{ActionId, EndpointName, GroupResource, Namespace, Readable},
    pattern::Glob,
    policy::{Action, Grant, HttpGrant, KubernetesGrant, McpGrant, Method, Precondition, Tier, Verb},
};

use super::{
    ActionSpec, DataImpact, HttpSpec, InvalidAction, KubernetesSpec, McpSpec, PreCondition, Rollback, SheetTier, duration, legacy,
};

/// The longest CEL expression, in bytes.
const MAX_CEL: usize = 1024;
/// The most pre-conditions of one action.
const MAX_PRECONDITIONS: usize = 8;
/// The longest text for people, in bytes.
const MAX_TEXT: usize = 1024;
/// The most entries of one list.
const MAX_LIST: usize = 64;
/// Every namespace of the environment.
const EVERYWHERE: &str = "*";
/// Kinds that are known to live outside of namespaces.
const CLUSTER_SCOPED: [(&str, &str); 7] = [
    ("", "nodes"),
    ("", "namespaces"),
    ("", "persistentvolumes"),
    ("metrics.k8s.io", "nodes"),
    ("storage.k8s.io", "storageclasses"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
];
/// Groups whose other kinds are known to live in namespaces.
const NAMESPACED_GROUPS: [&str; 7] = ["", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "discovery.k8s.io"];

/// What an action covers, before the environment is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Verbs on objects of the cluster.
    Kubernetes(KubernetesTarget),
    /// Requests to endpoints.
    Http(HttpGrant),
    /// Tools of an MCP server.
    Mcp(McpGrant),
}

/// Verbs on objects of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesTarget {
    /// What may be done.
    pub verbs: Vec<Verb>,
    /// Kinds of objects.
    pub kinds: Vec<GroupResource>,
    /// Groups, literal names or `*`; empty for cluster-scoped kinds.
    pub namespaces: Vec<String>,
    /// Names; empty for all.
    pub names: Vec<Glob>,
    /// How far scale may go: not fewer, not more.
    pub replicas: Option<(u32, u32)>,
    /// Labels of the nodes that may be cordoned.
    pub nodes: Vec<(String, String)>,
}

impl KubernetesTarget {
    /// The kinds that a verb can be used on.
    pub fn kinds_of(&self, verb: Verb) -> impl Iterator<Item = &GroupResource> {
        self.kinds.iter().filter(move |kind| applies(verb, kind))
    }
}

/// An action whose every word has a meaning.
struct Parsed {
    id: ActionId,
    target: Target,
    raise: Option<Tier>,
    cooldown_seconds: u32,
    preconditions: Vec<Precondition>,
}

impl ActionSpec {
    /// Everything that can be checked without an environment.
    pub fn validate(&self) -> Result<(), InvalidAction> {
        self.parse().map(|_| ())
    }

    /// What it covers, before the environment is known.
    pub fn target(&self) -> Result<Target, InvalidAction> {
        Ok(self.parse()?.target)
    }

    /// The imported functions that calls under this action go through: interface and function.
    pub fn functions(&self) -> Result<BTreeSet<(&'static str, &'static str)>, InvalidAction> {
        Ok(self.parse()?.target.functions())
    }

    /// True if nothing under this action can change anything, whatever the environment says.
    pub fn only_reads(&self) -> Result<bool, InvalidAction> {
        Ok(self.parse()?.target.only_reads())
    }

    /// What it means where `groups` are the namespace groups: a name of a group means its namespaces, `*` means all of them, any other name means itself.
    pub fn resolve(&self, groups: &BTreeMap<String, Vec<String>>) -> Result<Action, InvalidAction> {
        let Parsed { id, target, raise, cooldown_seconds, preconditions } = self.parse()?;
        let grant = match target {
            Target::Kubernetes(KubernetesTarget { verbs, kinds, namespaces, names, replicas, nodes }) => {
                let namespaces = resolve_namespaces(&namespaces, groups).map_err(|problem| self.invalid(problem))?;
                Grant::Kubernetes(KubernetesGrant { verbs, kinds, namespaces, names, replicas, nodes })
            }
            Target::Http(grant) => Grant::Http(grant),
            Target::Mcp(grant) => Grant::Mcp(grant),
        };
        Ok(Action { id, grant, raise, data_impact: self.data_impact == DataImpact::Possible, cooldown_seconds, preconditions })
    }

    fn parse(&self) -> Result<Parsed, InvalidAction> {
        self.parse_fields().map_err(|problem| self.invalid(problem))
    }

    fn invalid(&self, problem: String) -> InvalidAction {
        InvalidAction { id: self.id.chars().take(80).flat_map(char::escape_debug).collect(), problem }
    }

    fn parse_fields(&self) -> Result<Parsed, String> {
        let Self {
            id,
            description,
            kubernetes,
            http,
            mcp,
            tool,
            pattern,
            target_pattern,
            tier,
            cooldown,
            pre_conditions,
            data_impact: _,
            rollback,
        } = self;
        let id = ActionId::parse(id).map_err(text)?;
        if description.len() > MAX_TEXT {
            return Err(format!("`description` is longer than {MAX_TEXT} bytes"));
        }
        let target = match (kubernetes, http, mcp, tool) {
            (Some(spec), None, None, None) => parse_kubernetes(spec)?,
            (None, Some(spec), None, None) => parse_http(spec)?,
            (None, None, Some(spec), None) => parse_mcp(spec)?,
            (None, None, None, Some(tool)) => legacy::parse(tool, pattern.as_deref(), target_pattern.as_deref())?,
            (_, _, _, _) => return Err("give exactly one target: `kubernetes`, `http`, `mcp` or `tool`".to_owned()),
        };
        if tool.is_none() && (pattern.is_some() || target_pattern.is_some()) {
            return Err("`pattern` and `targetPattern` belong to the form with `tool`".to_owned());
        }
        let raise = parse_tier(*tier, &target)?;
        let cooldown_seconds = match cooldown {
            None => 0,
            Some(_) if target.only_reads() => return Err("`cooldown` belongs to an action that changes something".to_owned()),
            Some(written) => duration::seconds(written).ok_or_else(|| {
                format!(
                    "`cooldown: {}` is not a duration of at most 168h; write it like `90s`, `5m` or `1h30m` (a day is `24h`)",
                    escape(written)
                )
            })?,
        };
        if let Some(Rollback { description, automatic }) = rollback {
            if *automatic {
                return Err("`rollback.automatic: true` is not possible: a rollback is a decision of its own".to_owned());
            }
            if description.trim().is_empty() || description.len() > MAX_TEXT {
                return Err(format!("`rollback` needs a `description` of at most {MAX_TEXT} bytes"));
            }
        }
        Ok(Parsed { id, raise, cooldown_seconds, preconditions: parse_preconditions(pre_conditions, &target)?, target })
    }
}

impl Target {
    /// True if nothing of it can change anything, whatever the environment says.
    pub fn only_reads(&self) -> bool {
        match self {
            Self::Kubernetes(target) => target.verbs.iter().all(|verb| verb.tier() == Tier::Read),
            Self::Http(grant) => grant.methods.iter().all(|method| method.reads()),
            // What an MCP tool does is for the environment to say.
            Self::Mcp(_) => false,
        }
    }

    fn functions(&self) -> BTreeSet<(&'static str, &'static str)> {
        match self {
            Self::Kubernetes(target) => target.verbs.iter().map(|verb| function(*verb)).collect(),
            Self::Http(grant) => {
                grant.methods.iter().map(|method| if method.reads() { ("http-read", "send") } else { ("http-mutation", "send") }).collect()
            }
            Self::Mcp(_) => BTreeSet::from([("mcp-read", "call-tool"), ("mcp-mutation", "call-tool")]),
        }
    }
}

/// The function of the contract for a verb: its interface and name.
pub fn function(verb: Verb) -> (&'static str, &'static str) {
    let interface = match verb.tier() {
        Tier::Read => "kubernetes-read",
        Tier::ServiceMutation => "kubernetes-service-mutation",
        Tier::DestructiveMutation => "kubernetes-destructive-mutation",
    };
    (interface, verb.as_str())
}

fn parse_tier(tier: Option<SheetTier>, target: &Target) -> Result<Option<Tier>, String> {
    let Some(raised) = tier.map(Tier::from) else { return Ok(None) };
    let own = match target {
        Target::Kubernetes(target) => target.verbs.iter().map(|verb| verb.tier()).max(),
        Target::Http(grant) => grant.methods.iter().map(|m| if m.reads() { Tier::Read } else { Tier::ServiceMutation }).max(),
        Target::Mcp(_) => None,
    };
    match own {
        Some(own) if raised < own => {
            Err(format!("`tier: {}` may raise what the verb has, never lower it (it is {})", raised.as_str(), own.as_str()))
        }
        Some(_) | None => Ok(Some(raised)),
    }
}

fn parse_preconditions(conditions: &[PreCondition], target: &Target) -> Result<Vec<Precondition>, String> {
    let changes_an_object = matches!(target, Target::Kubernetes(_)) && !target.only_reads();
    if !conditions.is_empty() && !changes_an_object {
        return Err("`preConditions` look at the object that is changed: they belong to a mutating `kubernetes` action".to_owned());
    }
    if conditions.len() > MAX_PRECONDITIONS {
        return Err(format!("more than {MAX_PRECONDITIONS} pre-conditions"));
    }
    conditions
        .iter()
        .map(|PreCondition { cel, message }| {
            let fits = |text: &str, max: usize| !text.trim().is_empty() && text.len() <= max;
            if !fits(cel, MAX_CEL) || !fits(message, MAX_TEXT) {
                return Err(format!("a pre-condition needs `cel` (at most {MAX_CEL} bytes) and `message` (at most {MAX_TEXT})"));
            }
            Ok(Precondition { cel: cel.clone(), message: message.clone() })
        })
        .collect()
}

fn parse_kubernetes(spec: &KubernetesSpec) -> Result<Target, String> {
    let KubernetesSpec { verb, resources, namespaces, names, replicas, nodes } = spec;
    let verbs: Vec<Verb> = verb.iter().flat_map(|word| word.verbs()).copied().collect::<BTreeSet<_>>().into_iter().collect();
    if verbs.is_empty() {
        return Err("`verb` is empty".to_owned());
    }
    if let Some(bad) = resources.iter().find(|resource| resource.contains('*')) {
        return Err(format!("`resources` are listed one by one, as RBAC does: `{}` is not a kind", escape(bad)));
    }
    if resources.len().max(namespaces.len()).max(names.len()) > MAX_LIST {
        return Err(format!("a list has more than {MAX_LIST} entries"));
    }
    let mut kinds: BTreeSet<GroupResource> = resources.iter().map(|r| GroupResource::parse(r).map_err(text)).collect::<Result<_, _>>()?;
    if kinds.is_empty() {
        for verb in &verbs {
            match verb {
                Verb::Logs | Verb::Evict => kinds.insert(GroupResource::new("", "pods").map_err(text)?),
                Verb::Cordon => kinds.insert(GroupResource::new("", "nodes").map_err(text)?),
                Verb::Pause | Verb::Rollback => kinds.insert(GroupResource::new("apps", "deployments").map_err(text)?),
                Verb::Get | Verb::List | Verb::Wait | Verb::Restart | Verb::Scale | Verb::RequestSync | Verb::Delete => {
                    return Err("`resources` is missing: list them as RBAC does, like `[pods, deployments.apps]`".to_owned());
                }
            };
        }
    }
    let target = KubernetesTarget {
        verbs,
        kinds: kinds.into_iter().collect(),
        namespaces: namespaces.clone(),
        names: names.iter().map(|name| Glob::parse(name).map_err(text)).collect::<Result<_, _>>()?,
        replicas: replicas.map(|bounds| (bounds.min, bounds.max)),
        nodes: nodes.iter().flat_map(|nodes| &nodes.match_labels).map(|(key, value)| (key.clone(), value.clone())).collect(),
    };
    check_kubernetes(&target, nodes.is_some())?;
    Ok(Target::Kubernetes(target))
}

/// Whatever would never match anything is an error.
pub(super) fn check_kubernetes(target: &KubernetesTarget, nodes_given: bool) -> Result<(), String> {
    let KubernetesTarget { verbs, kinds, namespaces, names: _, replicas, nodes } = target;
    for kind in kinds {
        Readable::new(kind.clone()).map_err(text)?;
        if !verbs.iter().any(|verb| applies(*verb, kind)) {
            return Err(format!(
                "no verb of this action can be used on `{kind}`: claims, secrets, custom resources and the like cannot be changed"
            ));
        }
    }
    for verb in verbs {
        if !kinds.iter().any(|kind| applies(*verb, kind)) {
            return Err(format!("`{}` can be used on none of the listed resources", verb.as_str()));
        }
    }
    match (replicas, verbs.contains(&Verb::Scale)) {
        (None, true) => return Err("`scale` needs `replicas: { min, max }`".to_owned()),
        (Some(_), false) => return Err("`replicas` belongs to the verb `scale`".to_owned()),
        (Some((min, max)), true) if min > max => return Err("`replicas.min` is greater than `replicas.max`".to_owned()),
        (Some(_), true) | (None, false) => {}
    }
    match (nodes.is_empty(), verbs.contains(&Verb::Cordon)) {
        (true, true) => return Err("`cordon` needs `nodes: { matchLabels: {...} }`".to_owned()),
        (_, false) if nodes_given => return Err("`nodes` belongs to the verb `cordon`".to_owned()),
        (_, _) => {}
    }
    for name in namespaces.iter().filter(|name| *name != EVERYWHERE) {
        if name.is_empty() || name.len() > 63 || name.chars().any(|c| c.is_control() || c.is_whitespace() || c == '*') {
            return Err(format!("`namespaces` takes names of groups, names of namespaces, or `*` for all: `{}` is none", escape(name)));
        }
    }
    let outside: Vec<bool> = kinds.iter().map(is_cluster_scoped).collect();
    if namespaces.is_empty() {
        if let Some(kind) = kinds.iter().find(|kind| is_namespaced(kind)) {
            return Err(format!(
                "`namespaces` is missing for `{kind}`: name groups or namespaces of the environment, or `[\"*\"]` for all of them"
            ));
        }
    } else if outside.iter().any(|outside| *outside) {
        let what = if outside.iter().all(|outside| *outside) { "leave `namespaces` out" } else { "make an action of its own for them" };
        return Err(format!("some of these kinds live outside of namespaces: {what}"));
    }
    Ok(())
}

pub(super) fn is_cluster_scoped(kind: &GroupResource) -> bool {
    CLUSTER_SCOPED.contains(&(kind.group(), kind.resource()))
}

fn is_namespaced(kind: &GroupResource) -> bool {
    let synced = Sync::ALL.iter().any(|sync| sync.is(kind));
    synced || (NAMESPACED_GROUPS.contains(&kind.group()) && !is_cluster_scoped(kind))
}

fn applies(verb: Verb, kind: &GroupResource) -> bool {
    match verb {
        Verb::Get | Verb::List | Verb::Wait => true,
        Verb::Logs | Verb::Evict => kind.is("", "pods"),
        Verb::Cordon => kind.is("", "nodes"),
        Verb::Pause | Verb::Rollback => kind.is("apps", "deployments"),
        Verb::Restart => Workload::ALL.iter().any(|known| known.is(kind)),
        Verb::Scale => Scalable::ALL.iter().any(|known| known.is(kind)),
        Verb::RequestSync => Sync::ALL.iter().any(|known| known.is(kind)),
        Verb::Delete => Disposable::ALL.iter().any(|known| known.is(kind)),
    }
}

fn parse_http(spec: &HttpSpec) -> Result<Target, String> {
    let HttpSpec { endpoints, methods, paths } = spec;
    if endpoints.is_empty() || methods.is_empty() || paths.is_empty() || endpoints.len().max(paths.len()).max(methods.len()) > MAX_LIST {
        return Err(format!("`http` needs `endpoints`, `methods` and `paths`: 1 to {MAX_LIST} entries each"));
    }
    if let Some(bad) = paths.iter().find(|path| !path.starts_with('/') && *path != "*" && *path != "**") {
        return Err(format!("`{}` is not a path: it begins with `/`, and `/**` is everything", escape(bad)));
    }
    let globs = |texts: &[String]| texts.iter().map(|t| Glob::parse(t).map_err(text)).collect::<Result<Vec<_>, _>>();
    let methods: BTreeSet<Method> = methods.iter().map(|method| (*method).into()).collect();
    Ok(Target::Http(HttpGrant { endpoints: globs(endpoints)?, methods: methods.into_iter().collect(), paths: globs(paths)? }))
}

fn parse_mcp(spec: &McpSpec) -> Result<Target, String> {
    let McpSpec { server, tools } = spec;
    if tools.is_empty() || tools.len() > MAX_LIST {
        return Err(format!("`mcp` needs a `server` and 1 to {MAX_LIST} of its `tools`"));
    }
    let tools = tools.iter().map(|tool| Glob::parse(tool).map_err(text)).collect::<Result<_, _>>()?;
    Ok(Target::Mcp(McpGrant { server: EndpointName::parse(server).map_err(text)?, tools }))
}

/// None: the action has no namespaces, so it covers cluster-scoped kinds only.
fn resolve_namespaces(written: &[String], groups: &BTreeMap<String, Vec<String>>) -> Result<Option<Vec<Namespace>>, String> {
    if written.is_empty() {
        return Ok(None);
    }
    let mut found = BTreeSet::new();
    for name in written {
        let members: Vec<&String> = match groups.get(name) {
            Some(members) => members.iter().collect(),
            None if name == EVERYWHERE => groups.values().flatten().collect(),
            None => vec![name],
        };
        for member in members {
            found.insert(Namespace::parse(member).map_err(text)?);
        }
    }
    Ok(Some(found.into_iter().collect()))
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Input as it may be shown: escaped and cut.
pub(super) fn escape(input: &str) -> String {
    input.chars().take(80).flat_map(char::escape_debug).collect()
}
