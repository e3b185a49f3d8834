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
//! metrics API, `drain` evict and cordon, `undo` rollback. Any other tool name (`github.*`) parses and matches nothing.

use alloc::{borrow::ToOwned, string::String, vec, vec::Vec};
use core::fmt;

use crate::{
    call::{Disposable, Scalable, Sync, Workload},
    name::{GroupResource, Invalid, Namespace},
    policy::{Method, Verb},
};

/// A text with wildcards: `*` matches anything but `/`, `**` anything at all. Matching backtracks, in time of pattern length times text length.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob(String);

impl Glob {
    /// At most 512 printable ASCII characters without spaces.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        if (1..=512).contains(&input.len()) && input.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(input.to_owned()))
        } else {
            Err(Invalid::new("pattern", input, "1 to 512 printable characters without spaces"))
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if it matches everything.
    pub fn is_any(&self) -> bool {
        matches!(self.0.as_str(), "*" | "**")
    }

    /// True if the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        if !self.0.contains('*') {
            return self.0 == text;
        }
        // One bit per position in the text: "the pattern so far matches the text up to here".
        let text = text.as_bytes();
        let mut reached = vec![false; text.len().saturating_add(1)];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        let mut pattern = self.0.bytes().peekable();
        while let Some(byte) = pattern.next() {
            if byte == b'*' {
                let crosses = pattern.next_if_eq(&b'*').is_some();
                let mut open = false;
                for (at, slot) in reached.iter_mut().enumerate() {
                    let passable = at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(|b| crosses || *b != b'/');
                    open = *slot || (open && passable);
                    *slot = open;
                }
            } else {
                let mut before = false;
                for (at, slot) in reached.iter_mut().enumerate() {
                    let here = at.checked_sub(1).and_then(|i| text.get(i)) == Some(&byte);
                    before = core::mem::replace(slot, before && here);
                }
            }
        }
        reached.last().copied().unwrap_or(false)
    }

    /// True unless the two can be seen to have no text in common. Errs on the side of true.
    pub(crate) fn may_meet(&self, other: &Self) -> bool {
        match (self.0.contains('*'), other.0.contains('*')) {
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

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
    /// `describe`: a list of events belongs to it.
    with_events: bool,
    kind: Kind,
    name: Option<Glob>,
    namespace: Option<Glob>,
    replicas: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Any,
    Exactly(GroupResource),
    Glob(Glob),
}

impl Kind {
    fn parse(input: &str, metrics: bool) -> Result<Self, Invalid> {
        if input.contains('*') {
            return Ok(if input == "*" && !metrics {
                Self::Any
            } else {
                Self::Glob(Glob::parse(if metrics { "*.metrics.k8s.io" } else { input })?)
            });
        }
        let kind = GroupResource::parse(input)?;
        Ok(Self::Exactly(if metrics { GroupResource::new("metrics.k8s.io", kind.resource())? } else { kind }))
    }

    fn matches(&self, (group, resource): (&str, &str)) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(kind) => kind.is(group, resource),
            Self::Glob(glob) => {
                let full = if group.is_empty() { resource.to_owned() } else { alloc::format!("{resource}.{group}") };
                glob.matches(&full) || glob.matches(resource)
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
            [tool, rest @ ..] => match tool.split_once('.') {
                Some(("kubectl", verb)) => Matcher::Kubernetes(kubernetes(verb, rest, input)?),
                Some(("gitops", "sync" | "*")) => Matcher::Kubernetes(target(vec![Verb::RequestSync], false, false, rest, input)?),
                Some(("http", method)) => http(method, rest, input)?,
                Some(("mcp", server_tool)) => mcp(server_tool, rest, input)?,
                _ => Matcher::Nothing,
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
                let events = !deny && pattern.with_events && *verb == Verb::List && matches!(*kind, ("" | "events.k8s.io", "events"));
                let named = |glob: &Option<Glob>, value: Option<&str>, missing: bool| match (glob, value) {
                    (None, _) => true,
                    (Some(glob), Some(value)) => glob.matches(value),
                    (Some(glob), None) => glob.is_any() || missing,
                };
                (events || (pattern.verbs.contains(verb) && pattern.kind.matches(*kind) && named(&pattern.name, *name, deny)))
                    && named(&pattern.namespace, *namespace, false)
                    && pattern.replicas.is_none_or(|wanted| *replicas == Some(wanted))
            }
            (Matcher::Http { methods, origin, path }, Subject::Http { method, origin: called, path: called_path }) => {
                methods.contains(method) && origin.as_deref().is_none_or(|origin| origin == *called) && path.matches(called_path)
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
        pattern.with_events
            || pattern.verbs.iter().any(|verb| match verb {
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
    pub fn kubernetes_target(&self) -> Option<(&GroupResource, Option<&Glob>, Option<&Glob>, Option<u32>)> {
        match &self.matcher {
            Matcher::Kubernetes(KubernetesPattern { kind: Kind::Exactly(kind), name, namespace, replicas, verbs: _, with_events: _ }) => {
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

fn kubernetes(verb: &str, rest: &[&str], input: &str) -> Result<KubernetesPattern, Invalid> {
    let reads = || vec![Verb::Get, Verb::List, Verb::Wait];
    let (verbs, rest) = match (verb, rest) {
        ("*", rest) => (Verb::ALL.to_vec(), rest),
        ("get" | "describe" | "top", rest) => (reads(), rest),
        ("wait", rest) => (vec![Verb::Wait], rest),
        ("logs", rest) => (vec![Verb::Logs], rest),
        ("delete", rest) => (vec![Verb::Delete], rest),
        ("scale", rest) => (vec![Verb::Scale], rest),
        ("drain", rest) => (vec![Verb::Evict, Verb::Cordon], rest),
        ("evict", rest) => (vec![Verb::Evict], rest),
        ("cordon" | "uncordon", rest) => (vec![Verb::Cordon], rest),
        ("rollout", ["restart", rest @ ..]) => (vec![Verb::Restart], rest),
        ("rollout", ["undo", rest @ ..]) => (vec![Verb::Rollback], rest),
        ("rollout", ["pause" | "resume", rest @ ..]) => (vec![Verb::Pause], rest),
        ("rollout", ["status" | "history", rest @ ..]) => (reads(), rest),
        ("rollout", ["*", rest @ ..]) => (vec![Verb::Restart, Verb::Rollback, Verb::Pause], rest),
        ("rollout", [] | [_, ..]) => {
            return Err(Invalid::new("pattern", input, "`kubectl.rollout restart|undo|pause|resume|status <target>`"));
        }
        // exec, apply, patch, create, ...: no such capability exists, so such an entry matches nothing.
        (_, _) => (Vec::new(), &["*"][..]),
    };
    target(verbs, verb == "describe", verb == "top", rest, input)
}

fn target(verbs: Vec<Verb>, with_events: bool, metrics: bool, words: &[&str], input: &str) -> Result<KubernetesPattern, Invalid> {
    let expected = "`<tool> <kind>/<name> | <kind> <name> | <kind> | *  [-n NAMESPACE] [--replicas=N]`";
    let bad = || Invalid::new("pattern", input, expected);
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
    let (kind, name) = match positional.as_slice() {
        [] | ["*"] => (if metrics { Kind::parse("*", true)? } else { Kind::Any }, None),
        [one] => match one.split_once('/') {
            Some((kind, name)) => (Kind::parse(kind, metrics)?, Some(name)),
            None => (Kind::parse(one, metrics)?, None),
        },
        [kind, name] if !kind.contains('/') && !name.contains('/') => (Kind::parse(kind, metrics)?, Some(*name)),
        _ => return Err(bad()),
    };
    if let Some(plain) = namespace.filter(|namespace| !namespace.contains('*')) {
        Namespace::parse(plain)?;
    }
    Ok(KubernetesPattern {
        verbs,
        with_events,
        kind,
        name: name.map(Glob::parse).transpose()?,
        namespace: namespace.map(Glob::parse).transpose()?,
        replicas,
    })
}

fn http(method: &str, rest: &[&str], input: &str) -> Result<Matcher, Invalid> {
    let bad = || Invalid::new("pattern", input, "`http.<get|head|post|put|patch|*> <path pattern or URL>`");
    let methods = if method == "*" {
        Method::ALL.to_vec()
    } else {
        match Method::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(method)) {
            Some(known) => vec![known],
            // `http.delete` and the like: no such capability exists.
            None => return Ok(Matcher::Nothing),
        }
    };
    // Here `*` crosses `/`, as it did in the original.
    let crossing = |path: &str| {
        let mut wide = String::new();
        let mut stars = path.split('*');
        if let Some(first) = stars.next() {
            wide.push_str(first);
        }
        for part in stars {
            if !wide.ends_with("**") {
                wide.push_str("**");
            }
            wide.push_str(part);
        }
        Glob::parse(&wide)
    };
    match rest {
        [] | ["*"] => Ok(Matcher::Http { methods, origin: None, path: Glob::parse("**")? }),
        [path] if path.starts_with('*') || path.starts_with('/') => Ok(Matcher::Http { methods, origin: None, path: crossing(path)? }),
        [url] => {
            let (scheme, after) = url.split_once("://").ok_or_else(bad)?;
            let (host, path) = after.find('/').and_then(|at| after.split_at_checked(at)).unwrap_or((after, "/**"));
            if host.is_empty() || host.contains(['*', '@']) || !matches!(scheme, "http" | "https") {
                return Err(bad());
            }
            Ok(Matcher::Http { methods, origin: Some(alloc::format!("{scheme}://{}", host.to_ascii_lowercase())), path: crossing(path)? })
        }
        [_, _, ..] => Err(bad()),
    }
}

fn mcp(server_tool: &str, rest: &[&str], input: &str) -> Result<Matcher, Invalid> {
    let (server, tool) = server_tool.split_once('.').unwrap_or((server_tool, "*"));
    if !rest.is_empty() {
        return Err(Invalid::new("pattern", input, "`mcp.<server>.<tool>`"));
    }
    let wide = |part: &str| Glob::parse(if part == "*" { "**" } else { part });
    Ok(Matcher::Mcp { server: wide(server)?, tool: wide(tool)? })
}
