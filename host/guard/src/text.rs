//! How a call is written down: one line for the record, the timeline and proposals, without control characters. No content of a body, an argument or a log
//! line is in it. It is for reading and for search; what a record is bound to is the call itself.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use crate::call::{Ambient, Call, Effect, Mutation, ObjectRef, Read};
use crate::name::GroupResource;
use crate::view::{Object, View};

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
            Self::Get(_) => View::of_read(self).write(f, "kubectl.get"),
            Self::List(list) => {
                let place = list.namespace.as_ref().map_or("-A".into(), |namespace| format!("-n {namespace}"));
                let option = |flag: &str, text: String| if text.is_empty() { text } else { format!(" {flag}{text}") };
                let (labels, fields) = (option("-l ", list.labels.to_string()), option("--field-selector=", list.fields.to_string()));
                write!(f, "kubectl.get {} {place}{labels}{fields}", list.kind.kind.kind())
            }
            Self::Logs(logs) => {
                View::of_read(self).write(f, "kubectl.logs")?;
                logs.container.as_ref().map_or(Ok(()), |container| write!(f, " -c {container}"))?;
                f.write_str(if logs.previous { " --previous" } else { "" })
            }
            Self::Wait(wait) => {
                View::of_read(self).write(f, "kubectl.wait")?;
                write!(f, " --for={}", wait.condition.as_str())
            }
            Self::Http(_) | Self::Mcp(_) => View::of_read(self).write(f, ""),
        }
    }
}

impl Mutation {
    fn write(&self, f: &mut String) -> fmt::Result {
        let view = View::of_effect(&self.effect);
        match &self.effect {
            Effect::Restart(_) => view.write(f, "kubectl.rollout restart"),
            Effect::Scale(scale) => {
                view.write(f, "kubectl.scale")?;
                write!(f, " --replicas={}", scale.replicas)
            }
            Effect::Pause(_, _, true) => view.write(f, "kubectl.rollout pause"),
            Effect::Pause(_, _, false) => view.write(f, "kubectl.rollout resume"),
            Effect::Evict(..) => view.write(f, "kubectl.evict"),
            Effect::Cordon(_, true) => view.write(f, "kubectl.cordon"),
            Effect::Cordon(_, false) => view.write(f, "kubectl.uncordon"),
            Effect::RequestSync(..) => view.write(f, "gitops.sync"),
            Effect::Delete(_) => view.write(f, "kubectl.delete"),
            Effect::Rollback(_, _, revision) => {
                view.write(f, "kubectl.rollout undo")?;
                write!(f, " --to-revision={revision}")
            }
            Effect::Http(_) | Effect::Mcp(_) => view.write(f, ""),
        }
    }
}

impl View<'_> {
    /// `command` is for cluster objects; the others have only one.
    fn write(&self, f: &mut String, command: &str) -> fmt::Result {
        match self {
            Self::Kubernetes(Object { kind: (group, resource), namespace, name, verb: _, replicas: _ }) => {
                let kind = GroupResource::new(group, resource).map_or_else(|_| (*resource).into(), |kind| kind.singular());
                write!(f, "{command} {kind}/{}", name.unwrap_or_default())?;
                namespace.map_or(Ok(()), |namespace| write!(f, " -n {namespace}"))
            }
            // The query is left out: it may carry what a skill read elsewhere.
            Self::Http(method, request) => {
                write!(f, "http.{} {}:{}", method.as_str().to_ascii_lowercase(), request.endpoint, request.path)
            }
            Self::Mcp(call) => write!(f, "mcp.{}.{}", call.server, call.tool),
            Self::Nothing => Ok(()),
        }
    }
}

impl ObjectRef {
    fn write(&self, f: &mut String) -> fmt::Result {
        write!(f, "{}/{}", self.kind.kind.kind().singular(), self.name)?;
        self.namespace.as_ref().map_or(Ok(()), |namespace| write!(f, " -n {namespace}"))
    }
}
