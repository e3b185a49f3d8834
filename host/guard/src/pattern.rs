//! The agent's allow and deny lists, in the syntax of the original release, parsed once into fields. A `*` never crosses a field.
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

use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};
use core::fmt;

use crate::call::{Disposable, Scalable, Sync, Workload};
use crate::name::{GroupResource, Invalid, Namespace};
use crate::policy::{Method, Verb};

pub use crate::view::Object;
use crate::view::{NODES, PODS};

name!(
    /// A text with wildcards: `*` matches anything but `/`, `**` anything at all. At most 512 printable ASCII characters without spaces.
    /// Matching takes time of pattern length times text length.
    Glob, "pattern", "1 to 512 printable characters without spaces",
    |s| (1..=512).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_graphic())
);

impl Glob {
    /// True if it matches everything.
    pub fn is_any(&self) -> bool {
        matches!(self.0.as_str(), "*" | "**")
    }

    /// True if the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some((start, rest)) = self.0.find('*').and_then(|star| self.0.split_at_checked(star)) else { return self.0 == text };
        text.strip_prefix(start).is_some_and(|tail| match rest {
            "**" => true,
            "*" => !tail.contains('/'),
            _ => walk(rest, tail.as_bytes()),
        })
    }

    /// True if the path matches for a server that ignores case and a final slash, as many do.
    pub(crate) fn matches_loosely(&self, path: &str) -> bool {
        let (glob, path) = (Self(self.0.to_ascii_lowercase()), path.to_ascii_lowercase());
        glob.matches(&path) || glob.matches(path.trim_end_matches('/'))
    }

    /// True unless the two can be seen to have no text in common. Errs on the side of true.
    pub(crate) fn may_meet(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        let starts = a.split('*').zip(b.split('*')).next().is_some_and(|(a, b)| a.starts_with(b) || b.starts_with(a));
        let ends = a.rsplit('*').zip(b.rsplit('*')).next().is_some_and(|(a, b)| a.ends_with(b) || b.ends_with(a));
        let both_wild = a.contains('*') && b.contains('*');
        self.is_any() || other.is_any() || self.matches(b) || other.matches(a) || (both_wild && starts && ends)
    }
}

/// Keeps one bit per position in the text: "the pattern so far matches the text up to here".
fn walk(pattern: &str, text: &[u8]) -> bool {
    let mut reached = vec![false; text.len().saturating_add(1)];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    let mut pattern = pattern.bytes().peekable();
    while let Some(byte) = pattern.next() {
        let crosses = byte == b'*' && pattern.next_if_eq(&b'*').is_some();
        let mut before = false;
        for (at, slot) in reached.iter_mut().enumerate() {
            let last = at.checked_sub(1).and_then(|i| text.get(i));
            if byte == b'*' {
                *slot |= before && last.is_some_and(|b| crosses || *b != b'/');
                before = *slot;
            } else {
                before = core::mem::replace(slot, before && last == Some(&byte));
            }
        }
    }
    reached.last().copied().unwrap_or(false)
}

/// What a pattern is held against: the fields of one call, for one namespace.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A verb on cluster objects.
    Kubernetes(Object<'a>),
    /// A request.
    Http {
        /// The method.
        method: Method,
        /// The endpoint's origin.
        origin: &'a str,
        /// The full path, the endpoint's own included.
        path: &'a str,
    },
    /// A tool of an MCP server.
    Mcp {
        /// The server.
        server: &'a str,
        /// The tool.
        tool: &'a str,
    },
}

/// Kind, name, namespace and replicas of a cluster pattern.
pub type ClusterTarget<'a> = (&'a GroupResource, Option<&'a Glob>, Option<&'a Glob>, Option<u32>);

