//! Where the skills of an agent come from: `spec.skills[].source` becomes a [`Component`], or a reason that a person can act on.
//!
//! Asked at every look at an agent and at the start of every run, so it costs next to nothing when nothing changed. Nothing here compiles or runs anything, and
//! nothing is fetched from outside the cluster.

mod bundled;
mod component;
mod configmap;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod live;
mod reference;

use std::{path::PathBuf, sync::Arc, time::Duration};

use infraagent_api::agent::SkillRef;
use tokio::task::spawn_blocking;

pub use self::component::{Code, Component, Unit, Unusable};
use self::{
    bundled::Bundled,
    configmap::{ConfigMaps, Place},
    reference::Reference,
};

/// Finds skills.
#[derive(Clone)]
pub struct Sources {
    bundled: Option<Arc<Bundled>>,
    maps: Arc<ConfigMaps>,
}

/// Why a skill cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unresolved {
    /// One word in CamelCase: a condition's reason.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
    /// It may be over soon without anybody doing anything: ask again.
    pub transient: bool,
}

impl Unresolved {
    /// Somebody must do something.
    fn lasting(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), transient: false }
    }
}

impl Sources {
    /// `bundled`: the folder of skills that the operator brings along. `client`: reads ConfigMaps, with the operator's own rights.
    pub fn new(bundled: Option<PathBuf>, client: kube::Client) -> Self {
        Self { bundled: bundled.map(|folder| Arc::new(Bundled::new(folder))), maps: Arc::new(ConfigMaps::new(client)) }
    }

    /// One skill of an agent in `namespace`, as it is now.
    pub async fn resolve(&self, namespace: &str, skill: &SkillRef) -> Result<Component, Unresolved> {
        self.resolve_within(namespace, skill, Duration::ZERO).await
    }

    /// One skill of an agent in `namespace`, as it was at most `age` ago. Of ConfigMaps that were asked for that recently the API server is not asked again.
    pub async fn resolve_within(&self, namespace: &str, skill: &SkillRef, age: Duration) -> Result<Component, Unresolved> {
        let SkillRef { name, source, update: _ } = skill;
        let reference = source.parse().map_err(|error: reference::Unknown| Unresolved::lasting("SourceInvalid", error.to_string()))?;
        match reference {
            Reference::Bundled => self.bundled(name).await,
            Reference::ConfigMap { name: map, key } => {
                let place = Place { namespace: namespace.to_owned(), name: map.unwrap_or_else(|| name.clone()), key, skill: name.clone() };
                self.maps.find(place, age).await
            }
            Reference::Oci | Reference::Git => Err(Unresolved::lasting(
                "SourceNotSupportedYet",
                format!("skill `{name}`: this version does not read `{source}` yet: use `bundled` or `configmap://name`"),
            )),
        }
    }

    async fn bundled(&self, name: &str) -> Result<Component, Unresolved> {
        let Some(bundled) = self.bundled.clone() else {
            let message =
                format!("skill `{name}` should be a bundled one, and no folder of bundled skills was given: use `--bundled-skills`");
            return Err(Unresolved::lasting("NoBundledSkills", message));
        };
        let name = name.to_owned();
        spawn_blocking(move || bundled.find(&name)).await.unwrap_or_else(|error| {
            // The look does not panic; a runtime that shuts down aborts it.
            Err(Unresolved { reason: "Interrupted", message: error.to_string(), transient: true })
        })
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("bundled", &self.bundled).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
