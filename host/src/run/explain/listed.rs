//! What the agent's own list leaves of an action. It explains, and decides nothing: the guard holds each call against the list.

use infraagent_guard::{
    pattern::{KubernetesPattern, Pattern},
    policy::{Grant, HttpGrant, KubernetesGrant, McpGrant, Policy},
};

/// How much of an action `guardrails.allowedActions` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// There is no list, or it lists everything.
    Everything,
    /// Some calls.
    Some,
    /// No call.
    Nothing,
}

/// Holds an action against the list.
pub(super) fn listed(policy: &Policy, action: &str) -> Listed {
    let Some(entries) = &policy.allowed else { return Listed::Everything };
    if entries.contains(&Pattern::Everything) {
        return Listed::Everything;
    }
    let grant = policy.sheet.actions().iter().find(|known| known.id.as_str() == action).map(|known| &known.grant);
    let some = grant.is_some_and(|grant| entries.iter().any(|entry| meets(entry, grant)));
    if some { Listed::Some } else { Listed::Nothing }
}

/// Whether an entry could list a call that the grant covers. Names and paths are not compared: they may meet.
fn meets(entry: &Pattern, grant: &Grant) -> bool {
    match (entry, grant) {
        (Pattern::Everything, _) => true,
        (Pattern::Kubernetes(entry), Grant::Kubernetes(grant)) => objects_meet(entry, grant),
        (Pattern::Http { methods, origin: _, path: _ }, Grant::Http(HttpGrant { endpoints: _, methods: granted, paths: _ })) => {
            methods.iter().any(|method| granted.contains(method))
        }
        (Pattern::Mcp { server, tool: _ }, Grant::Mcp(McpGrant { server: granted, tools: _ })) => server.matches(granted.as_str()),
        (Pattern::Kubernetes(_) | Pattern::Http { .. } | Pattern::Mcp { .. }, _) => false,
    }
}

fn objects_meet(entry: &KubernetesPattern, grant: &KubernetesGrant) -> bool {
    let KubernetesPattern { verbs, kinds, name: _, namespace, replicas } = entry;
    verbs.iter().any(|verb| grant.verbs.contains(verb))
        && kinds.iter().any(|kind| grant.kinds.iter().any(|granted| kind.matches((granted.group(), granted.resource()))))
        && namespace.as_ref().is_none_or(|glob| grant.namespaces.iter().flatten().any(|granted| glob.matches(granted.as_str())))
        && replicas.is_none_or(|wanted| grant.replicas.is_some_and(|(least, most)| (least..=most).contains(&wanted)))
}
