//! Documents looked at one by one, without a run: what is wrong with this one, whoever refers to it. The same rules as for a run.

use infraagent_api::{AgentEnvironment, InfraAgentPolicy, ModelTierConfig, names::ModelTier, policy::SignatureMode};

use super::{Findings, Invalid, environment as env, model, platform};

/// An environment.
pub fn environment(environment: &AgentEnvironment) -> Result<(), Invalid> {
    let mut findings = Findings::default();
    let platform = platform::merge(&[], false, &mut findings);
    env::resolve(environment, &platform, &mut findings);
    verdict(findings)
}

/// Each tier that a configuration lists: the Secret and key that it needs, if any, or what is wrong.
pub fn tiers(config: &ModelTierConfig) -> Vec<(ModelTier, Result<Option<super::SecretKey>, Invalid>)> {
    let listed = |tier: &ModelTier| config.spec.tiers.iter().any(|mapping| mapping.tier == *tier);
    let one = |tier: ModelTier| {
        let mut findings = Findings::default();
        let platform = platform::merge(&[], false, &mut findings);
        let chosen = model::choose(std::slice::from_ref(config), tier, &platform, &mut findings);
        // A run that needs it begins, and says that it cannot ask; whoever looks at the configuration should know before.
        if let Some(why) = chosen.as_ref().and_then(|(model, _)| model.unavailable()) {
            findings.problem("ModelTierConfig", "auth.type", why);
        }
        (tier, verdict(findings).map(|()| chosen.and_then(|(model, _)| model.secret().cloned())))
    };
    ModelTier::ALL.iter().copied().filter(listed).map(one).collect()
}

/// A policy of the platform.
pub fn policy(policy: &InfraAgentPolicy) -> Result<(), Invalid> {
    let mut findings = Findings::default();
    platform::merge(std::slice::from_ref(policy), false, &mut findings);
    verdict(findings)
}

/// The fields of a policy that have no effect yet: there is nothing that is fetched from a registry.
pub fn unsupported_of_policy(policy: &InfraAgentPolicy) -> Vec<String> {
    let signed = policy.spec.signatures.as_ref().is_some_and(|signatures| match signatures.mode {
        SignatureMode::Require | SignatureMode::Warn => true,
        SignatureMode::Off => false,
    });
    let fields = [("spec.allowedRegistries", policy.spec.allowed_registries.is_some()), ("spec.signatures.mode", signed)];
    fields.iter().filter(|(_, is_set)| *is_set).map(|(field, _)| (*field).to_owned()).collect()
}

fn verdict(findings: Findings) -> Result<(), Invalid> {
    if findings.problems.is_empty() { Ok(()) } else { Err(Invalid(findings.problems)) }
}
