//! What all runs of a process share in front of the sandbox: the engine, compiled skills, and the evaluator of pre-conditions. Made when the first run needs it:
//! a process that waits holds none of it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
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

/// Runs of an agent follow each other, and those of its neighbours too.
const KEPT: Duration = Duration::from_secs(60);

/// Compiles and keeps what runs use. Skills that no run has used for a minute are dropped, and come from the cache the next time.
#[derive(Debug)]
pub struct Workshop {
    compiler: Compiler,
    cache: Option<Cache>,
    engine: OnceCell<Engine>,
    evaluator: OnceCell<Arc<cel::Evaluator>>,
    skills: Arc<Mutex<Skills>>,
    /// How long a skill is kept that no run uses.
    kept: Duration,
}

/// By digest.
type Skills = HashMap<String, Kept>;

/// A compiled skill.
#[derive(Debug)]
struct Kept {
    parts: Vec<Arc<Skill>>,
    /// When a run last asked for it.
    asked: Instant,
}

impl Kept {
    fn is_needed(&self, kept: Duration) -> bool {
        self.asked.elapsed() < kept || self.parts.iter().any(|part| Arc::strong_count(part) > 1)
    }
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
        Self { compiler, cache, engine: OnceCell::new(), evaluator: OnceCell::new(), skills: Arc::default(), kept: KEPT }
    }

    /// What runs a skill: one component, or several if it has no code of its own. What another run uses is shared.
    pub async fn skill(&self, component: &Component) -> Result<Vec<Arc<Skill>>, Error> {
        let engine = self.engine().await?;
        // Held while one is loaded: of a hundred runs that begin together one compiles.
        let mut skills = self.skills.lock().await;
        if let Some(known) = skills.get_mut(&component.digest) {
            known.asked = Instant::now();
            return Ok(known.parts.clone());
        }
        let loaded = load::component(component, engine, self.cache.as_ref(), &self.compiler).await;
        let loaded = loaded.map_err(|source| Error::Skill { shown: component.shown.to_string(), source })?;
        let parts: Vec<_> = loaded.into_iter().map(Arc::new).collect();
        skills.insert(component.digest.clone(), Kept { parts: parts.clone(), asked: Instant::now() });
        tokio::spawn(drop_later(Arc::clone(&self.skills), component.digest.clone(), self.kept));
        Ok(parts)
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

/// Drops a skill once nobody needs it.
async fn drop_later(skills: Arc<Mutex<Skills>>, digest: String, kept: Duration) {
    loop {
        tokio::time::sleep(kept).await;
        let mut skills = skills.lock().await;
        if !skills.get(&digest).is_some_and(|skill| skill.is_needed(kept)) {
            skills.remove(&digest);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::CompileLimits;

    fn workshop(kept: Duration) -> Workshop {
        let compiler = Compiler::with_program(infraagent_tests::binary(), CompileLimits::default());
        Workshop { kept, ..Workshop::new(compiler, None) }
    }

    fn component() -> Component {
        Component::read(&infraagent_tests::repository().join("example-skills/restart-hung-workloads")).unwrap()
    }

    #[tokio::test]
    async fn runs_that_follow_each_other_share_what_was_compiled_once() {
        let (workshop, component) = (workshop(KEPT), component());
        let first = Arc::downgrade(&workshop.skill(&component).await.unwrap()[0]);
        let second = workshop.skill(&component).await.unwrap();
        assert!(first.upgrade().is_some_and(|first| Arc::ptr_eq(&first, &second[0])), "nobody held it in between");
    }

    #[tokio::test]
    async fn a_skill_goes_some_time_after_its_last_run_and_not_before() {
        let (workshop, component) = (workshop(Duration::from_millis(50)), component());
        let held = workshop.skill(&component).await.unwrap();
        tokio::time::sleep(workshop.kept * 4).await;
        assert!(Arc::ptr_eq(&held[0], &workshop.skill(&component).await.unwrap()[0]), "a run that takes long still uses it");
        let gone = Arc::downgrade(&held[0]);
        drop(held);
        let until = Instant::now() + KEPT;
        while gone.upgrade().is_some() {
            assert!(Instant::now() < until, "it is still there");
            tokio::time::sleep(workshop.kept).await;
        }
        assert!(workshop.skills.lock().await.is_empty());
        workshop.skill(&component).await.unwrap();
    }
}
