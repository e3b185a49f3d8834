//! Entries of the agent's allow and deny lists: each a conjunction of fields, in which a `*` never crosses from one field into the next. How they are written, and
//! what the words of the original release mean in these fields, is parsed at the edge, before anything is decided.

use alloc::{format, vec, vec::Vec};

use crate::name::{GroupResource, Namespace, Origin};
use crate::policy::{Method, Verb};

pub use crate::view::Object;

name!(
    /// A text with wildcards: `*` matches anything but `/`, `**` anything at all. At most 512 printable ASCII characters without spaces.
    /// Matching takes time of pattern length times text length.
    Glob, "pattern", "1 to 512 printable characters without spaces",
    |s| (1..=512).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_graphic())
);

impl Glob {
    /// True if it matches everything.
    pub fn is_any(&self) -> bool {
        matches!(self.as_str(), "*" | "**")
    }

    /// True if the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some((start, rest)) = self.0.find('*').and_then(|star| self.0.split_at_checked(star)) else { return *self.0 == *text };
        text.strip_prefix(start).is_some_and(|tail| match rest {
            "**" => true,
            "*" => !tail.contains('/'),
            _ => walk(rest, tail.as_bytes()),
        })
    }

    /// True if the path matches for a server that ignores case and a final slash, as many do.
    pub(crate) fn matches_loosely(&self, path: &str) -> bool {
        let (glob, path) = (Self(self.0.to_ascii_lowercase().into()), path.to_ascii_lowercase());
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

/// What an entry is held against: the fields of one call, for one namespace.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A verb on cluster objects.
    Kubernetes(Object<'a>),
    /// A request.
    Http {
        /// The method.
        method: Method,
        /// The endpoint's origin.
        origin: &'a Origin,
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

/// One entry of an allow or deny list. All of its fields must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Every call.
    Everything,
    /// Verbs on cluster objects.
    Kubernetes(KubernetesPattern),
    /// Requests.
    Http {
        /// One of these methods.
        methods: Vec<Method>,
        /// This origin; none: any.
        origin: Option<Origin>,
        /// The full path, the endpoint's own included.
        path: Glob,
    },
    /// Tools of MCP servers.
    Mcp {
        /// The server's name.
        server: Glob,
        /// The tool's name.
        tool: Glob,
    },
}

/// Verbs on cluster objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesPattern {
    /// One of these verbs.
    pub verbs: Vec<Verb>,
    /// One of these kinds.
    pub kinds: Vec<KindPattern>,
    /// The object's name; none: any.
    pub name: Option<Glob>,
    /// Its namespace; none: any, and cluster-scoped objects.
    pub namespace: Option<Glob>,
    /// Scaling to exactly so many; none: any number, and every other verb.
    pub replicas: Option<u32>,
}

/// A kind, or many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KindPattern {
    /// Exactly this one.
    Exactly(GroupResource),
    /// Kinds whose plural, of any group, or whose `plural.group` matches.
    Like(Glob),
}

impl KindPattern {
    /// True if it covers the kind: API group and plural resource.
    pub fn matches(&self, (group, resource): (&str, &str)) -> bool {
        match self {
            Self::Exactly(kind) => kind.is(group, resource),
            Self::Like(glob) => glob.matches(resource) || (!group.is_empty() && glob.matches(&format!("{resource}.{group}"))),
        }
    }
}

impl Pattern {
    /// As an entry of an allow list: everything that the subject covers is covered by the pattern.
    pub fn allows(&self, subject: &Subject<'_>) -> bool {
        self.matches(subject, false)
    }

    /// As an entry of a deny list: something that the subject covers is covered by the pattern. A list is denied by a pattern on one of its objects, and a
    /// path by a pattern on its other spellings.
    pub fn denies(&self, subject: &Subject<'_>) -> bool {
        self.matches(subject, true)
    }

    fn matches(&self, subject: &Subject<'_>, deny: bool) -> bool {
        match (self, subject) {
            (Self::Everything, _) => true,
            (Self::Kubernetes(pattern), Subject::Kubernetes(object)) => pattern.matches(object, deny),
            (Self::Http { methods, origin, path }, Subject::Http { method, origin: called, path: to }) => {
                let there = path.matches(to) || (deny && path.matches_loosely(to));
                there && methods.contains(method) && origin.as_ref().is_none_or(|origin| origin == *called)
            }
            (Self::Mcp { server, tool }, Subject::Mcp { server: at, tool: called }) => server.matches(at) && tool.matches(called),
            (Self::Kubernetes(_) | Self::Http { .. } | Self::Mcp { .. }, _) => false,
        }
    }
}

impl KubernetesPattern {
    fn matches(&self, object: &Object<'_>, deny: bool) -> bool {
        let Object { verb, kind, namespace, name, replicas } = *object;
        let named = |glob: &Option<Glob>, value: Option<&str>, absent: bool| {
            glob.as_ref().is_none_or(|glob| value.map_or(absent || glob.is_any(), |value| glob.matches(value)))
        };
        self.verbs.contains(&verb)
            && self.kinds.iter().any(|pattern| pattern.matches(kind))
            && named(&self.name, name, deny)
            && named(&self.namespace, namespace.map(Namespace::as_str), false)
            && self.replicas.is_none_or(|wanted| replicas == Some(wanted))
    }
}
