//! What the agent asks of its surroundings: that its skills are those that it names, and that the site has what it requires.

use infraagent_api::{
    AgentEnvironment, InfraAgentPolicy,
    agent::{InfraAgentSpec, SkillRef},
    policy::SourceKind,
};
use infraagent_guard::name::EndpointName;

use super::{Findings, SkillInput, WarningKind, environment::Resolved};

/// Each skill against the platform's sources and against the digest that the agent pins. Registries and repositories are not asked: the component that was given
/// is used.
pub(super) fn check_sources(
    document: &str,
    agent: &InfraAgentSpec,
    given: &[SkillInput],
    policies: &[InfraAgentPolicy],
    findings: &mut Findings,
) {
    for (index, SkillRef { name, source, update: _ }) in agent.skills.iter().enumerate() {
        let path = format!("spec.skills[{index}].source");
        let kind = kind(source);
        for policy in policies {
            let Some(allowed) = &policy.spec.allowed_sources else { continue };
            if !kind.is_some_and(|kind| allowed.contains(&kind)) {
                let policy = policy.metadata.name.as_deref().unwrap_or_default();
                let message = format!(
                    "`{source}` is not among the `allowedSources` of InfraAgentPolicy `{policy}`: take the skill from an allowed source"
                );
                findings.problem(document, path.clone(), message);
            }
        }
        let component = given.iter().find(|skill| skill.manifest.name == *name);
        match (source.rsplit_once("@sha256:"), component) {
            (Some((_, pinned)), Some(SkillInput { manifest: _, digest })) => {
                if *digest != format!("sha256:{pinned}") {
                    let message = format!("pins `sha256:{pinned}`, but the component of skill `{name}` that was given is `{digest}`");
                    findings.problem(document, path, format!("{message}: give the pinned component, or name a tag"));
                }
            }
            (Some(_) | None, _) if matches!(kind, Some(SourceKind::Bundled | SourceKind::ConfigMap)) => {}
            (Some(_) | None, _) => findings.warn(
                WarningKind::NoEffect,
                format!("`{path}` (`{source}`) is not asked: skill `{name}` is the component that was given with --skill"),
            ),
        }
    }
}

fn kind(source: &str) -> Option<SourceKind> {
    match source.split_once("://").map_or(source, |(scheme, _)| scheme) {
        "bundled" => Some(SourceKind::Bundled),
        "oci" => Some(SourceKind::Oci),
        "git" => Some(SourceKind::Git),
        "configmap" => Some(SourceKind::ConfigMap),
        _ => None,
    }
}

/// Each required capability against the environment. What RBAC grants is found out call by call, so `kubectl.*` is met here.
pub(super) fn check_capabilities(
    document: &str,
    agent: &InfraAgentSpec,
    environment: &AgentEnvironment,
    site: &Resolved,
    findings: &mut Findings,
) {
    for (index, required) in agent.capabilities.required.iter().enumerate() {
        let subject = required.split_once('.').map_or(required.as_str(), |(subject, _)| subject);
        let message = match subject {
            "kubectl" => continue,
            "http" if site.guard.endpoints.values().any(|endpoint| endpoint.allowed) => continue,
            "http" => format!("`{required}` needs an endpoint that may be used, and {} has none: add one", site.document),
            _ if has(subject, required, environment, site) => continue,
            _ => format!(
                "`{required}` needs an endpoint or credential `{subject}`, or an MCP server with this capability, and {} has none: add one",
                site.document
            ),
        };
        findings.problem(document, format!("spec.capabilities.required[{index}]"), format!("{message}, or remove the capability"));
    }
}

/// An endpoint or server that the platform does not allow brings nothing.
fn has(subject: &str, required: &str, environment: &AgentEnvironment, site: &Resolved) -> bool {
    let usable_server = |name: &str| EndpointName::parse(name).is_ok_and(|name| site.guard.servers.contains_key(&name));
    let endpoint = site.guard.endpoints.iter().any(|(name, endpoint)| name.as_str() == subject && endpoint.allowed);
    let mut servers = environment.spec.mcp_servers.iter().filter(|(name, _)| usable_server(name));
    endpoint
        || environment.spec.credentials.contains_key(subject)
        || servers.any(|(_, server)| server.capabilities.iter().any(|capability| capability == required || capability == subject))
}
