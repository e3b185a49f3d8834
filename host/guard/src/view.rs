//! A call as grants, lists and texts see it: a verb on an object, a method on an endpoint, or a tool of a server.

use crate::{
    call::{Call, Effect, HttpRequest, McpCall, ObjectRef, Read, ResourceType},
    name::{Namespace, ObjectName},
    policy::{Endpoint, Environment, Method, Tier, Verb},
};

/// What a call is about.
pub(crate) enum View<'a> {
    Kubernetes(Object<'a>),
    Http(Method, &'a HttpRequest),
    Mcp(&'a McpCall),
    Nothing,
}

/// The fields of a cluster call that grants and lists speak about.
pub(crate) struct Object<'a> {
    pub(crate) verb: Verb,
    pub(crate) kind: (&'a str, &'a str),
    pub(crate) namespace: Option<&'a Namespace>,
    pub(crate) name: Option<&'a str>,
    pub(crate) replicas: Option<u32>,
}

impl<'a> View<'a> {
    pub(crate) fn of(call: &'a Call) -> Self {
        let read = |verb, object: &'a ObjectRef| at(verb, object.kind.pair(), object.namespace.as_ref(), Some(&object.name), None);
        match call {
            Call::Ambient(_) => Self::Nothing,
            Call::Read(Read::Get(get)) => read(Verb::Get, &get.object),
            Call::Read(Read::Wait(wait)) => read(Verb::Wait, &wait.object),
            Call::Read(Read::List(list)) => at(Verb::List, list.kind.pair(), list.namespace.as_ref(), None, None),
            Call::Read(Read::Logs(logs)) => at(Verb::Logs, ("", "pods"), Some(&logs.namespace), Some(&logs.pod), None),
            Call::Read(Read::Http(call)) => Self::Http(call.method.into(), &call.request),
            Call::Read(Read::Mcp(call)) => Self::Mcp(call),
            Call::Mutation(mutation) => Self::of_effect(&mutation.effect),
        }
    }

    pub(crate) fn of_effect(effect: &'a Effect) -> Self {
        let plain = |verb, kind, namespace, name| at(verb, kind, Some(namespace), Some(name), None);
        let deployment = ("apps", "deployments");
        match effect {
            Effect::Restart(t) => plain(Verb::Restart, t.kind.group_resource(), &t.namespace, &t.name),
            Effect::Scale(s) => at(Verb::Scale, s.kind.group_resource(), Some(&s.namespace), Some(&s.name), Some(s.replicas)),
            Effect::Pause(namespace, name, _) => plain(Verb::Pause, deployment, namespace, name),
            Effect::Evict(namespace, name, _) => plain(Verb::Evict, ("", "pods"), namespace, name),
            Effect::Cordon(name, _) => at(Verb::Cordon, ("", "nodes"), None, Some(name), None),
            Effect::RequestSync(sync, namespace, name) => plain(Verb::RequestSync, sync.group_resource(), namespace, name),
            Effect::Delete(v) => plain(Verb::Delete, v.kind.group_resource(), &v.namespace, &v.name),
            Effect::Rollback(namespace, name, _) => plain(Verb::Rollback, deployment, namespace, name),
            Effect::Http(call) => Self::Http(call.method.into(), &call.request),
            Effect::Mcp(call) => Self::Mcp(call),
        }
    }

    pub(crate) fn endpoint<'e>(&self, environment: &'e Environment) -> Option<&'e Endpoint> {
        match self {
            Self::Http(_, request) => environment.endpoints.get(&request.endpoint),
            Self::Kubernetes(_) | Self::Mcp(_) | Self::Nothing => None,
        }
    }

    /// See [`tier`](crate::policy::tier).
    pub(crate) fn tier(&self, environment: &Environment) -> Option<Tier> {
        match self {
            Self::Nothing => Some(Tier::Read),
            Self::Kubernetes(object) => Some(object.verb.tier()),
            Self::Mcp(call) => environment.servers.get(&call.server)?.get(&call.tool).copied(),
            Self::Http(method, _) if method.reads() => Some(Tier::Read),
            Self::Http(method, request) => {
                let listed = self.endpoint(environment)?.writes.iter();
                // Several entries may match: the highest tier counts.
                listed.filter(|w| Method::from(w.method) == *method && w.path.matches(request.path.as_str())).map(|w| w.tier).max()
            }
        }
    }
}

fn at<'a>(
    verb: Verb,
    kind: (&'a str, &'a str),
    namespace: Option<&'a Namespace>,
    name: Option<&'a ObjectName>,
    replicas: Option<u32>,
) -> View<'a> {
    View::Kubernetes(Object { verb, kind, namespace, name: name.map(ObjectName::as_str), replicas })
}

impl ResourceType {
    pub(crate) fn pair(&self) -> (&str, &str) {
        (self.kind.kind().group(), self.kind.kind().resource())
    }
}
