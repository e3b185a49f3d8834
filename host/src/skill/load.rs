//! From the bytes of a component to a skill that can be invoked: admit, look into the cache, else compile in a child and keep, load.
//!
//! The order is the promise: nothing is compiled that was not admitted, nothing is loaded that this program did not compile.

use infraagent_sandbox::{
    admission::{self, Refusal},
    compiled::Authentic,
    engine::{Engine, EngineError},
    instance::Skill,
};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::{
    cache::Cache,
    source::{Component, Unit, Unusable},
};
use crate::compile::{self, Compiler};

/// Why a component is no skill that can be invoked.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not admitted, for all of these reasons. It was not compiled.
    #[error("the component is refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Refusal>),
    /// Admitted, but not compiled.
    #[error(transparent)]
    Compile(#[from] compile::Error),
    /// Compiled, but it does not fit this host.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its file is not what it was.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// This process ends.
    #[error("the process ends before the component was read")]
    Interrupted,
}

impl LoadError {
    /// A stable word; that of the first reason if there are several.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusals) => refusals.first().map_or("refused", |refusal| refusal.code),
            Self::Compile(error) => error.code(),
            Self::Engine(_) => "does-not-load",
            Self::Unusable(_) => "unusable",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A skill that was found: its components, admitted one by one.
pub async fn component(
    component: &Component,
    engine: &Engine,
    cache: Option<&Cache>,
    compiler: &Compiler,
) -> Result<Vec<Skill>, LoadError> {
    let component = component.clone();
    let units = spawn_blocking(move || component.units()).await.map_err(|_| LoadError::Interrupted)??;
    let mut skills = Vec::with_capacity(units.len());
    for Unit { component, code } in units {
        let admitted = admission::admit(&component).map_err(LoadError::Refused)?;
        let code = match code {
            Some(code) => native(code, engine, cache, compiler).await?,
            None => obtain(&component, admitted.digest(), engine, cache, compiler).await?,
        };
        skills.push(Skill::load(engine, admitted, &code)?);
    }
    Ok(skills)
}

/// A skill from the bytes of its component.
pub async fn load(component: &[u8], engine: &Engine, cache: Option<&Cache>, compiler: &Compiler) -> Result<Skill, LoadError> {
    let admitted = admission::admit(component).map_err(LoadError::Refused)?;
    let code = obtain(component, admitted.digest(), engine, cache, compiler).await?;
    Ok(Skill::load(engine, admitted, &code)?)
}

/// The native code of a component that is not a skill: an evaluator or a describer. The caller admitted it.
pub async fn native(component: &[u8], engine: &Engine, cache: Option<&Cache>, compiler: &Compiler) -> Result<Authentic, compile::Error> {
    let digest: String = Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
    obtain(component, &format!("sha256:{digest}"), engine, cache, compiler).await
}

/// From the cache, else from the child. A cache that fails costs time, never the skill; without one every call compiles.
async fn obtain(
    component: &[u8],
    digest: &str,
    engine: &Engine,
    cache: Option<&Cache>,
    compiler: &Compiler,
) -> Result<Authentic, compile::Error> {
    let Some(cache) = cache else { return Ok(Authentic::from_compiler(compiler.in_child(component).await?)) };

    let job = (cache.clone(), digest.to_owned(), engine.clone());
    let found = spawn_blocking(move || {
        let (cache, digest, engine) = job;
        cache.find(&digest, &engine)
    });
    if let Ok(Some(code)) = found.await {
        return Ok(code);
    }

    let code = Authentic::from_compiler(compiler.in_child(component).await?);
    let job = (cache.clone(), digest.to_owned(), engine.clone());
    let kept = spawn_blocking(move || {
        let (cache, digest, engine) = job;
        if let Err(error) = cache.keep(&digest, &engine, &code) {
            tracing::warn!(%error, "compiled component is not kept");
        }
        code
    });
    // The task does not panic and is not aborted; if it were, there would be no code to hand on.
    kept.await.map_err(|error| compile::Error::Pipe(std::io::Error::other(error)))
}
