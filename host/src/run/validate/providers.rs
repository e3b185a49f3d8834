//! No endpoint may be a model provider: an agent that reaches it with a credential of its own would think, and spend, outside of every limit.

use infraagent_api::ModelTierConfig;

use super::{Findings, environment::Resolved, origin::Url};

/// Providers that are known without being configured.
const KNOWN: [&str; 2] = ["https://api.anthropic.com", "https://api.openai.com"];

/// Compares every endpoint with every provider of every tier, by host and port: neither scheme nor path makes another server of it.
pub(super) fn check(configs: &[ModelTierConfig], site: &Resolved, findings: &mut Findings) {
    let mappings = configs.iter().flat_map(|config| &config.spec.tiers);
    let configured = mappings.flat_map(|mapping| mapping.endpoint.as_deref().into_iter().chain(mapping.base_url.as_deref()));
    let providers: Vec<Url> = configured.chain(KNOWN).filter_map(|url| Url::parse(url).ok()).collect();
    for (name, endpoint) in &site.guard.endpoints {
        let Ok(url) = Url::parse(endpoint.origin.as_str()) else { continue };
        if let Some(provider) = providers.iter().find(|provider| provider.host == url.host && provider.port == url.port) {
            let message = format!("`{}` is a model provider ({}), which no endpoint may be", url.origin(), provider.origin());
            findings.problem(&site.document, format!("spec.endpoints.{name}.url"), message);
        }
    }
}