/// One entry of an allow or deny list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Matcher {
    Everything,
    Nothing,
    Kubernetes(KubernetesPattern),
    Http { methods: Vec<Method>, origin: Option<String>, path: Glob },
    Mcp { server: Glob, tool: Glob },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KubernetesPattern {
    verbs: &'static [Verb],
    manner: Manner,
    kind: Kind,
    name: Option<Glob>,
    namespace: Option<Glob>,
    replicas: Option<u32>,
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

/// The tools on cluster objects. Of any other (exec, apply, patch, create, ...) there is no such capability, so an entry on it matches nothing.
const TOOLS: &[(&str, &[Verb], Manner)] = &[
    ("kubectl.*", &Verb::ALL, Manner::Plain),
    ("kubectl.get", READS, Manner::Plain),
    ("kubectl.describe", READS, Manner::Describe),
    ("kubectl.top", READS, Manner::Top),
    ("kubectl.wait", &[Verb::Wait], Manner::Plain),
    ("kubectl.logs", &[Verb::Logs], Manner::OnPods),
    ("kubectl.delete", &[Verb::Delete], Manner::Plain),
    ("kubectl.scale", &[Verb::Scale], Manner::Plain),
    ("kubectl.drain", &[Verb::Evict, Verb::Cordon], Manner::Drain),
    ("kubectl.evict", &[Verb::Evict], Manner::OnPods),
    ("kubectl.cordon", &[Verb::Cordon], Manner::OnNodes),
    ("kubectl.uncordon", &[Verb::Cordon], Manner::OnNodes),
    ("kubectl.rollout restart", &[Verb::Restart], Manner::Plain),
    ("kubectl.rollout undo", &[Verb::Rollback], Manner::Plain),
    ("kubectl.rollout pause", &[Verb::Pause], Manner::Plain),
    ("kubectl.rollout resume", &[Verb::Pause], Manner::Plain),
    ("kubectl.rollout status", READS, Manner::Plain),
    ("kubectl.rollout history", READS, Manner::Plain),
    ("kubectl.rollout *", &[Verb::Restart, Verb::Rollback, Verb::Pause], Manner::Plain),
    ("gitops.sync", &[Verb::RequestSync], Manner::Plain),
    ("gitops.*", &[Verb::RequestSync], Manner::Plain),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Exactly(GroupResource),
    /// A custom resource without its group, in singular or plural: of any group.
    OfAnyGroup(String),
    Glob(Glob),
    /// A lone word with a wildcard: a kind. As a deny entry also a name, since the original matched whole lines.
    Loose(Glob),
}

/// Events have two API groups and are the same objects.
fn is_event((group, resource): (&str, &str)) -> bool {
    resource == "events" && matches!(group, "" | "events.k8s.io")
}

impl Kind {
    fn parse(input: &str, metrics: bool) -> Result<Self, Invalid> {
        let input = input.to_ascii_lowercase();
        let kind = match input.as_str() {
            wild if wild.contains('*') => Self::Glob(Glob::parse(if metrics { "*.metrics.k8s.io" } else { wild })?),
            plain if metrics => Self::Exactly(GroupResource::new("metrics.k8s.io", GroupResource::parse(plain)?.resource())?),
            plain if plain.contains('.') || GroupResource::is_built_in(plain) => Self::Exactly(GroupResource::parse(plain)?),
            plain => Self::OfAnyGroup(GroupResource::parse(plain)?.resource().to_owned()),
        };
        Ok(kind)
    }

    fn matches(&self, (group, resource): (&str, &str)) -> bool {
        match self {
            Self::Exactly(kind) => kind.is(group, resource) || (is_event((group, resource)) && is_event((kind.group(), kind.resource()))),
            Self::OfAnyGroup(word) => {
                let singular = |end: &str| resource.strip_suffix(end);
                resource == word
                    || singular("s") == Some(word)
                    || singular("es") == Some(word)
                    || word.strip_suffix('y').is_some_and(|stem| singular("ies") == Some(stem))
            }
            Self::Glob(glob) | Self::Loose(glob) if glob.is_any() => true,
            Self::Glob(glob) | Self::Loose(glob) => {
                let full = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
                let singular = GroupResource::new(group, resource).map(|kind| kind.singular()).unwrap_or_default();
                glob.matches(&full) || glob.matches(resource) || glob.matches(&singular)
            }
        }
    }
}

impl Pattern {
    /// Parses one entry.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let words: Vec<&str> = input.split_whitespace().collect();
        let matcher = match words.as_slice() {
            [] => return Err(Invalid::new("pattern", input, "`<tool> <target>`, such as `kubectl.delete pod/*`")),
            ["*"] => Matcher::Everything,
            [tool, rest @ ..] => match tool.split_once('.').map(|(tool, part)| (tool.to_ascii_lowercase(), part)) {
                Some((tool, part)) if tool == "kubectl" || tool == "gitops" => {
                    kubernetes(format!("{tool}.{}", part.to_ascii_lowercase()), rest, input)?
                }
                Some((tool, method)) if tool == "http" => http(method, rest, input)?,
                Some((tool, server_tool)) if tool == "mcp" => mcp(server_tool, rest, input)?,
                Some(_) | None => Matcher::Nothing,
            },
        };
        Ok(Self { text: input.to_owned(), matcher })
    }

    /// The entry as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As an entry of an allow list: everything that the subject covers is covered by the pattern.
    pub fn allows(&self, subject: &Subject<'_>) -> bool {
        self.matches(subject, false)
    }

    /// As an entry of a deny list: something that the subject covers is covered by the pattern. A list is denied by a pattern on one of its objects.
    pub fn denies(&self, subject: &Subject<'_>) -> bool {
        self.matches(subject, true)
    }

    fn matches(&self, subject: &Subject<'_>, deny: bool) -> bool {
        match (&self.matcher, subject) {
            (Matcher::Everything, _) => true,
            (Matcher::Nothing, _) => false,
            (Matcher::Kubernetes(pattern), Subject::Kubernetes(object)) => pattern.matches(object, deny),
            (Matcher::Http { methods, origin, path }, Subject::Http { method, origin: called, path: called_path }) => {
                let there = path.matches(called_path) || (deny && path.matches_loosely(called_path));
                methods.contains(method) && origin.as_deref().is_none_or(|origin| same_origin(origin, called)) && there
            }
            (Matcher::Mcp { server, tool }, Subject::Mcp { server: called, tool: called_tool }) => {
                server.matches(called) && tool.matches(called_tool)
            }
            (Matcher::Kubernetes(_) | Matcher::Http { .. } | Matcher::Mcp { .. }, _) => false,
        }
    }

    /// False if no call of the contract can ever match, such as `kubectl.delete namespace/*` or `github.*`: an entry that protects or grants nothing.
    pub fn is_effective(&self) -> bool {
        let Matcher::Kubernetes(pattern) = &self.matcher else { return self.matcher != Matcher::Nothing };
        let is_one_of = |kinds: &[(&str, &str)]| kinds.iter().any(|kind| pattern.kind.matches(*kind));
        let counted = |verb: &&Verb| pattern.replicas.is_none() || **verb == Verb::Scale;
        let can_match = |verb: &Verb| match verb {
            Verb::Get | Verb::List | Verb::Wait => !matches!(&pattern.kind, Kind::Exactly(kind) if kind.resource() == "secrets"),
            Verb::Logs | Verb::Evict => pattern.kind.matches(PODS),
            Verb::Cordon => pattern.kind.matches(NODES),
            Verb::Pause | Verb::Rollback => pattern.kind.matches(Workload::Deployment.group_resource()),
            Verb::Restart => is_one_of(Workload::KINDS),
            Verb::Scale => is_one_of(Scalable::KINDS),
            Verb::RequestSync => is_one_of(Sync::KINDS),
            Verb::Delete => is_one_of(Disposable::KINDS),
        };
        pattern.manner == Manner::Describe || pattern.verbs.iter().filter(counted).any(can_match)
    }

    /// The cluster verbs that it can match, for the original string form of an action sheet.
    pub fn verbs(&self) -> &[Verb] {
        if let Matcher::Kubernetes(pattern) = &self.matcher { pattern.verbs } else { &[] }
    }

    /// Kind, name, namespace and replicas of a cluster pattern on one exact kind, for the original string form of an action sheet.
    pub fn kubernetes_target(&self) -> Option<ClusterTarget<'_>> {
        let Matcher::Kubernetes(KubernetesPattern { kind: Kind::Exactly(kind), name, namespace, replicas, verbs: _, manner: _ }) =
            &self.matcher
        else {
            return None;
        };
        Some((kind, name.as_ref(), namespace.as_ref(), *replicas))
    }
}

