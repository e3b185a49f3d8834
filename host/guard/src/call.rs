//! Everything a skill can ask for: one closed set of typed values.
//!
//! There is no variant that deletes or alters data (no claim, volume, namespace, Secret, definition, custom resource, bucket or table), and none that reads a
//! Secret. A call is parsed once, at the sandbox boundary; what is decided is what is executed.

use alloc::{string::String, vec::Vec};

use crate::name::{
    Container, EndpointName, GroupResource, HttpPath, Invalid, McpTool, Namespace, ObjectName, Readable, ResourceVersion, StateKey, Uid,
    is_word,
};
use crate::policy::Method;

pub use crate::selector::{FieldRequirement, FieldSelector, LabelSelector, Requirement, SelectorWord};

/// One call of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Touches nothing beyond the run and the agent's own memory; needs no action.
    Ambient(Ambient),
    /// Looks at the world.
    Read(Read),
    /// Changes something beyond the run.
    Mutation(Mutation),
}

impl Call {
    pub(crate) fn mutates(&self) -> bool {
        matches!(self, Self::Mutation(_))
    }

    /// False if a number or text is beyond the bounds that its field states.
    pub(crate) fn is_bounded(&self) -> bool {
        match self {
            Self::Ambient(Ambient::Finding(finding)) => finding.message.len() <= Finding::MAX_MESSAGE,
            Self::Read(Read::List(list)) => {
                let requirements = list.labels.0.len().saturating_add(list.fields.0.len());
                (1..=List::MAX_LIMIT).contains(&list.limit) && requirements <= List::MAX_REQUIREMENTS
            }
            Self::Read(Read::Logs(logs)) => (1..=Logs::MAX_LINES).contains(&logs.tail_lines),
            Self::Mutation(mutation) => mutation.reason.len() <= Mutation::MAX_REASON,
            Self::Ambient(_) | Self::Read(_) => true,
        }
    }
}

/// Capabilities that every skill has (state only if its sheet says so). They carry no action id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ambient {
    /// A line for the log.
    Log(LogLine),
    /// A finding for the report.
    Finding(Finding),
    /// What the environment says about this site.
    Site,
    /// The time.
    Clock,
    /// Reads an entry of the agent's memory.
    StateGet(StateKey),
    /// Writes an entry if its version is `expect` (none: if it is absent).
    StatePut(StatePut),
    /// Removes an entry if its version is `expect` (none: if it is there).
    StateRemove(StateRemove),
    /// Lists keys that start with the prefix.
    StateKeys(StateKeys),
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The text.
    pub message: String,
    /// Named values.
    pub fields: Vec<(String, String)>,
}

words! {
    /// How much a log line matters.
    LogLevel {
        /// For the skill's author.
        Debug = "debug",
        /// Normal progress.
        Info = "info",
        /// Unexpected, but handled.
        Warn = "warn",
        /// Something failed.
        Error = "error",
    }
}

/// A finding for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The object it is about; must be in scope.
    pub about: Option<ObjectRef>,
    /// At most [`Finding::MAX_MESSAGE`] bytes.
    pub message: String,
}

impl Finding {
    /// The longest text of a finding, in bytes.
    pub const MAX_MESSAGE: usize = 1024;
}

words! {
    /// How bad a finding is.
    Severity {
        /// Good to know.
        Info = "info",
        /// Should be looked at.
        Warning = "warning",
        /// Must be looked at now.
        Critical = "critical",
    }
}

/// Writes an entry of the agent's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePut {
    /// The key.
    pub key: StateKey,
    /// The bytes.
    pub value: Vec<u8>,
    /// The version that must be there; none: the key must be absent.
    pub expect: Option<u64>,
}

/// Removes an entry of the agent's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRemove {
    /// The key.
    pub key: StateKey,
    /// The version that must be there, if that matters.
    pub expect: Option<u64>,
}

