//! The Secrets of sources, each read by its name and believed for a few seconds: a secret that was exchanged or taken away soon no longer opens anything.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::auth::Credential;
use crate::operator::{Operator, conditions::said};

/// With the name of the source behind it: the name of its Secret.
const PREFIX: &str = "infraagent-webhook-";
/// How long a Secret is believed to be as it was read.
const BELIEVED: Duration = Duration::from_secs(10);
/// How many are kept.
const MOST: usize = 1024;

type Known = HashMap<String, (Duration, Option<Arc<Credential>>)>;

/// The secrets of sources, as they were read last.
#[derive(Debug, Default)]
pub(super) struct Keyring(Mutex<Known>);

impl Keyring {
    /// The credential of a source; none if it has no Secret, or one that authenticates nobody.
    pub(super) async fn of(&self, operator: &Operator, source: &str) -> Result<Option<Arc<Credential>>, kube::Error> {
        let now = operator.clock.elapsed();
        let known = self.lock().get(source).cloned();
        if let Some((read, credential)) = known
            && now.saturating_sub(read) < BELIEVED
        {
            return Ok(credential);
        }
        let api = Api::<Secret>::namespaced(operator.connection.client.clone(), operator.connection.operator_namespace.as_str());
        let name = format!("{PREFIX}{source}");
        let found = api.get_opt(&name).await.inspect_err(|error| {
            tracing::warn!(secret = name, error = said(error), "the Secret of a webhook cannot be read");
        })?;
        let credential = match found.map(|secret| Credential::parse(&secret.data.unwrap_or_default())) {
            Some(Ok(credential)) => Some(Arc::new(credential)),
            Some(Err(error)) => {
                tracing::warn!(secret = name, %error, "the Secret of a webhook authenticates nobody");
                None
            }
            None => {
                tracing::warn!(secret = name, "a webhook has no Secret, so nobody can call it");
                None
            }
        };
        let mut all = self.lock();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(source.to_owned(), (now, credential.clone()));
        Ok(credential)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
