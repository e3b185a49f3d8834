//! What a name may look like. Every string of a skill becomes one of these before anything is decided; nothing else reaches a URL.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

/// A value that is not what its place in a call demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    message: String,
}

impl Invalid {
    /// An error about `what`, shown with the offending input (escaped and cut to 80 characters).
    pub fn new(what: &str, input: &str, expected: &str) -> Self {
        let shown: String = input.chars().take(80).flat_map(char::escape_debug).collect();
        Self { message: format!("{what} `{shown}` is not valid: expected {expected}") }
    }

    /// An error that needs no input to be understood.
    pub fn plain(message: &str) -> Self {
        Self { message: message.to_owned() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Invalid {}

fn is_label(input: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&input.len()) && input.bytes().all(inner) && !input.starts_with('-') && !input.ends_with('-')
}

fn is_subdomain(input: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-');
    (1..=253).contains(&input.len()) && input.split('.').all(is_part)
}

pub(crate) fn is_word(input: &str, max: usize, extra: &[u8]) -> bool {
    (1..=max).contains(&input.len()) && input.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b)) && !input.contains("..")
}

name!(
    /// A namespace: an RFC 1123 label of at most 63 characters.
    Namespace, "namespace", "an RFC 1123 label (a-z, 0-9, `-`, at most 63 characters)", is_label
);
name!(
    /// The name of an object: an RFC 1123 subdomain of at most 253 characters.
    ObjectName, "name", "an RFC 1123 subdomain (a-z, 0-9, `-`, `.`, at most 253 characters)", is_subdomain
);
name!(
    /// The id of an action in an action sheet: an RFC 1123 label.
    ActionId, "action id", "an id of the action sheet (a-z, 0-9, `-`, at most 63 characters)", is_label
);
name!(
    /// The name of a tool: a lower-case letter, then a-z, 0-9 and `_`, at most 64 characters, so that no two names collide for any model provider.
    ToolName, "tool name", "a lower-case letter, then a-z, 0-9, `_`, at most 64 characters",
    |s| s.starts_with(|c: char| c.is_ascii_lowercase()) && s.len() <= 64
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
);
name!(
    /// The name of an endpoint or MCP server of the environment: an RFC 1123 label.
    EndpointName, "endpoint", "the name of an endpoint of the environment (a-z, 0-9, `-`)", is_label
);
name!(
    /// The name of an MCP tool: letters, digits, `_`, `-`, `.` and `/`, at most 128 characters, no `..`.
    McpTool, "MCP tool", "letters, digits, `_`, `-`, `.`, `/`, at most 128 characters", |s| is_word(s, 128, b"_-./")
);
name!(
    /// A container of a pod: an RFC 1123 label.
    Container, "container", "an RFC 1123 label (a-z, 0-9, `-`, at most 63 characters)", is_label
);
name!(
    /// The uid of an object, opaque: letters, digits, `-`, `_`, `.`, `:`, at most 128 characters.
    Uid, "uid", "letters, digits and `-`, at most 128 characters", |s| is_word(s, 128, b"-_.:")
);
name!(
    /// The resource version of an object, opaque: letters, digits, `-`, `_`, `.`, at most 128 characters.
    ResourceVersion, "resource version", "letters, digits and `-`, at most 128 characters", |s| is_word(s, 128, b"-_.")
);
name!(
    /// A key of an agent's state: letters, digits, `_`, `-`, `.`, `/`, at most 128 characters, no `..`.
    StateKey, "state key", "letters, digits, `_`, `-`, `.`, `/`, at most 128 characters", |s| is_word(s, 128, b"_-./")
);
name!(
    /// A path below an endpoint, in its only spelling: starts with `/`, no `.`, `..` or empty segment, no query, fragment or parameters. Characters that
    /// may stand for themselves do; an escape (upper-case hex, UTF-8) is only for those that may not, and never for a separator, a control character
    /// or a look-alike of a dot or slash. So no two paths mean the same, and a pattern cannot be evaded by spelling. At most 1024 characters.
    HttpPath, "path", "a normal absolute path: no `..`, `//`, `?`, `#`, `\\`, `;`, and only needed escapes, in upper case", is_http_path
);

