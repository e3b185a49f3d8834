//! A call as grants, lists and texts see it: a verb on an object, a method on an endpoint, or a tool of a server.

use crate::call::{Call, Effect, HttpRequest, McpCall, ObjectRef, Read, ResourceType, Workload};
use crate::name::{Namespace, ObjectName};
use crate::policy::{Endpoint, Environment, Method, Tier, Verb};

/// What a call is about.
pub(crate) enum View<'a> {
    Kubernetes(Object<'a>),
    Http(Method, &'a HttpRequest),
    Mcp(&'a McpCall),
    Nothing,
}

/// The fields of a cluster call that grants and lists speak about.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    /// The verb.
    pub verb: Verb,
    /// Group and plural resource.
    pub kind: (&'a str, &'a str),
    /// None for cluster-scoped kinds, and for a list over all granted namespaces.
    pub namespace: Option<&'a Namespace>,
    /// None for a list: all of them.
    pub name: Option<&'a str>,
    /// For scale.
    pub replicas: Option<u32>,
}

pub(crate) const PODS: (&str, &str) = ("", "pods");
pub(crate) const NODES: (&str, &str) = ("", "nodes");

impl<'a> View<'a> {
    pub(crate) fn of(call: &'a Call) -> Self {
        match call {
            Call::Ambient(_) => Self::Nothing,
            Call::Read(read) => Self::of_read(read),
            Call::Mutation(mutation) => Self::of_effect(&mutation.effect),
        }
    }

    pub(crate) fn of_read(read: &'a Read) -> Self {
        let one = |verb, object: &'a ObjectRef| at(verb, object.kind.pair(), object.namespace.as_ref(), Some(&object.name));
        Self::Kubernetes(match read {
            Read::Get(get) => one(Verb::Get, &get.object),
            Read::Wait(wait) => one(Verb::Wait, &wait.object),
            Read::List(list) => at(Verb::List, list.kind.pair(), list.namespace.as_ref(), None),
            Read::Logs(logs) => at(Verb::Logs, PODS, Some(&logs.namespace), Some(&logs.pod)),
            Read::Http(call) => return Self::Http(call.method.method(), &call.request),
            Read::Mcp(call) => return Self::Mcp(call),
        })
    }

    pub(crate) fn of_effect(effect: &'a Effect) -> Self {
        let one = |verb, kind, namespace, name| at(verb, kind, Some(namespace), Some(name));
        let deployment = Workload::Deployment.group_resource();
        Self::Kubernetes(match effect {
            Effect::Restart(t) => one(Verb::Restart, t.kind.group_resource(), &t.namespace, &t.name),
            Effect::Scale(s) => Object { replicas: Some(s.replicas), ..one(Verb::Scale, s.kind.group_resource(), &s.namespace, &s.name) },
            Effect::Pause(namespace, name, _) => one(Verb::Pause, deployment, namespace, name),
            Effect::Evict(namespace, name, _) => one(Verb::Evict, PODS, namespace, name),
            Effect::Cordon(name, _) => at(Verb::Cordon, NODES, None, Some(name)),
            Effect::RequestSync(sync, namespace, name) => one(Verb::RequestSync, sync.group_resource(), namespace, name),
            Effect::Delete(v) => one(Verb::Delete, v.kind.group_resource(), &v.namespace, &v.name),
            Effect::Rollback(namespace, name, _) => one(Verb::Rollback, deployment, namespace, name),
            Effect::Http(call) => return Self::Http(call.method.method(), &call.request),
            Effect::Mcp(call) => return Self::Mcp(call),
        })
    }

    pub(crate) fn endpoint<'e>(&self, environment: &'e Environment) -> Option<&'e Endpoint> {
        if let Self::Http(_, request) = self { environment.endpoints.get(&request.endpoint) } else { None }
    }

    /// See [`tier`](crate::policy::tier).
    pub(crate) fn tier(&self, environment: &Environment) -> Option<Tier> {
        match self {
            Self::Nothing => Some(Tier::Read),
            Self::Kubernetes(object) => Some(object.verb.tier()),
            Self::Mcp(call) => environment.servers.get(&call.server)?.get(&call.tool).copied(),
            Self::Http(method, _) if method.reads() => Some(Tier::Read),
            Self::Http(method, request) => {
                let path = request.path.as_str();
                let writes = || self.endpoint(environment).into_iter().flat_map(|e| &e.writes).filter(|w| w.method.method() == *method);
                // Several entries may match: the highest tier counts, also of those that only a server that ignores case would find.
                let listed = writes().any(|w| w.path.matches(path));
                writes().filter(|w| listed && w.path.matches_loosely(path)).map(|w| w.tier).max()
            }
        }
    }
}

fn at<'a>(verb: Verb, kind: (&'a str, &'a str), namespace: Option<&'a Namespace>, name: Option<&'a ObjectName>) -> Object<'a> {
    Object { verb, kind, namespace, name: name.map(ObjectName::as_str), replicas: None }
}

impl ResourceType {
    pub(crate) fn pair(&self) -> (&str, &str) {
        (self.kind.kind().group(), self.kind.kind().resource())
    }
}
