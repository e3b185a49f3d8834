//! How a call is written down: one line for the record, the timeline and proposals, without control characters. No content of a body, an argument or a log
//! line is in it. It is for reading and for search; what a record is bound to is the call itself.

use alloc::string::String;
use core::fmt::{self, Write};

use crate::{
    call::{Ambient, Call, Effect, HttpRequest, Mutation, ObjectRef, Read},
    name::GroupResource,
    policy::Method,
    view::{Object, View},
};

/// The longest text of a call in bytes; a longer one ends in `…`.
pub const MAX_TEXT: usize = 600;

macro_rules! one_line {
    ($($type:ident),+) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = String::new();
                self.write(&mut text)?;
                f.write_str(&one_line(&text))
            }
        }
    )+};
}

one_line!(Call, Ambient, Read, Mutation, ObjectRef);

fn one_line(text: &str) -> String {
    let (mut line, most) = (text.replace(char::is_control, "?"), MAX_TEXT.saturating_sub('…'.len_utf8()));
    if line.len() > most {
        line.truncate(line.floor_char_boundary(most));
        line.push('…');
    }
    line
}

impl Call {
    fn write(&self, f: &mut String) -> fmt::Result {
        match self {
            Self::Ambient(call) => call.write(f),
            Self::Read(call) => call.write(f),
            Self::Mutation(call) => call.write(f),
        }
    }
}

impl Ambient {
    fn write(&self, f: &mut String) -> fmt::Result {
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

impl Read {
    fn write(&self, f: &mut String) -> fmt::Result {
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

impl Mutation {
    fn write(&self, f: &mut String) -> fmt::Result {
        let words = match &self.effect {
            Effect::Restart(_) => "kubectl.rollout restart",
            Effect::Scale(_) => "kubectl.scale",
            Effect::Pause(_, _, true) => "kubectl.rollout pause",
            Effect::Pause(_, _, false) => "kubectl.rollout resume",
            Effect::Evict(..) => "kubectl.evict",
            Effect::Cordon(_, true) => "kubectl.cordon",
            Effect::Cordon(_, false) => "kubectl.uncordon",
            Effect::RequestSync(..) => "gitops.sync",
            Effect::Delete(_) => "kubectl.delete",
            Effect::Rollback(..) => "kubectl.rollout undo",
            Effect::Http(call) => return request(f, call.method.into(), &call.request),
            Effect::Mcp(call) => return write!(f, "mcp.{}.{}", call.server, call.tool),
        };
        f.write_str(words)?;
        if let View::Kubernetes(Object { kind: (group, resource), namespace, name, verb: _, replicas: _ }) = View::of_effect(&self.effect) {
            let kind = GroupResource::new(group, resource).map_or_else(|_| String::from(resource), |kind| kind.singular());
            write!(f, " {kind}/{}", name.unwrap_or_default())?;
            namespace.map_or(Ok(()), |namespace| write!(f, " -n {namespace}"))?;
        }
        match &self.effect {
            Effect::Scale(scale) => write!(f, " --replicas={}", scale.replicas),
            Effect::Rollback(_, _, revision) => write!(f, " --to-revision={revision}"),
            Effect::Restart(_) | Effect::Pause(..) | Effect::Evict(..) | Effect::Cordon(..) | Effect::RequestSync(..) => Ok(()),
            Effect::Delete(_) | Effect::Http(_) | Effect::Mcp(_) => Ok(()),
        }
    }
}

/// The query is left out: it may carry what a skill read elsewhere.
fn request(f: &mut String, method: Method, request: &HttpRequest) -> fmt::Result {
    write!(f, "http.{} {}:{}", method.as_str().to_ascii_lowercase(), request.endpoint, request.path)
}

impl ObjectRef {
    fn write(&self, f: &mut String) -> fmt::Result {
        write!(f, "{}/{}", self.kind.kind.kind().singular(), self.name)?;
        self.namespace.as_ref().map_or(Ok(()), |namespace| write!(f, " -n {namespace}"))
    }
}