fn is_http_path(input: &str) -> bool {
    let Some(rest) = input.strip_prefix('/') else { return false };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/%".contains(&b);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && has_plain_escapes(segment);
    input.len() <= 1024
        && input.bytes().all(plain)
        && (rest.is_empty() || rest.strip_suffix('/').unwrap_or(rest).split('/').all(is_segment))
}

fn has_plain_escapes(segment: &str) -> bool {
    let (mut bytes, mut pieces) = (Vec::new(), segment.split('%'));
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let Some((hex, after)) = piece.split_at_checked(2) else { return false };
        let is_hex = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
        match u8::from_str_radix(hex, 16) {
            Ok(byte) if is_hex && (byte >= 0x80 || b" \"#<>?[]^`{|}".contains(&byte)) => bytes.push(byte),
            Ok(_) | Err(_) => return false,
        }
        bytes.extend_from_slice(after.as_bytes());
    }
    // Control characters, one- to three-dot leaders, fraction and division slashes, small and full-width forms.
    let misleading = |c: char| {
        c.is_control()
            || matches!(c, '\u{2024}'..='\u{2026}' | '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{fe50}'..='\u{fe6f}' | '\u{ff00}'..='\u{ffef}')
    };
    core::str::from_utf8(&bytes).is_ok_and(|text| !text.chars().any(misleading))
}

/// A kind of object, in the words of RBAC: plural resource and API group (empty for the core group). Always canonical: short names, singulars and
/// CamelCase kinds of Kubernetes' own resources become the plural, and a core resource written with a group it does not have is a different one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    group: String,
    resource: String,
}

impl GroupResource {
    /// From separate parts. The group may be empty; subresources (`pods/log`) are refused.
    pub fn new(group: &str, resource: &str) -> Result<Self, Invalid> {
        if !group.is_empty() && !is_subdomain(group) {
            return Err(Invalid::new("API group", group, "a lower-case DNS name such as `apps`, or nothing for the core group"));
        }
        if !is_label(resource) {
            return Err(Invalid::new("resource", resource, "a lower-case plural such as `deployments`"));
        }
        let known = BUILT_IN.iter().find(|known| known.group == group && known.is_called(resource));
        Ok(Self { group: group.to_owned(), resource: known.map_or(resource, |known| known.plural).to_owned() })
    }

