//! Whether models are configured and the Secrets of their keys are there; and, if somebody asks for it, whether their endpoints answer.
//!
//! Of a Secret only the metadata is read: neither the key nor its name reaches this program. To an endpoint nothing is sent but a request without credentials.

use std::{collections::BTreeSet, time::Duration};

use infraagent_api::{
    ModelTierConfig,
    model_tier::{AuthKind, TierMapping},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _, api::ListParams};

use super::{Ask, Cluster, Found, Scope, Trouble};
use crate::llm::endpoint::default_base;

const AREA: &str = "models";
/// How long an endpoint may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at the ModelTierConfig that is used.
pub(super) async fn check(cluster: &Cluster, operator_namespace: &str, contact: bool) -> Vec<Found> {
    let configs = match cluster.list::<ModelTierConfig>(&Scope::All, &ListParams::default()).await {
        Ok(configs) => configs,
        Err(trouble) => return vec![Found::unseen(AREA, &trouble)],
    };
    let Some(config) = configs.iter().min_by_key(|config| (config.name_any() != "default", config.name_any())) else {
        return vec![Found::bad(AREA, "there is no ModelTierConfig", "create one that maps the tiers of agents to models")];
    };
    let mut found = vec![Found::good(AREA, format!("ModelTierConfig {}: {}", config.name_any(), tiers(config)))];
    for (secret, tiers) in secrets(config) {
        found.push(secret_of(cluster, operator_namespace, &secret, &tiers).await);
    }
    for mapping in &config.spec.tiers {
        let kind = auth(config, mapping).map(|(kind, _)| kind);
        if let Some(kind @ (AuthKind::OAuth | AuthKind::ServiceAccount | AuthKind::Custom)) = kind {
            let says = format!("tier {}: authentication by `{kind}` is not supported yet", mapping.tier);
            found.push(Found::bad(AREA, says, "use `apiKey` or `none`"));
        }
    }
    if contact {
        for base in bases(config) {
            found.push(reach(&base).await);
        }
    } else {
        found.push(Found::not_checked(AREA, "whether the endpoints answer", Some("--contact-models connects to them, from this machine")));
    }
    found
}

fn tiers(config: &ModelTierConfig) -> String {
    config
        .spec
        .tiers
        .iter()
        .map(|mapping| format!("{} is {}/{}", mapping.tier, mapping.provider, mapping.model))
        .collect::<Vec<_>>()
        .join(", ")
}

/// How requests of a tier are authenticated, and by which Secret.
fn auth<'a>(config: &'a ModelTierConfig, mapping: &'a TierMapping) -> Option<(AuthKind, Option<&'a str>)> {
    let auth = mapping.auth.as_ref().or(config.spec.default_auth.as_ref())?;
    Some((auth.kind, auth.secret_ref.as_deref()))
}

/// The Secrets that are needed, and the tiers that need them.
fn secrets(config: &ModelTierConfig) -> Vec<(String, String)> {
    let mut secrets: Vec<(String, Vec<String>)> = Vec::new();
    for mapping in &config.spec.tiers {
        let Some((AuthKind::ApiKey, Some(secret))) = auth(config, mapping) else { continue };
        match secrets.iter_mut().find(|(known, _)| known == secret) {
            Some((_, tiers)) => tiers.push(mapping.tier.to_string()),
            None => secrets.push((secret.to_owned(), vec![mapping.tier.to_string()])),
        }
    }
    secrets.into_iter().map(|(secret, tiers)| (secret, tiers.join(", "))).collect()
}

async fn secret_of(cluster: &Cluster, namespace: &str, secret: &str, tiers: &str) -> Found {
    let api = Api::<Secret>::namespaced(cluster.client.clone(), namespace);
    let ask = Ask::of::<Secret>("get", &Scope::One(namespace.to_owned())).named(secret);
    match cluster.ask(&ask, api.get_metadata_opt(secret)).await {
        Ok(Some(_)) => Found::good(AREA, format!("the Secret {namespace}/{secret} for {tiers} is there (its content was not read)")),
        Ok(None) => Found::bad(
            AREA,
            format!("the Secret {namespace}/{secret} for {tiers} does not exist"),
            format!("kubectl -n {namespace} create secret generic {secret} --from-file=api-key=FILE"),
        ),
        Err(trouble @ Trouble::Forbidden { .. }) => {
            Found::not_checked(AREA, trouble.to_string(), Some("its presence stands in the status of the ModelTierConfig too"))
        }
        Err(trouble) => Found::unseen(AREA, &trouble),
    }
}

/// The addresses of all tiers.
fn bases(config: &ModelTierConfig) -> BTreeSet<String> {
    let base = |mapping: &TierMapping| mapping.url().or_else(|| default_base(&mapping.provider)).map(str::to_owned);
    config.spec.tiers.iter().filter_map(base).collect()
}

/// Whether anybody answers there. Any answer will do: without a key most say no.
async fn reach(base: &str) -> Found {
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
    let answer = match client {
        Ok(client) => client.get(base).send().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => Found::good(AREA, format!("{base} answers ({})", answer.status().as_u16())),
        Err(error) => {
            let mut why = error.to_string();
            let mut current = std::error::Error::source(&error);
            while let Some(source) = current {
                why = format!("{why}: {source}");
                current = source.source();
            }
            let change =
                "correct spec.tiers[].endpoint, or look at the network; what the operator reaches may differ from what this machine does";
            Found::bad(AREA, format!("{base} does not answer: {why}"), change)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_and_addresses_are_those_that_hold_for_each_tier() {
        let config: ModelTierConfig = serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "ModelTierConfig", "metadata": { "name": "default" },
            "spec": {
                "defaultAuth": { "type": "apiKey", "secretRef": "keys" },
                "tiers": [
                    { "tier": "fast", "provider": "anthropic", "model": "a" },
                    { "tier": "standard", "provider": "anthropic", "model": "b" },
                    { "tier": "reasoning", "provider": "own", "model": "c", "endpoint": "https://models", "auth": { "type": "none" } },
                ],
            },
        }))
        .unwrap();
        assert_eq!(secrets(&config), [("keys".to_owned(), "fast, standard".to_owned())]);
        let bases: Vec<_> = bases(&config).into_iter().collect();
        assert_eq!(bases.len(), 2);
        assert!(bases.contains(&"https://models".to_owned()), "{bases:?}");
        assert_eq!(tiers(&config), "fast is anthropic/a, standard is anthropic/b, reasoning is own/c");
    }
}
