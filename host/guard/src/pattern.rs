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

use alloc::{borrow::ToOwned, string::String, vec, vec::Vec};
use core::fmt;

use crate::{
    call::{Disposable, Scalable, Sync, Workload},
    name::{GroupResource, Invalid, Namespace},
    policy::{Method, Verb},
};

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
        self.covers(text, false)
    }

    fn covers(&self, text: &str, any_case: bool) -> bool {
        let same = |a: &str, b: &str| if any_case { a.eq_ignore_ascii_case(b) } else { a == b };
        let Some((start, rest)) = self.0.find('*').and_then(|star| self.0.split_at_checked(star)) else { return same(&self.0, text) };
        match (text.split_at_checked(start.len()), rest) {
            (Some((head, _)), _) if !same(start, head) => false,
            (None, _) => false,
            (Some(_), "**") => true,
            (Some((_, tail)), "*") => !tail.contains('/'),
            (Some((_, tail)), _) => walk(rest, tail.as_bytes(), any_case),
        }
    }

    /// True unless the two can be seen to have no text in common. Errs on the side of true.
    pub(crate) fn may_meet(&self, other: &Self) -> bool {
        match (self.0.contains('*'), other.0.contains('*')) {
            _ if self.is_any() || other.is_any() => true,
            (false, _) => other.matches(&self.0),
            (true, false) => self.matches(&other.0),
            (true, true) => {
                let (a, b) = (self.0.split('*').next().unwrap_or(""), other.0.split('*').next().unwrap_or(""));
                let (y, z) = (self.0.rsplit('*').next().unwrap_or(""), other.0.rsplit('*').next().unwrap_or(""));
                (a.starts_with(b) || b.starts_with(a)) && (y.ends_with(z) || z.ends_with(y))
            }
        }
    }
}

/// Keeps one bit per position in the text: "the pattern so far matches the text up to here".
fn walk(pattern: &str, text: &[u8], any_case: bool) -> bool {
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
                let here = last.is_some_and(|b| *b == byte || (any_case && b.eq_ignore_ascii_case(&byte)));
                before = core::mem::replace(slot, before && here);
            }
        }
    }
    reached.last().copied().unwrap_or(false)
}

/// What a pattern is held against: the fields of one call, for one namespace.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A verb on cluster objects.
    Kubernetes {
        /// The verb.
        verb: Verb,
        /// Group and plural resource.
        kind: (&'a str, &'a str),
        /// None for cluster-scoped kinds.
        namespace: Option<&'a str>,
        /// None for a list: all of them.
        name: Option<&'a str>,
        /// For scale.
        replicas: Option<u32>,
    },
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
    verbs: Vec<Verb>,
    also: Also,
    kind: Kind,
    name: Option<Glob>,
    namespace: Option<Glob>,
    replicas: Option<u32>,
}