    /// From `resource` or `resource.group`; Kubernetes' own resources may leave their group out and use any of their names: `deploy`, `Deployment`, `deployments.apps`.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        if let Some((resource, group)) = input.split_once('.') {
            return if group.is_empty() { Err(Invalid::new("resource", input, "`resource.group`")) } else { Self::new(group, resource) };
        }
        if let Some(known) = BUILT_IN.iter().find(|known| known.is_called(input)) {
            return Ok(Self { group: known.group.to_owned(), resource: known.plural.to_owned() });
        }
        Self::new("", input)
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The plural resource.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// True for exactly this group and plural.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource
    }

    /// True if `word` is a name, singular, kind or short name of one of Kubernetes' own resources.
    pub(crate) fn is_built_in(word: &str) -> bool {
        BUILT_IN.iter().any(|known| known.is_called(word))
    }

    /// True if every object of this kind is known to live in a namespace. False for custom resources: only the API server knows.
    pub(crate) fn is_known_as_namespaced(group: &str, resource: &str) -> bool {
        let cluster = ["nodes", "namespaces", "persistentvolumes", "storageclasses", "priorityclasses", "customresourcedefinitions"];
        BUILT_IN.iter().any(|known| known.group == group && known.plural == resource) && !cluster.contains(&resource)
    }

    /// The singular of Kubernetes' own resources (`deployment`), else the full name (`clusters.postgresql.cnpg.io`): how a call on one object is written.
    pub fn singular(&self) -> String {
        BUILT_IN.iter().find(|known| self.is(known.group, known.plural)).map_or_else(|| self.to_string(), |known| known.singular.to_owned())
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

struct BuiltIn {
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
}

impl BuiltIn {
    fn is_called(&self, input: &str) -> bool {
        input.eq_ignore_ascii_case(self.plural) || input.eq_ignore_ascii_case(self.singular) || self.short.contains(&input)
    }
}

const fn built_in(group: &'static str, plural: &'static str, singular: &'static str, short: &'static [&'static str]) -> BuiltIn {
    BuiltIn { group, plural, singular, short }
}

/// Names of Kubernetes' own resources, as `kubectl api-resources` of 1.37 lists them, and of those that a sync request can name.
static BUILT_IN: &[BuiltIn] = &[
    built_in("", "pods", "pod", &["po"]),
    built_in("apps", "deployments", "deployment", &["deploy"]),
    built_in("apps", "replicasets", "replicaset", &["rs"]),
    built_in("apps", "statefulsets", "statefulset", &["sts"]),
    built_in("apps", "daemonsets", "daemonset", &["ds"]),
    built_in("apps", "controllerrevisions", "controllerrevision", &[]),
    built_in("batch", "jobs", "job", &[]),
    built_in("batch", "cronjobs", "cronjob", &["cj"]),
    built_in("", "services", "service", &["svc"]),
    built_in("", "events", "event", &["ev"]),
    built_in("", "nodes", "node", &["no"]),
    built_in("", "namespaces", "namespace", &["ns"]),
    built_in("", "configmaps", "configmap", &["cm"]),
    built_in("", "secrets", "secret", &[]),
    built_in("", "serviceaccounts", "serviceaccount", &["sa"]),
    built_in("", "endpoints", "endpoints", &["ep"]),
    built_in("", "persistentvolumeclaims", "persistentvolumeclaim", &["pvc"]),
    built_in("", "persistentvolumes", "persistentvolume", &["pv"]),
    built_in("", "resourcequotas", "resourcequota", &["quota"]),
    built_in("", "limitranges", "limitrange", &["limits"]),
    built_in("", "replicationcontrollers", "replicationcontroller", &["rc"]),
    built_in("networking.k8s.io", "ingresses", "ingress", &["ing"]),
    built_in("networking.k8s.io", "networkpolicies", "networkpolicy", &["netpol"]),
    built_in("autoscaling", "horizontalpodautoscalers", "horizontalpodautoscaler", &["hpa"]),
    built_in("policy", "poddisruptionbudgets", "poddisruptionbudget", &["pdb"]),
    built_in("storage.k8s.io", "storageclasses", "storageclass", &["sc"]),
    built_in("discovery.k8s.io", "endpointslices", "endpointslice", &[]),
    built_in("scheduling.k8s.io", "priorityclasses", "priorityclass", &["pc"]),
    built_in("coordination.k8s.io", "leases", "lease", &[]),
    built_in("kustomize.toolkit.fluxcd.io", "kustomizations", "kustomization", &["ks"]),
    built_in("helm.toolkit.fluxcd.io", "helmreleases", "helmrelease", &["hr"]),
    built_in("argoproj.io", "applications", "application", &["app", "apps"]),
    built_in("external-secrets.io", "externalsecrets", "externalsecret", &["es"]),
    built_in("apiextensions.k8s.io", "customresourcedefinitions", "customresourcedefinition", &["crd", "crds"]),
];

/// A kind of object that a skill may read. No value exists for Secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Readable(GroupResource);

impl Readable {
    /// Everything but Secrets.
    pub fn new(kind: GroupResource) -> Result<Self, Invalid> {
        if kind.resource == "secrets" {
            return Err(Invalid::plain("secrets cannot be read by a skill: the host attaches credentials itself"));
        }
        Ok(Self(kind))
    }

    /// The kind.
    pub fn kind(&self) -> &GroupResource {
        &self.0
    }
}
