//! Filters of triggers: CEL over `event`, evaluated in the sandbox. A filter that is wrong, takes too long or says neither yes nor no does not hold, and nothing
//! that it looked at is told.
//!
//! One filter is evaluated at a time, and one that used up its limits is left alone for a while: an agent with a filter that never ends slows the others down
//! once, not with every event.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use infraagent_api::{InfraAgent, agent::Trigger};
use infraagent_sandbox::pure::EvaluationError;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{hash, recent::Recent};
use crate::{cel, operator::Operator};

/// What a filter calls the event.
const NAME: &str = "event";
/// How long a filter that used up its limits is not evaluated.
const REST: Duration = Duration::from_secs(60);
/// How many filters are known to be right or wrong.
const KNOWN: usize = 4096;

/// What a filter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::operator) enum Verdict {
    /// The event counts.
    Pass,
    /// It does not.
    Ignore,
    /// There is no answer, so it does not.
    Broken,
}

/// Evaluates filters.
#[derive(Debug)]
pub(in crate::operator) struct Filters {
    exhausted: Recent,
    one_at_a_time: Semaphore,
    checked: Mutex<HashMap<String, Result<(), String>>>,
}

impl Filters {
    pub(in crate::operator) fn new() -> Self {
        Self { exhausted: Recent::new(REST, KNOWN), one_at_a_time: Semaphore::new(1), checked: Mutex::default() }
    }

    /// Whether the event counts for a trigger with this filter. Without one every event does.
    pub(in crate::operator) async fn ask(&self, operator: &Operator, filter: Option<&str>, event: &Value) -> Verdict {
        let Some(filter) = filter else { return Verdict::Pass };
        let key = hash([filter.as_bytes()]);
        let Ok(_turn) = self.one_at_a_time.acquire().await else { return Verdict::Broken };
        if self.exhausted.knows(&key, operator.clock.elapsed()) {
            return Verdict::Broken;
        }
        let evaluator = match operator.workshop.evaluator().await {
            Ok(evaluator) => evaluator,
            Err(error) => {
                tracing::error!(%error, "filters cannot be evaluated");
                return Verdict::Broken;
            }
        };
        match evaluator.holds(filter, NAME, event).await {
            Ok(true) => Verdict::Pass,
            Ok(false) => Verdict::Ignore,
            Err(error) => {
                if let cel::Error::Expression(EvaluationError::Failed(_)) = &error {
                    self.exhausted.remember(key, operator.clock.elapsed());
                }
                tracing::warn!(%error, filter, "a filter has no answer, so the event does not count");
                Verdict::Broken
            }
        }
    }

    /// Whether every filter of the agent can be parsed. The error names the first that cannot.
    pub(in crate::operator) async fn check(&self, operator: &Operator, agent: &InfraAgent) -> Result<(), String> {
        for (at, Trigger { kind: _, source: _, filter, resources: _, reasons: _ }) in agent.spec.schedule.triggers.iter().enumerate() {
            let Some(filter) = filter else { continue };
            let wrong = |message: &str| format!("spec.schedule.triggers[{at}].filter: {message}");
            let known = self.checked.lock().unwrap_or_else(PoisonError::into_inner).get(filter).cloned();
            let checked = match known {
                Some(known) => known,
                None => {
                    let evaluator = operator.workshop.evaluator().await.map_err(|error| wrong(&error.to_string()))?;
                    let checked = evaluator.check(filter).await.map_err(|error| error.to_string());
                    let mut all = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
                    if all.len() >= KNOWN {
                        all.clear();
                    }
                    all.insert(filter.clone(), checked.clone());
                    checked
                }
            };
            checked.map_err(|message| wrong(&message))?;
        }
        Ok(())
    }
}
