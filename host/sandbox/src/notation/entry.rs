//! Entries of the agent's allow and deny lists, in the syntax of the original release.
//!
//! ```text
//! kubectl.get|describe|logs|top|delete|scale|drain|evict|cordon|uncordon|wait  <kind>/<name> | <kind> <name> | <kind> | *  [-n NS] [--replicas=N]
//! kubectl.rollout restart|undo|pause|resume|status   (the same)
//! gitops.sync                                        (the same)
//! http.get|head|post|put|patch <pattern>             starting with `*` or `/`: the path; with a scheme: exact origin, then the path
//! mcp.<server>.<tool>
//! ```
//!
//! A tool's last part may be `*` (`kubectl.*`, `http.*`, `mcp.github.*`), and `*` alone is everything. `describe` covers get and the list of events, `top` the
//! metrics API, `drain` evict and cordon, `undo` rollback; a lone word after `logs` and `evict` is a pod, after `cordon` and `drain` a node. Case does not matter
//! in tools and kinds. Any other tool name (`github.*`) parses and matches nothing.
//!
//! An entry can mean several of the guard's patterns, or none, and not the same ones in an allow list as in a deny list: what is doubtful is not allowed, and denied.

use std::fmt;

use infraagent_guard::{
    call::{Disposable, Scalable, Sync, Workload},
    name::{GroupResource, Invalid, Namespace, Origin},
    pattern::{Glob, KindPattern, KubernetesPattern, Pattern},
    policy::{Method, Verb},
};

use super::kind::{Kind, events};

/// Kind, name, namespace and replicas of an entry on cluster objects.
pub type ClusterTarget<'a> = (&'a GroupResource, Option<&'a Glob>, Option<&'a Glob>, Option<u32>);

/// One entry, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    text: String,
    target: Option<Target>,
    allows: Vec<Pattern>,
    denies: Vec<Pattern>,
}

/// The target of a cluster tool, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    tool: &'static Tool,
    kind: Kind,
    name: Option<Glob>,
    namespace: Option<Glob>,
    replicas: Option<u32>,
}

/// A tool on cluster objects.
#[derive(Debug, PartialEq, Eq)]
struct Tool {
    name: &'static str,
    verbs: &'static [Verb],
    manner: Manner,
}

/// How a tool of kubectl reads its target, and what it does beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// A lone word is a kind.
    Plain,
    /// The same, and events are listed.
    Describe,
    /// A lone word is a kind, whose metrics are meant.
    Top,
    /// A lone word is a pod, unless it is the name of a kind.
    OnPods,
    /// The same with a node.
    OnNodes,
    /// The same, and its pods are evicted. Which those are is not known here: an entry on one node denies every eviction and allows none.
    Drain,
}

const READS: &[Verb] = &[Verb::Get, Verb::List, Verb::Wait];

const fn tool(name: &'static str, verbs: &'static [Verb], manner: Manner) -> Tool {
    Tool { name, verbs, manner }
}

/// The tools on cluster objects. Of any other (exec, apply, patch, create, ...) there is no such capability, so an entry on it matches nothing.
static TOOLS: [Tool; 21] = [
    tool("kubectl.*", &Verb::ALL, Manner::Plain),
    tool("kubectl.get", READS, Manner::Plain),
    tool("kubectl.describe", READS, Manner::Describe),
    tool("kubectl.top", READS, Manner::Top),
    tool("kubectl.wait", &[Verb::Wait], Manner::Plain),
    tool("kubectl.logs", &[Verb::Logs], Manner::OnPods),
    tool("kubectl.delete", &[Verb::Delete], Manner::Plain),
    tool("kubectl.scale", &[Verb::Scale], Manner::Plain),
    tool("kubectl.drain", &[Verb::Evict, Verb::Cordon], Manner::Drain),
    tool("kubectl.evict", &[Verb::Evict], Manner::OnPods),
    tool("kubectl.cordon", &[Verb::Cordon], Manner::OnNodes),
    tool("kubectl.uncordon", &[Verb::Cordon], Manner::OnNodes),
    tool("kubectl.rollout restart", &[Verb::Restart], Manner::Plain),
    tool("kubectl.rollout undo", &[Verb::Rollback], Manner::Plain),
    tool("kubectl.rollout pause", &[Verb::Pause], Manner::Plain),
    tool("kubectl.rollout resume", &[Verb::Pause], Manner::Plain),
    tool("kubectl.rollout status", READS, Manner::Plain),
    tool("kubectl.rollout history", READS, Manner::Plain),
    tool("kubectl.rollout *", &[Verb::Restart, Verb::Rollback, Verb::Pause], Manner::Plain),
    tool("gitops.sync", &[Verb::RequestSync], Manner::Plain),
    tool("gitops.*", &[Verb::RequestSync], Manner::Plain),
];

