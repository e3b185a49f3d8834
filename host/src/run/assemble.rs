//! Puts the sandbox in front of the broker: the tools of one run.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use infraagent_sandbox::limits::Limits;

use super::{
    dereference::Component,
    event::Observer,
    execute::{Loaded, SkillTools},
    lookup::Lookup,
    validate::ValidatedRun,
    workshop::{Error, Workshop},
};
use crate::{
    audit::{Journal, Redactor},
    broker::{Shared, cooldown::Cooldowns, executor::Executor, fence::Fence, http::Http, state::State},
};

/// Everything that stands behind the tools of one run.
#[derive(Debug)]
pub struct Parts {
    /// Where the policy comes from.
    pub lookup: Lookup,
    /// What acts.
    pub executor: Executor,
    /// Whether anything may still be changed.
    pub fence: Fence,
    /// When actions were last used.
    pub cooldowns: Cooldowns,
    /// Asks endpoints.
    pub http: Option<Http>,
    /// What must not leave.
    pub redactor: Arc<Redactor>,
    /// The record.
    pub journal: Arc<Journal>,
    /// The agent's memory, by skill.
    pub memory: BTreeMap<String, State>,
    /// Who watches.
    pub observer: Observer,
}

/// The tools of these components. The run's time begins now.
pub async fn tools(workshop: &Workshop, run: &ValidatedRun, components: &[Component], parts: Parts) -> Result<SkillTools, Error> {
    let Parts { lookup, executor, fence, cooldowns, http, redactor, journal, memory, observer } = parts;
    let mut skills = Vec::with_capacity(components.len());
    for component in components {
        let limits = Limits::granted(component.manifest.limits.as_ref(), &[run.skill_ceilings.caps()]);
        skills.extend(workshop.skill(component).await?.into_iter().map(|skill| Loaded { skill, limits }));
    }
    let shared = Shared {
        lookup,
        executor,
        fence,
        http,
        redactor,
        journal,
        cooldowns,
        rehearsed: Cooldowns::in_memory(),
        preconditions: workshop.evaluator().await?,
        memory,
        observer,
        until: Instant::now() + run.limits.wall,
        sent: AtomicU64::new(0),
        effects: Arc::default(),
    };
    Ok(SkillTools::new(Arc::new(shared), &run.run.uid, skills))
}