/// Lists keys of the agent's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateKeys {
    /// Empty for all.
    pub prefix: Option<StateKey>,
    /// At most so many.
    pub limit: u32,
}

/// Looks at the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// One object.
    Get(Get),
    /// Objects of one kind.
    List(List),
    /// The log of a container.
    Logs(Logs),
    /// Waits until an object is as wished.
    Wait(Wait),
    /// GET or HEAD on an endpoint of the environment.
    Http(HttpRead),
    /// A tool of an MCP server that the environment lists as read.
    Mcp(McpCall),
}

/// A kind that may be read, with the API version that the skill can parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    /// Group and resource.
    pub kind: Readable,
    /// None: the version that the server prefers.
    pub version: Option<ApiVersion>,
}

name!(
    /// An API version such as `v1` or `v2beta1`: `v`, a number, then nothing or `alphaN` or `betaN`.
    ApiVersion, "API version", "a version such as `v1` or `v1beta1`", |input| {
        let digits = |s: &str| (1..=4).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        input.strip_prefix('v').is_some_and(|rest| {
            let (major, minor) = rest.split_once("alpha").or_else(|| rest.split_once("beta")).unwrap_or((rest, "1"));
            digits(major) && digits(minor)
        })
    }
);

/// One object. Without a namespace it is cluster-scoped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ResourceType,
    /// Its namespace; none for cluster-scoped kinds.
    pub namespace: Option<Namespace>,
    /// Its name.
    pub name: ObjectName,
}

/// Reads one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    /// The object.
    pub object: ObjectRef,
    /// What is kept of it.
    pub select: Select,
}

/// JSON pointers (RFC 6901) to keep. Empty: the host's compact projection of that kind. The empty pointer: the whole projected object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Select(Vec<String>);

impl Select {
    /// At most 32 pointers of at most 256 bytes; each is empty or starts with `/`.
    pub fn parse(pointers: Vec<String>) -> Result<Self, Invalid> {
        if pointers.len() > 32 {
            return Err(Invalid::plain("select has more than 32 JSON pointers"));
        }
        match pointers.iter().find(|p| p.len() > 256 || !(p.is_empty() || p.starts_with('/'))) {
            Some(bad) => Err(Invalid::new("select", bad, "a JSON pointer such as `/status/replicas`, at most 256 bytes")),
            None => Ok(Self(pointers)),
        }
    }

    /// The pointers.
    pub fn pointers(&self) -> &[String] {
        &self.0
    }
}

/// Reads objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Their kind.
    pub kind: ResourceType,
    /// None: every namespace that the grant covers (see [`Reach`](crate::permit::Reach)), never more.
    pub namespace: Option<Namespace>,
    /// Which labels they carry.
    pub labels: LabelSelector,
    /// Which fields they carry.
    pub fields: FieldSelector,
    /// What is kept of each.
    pub select: Select,
    /// 1 to [`List::MAX_LIMIT`].
    pub limit: u32,
    /// Where the last page ended: a handle of the host, bound to run and query.
    pub continue_from: Option<Handle>,
}

impl List {
    /// The largest page.
    pub const MAX_LIMIT: u32 = 500;
    /// The most requirements on labels and fields.
    pub const MAX_REQUIREMENTS: usize = 32;
}

name!(
    /// A handle that the host gave out earlier: letters, digits, `-` and `_`, at most 64 characters.
    Handle, "continue token", "the token of the page before", |s| is_word(s, 64, b"-_")
);

/// Reads the log of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// The pod's namespace.
    pub namespace: Namespace,
    /// The pod.
    pub pod: ObjectName,
    /// None: the only or first container.
    pub container: Option<Container>,
    /// The last so many lines, 1 to [`Logs::MAX_LINES`].
    pub tail_lines: u32,
    /// Only lines of the last so many seconds.
    pub since_seconds: Option<u32>,
    /// Of the instance before the last restart.
    pub previous: bool,
}

impl Logs {
    /// The most lines in one call.
    pub const MAX_LINES: u32 = 2000;
}