impl Entry {
    /// Parses one entry.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let words: Vec<&str> = input.split_whitespace().collect();
        let (target, pattern) = match words.as_slice() {
            [] => return Err(Invalid::new("pattern", input, "`<tool> <target>`, such as `kubectl.delete pod/*`")),
            ["*"] => (None, Some(Pattern::Everything)),
            [tool, rest @ ..] => match tool.split_once('.').map(|(tool, part)| (tool.to_ascii_lowercase(), part)) {
                Some((tool, part)) if tool == "kubectl" || tool == "gitops" => {
                    (kubernetes(format!("{tool}.{}", part.to_ascii_lowercase()), rest, input)?, None)
                }
                Some((tool, method)) if tool == "http" => (None, http(method, rest, input)?),
                Some((tool, server_tool)) if tool == "mcp" => (None, Some(mcp(server_tool, rest, input)?)),
                Some(_) | None => (None, None),
            },
        };
        let (allows, denies) = match &target {
            None => (Vec::from_iter(pattern.clone()), Vec::from_iter(pattern)),
            Some(target) => (target.patterns(false)?, target.patterns(true)?),
        };
        Ok(Self { text: input.to_owned(), target, allows, denies })
    }

    /// The entry as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means in an allow list.
    pub fn allows(&self) -> &[Pattern] {
        &self.allows
    }

    /// What it means in a deny list.
    pub fn denies(&self) -> &[Pattern] {
        &self.denies
    }

    /// False if no call of the contract can ever match, such as `kubectl.delete namespace/*` or `github.*`: an entry that protects or grants nothing.
    pub fn is_effective(&self) -> bool {
        self.allows.iter().any(|pattern| match pattern {
            Pattern::Everything | Pattern::Http { .. } | Pattern::Mcp { .. } => true,
            Pattern::Kubernetes(pattern) => can_match(pattern),
        })
    }

    /// The verbs on cluster objects that it names.
    pub fn verbs(&self) -> &[Verb] {
        self.target.as_ref().map_or(&[], |target| target.tool.verbs)
    }

    /// Kind, name, namespace and replicas of an entry on one exact kind.
    pub fn kubernetes_target(&self) -> Option<ClusterTarget<'_>> {
        let Some(Target { kind: Kind::Exactly(kind), name, namespace, replicas, tool: _ }) = &self.target else { return None };
        Some((kind, name.as_ref(), namespace.as_ref(), *replicas))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Target {
    fn patterns(&self, deny: bool) -> Result<Vec<Pattern>, Invalid> {
        let Self { tool, kind, name, namespace, replicas } = self;
        let kinds = kind.patterns()?;
        let of = |verbs: &[Verb], kinds: &[KindPattern], name: Option<&Glob>| {
            let (verbs, kinds, name) = (verbs.to_vec(), kinds.to_vec(), name.cloned());
            Pattern::Kubernetes(KubernetesPattern { verbs, kinds, name, namespace: namespace.clone(), replicas: *replicas })
        };
        let any_kind = [KindPattern::Like(Glob::parse("*")?)];
        let mut patterns = vec![of(tool.verbs, &kinds, name.as_ref())];
        match tool.manner {
            Manner::Describe if !deny => patterns.push(of(&[Verb::List], &events()?, None)),
            Manner::Drain if kinds.iter().any(|kind| kind.matches(NODES)) && (deny || name.as_ref().is_none_or(Glob::is_any)) => {
                patterns.push(of(&[Verb::Evict], &any_kind, None));
            }
            Manner::Plain | Manner::Describe | Manner::Top | Manner::OnPods | Manner::OnNodes | Manner::Drain => {}
        }
        match kind {
            Kind::Loose(word) if deny => patterns.push(of(tool.verbs, &any_kind, Some(word))),
            Kind::Exactly(_) | Kind::OfAnyGroup(_) | Kind::Wild(_) | Kind::Loose(_) => {}
        }
        Ok(patterns)
    }
}

const PODS: (&str, &str) = ("", "pods");
const NODES: (&str, &str) = ("", "nodes");

fn can_match(pattern: &KubernetesPattern) -> bool {
    let KubernetesPattern { verbs, kinds, name: _, namespace: _, replicas } = pattern;
    let covers = |kind: (&str, &str)| kinds.iter().any(|pattern| pattern.matches(kind));
    let is_secret = |kind: &KindPattern| matches!(kind, KindPattern::Exactly(kind) if kind.resource() == "secrets");
    let counted = |verb: &&Verb| replicas.is_none() || **verb == Verb::Scale;
    verbs.iter().filter(counted).any(|verb| match verb {
        Verb::Get | Verb::List | Verb::Wait => !kinds.iter().all(is_secret),
        Verb::Logs | Verb::Evict => covers(PODS),
        Verb::Cordon => covers(NODES),
        Verb::Pause | Verb::Rollback => covers(Workload::Deployment.group_resource()),
        Verb::Restart => Workload::ALL.iter().any(|kind| covers(kind.group_resource())),
        Verb::Scale => Scalable::ALL.iter().any(|kind| covers(kind.group_resource())),
        Verb::RequestSync => Sync::ALL.iter().any(|kind| covers(kind.group_resource())),
        Verb::Delete => Disposable::ALL.iter().any(|kind| covers(kind.group_resource())),
    })
}