impl KubernetesPattern {
    fn matches(&self, object: &Object<'_>, deny: bool) -> bool {
        let Object { verb, kind, namespace, name, replicas } = *object;
        let named = |glob: &Option<Glob>, value: Option<&str>, missing: bool| {
            glob.as_ref().is_none_or(|glob| value.map_or(glob.is_any() || missing, |value| glob.matches(value)))
        };
        let also = match self.manner {
            Manner::Describe => !deny && verb == Verb::List && is_event(kind),
            Manner::Drain => verb == Verb::Evict && self.kind.matches(NODES) && named(&self.name, None, deny),
            Manner::Plain | Manner::Top | Manner::OnPods | Manner::OnNodes => false,
        };
        let direct = || self.kind.matches(kind) && named(&self.name, name, deny);
        let loose = || matches!(&self.kind, Kind::Loose(glob) if deny && name.is_none_or(|name| glob.matches(name)));
        (also || (self.verbs.contains(&verb) && (direct() || loose())))
            && named(&self.namespace, namespace.map(Namespace::as_str), false)
            && self.replicas.is_none_or(|wanted| replicas == Some(wanted))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn kubernetes(mut tool: String, mut words: &[&str], input: &str) -> Result<Matcher, Invalid> {
    let is_rollout = tool == "kubectl.rollout";
    if let (true, [part, rest @ ..]) = (is_rollout, words) {
        tool = format!("{tool} {part}");
        words = rest;
    }
    match TOOLS.iter().find(|(known, _, _)| *known == tool) {
        Some((_, verbs, manner)) => target(verbs, *manner, words, input).map(Matcher::Kubernetes),
        None if is_rollout => Err(Invalid::new("pattern", input, "`kubectl.rollout restart|undo|pause|resume|status <target>`")),
        None => Ok(Matcher::Nothing),
    }
}

fn target(verbs: &'static [Verb], manner: Manner, words: &[&str], input: &str) -> Result<KubernetesPattern, Invalid> {
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
    let lone = match manner {
        Manner::Plain | Manner::Describe | Manner::Top => None,
        Manner::OnPods => Some("pods"),
        Manner::OnNodes | Manner::Drain => Some("nodes"),
    };
    let kind = |word: &str| Kind::parse(word, manner == Manner::Top);
    let (kind, name) = match (positional.as_slice(), lone) {
        ([] | ["*"], _) => (kind("*")?, None),
        ([one], _) if one.contains('/') => {
            let (word, name) = one.split_once('/').ok_or_else(bad)?;
            (kind(word)?, Some(name))
        }
        ([name], Some(usual)) if !GroupResource::is_built_in(name) => (kind(usual)?, Some(*name)),
        ([wild], None) if wild.contains('*') && manner != Manner::Top => (Kind::Loose(Glob::parse(&wild.to_ascii_lowercase())?), None),
        ([word], _) => (kind(word)?, None),
        ([word, name], _) if !word.contains('/') && !name.contains('/') => (kind(word)?, Some(*name)),
        (_, _) => return Err(bad()),
    };
    if let Some(plain) = namespace.filter(|namespace| !namespace.contains('*')) {
        Namespace::parse(plain)?;
    }
    let (name, namespace) = (name.map(Glob::parse).transpose()?, namespace.map(Glob::parse).transpose()?);
    Ok(KubernetesPattern { verbs, manner, kind, name, namespace, replicas })
}

/// `*` crosses `/`, as it did in the original.
fn crossing(pattern: &str) -> Result<Glob, Invalid> {
    Glob::parse(&pattern.replace('*', "**"))
}

/// The default port may be left out.
fn same_origin(a: &str, b: &str) -> bool {
    let trim = |origin: &str| {
        let origin = origin.to_ascii_lowercase();
        let port = if origin.starts_with("https:") { ":443" } else { ":80" };
        origin.strip_suffix(port).unwrap_or(&origin).to_owned()
    };
    trim(a) == trim(b)
}

fn http(method: &str, rest: &[&str], input: &str) -> Result<Matcher, Invalid> {
    let bad = || Invalid::new("pattern", input, "`http.<get|head|post|put|patch|*> <path pattern or URL>`, without query");
    let methods = match Method::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(method)) {
        Some(known) => vec![known],
        None if method == "*" => Method::ALL.to_vec(),
        // `http.delete` and the like: no such capability exists.
        None => return Ok(Matcher::Nothing),
    };
    let (origin, path) = match rest {
        [] | ["*"] => (None, "*"),
        [one] if one.contains(['?', '#']) => return Err(bad()),
        [path] if path.starts_with(['*', '/']) => (None, *path),
        [url] => {
            let (scheme, after) = url.split_once("://").ok_or_else(bad)?;
            let (host, path) = after.find('/').and_then(|at| after.split_at_checked(at)).unwrap_or((after, "/*"));
            if host.is_empty() || host.contains(['*', '@']) || !matches!(scheme, "http" | "https") {
                return Err(bad());
            }
            (Some(format!("{scheme}://{host}")), path)
        }
        [_, _, ..] => return Err(bad()),
    };
    Ok(Matcher::Http { methods, origin, path: crossing(path)? })
}

fn mcp(server_tool: &str, rest: &[&str], input: &str) -> Result<Matcher, Invalid> {
    let (server, tool) = server_tool.split_once('.').unwrap_or((server_tool, "*"));
    if !rest.is_empty() {
        return Err(Invalid::new("pattern", input, "`mcp.<server>.<tool>`"));
    }
    Ok(Matcher::Mcp { server: crossing(server)?, tool: crossing(tool)? })
}