/// Waits until an object is as wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The object.
    pub object: ObjectRef,
    /// The wish.
    pub condition: Condition,
    /// At most so long; the tool call's own time bounds it too.
    pub timeout_ms: u32,
}

words! {
    /// What can be waited for.
    Condition {
        /// The object says it is ready.
        Ready = "ready",
        /// The newest revision is everywhere.
        RolledOut = "rolled-out",
        /// The object no longer exists.
        Gone = "gone",
        /// A job or pod has ended well.
        Completed = "completed",
    }
}

words! {
    /// GET or HEAD.
    ReadMethod,
    /// The same among all methods.
    method: Method {
        /// The body too.
        Get = "GET" => Method::Get,
        /// Only the head.
        Head = "HEAD" => Method::Head,
    }
}

/// A request that changes nothing by its method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRead {
    /// The method.
    pub method: ReadMethod,
    /// Where and with what.
    pub request: HttpRequest,
}

/// The part of a request that all methods share. Only [`HttpRequest::parse`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpRequest {
    /// An endpoint of the environment; never a URL.
    pub endpoint: EndpointName,
    /// Below the endpoint's URL.
    pub path: HttpPath,
    /// Pairs, escaped by the host.
    pub query: Vec<(String, String)>,
    /// Only names of [`HttpRequest::HEADERS`].
    pub headers: Vec<(String, String)>,
}

impl HttpRequest {
    /// The request headers that a skill may set. No cookie, no authorization, no method override, no host; no range, since a secret in pieces is not recognised.
    pub const HEADERS: [&'static str; 8] = [
        "accept",
        "accept-language",
        "content-type",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "idempotency-key",
        "x-github-api-version",
    ];

    /// Checks headers and query: known lower-case names, printable values, at most 32 each of at most 1 KiB; no parameter that
    /// frameworks take for a method (`_method`, `$httpMethod`, `X-HTTP-Method-Override` and their spellings).
    pub fn parse(endpoint: &str, path: &str, query: Vec<(String, String)>, headers: Vec<(String, String)>) -> Result<Self, Invalid> {
        let small = |pairs: &[(String, String)]| pairs.len() <= 32 && pairs.iter().all(|(k, v)| k.len() <= 128 && v.len() <= 1024);
        if !small(&query) || !small(&headers) {
            return Err(Invalid::plain("a request has at most 32 query parameters and 32 headers of at most 1 KiB each"));
        }
        if let Some((bad, _)) = headers.iter().find(|(name, _)| !Self::HEADERS.contains(&name.as_str())) {
            return Err(Invalid::new("header", bad, "one of the request headers that a skill may set, in lower case"));
        }
        if let Some((name, _)) = headers.iter().find(|(_, value)| value.bytes().any(|b| !(b == b'\t' || (0x20..0x7f).contains(&b)))) {
            return Err(Invalid::new("value of header", name, "printable ASCII"));
        }
        if let Some((bad, _)) = query.iter().find(|(name, _)| overrides_method(name)) {
            return Err(Invalid::new("query parameter", bad, "no method override"));
        }
        Ok(Self { endpoint: EndpointName::parse(endpoint)?, path: HttpPath::parse(path)?, query, headers })
    }
}

/// Punctuation is ignored, since frameworks fold it: PHP makes `_method` of `.method`.
fn overrides_method(name: &str) -> bool {
    let word: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let bare = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (word == "method" && !bare) || word.ends_with("httpmethod") || word.ends_with("methodoverride")
}

/// A tool of an MCP server of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpCall {
    /// The server's name in the environment.
    pub server: EndpointName,
    /// The tool's name at that server.
    pub tool: McpTool,
    /// A JSON object, as text.
    pub arguments: String,
}

/// Changes something beyond the run. Each verb says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// What is done.
    pub effect: Effect,
    /// Why, in the skill's words: at most [`Mutation::MAX_REASON`] bytes, for the record.
    pub reason: String,
}