/// What a tool of kubectl does beyond its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Also {
    Nothing,
    /// `describe` lists events.
    Events,
    /// `drain` evicts the pods of a node. Which pods those are is not known here: an entry on one node denies every eviction and allows none.
    Evictions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Any,
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
            "*" if !metrics => Self::Any,
            wild if wild.contains('*') => Self::Glob(Glob::parse(if metrics { "*.metrics.k8s.io" } else { wild })?),
            plain if metrics => Self::Exactly(GroupResource::new("metrics.k8s.io", GroupResource::parse(plain)?.resource())?),
            plain if plain.contains('.') || GroupResource::is_built_in(plain) => Self::Exactly(GroupResource::parse(plain)?),
            plain => Self::OfAnyGroup(GroupResource::parse(plain)?.resource().to_owned()),
        };
        Ok(kind)
    }

    fn matches(&self, (group, resource): (&str, &str)) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(kind) => kind.is(group, resource) || (is_event((group, resource)) && is_event((kind.group(), kind.resource()))),
            Self::OfAnyGroup(word) => {
                let singular = |end: &str| resource.strip_suffix(end);
                resource == word
                    || singular("s") == Some(word)
                    || singular("es") == Some(word)
                    || word.strip_suffix('y').is_some_and(|stem| singular("ies") == Some(stem))
            }
            Self::Glob(glob) | Self::Loose(glob) => {
                let full = if group.is_empty() { resource.to_owned() } else { alloc::format!("{resource}.{group}") };
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
                Some((tool, verb)) if tool == "kubectl" => Matcher::Kubernetes(kubernetes(&verb.to_ascii_lowercase(), rest, input)?),
                Some((tool, "sync" | "*")) if tool == "gitops" => {
                    Matcher::Kubernetes(target(&[Verb::RequestSync], Also::Nothing, Usual::Named, rest, input)?)
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
            (Matcher::Kubernetes(pattern), Subject::Kubernetes { verb, kind, namespace, name, replicas }) => {
                let named = |glob: &Option<Glob>, value: Option<&str>, missing: bool| match (glob, value) {
                    (None, _) => true,
                    (Some(glob), Some(value)) => glob.matches(value),
                    (Some(glob), None) => glob.is_any() || missing,
                };
                let also = match pattern.also {
                    Also::Nothing => false,
                    Also::Events => !deny && *verb == Verb::List && is_event(*kind),
                    Also::Evictions => *verb == Verb::Evict && pattern.kind.matches(("", "nodes")) && named(&pattern.name, None, deny),
                };
                let direct = || pattern.kind.matches(*kind) && named(&pattern.name, *name, deny);
                let loose = || matches!(&pattern.kind, Kind::Loose(glob) if deny && name.is_none_or(|name| glob.matches(name)));
                (also || (pattern.verbs.contains(verb) && (direct() || loose())))
                    && named(&pattern.namespace, *namespace, false)
                    && pattern.replicas.is_none_or(|wanted| *replicas == Some(wanted))
            }
            (Matcher::Http { methods, origin, path }, Subject::Http { method, origin: called, path: called_path }) => {
                // Many servers ignore case and a final slash, so a deny entry does too.
                let there = path.matches(called_path)
                    || (deny && (path.covers(called_path, true) || path.covers(called_path.trim_end_matches('/'), true)));
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
        let one_of = |kinds: &[(&str, &str)]| kinds.iter().any(|kind| pattern.kind.matches(*kind));
        let counted = |verb: &&Verb| pattern.replicas.is_none() || **verb == Verb::Scale;
        pattern.also == Also::Events
            || pattern.verbs.iter().filter(counted).any(|verb| match verb {
                Verb::Get | Verb::List | Verb::Wait => !matches!(&pattern.kind, Kind::Exactly(kind) if kind.resource() == "secrets"),
                Verb::Logs | Verb::Evict => one_of(&[("", "pods")]),
                Verb::Cordon => one_of(&[("", "nodes")]),
                Verb::Pause | Verb::Rollback => one_of(&[("apps", "deployments")]),
                Verb::Restart => Workload::ALL.iter().any(|kind| pattern.kind.matches(kind.group_resource())),
                Verb::Scale => Scalable::ALL.iter().any(|kind| pattern.kind.matches(kind.group_resource())),
                Verb::RequestSync => Sync::ALL.iter().any(|kind| pattern.kind.matches(kind.group_resource())),
                Verb::Delete => Disposable::ALL.iter().any(|kind| pattern.kind.matches(kind.group_resource())),
            })
    }

    /// The cluster verbs that it can match, for the original string form of an action sheet.
    pub fn verbs(&self) -> &[Verb] {
        match &self.matcher {
            Matcher::Kubernetes(pattern) => &pattern.verbs,
            Matcher::Everything | Matcher::Nothing | Matcher::Http { .. } | Matcher::Mcp { .. } => &[],
        }
    }

    /// Kind, name, namespace and replicas of a cluster pattern on one exact kind, for the original string form of an action sheet.
    pub fn kubernetes_target(&self) -> Option<ClusterTarget<'_>> {
        match &self.matcher {
            Matcher::Kubernetes(KubernetesPattern { kind: Kind::Exactly(kind), name, namespace, replicas, verbs: _, also: _ }) => {
                Some((kind, name.as_ref(), namespace.as_ref(), *replicas))
            }
            Matcher::Kubernetes(_) | Matcher::Everything | Matcher::Nothing | Matcher::Http { .. } | Matcher::Mcp { .. } => None,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a lone word after a tool is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usual {
    /// A kind.
    Named,
    /// A kind, whose metrics are meant.
    Metrics,
    /// The name of an object of this kind, unless it is the name of a kind.
    Of(&'static str),
}

fn kubernetes(verb: &str, rest: &[&str], input: &str) -> Result<KubernetesPattern, Invalid> {
    const READS: &[Verb] = &[Verb::Get, Verb::List, Verb::Wait];
    let (verbs, usual, rest): (&[Verb], Usual, &[&str]) = match (verb, rest) {
        ("*", rest) => (&Verb::ALL, Usual::Named, rest),
        ("get" | "describe", rest) => (READS, Usual::Named, rest),
        ("top", rest) => (READS, Usual::Metrics, rest),
        ("wait", rest) => (&[Verb::Wait], Usual::Named, rest),
        ("logs", rest) => (&[Verb::Logs], Usual::Of("pods"), rest),
        ("delete", rest) => (&[Verb::Delete], Usual::Named, rest),
        ("scale", rest) => (&[Verb::Scale], Usual::Named, rest),
        ("drain", rest) => (&[Verb::Evict, Verb::Cordon], Usual::Of("nodes"), rest),
        ("evict", rest) => (&[Verb::Evict], Usual::Of("pods"), rest),
        ("cordon" | "uncordon", rest) => (&[Verb::Cordon], Usual::Of("nodes"), rest),
        ("rollout", ["restart", rest @ ..]) => (&[Verb::Restart], Usual::Named, rest),
        ("rollout", ["undo", rest @ ..]) => (&[Verb::Rollback], Usual::Named, rest),
        ("rollout", ["pause" | "resume", rest @ ..]) => (&[Verb::Pause], Usual::Named, rest),
        ("rollout", ["status" | "history", rest @ ..]) => (READS, Usual::Named, rest),
        ("rollout", ["*", rest @ ..]) => (&[Verb::Restart, Verb::Rollback, Verb::Pause], Usual::Named, rest),
        ("rollout", [] | [_, ..]) => {
            return Err(Invalid::new("pattern", input, "`kubectl.rollout restart|undo|pause|resume|status <target>`"));
        }
        // exec, apply, patch, create, ...: no such capability exists, so such an entry matches nothing.
        (_, _) => (&[], Usual::Named, &["*"]),
    };
    let also = match verb {
        "describe" => Also::Events,
        "drain" => Also::Evictions,
        _ => Also::Nothing,
    };
    target(verbs, also, usual, rest, input)
}

fn target(verbs: &[Verb], also: Also, usual: Usual, words: &[&str], input: &str) -> Result<KubernetesPattern, Invalid> {
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
    let metrics = usual == Usual::Metrics;
    let (kind, name) = match (positional.as_slice(), usual) {
        ([] | ["*"], _) => (Kind::parse("*", metrics)?, None),
        ([one], _) if one.contains('/') => {
            let (kind, name) = one.split_once('/').ok_or_else(bad)?;
            (Kind::parse(kind, metrics)?, Some(name))
        }
        ([name], Usual::Of(kind)) if !GroupResource::is_built_in(name) => (Kind::parse(kind, false)?, Some(*name)),
        ([wild], Usual::Named) if wild.contains('*') => (Kind::Loose(Glob::parse(&wild.to_ascii_lowercase())?), None),
        ([kind], _) => (Kind::parse(kind, metrics)?, None),
        ([kind, name], _) if !kind.contains('/') && !name.contains('/') => (Kind::parse(kind, metrics)?, Some(*name)),
        (_, _) => return Err(bad()),
    };
    if let Some(plain) = namespace.filter(|namespace| !namespace.contains('*')) {
        Namespace::parse(plain)?;
    }
    let (name, namespace) = (name.map(Glob::parse).transpose()?, namespace.map(Glob::parse).transpose()?);
    Ok(KubernetesPattern { verbs: verbs.to_vec(), also, kind, name, namespace, replicas })
}

/// `*` crosses `/`, as it did in the original.
fn crossing(pattern: &str) -> Result<Glob, Invalid> {
    let parts: Vec<&str> = pattern.split('*').collect();
    let mut wide = parts.join("**");
    while wide.contains("***") {
        wide = wide.replace("***", "**");
    }
    Glob::parse(&wide)
}

/// The default port may be left out.
fn same_origin(a: &str, b: &str) -> bool {
    let trim = |origin: &str| {
        let origin = origin.to_ascii_lowercase();
        let port = if origin.starts_with("https:") { ":443" } else { ":80" };
        origin.strip_suffix(port).map(ToOwned::to_owned).unwrap_or(origin)
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
    match rest {
        [] | ["*"] => Ok(Matcher::Http { methods, origin: None, path: Glob::parse("**")? }),
        [one] if one.contains(['?', '#']) => Err(bad()),
        [path] if path.starts_with('*') || path.starts_with('/') => Ok(Matcher::Http { methods, origin: None, path: crossing(path)? }),
        [url] => {
            let (scheme, after) = url.split_once("://").ok_or_else(bad)?;
            let (host, path) = after.find('/').and_then(|at| after.split_at_checked(at)).unwrap_or((after, "/**"));
            if host.is_empty() || host.contains(['*', '@']) || !matches!(scheme, "http" | "https") {
                return Err(bad());
            }
            Ok(Matcher::Http { methods, origin: Some(alloc::format!("{scheme}://{host}")), path: crossing(path)? })
        }
        [_, _, ..] => Err(bad()),
    }
}

fn mcp(server_tool: &str, rest: &[&str], input: &str) -> Result<Matcher, Invalid> {
    let (server, tool) = server_tool.split_once('.').unwrap_or((server_tool, "*"));
    if !rest.is_empty() {
        return Err(Invalid::new("pattern", input, "`mcp.<server>.<tool>`"));
    }
    Ok(Matcher::Mcp { server: crossing(server)?, tool: crossing(tool)? })
}
