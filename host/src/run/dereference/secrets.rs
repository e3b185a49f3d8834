//! Reads Secrets, each by its name: those of an environment in the environment's namespace, that of a model in the operator's. Nothing lists Secrets.
//!
//! A value is held in a type that prints nothing, and whoever asks for one gives it to the redactor before anything is shown or sent.

use infraagent_api::environment::{AgentEnvironmentSpec, Credential, CredentialKind};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::Api;
use secrecy::SecretString;

use super::cluster::{Error, unreadable};

/// One value of a Secret.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// Name of the Secret.
    pub secret: String,
    /// Key in it.
    pub key: String,
    /// The value.
    pub value: SecretString,
}

/// Everything that the credentials of an environment need. A missing Secret or key is an error that names both, and where they are asked for.
pub async fn of_environment(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    spec: &AgentEnvironmentSpec,
) -> Result<Vec<SecretValue>, Error> {
    let mut values = Vec::new();
    for (credential, Credential { secret_ref, kind, header: _ }) in &spec.credentials {
        let needs = format!("AgentEnvironment `{namespace}/{name}`, `spec.credentials.{credential}` ({kind})");
        values.extend(read(client, namespace, secret_ref, keys(*kind), &needs).await?);
    }
    Ok(values)
}

/// The API key of a model.
pub async fn of_model(
    client: &kube::Client,
    operator_namespace: &str,
    secret: &str,
    key: &str,
    model: &str,
) -> Result<SecretString, Error> {
    let values = read(client, operator_namespace, secret, &[key], &format!("the model `{model}`")).await?;
    let missing = || Error::Key { secret: secret.to_owned(), key: key.to_owned(), has: "none".to_owned(), needs: model.to_owned() };
    values.into_iter().next().map(|value| value.value).ok_or_else(missing)
}

/// The keys of a Secret for each kind of credential.
fn keys(kind: CredentialKind) -> &'static [&'static str] {
    match kind {
        CredentialKind::BearerToken | CredentialKind::Token => &["token"],
        CredentialKind::ApiKey => &["api-key"],
        CredentialKind::BasicAuth => &["username", "password"],
        CredentialKind::Tls => &["tls.crt", "tls.key"],
    }
}

async fn read(client: &kube::Client, namespace: &str, name: &str, keys: &[&str], needs: &str) -> Result<Vec<SecretValue>, Error> {
    let shown = format!("{namespace}/{name}");
    let secret = match Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            let hint = format!("{needs} needs its {}: create it, or correct the reference", quoted(keys.iter().copied()));
            return Err(Error::Missing { kind: "Secret".to_owned(), name: shown, hint });
        }
        Err(error) => return Err(unreadable(format!("Secret `{shown}`"), &error)),
    };
    let data = secret.data.unwrap_or_default();
    let value = |key: &&str| {
        let text = data.get(*key).and_then(|ByteString(bytes)| std::str::from_utf8(bytes).ok()).filter(|text| !text.trim().is_empty());
        let missing = || Error::Key {
            secret: shown.clone(),
            key: (*key).to_owned(),
            has: if data.is_empty() { "it is empty".to_owned() } else { format!("it has {}", quoted(data.keys().map(String::as_str))) },
            needs: needs.to_owned(),
        };
        let text = text.ok_or_else(missing)?;
        Ok(SecretValue { secret: name.to_owned(), key: (*key).to_owned(), value: text.into() })
    };
    keys.iter().map(value).collect()
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