fn kubernetes(mut name: String, mut words: &[&str], input: &str) -> Result<Option<Target>, Invalid> {
    let is_rollout = name == "kubectl.rollout";
    if let (true, [part, rest @ ..]) = (is_rollout, words) {
        name = format!("{name} {part}");
        words = rest;
    }
    match TOOLS.iter().find(|known| known.name == name) {
        Some(tool) => target(tool, words, input).map(Some),
        None if is_rollout => Err(Invalid::new("pattern", input, "`kubectl.rollout restart|undo|pause|resume|status <target>`")),
        None => Ok(None),
    }
}

fn target(tool: &'static Tool, words: &[&str], input: &str) -> Result<Target, Invalid> {
    let bad = || Invalid::new("pattern", input, "`<tool> <kind>/<name> | <kind> <name> | <kind> | *  [-n NAMESPACE] [--replicas=N]`");
    let (mut positional, mut namespace, mut replicas) = (Vec::new(), None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(count) = word.strip_prefix("--replicas=") {
            replicas = Some(count.parse().map_err(|_| bad())?);
        } else if let Some(name) = word.strip_prefix("--namespace=") {
            namespace = Some(name);
        } else if matches!(*word, "-n" | "--namespace") {
            namespace = Some(words.next().ok_or_else(bad)?);
        } else if word.starts_with('-') {
            return Err(bad());
        } else {
            positional.push(*word);
        }
    }
    let metrics = tool.manner == Manner::Top;
    let lone = match tool.manner {
        Manner::Plain | Manner::Describe | Manner::Top => None,
        Manner::OnPods => Some("pods"),
        Manner::OnNodes | Manner::Drain => Some("nodes"),
    };
    let kind = |word: &str| Kind::parse(word, metrics);
    let (kind, name) = match (positional.as_slice(), lone) {
        ([] | ["*"], _) => (kind("*")?, None),
        ([one], _) if one.contains('/') => {
            let (word, name) = one.split_once('/').ok_or_else(bad)?;
            (kind(word)?, Some(name))
        }
        ([name], Some(usual)) if GroupResource::built_in(name).is_none() => (kind(usual)?, Some(*name)),
        ([wild], None) if wild.contains('*') && !metrics => (Kind::Loose(Glob::parse(&wild.to_ascii_lowercase())?), None),
        ([word], _) => (kind(word)?, None),
        ([word, name], _) if !word.contains('/') && !name.contains('/') => (kind(word)?, Some(*name)),
        (_, _) => return Err(bad()),
    };
    if let Some(plain) = namespace.filter(|namespace| !namespace.contains('*')) {
        Namespace::parse(plain)?;
    }
    let (name, namespace) = (name.map(Glob::parse).transpose()?, namespace.map(Glob::parse).transpose()?);
    Ok(Target { tool, kind, name, namespace, replicas })
}

/// `*` crosses `/`, as it did in the original.
fn crossing(pattern: &str) -> Result<Glob, Invalid> {
    Glob::parse(&pattern.replace('*', "**"))
}

fn http(method: &str, rest: &[&str], input: &str) -> Result<Option<Pattern>, Invalid> {
    let bad = || Invalid::new("pattern", input, "`http.<get|head|post|put|patch|*> <path pattern or URL>`, without query");
    let methods = match Method::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(method)) {
        Some(known) => vec![known],
        None if method == "*" => Method::ALL.to_vec(),
        // `http.delete` and the like: no such capability exists.
        None => return Ok(None),
    };
    let (origin, path) = match rest {
        [] | ["*"] => (None, "*"),
        [one] if one.contains(['?', '#']) => return Err(bad()),
        [path] if path.starts_with(['*', '/']) => (None, *path),
        [url] => {
            let (scheme, after) = url.split_once("://").ok_or_else(bad)?;
            let (host, path) = after.find('/').and_then(|at| after.split_at_checked(at)).unwrap_or((after, "/*"));
            (Some(origin(scheme, host).ok_or_else(bad)?), path)
        }
        [_, _, ..] => return Err(bad()),
    };
    Ok(Some(Pattern::Http { methods, origin, path: crossing(path)? }))
}

/// The usual port may be written, and case does not matter.
fn origin(scheme: &str, host: &str) -> Option<Origin> {
    let host = host.to_ascii_lowercase();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    Origin::parse(&format!("{scheme}://{}", host.strip_suffix(usual).unwrap_or(&host))).ok()
}

fn mcp(server_tool: &str, rest: &[&str], input: &str) -> Result<Pattern, Invalid> {
    let (server, tool) = server_tool.split_once('.').unwrap_or((server_tool, "*"));
    if !rest.is_empty() {
        return Err(Invalid::new("pattern", input, "`mcp.<server>.<tool>`"));
    }
    Ok(Pattern::Mcp { server: crossing(server)?, tool: crossing(tool)? })
}
