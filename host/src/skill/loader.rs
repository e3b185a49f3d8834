//! The skills that are loaded in this process. However many runs use one, its native code is in memory once, and it is compiled once however many ask at once.
//!
//! Nothing is kept for its own sake: what no run uses any more is dropped, and comes back from the [`Cache`] in less than a millisecond.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError, Weak},
};

use infraagent_sandbox::{engine::Engine, instance::Skill};
use tokio::{sync::Mutex, task::spawn_blocking};

use super::{
    cache::Cache,
    load::{self, LoadError},
    source::Component,
};
use crate::compile::Compiler;

/// Loads components and remembers those in use. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Loader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    cache: Option<Cache>,
    compiler: Compiler,
    loaded: StdMutex<HashMap<String, Arc<Slot>>>,
}

/// What runs of one component share; locked while it is loaded, so that the others wait for it.
type Slot = Mutex<Weak<Skill>>;

impl Loader {
    /// Without a cache everything is compiled that is not in use.
    pub fn new(engine: Engine, cache: Option<Cache>, compiler: Compiler) -> Self {
        Self(Arc::new(Inner { engine, cache, compiler, loaded: StdMutex::default() }))
    }

    /// The skill of a component, admitted and compiled.
    pub async fn load(&self, component: &Component) -> Result<Arc<Skill>, LoadError> {
        let Inner { engine, cache, compiler, loaded: _ } = &*self.0;
        let Component { shown: _, digest, manifest: _, code } = component;
        let slot = self.slot(digest);
        let mut known = slot.lock().await;
        if let Some(skill) = known.upgrade() {
            return Ok(skill);
        }
        let (code, expected) = (code.clone(), digest.clone());
        let bytes = spawn_blocking(move || code.bytes(&expected)).await.map_err(|_| LoadError::Interrupted)??;
        let skill = Arc::new(load::load(&bytes, engine, cache.as_ref(), compiler).await?);
        *known = Arc::downgrade(&skill);
        Ok(skill)
    }

    /// The slot of a digest. Slots that nobody waits at and whose skill is gone are forgotten on the way.
    fn slot(&self, digest: &str) -> Arc<Slot> {
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|known, slot| {
            let idle = Arc::strong_count(slot) == 1 && slot.try_lock().is_ok_and(|skill| skill.strong_count() == 0);
            known == digest || !idle
        });
        Arc::clone(loaded.entry(digest.to_owned()).or_default())
    }
}
