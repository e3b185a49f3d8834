//! How a call is written down: one canonical line for the record, the timeline and proposals. No content of a body, an argument or a log line is in it.

use alloc::string::String;
use core::fmt;

use crate::{
    call::{Ambient, Call, Condition, Effect, HttpRequest, Mutation, ObjectRef, Read, Severity},
    name::{GroupResource, Namespace},
    policy::Method,
};

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambient(call) => call.fmt(f),
            Self::Read(call) => call.fmt(f),
            Self::Mutation(call) => call.fmt(f),
        }
    }
}

impl fmt::Display for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(_) => f.write_str("log.emit"),
            Self::Finding(finding) => {
                write!(f, "report.finding {}", finding.severity.as_str())?;
                finding.about.as_ref().map_or(Ok(()), |about| write!(f, " {about}"))
            }
            Self::Site => f.write_str("site.describe"),
            Self::Clock => f.write_str("clock.now"),
            Self::StateGet(key) => write!(f, "state.get {key}"),
            Self::StatePut(put) => write!(f, "state.put {}", put.key),
            Self::StateRemove(remove) => write!(f, "state.remove {}", remove.key),
            Self::StateKeys(keys) => write!(f, "state.keys {}*", keys.prefix.as_ref().map_or("", |prefix| prefix.as_str())),
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(get) => write!(f, "kubectl.get {}", get.object),
            Self::List(list) => {
                write!(f, "kubectl.get {}", list.kind.kind.kind())?;
                match &list.namespace {
                    Some(namespace) => write!(f, " -n {namespace}")?,
                    None => f.write_str(" -A")?,
                }
                if !list.labels.0.is_empty() {
                    write!(f, " -l {}", list.labels)?;
                }
                if !list.fields.0.is_empty() {
                    write!(f, " --field-selector={}", list.fields)?;
                }
                Ok(())
            }
            Self::Logs(logs) => {
                write!(f, "kubectl.logs pod/{} -n {}", logs.pod, logs.namespace)?;
                if let Some(container) = &logs.container {
                    write!(f, " -c {container}")?;
                }
                f.write_str(if logs.previous { " --previous" } else { "" })
            }
            Self::Wait(wait) => write!(f, "kubectl.wait {} --for={}", wait.object, wait.condition.as_str()),
            Self::Http(call) => request(f, call.method.into(), &call.request),
            Self::Mcp(call) => write!(f, "mcp.{}.{}", call.server, call.tool),
        }
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.effect {
            Effect::Restart(t) => named(f, "kubectl.rollout restart", t.kind.group_resource(), Some(&t.namespace), t.name.as_str()),
            Effect::Scale(s) => {
                named(f, "kubectl.scale", s.kind.group_resource(), Some(&s.namespace), s.name.as_str())?;
                write!(f, " --replicas={}", s.replicas)
            }
            Effect::Pause(namespace, name, paused) => {
                let verb = if *paused { "kubectl.rollout pause" } else { "kubectl.rollout resume" };
                named(f, verb, ("apps", "deployments"), Some(namespace), name.as_str())
            }
            Effect::Evict(namespace, name, _) => named(f, "kubectl.evict", ("", "pods"), Some(namespace), name.as_str()),
            Effect::Cordon(name, unschedulable) => {
                named(f, if *unschedulable { "kubectl.cordon" } else { "kubectl.uncordon" }, ("", "nodes"), None, name.as_str())
            }
            Effect::RequestSync(sync, namespace, name) => named(f, "gitops.sync", sync.group_resource(), Some(namespace), name.as_str()),
            Effect::Delete(v) => named(f, "kubectl.delete", v.kind.group_resource(), Some(&v.namespace), v.name.as_str()),
            Effect::Rollback(namespace, name, revision) => {
                named(f, "kubectl.rollout undo", ("apps", "deployments"), Some(namespace), name.as_str())?;
                write!(f, " --to-revision={revision}")
            }
            Effect::Http(call) => request(f, call.method.into(), &call.request),
            Effect::Mcp(call) => write!(f, "mcp.{}.{}", call.server, call.tool),
        }
    }
}

fn named(
    f: &mut fmt::Formatter<'_>,
    verb: &str,
    (group, resource): (&str, &str),
    namespace: Option<&Namespace>,
    name: &str,
) -> fmt::Result {
    let kind = GroupResource::new(group, resource).map_or_else(|_| String::from(resource), |kind| kind.singular());
    write!(f, "{verb} {kind}/{name}")?;
    namespace.map_or(Ok(()), |namespace| write!(f, " -n {namespace}"))
}

/// The query is left out: it may carry what a skill read elsewhere.
fn request(f: &mut fmt::Formatter<'_>, method: Method, request: &HttpRequest) -> fmt::Result {
    write!(f, "http.{} {}:{}", method.as_str().to_ascii_lowercase(), request.endpoint, request.path)
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.kind.kind().singular(), self.name)?;
        self.namespace.as_ref().map_or(Ok(()), |namespace| write!(f, " -n {namespace}"))
    }
}

impl Condition {
    /// The text of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::RolledOut => "rolled-out",
            Self::Gone => "gone",
            Self::Completed => "completed",
        }
    }
}

impl Severity {
    /// The text of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
