//! What all runs of a process share in front of the sandbox: the engine, compiled skills, and the evaluator of pre-conditions. Made when the first run needs it:
//! a process that waits holds none of it.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use infraagent_sandbox::{
    engine::{Engine, EngineConfig, EngineError},
    instance::Skill,
};
use tokio::sync::{Mutex, OnceCell};

use super::dereference::Component;
use crate::{
    cel,
    compile::{self, Compiler},
    skill::{
        cache::Cache,
        load::{self, LoadError},
    },
};

/// Compiles and keeps what runs use. Skills that no run uses any more are dropped, and come from the cache the next time.
#[derive(Debug)]
pub struct Workshop {
    compiler: Compiler,
    cache: Option<Cache>,
    engine: OnceCell<Engine>,
    evaluator: OnceCell<Arc<cel::Evaluator>>,
    skills: Mutex<HashMap<String, Vec<Weak<Skill>>>>,
}

/// Why something is not ready to run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A skill is no skill.
    #[error("cannot load the skill `{shown}`: {source}")]
    Skill {
        /// Where it was read.
        shown: String,
        /// Why.
        source: LoadError,
    },
    /// The bundled evaluator does not compile.
    #[error("cannot compile the evaluator of pre-conditions: {0}")]
    Compile(#[from] compile::Error),
    /// The bundled evaluator does not load.
    #[error("the evaluator of pre-conditions does not start: {0}")]
    Evaluator(#[from] cel::Error),
}

impl Workshop {
    /// Without a cache everything is compiled anew in each process.
    pub fn new(compiler: Compiler, cache: Option<Cache>) -> Self {
        Self { compiler, cache, engine: OnceCell::new(), evaluator: OnceCell::new(), skills: Mutex::default() }
    }

    /// What runs a skill: one component, or several if it has no code of its own. What another run uses is shared.
    pub async fn skill(&self, component: &Component) -> Result<Vec<Arc<Skill>>, Error> {
        let engine = self.engine().await?;
        // Held while one is loaded: of a hundred runs that begin together one compiles.
        let mut skills = self.skills.lock().await;
        let known = skills.get(&component.digest).and_then(|known| known.iter().map(Weak::upgrade).collect::<Option<Vec<_>>>());
        if let Some(known) = known {
            return Ok(known);
        }
        skills.retain(|_, known| known.iter().any(|skill| skill.strong_count() > 0));
        let loaded = load::component(component, engine, self.cache.as_ref(), &self.compiler).await;
        let loaded = loaded.map_err(|source| Error::Skill { shown: component.shown.to_string(), source })?;
        let loaded: Vec<_> = loaded.into_iter().map(Arc::new).collect();
        skills.insert(component.digest.clone(), loaded.iter().map(Arc::downgrade).collect());
        Ok(loaded)
    }

    /// The evaluator of pre-conditions.
    pub async fn evaluator(&self) -> Result<Arc<cel::Evaluator>, Error> {
        let made = self.evaluator.get_or_try_init(|| async {
            let engine = self.engine().await?;
            let code = load::native(cel::COMPONENT, engine, self.cache.as_ref(), &self.compiler).await?;
            Ok::<_, Error>(Arc::new(cel::Evaluator::compiled(engine.clone(), &code)?))
        });
        Ok(Arc::clone(made.await?))
    }

    async fn engine(&self) -> Result<&Engine, Error> {
        Ok(self.engine.get_or_try_init(|| async { Engine::new(EngineConfig::default()) }).await?)
    }
}