impl Mutation {
    /// The longest reason, in bytes.
    pub const MAX_REASON: usize = 256;
}

/// What a mutation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Rolling restart.
    Restart(Target),
    /// Sets `spec.replicas`.
    Scale(Scale),
    /// Pauses (true) or resumes a rollout.
    Pause(Namespace, ObjectName, bool),
    /// Through the Eviction API.
    Evict(Namespace, ObjectName, Uid),
    /// Marks a node unschedulable (true) or schedulable.
    Cordon(ObjectName, bool),
    /// Asks a GitOps tool to look again.
    RequestSync(Sync, Namespace, ObjectName),
    /// Deletes a disposable object.
    Delete(Victim),
    /// Back to an earlier revision of a Deployment.
    Rollback(Namespace, ObjectName, u64),
    /// POST, PUT or PATCH on an endpoint that lists it under `writes`.
    Http(HttpMutation),
    /// A tool of an MCP server that the environment lists at a mutating tier.
    Mcp(McpCall),
}

/// A workload that can be restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: Workload,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
}

/// Sets the number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// The workload's kind.
    pub kind: Scalable,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
    /// How many it shall be.
    pub replicas: u32,
}

/// What is deleted: exactly the object that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Victim {
    /// Its kind.
    pub kind: Disposable,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
    /// Its uid when it was looked at.
    pub uid: Uid,
    /// Its resource version when it was looked at.
    pub resource_version: ResourceVersion,
    /// Seconds to end in; none: the object's own.
    pub grace_seconds: Option<u32>,
}

/// A request that the site says changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpMutation {
    /// The method.
    pub method: WriteMethod,
    /// Where and with what.
    pub request: HttpRequest,
    /// The body.
    pub body: Vec<u8>,
}

words! {
    /// There is no DELETE.
    WriteMethod,
    /// The same among all methods.
    method: Method {
        /// Creates.
        Post = "POST" => Method::Post,
        /// Replaces.
        Put = "PUT" => Method::Put,
        /// Alters.
        Patch = "PATCH" => Method::Patch,
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $type:ident { $($variant:ident => $group:literal, $resource:literal);+ $(;)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type { $(#[doc = concat!($resource, ".", $group)] $variant),+ }

        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// API group and plural resource.
            pub fn group_resource(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => ($group, $resource)),+ }
            }

            /// True when `kind` is this one.
            pub fn is(self, kind: &GroupResource) -> bool {
                let (group, resource) = self.group_resource();
                kind.is(group, resource)
            }
        }
    )+};
}

kinds! {
    /// Kinds of workloads.
    Workload {
        Deployment => "apps", "deployments";
        StatefulSet => "apps", "statefulsets";
        DaemonSet => "apps", "daemonsets";
    }
    /// Kinds that have a number of replicas.
    Scalable {
        Deployment => "apps", "deployments";
        StatefulSet => "apps", "statefulsets";
    }
    /// Whom a sync request asks. The host owns the annotation's key and value.
    Sync {
        FluxKustomization => "kustomize.toolkit.fluxcd.io", "kustomizations";
        FluxHelmRelease => "helm.toolkit.fluxcd.io", "helmreleases";
        ArgoApplication => "argoproj.io", "applications";
        ExternalSecret => "external-secrets.io", "externalsecrets";
    }
    /// Kinds that can be deleted. No kind that holds data exists here.
    Disposable {
        Pod => "", "pods";
        Job => "batch", "jobs";
        CronJob => "batch", "cronjobs";
        ReplicaSet => "apps", "replicasets";
        Deployment => "apps", "deployments";
        StatefulSet => "apps", "statefulsets";
        DaemonSet => "apps", "daemonsets";
        Service => "", "services";
        Ingress => "networking.k8s.io", "ingresses";
        HorizontalPodAutoscaler => "autoscaling", "horizontalpodautoscalers";
    }
}
