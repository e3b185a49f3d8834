//! Which model stands behind the agent's tier.

use infraagent_api::{
    ModelTierConfig,
    model_tier::{Auth, AuthKind, TierMapping},
    names::ModelTier,
};

use super::{Findings, Model, ModelAuth, SecretKey, origin::Url, platform::Platform};
use crate::{llm::endpoint::default_base, run::budget::Prices};

/// The provider of recorded conversations: a flag of the command line, never something that a cluster is configured with.
const REPLAY: &str = "replay";

/// The one that is used: `default`, else the first by name.
pub(super) fn preferred(configs: &[ModelTierConfig]) -> Option<&ModelTierConfig> {
    configs.iter().min_by_key(|config| (name(config) != "default", name(config)))
}

fn name(config: &ModelTierConfig) -> &str {
    config.metadata.name.as_deref().unwrap_or_default()
}

/// The model, and the longest reply that its mapping allows.
pub(super) fn choose(
    configs: &[ModelTierConfig],
    tier: ModelTier,
    platform: &Platform,
    findings: &mut Findings,
) -> Option<(Model, Option<u32>)> {
    let Some(config) = preferred(configs) else {
        findings.problem(
            "ModelTierConfig",
            "metadata.name",
            "there is none: give one that maps the agent's tier to a provider and a model",
        );
        return None;
    };
    let document = format!("ModelTierConfig `{}`", name(config));
    let found = config.spec.tiers.iter().enumerate().find(|(_, mapping)| mapping.tier == tier);
    let Some((
        index,
        TierMapping { tier, provider, model, endpoint, base_url, auth, max_tokens, cost_per_million_input, cost_per_million_output },
    )) = found
    else {
        findings.problem(
            &document,
            "spec.tiers",
            format!("the agent asks for tier `{tier}`, which is not listed: add it, or change the agent's `spec.model.tier`"),
        );
        return None;
    };
    let at = |field: &str| format!("spec.tiers[{index}].{field}");
    if provider == REPLAY {
        findings.problem(&document, at("provider"), "`replay` exists on the command line only (--replay): name a real provider here");
    }
    if endpoint.is_some() && base_url.is_some() {
        findings.problem(&document, at("endpoint"), "`endpoint` and `baseURL` mean the same: remove one of them");
    }
    let given = endpoint.as_deref().or(base_url.as_deref());
    let url = given.and_then(|given| findings.take(&document, at("endpoint"), Url::parse(given)));
    if given.is_none() && default_base(provider).is_none() && provider != REPLAY {
        let message = format!("`{provider}` has no address of its own: write the base URL of its OpenAI-compatible API");
        findings.problem(&document, at("endpoint"), message);
    }
    let (auth, auth_at) = match (auth, &config.spec.default_auth) {
        (Some(auth), _) => (authentication(auth), at("auth.type")),
        (None, Some(auth)) => (authentication(auth), "spec.defaultAuth.type".to_owned()),
        (None, None) => (Ok(ModelAuth::None), String::new()),
    };
    let auth = findings.take(&document, auth_at, auth);
    let reply = max_tokens.map(|tokens| u32::try_from(tokens).ok().filter(|tokens| *tokens > 0));
    if reply == Some(None) {
        findings.problem(&document, at("maxTokens"), "must be at least 1");
    }
    let chosen = Model {
        tier: *tier,
        provider: provider.clone(),
        model: model.clone(),
        url: url.map(|url| format!("{}{}", url.origin(), url.base)),
        auth: auth.unwrap_or(ModelAuth::None),
        prices: Prices::new(cost_per_million_input.as_ref(), cost_per_million_output.as_ref()),
    };
    if !platform.allows_model(&chosen.id()) {
        findings.problem(&document, at("model"), format!("`{}` is not among the `allowedModels` of the platform's policies", chosen.id()));
    }
    Some((chosen, reply.flatten()))
}

/// What a kind of authentication needs is there.
fn authentication(auth: &Auth) -> Result<ModelAuth, String> {
    let Auth { kind, secret_ref, secret_key } = auth;
    match (kind, secret_ref) {
        (AuthKind::None, _) => Ok(ModelAuth::None),
        (AuthKind::ApiKey, Some(secret)) => Ok(ModelAuth::Key(SecretKey { secret: secret.clone(), key: secret_key.clone() })),
        (AuthKind::ApiKey, None) => Err("`apiKey` needs `secretRef`: the name of a Secret in the operator's namespace".to_owned()),
        (AuthKind::OAuth | AuthKind::ServiceAccount | AuthKind::Custom, _) => Ok(ModelAuth::Unsupported(*kind)),
    }
}
