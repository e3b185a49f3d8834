//! What runs that begin at about the same time have in common is read once for all of them, and is in memory once as long as it stays the same.
//!
//! # Guarantees
//!
//! * What is answered was read at most [`SOON`] before it was asked for. Nothing that a change rests on comes from here: that is read anew ([`super::cluster`]).
//! * A Secret is forgotten after that time; runs hold what they need themselves.
//! * A read that fails fails for those who waited for it, and for nobody later.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use infraagent_api::{AgentEnvironment, InfraAgent, InfraAgentPolicy, ModelTierConfig};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    cluster::{self, Error, Governing, Reader},
    secrets,
};

/// How old an answer may be.
pub const SOON: Duration = Duration::from_secs(1);

/// What was read a moment ago, for all runs of this process.
#[derive(Debug, Default)]
pub struct Recent {
    environments: Kept<(String, String), AgentEnvironment>,
    /// Those that select a namespace.
    policies: Kept<String, Vec<InfraAgentPolicy>>,
    models: Kept<(), Vec<ModelTierConfig>>,
    keys: Kept<(String, String, String), Key>,
    accounts: Kept<(String, String), ()>,
}

/// The key of a model.
struct Key(SecretString);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Recent {
    /// The documents that decisions rest on, with an agent that was just read.
    pub async fn governing(&self, reader: &Reader, agent: InfraAgent) -> Result<Governing, Error> {
        let (namespace, name) = (reader.namespace().to_owned(), agent.spec.environment_ref.clone());
        let (environment, policies) = tokio::try_join!(
            self.environments.get((namespace.clone(), name), reader.environment(&agent)),
            self.policies.get(namespace, reader.policies()),
        )?;
        Ok(Governing { agent, environment, policies })
    }

    /// Every ModelTierConfig.
    pub async fn models(&self, reader: &Reader) -> Result<Arc<Vec<ModelTierConfig>>, Error> {
        self.models.get((), reader.models()).await
    }

    /// The API key of a model, as [`secrets::of_model`] reads it.
    pub async fn key(&self, client: &kube::Client, namespace: &str, secret: &str, key: &str, model: &str) -> Result<SecretString, Error> {
        let place = (namespace.to_owned(), secret.to_owned(), key.to_owned());
        let read = async { secrets::of_model(client, namespace, secret, key, model).await.map(Key) };
        Ok(self.keys.get(place, read).await?.0.clone())
    }

    /// That a ServiceAccount exists.
    pub async fn check_service_account(&self, client: &kube::Client, namespace: &str, name: &str) -> Result<(), Error> {
        let read = cluster::check_service_account(client, namespace, name);
        self.accounts.get((namespace.to_owned(), name.to_owned()), read).await.map(drop)
    }
}

/// Answers by what was asked for.
struct Kept<K, V>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<Slot<V>>>>>);

struct Slot<V> {
    /// When the read began, and what it gave. None: it is too old.
    fresh: Option<(Instant, Arc<V>)>,
    /// The same as long as anybody holds it, to be shared with whoever reads the same again.
    held: Weak<V>,
    /// When the last read failed, and how.
    failed: Option<(Instant, Error)>,
}

impl<K: Hash + Eq, V: PartialEq + Send + Sync + 'static> Kept<K, V> {
    async fn get(&self, key: K, read: impl Future<Output = Result<V, Error>>) -> Result<Arc<V>, Error> {
        let asked = Instant::now();
        let slot = self.slot(key);
        // Held while it is read: of a hundred runs that begin together one reads.
        let mut known = slot.lock().await;
        if let Some((began, value)) = &known.fresh
            && began.elapsed() < SOON
        {
            return Ok(Arc::clone(value));
        }
        if let Some((ended, error)) = &known.failed
            && *ended > asked
        {
            return Err(error.clone());
        }
        let began = Instant::now();
        match read.await {
            Ok(value) => {
                let value = known.held.upgrade().filter(|held| **held == value).unwrap_or_else(|| Arc::new(value));
                (known.held, known.fresh, known.failed) = (Arc::downgrade(&value), Some((began, Arc::clone(&value))), None);
                let slot = Arc::clone(&slot);
                tokio::spawn(async move {
                    tokio::time::sleep(SOON).await;
                    slot.lock().await.fresh.take_if(|(began, _)| began.elapsed() >= SOON);
                });
                Ok(value)
            }
            Err(error) => {
                known.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn slot(&self, key: K) -> Arc<tokio::sync::Mutex<Slot<V>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&key) {
            // What nobody reads or holds any more goes.
            all.retain(|_, slot| slot.try_lock().map_or(true, |slot| slot.fresh.is_some() || slot.held.strong_count() > 0));
        }
        Arc::clone(all.entry(key).or_default())
    }
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { fresh: None, held: Weak::new(), failed: None }
    }
}

/// Without what is kept: there are Secrets among it.
impl<K, V> std::fmt::Debug for Kept<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn broken(what: &str) -> Error {
        Error::Unreadable { what: what.to_owned(), message: "no answer".to_owned() }
    }

    #[tokio::test]
    async fn who_asks_together_reads_once_and_who_asks_later_reads_again() {
        let (kept, reads) = (Kept::<u8, String>::default(), AtomicUsize::new(0));
        let read = |text: &'static str| {
            let reads = &reads;
            async move {
                reads.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(text.to_owned())
            }
        };
        let (first, second, other) = tokio::join!(kept.get(1, read("a")), kept.get(1, read("b")), kept.get(2, read("c")));
        let first = first.unwrap();
        assert!(Arc::ptr_eq(&first, &second.unwrap()) && *first == "a" && *other.unwrap() == "c");
        assert_eq!(reads.load(Ordering::SeqCst), 2);

        tokio::time::sleep(SOON).await;
        let again = kept.get(1, read("a")).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again), "the same is in memory once");
        tokio::time::sleep(SOON).await;
        assert_eq!(*kept.get(1, read("b")).await.unwrap(), "b");
        assert_eq!(reads.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_those_who_waited_and_to_nobody_later() {
        let kept = Kept::<u8, String>::default();
        let slow = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(broken("a"))
        };
        let (first, second) = tokio::join!(kept.get(1, slow), kept.get(1, async { Err(broken("b")) }));
        assert_eq!((first.unwrap_err().to_string(), second.unwrap_err().to_string()), (broken("a").to_string(), broken("a").to_string()));
        assert_eq!(*kept.get(1, async { Ok("c".to_owned()) }).await.unwrap(), "c");
    }

    #[tokio::test]
    async fn what_nobody_holds_is_forgotten() {
        let kept = Kept::<u8, String>::default();
        let held = Arc::downgrade(&kept.get(1, async { Ok("secret".to_owned()) }).await.unwrap());
        let until = Instant::now() + SOON * 20;
        while held.upgrade().is_some() {
            assert!(Instant::now() < until, "it is still there");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        kept.get(2, async { Ok("other".to_owned()) }).await.unwrap();
        assert_eq!(kept.0.lock().unwrap().len(), 1);
    }
}
