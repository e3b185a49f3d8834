//! Whether the ServiceAccount of an agent exists: asked for once in a while, since a run asks again before it begins.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    clock::Clock,
    run::dereference::cluster::{Error, check_service_account},
};

/// How long it is believed that one exists.
const BELIEVED: Duration = Duration::from_secs(300);

/// The ServiceAccounts that exist, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Accounts(Mutex<HashMap<(String, String), Duration>>);

impl Accounts {
    /// An error that says what to do if there is none.
    pub(super) async fn check(&self, client: &kube::Client, clock: &Clock, namespace: &str, name: &str) -> Result<(), Error> {
        let (key, now) = ((namespace.to_owned(), name.to_owned()), clock.elapsed());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if known.is_some_and(|since| now.saturating_sub(since) < BELIEVED) {
            return Ok(());
        }
        let checked = check_service_account(client, namespace, name).await;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &checked {
            Ok(()) => all.insert(key, now),
            Err(_) => all.remove(&key),
        };
        checked
    }
}
