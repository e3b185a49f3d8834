//! Counts one run: its events as they happen, its conclusion at the end.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use infraagent_api::{names::Tier, run::RunPhase};

use super::Metrics;
use crate::{
    llm::{ToolStatus, Usage},
    run::{
        event::{Event, Observer, Verdict},
        report::{Cause, Conclusion},
        tools::Why,
        validate::ValidatedRun,
    },
    telemetry::{Subject, label},
};

/// The value of `action` for what claims no action of a sheet.
const NO_ACTION: &str = "none";

/// Counts one run from begin to end. Dropping it says that this replica no longer executes the run.
#[derive(Debug)]
pub struct RunMetrics {
    metrics: Option<Metrics>,
    agent: String,
    namespace: String,
    began: Instant,
}

impl Metrics {
    /// A run begins on this replica. Of an agent that does not want to be counted nothing is.
    pub fn begin(&self, subject: &Subject) -> RunMetrics {
        let metrics = subject.observability.metrics.then(|| self.clone());
        if let Some(metrics) = &metrics {
            metrics.0.active.with_label_values(&[&subject.namespace]).inc();
        }
        RunMetrics { metrics, agent: subject.agent.clone(), namespace: subject.namespace.clone(), began: Instant::now() }
    }

    /// A run ended in this phase without a conclusion of this replica: it was never assigned, or who executed it is gone. `took` if that is known.
    pub fn ended(&self, subject: &Subject, phase: RunPhase, took: Option<Duration>) {
        if !subject.observability.metrics {
            return;
        }
        let (agent, namespace) = (subject.agent.as_str(), subject.namespace.as_str());
        self.0.runs.with_label_values(&[agent, namespace, phase.as_str()]).inc();
        if let Some(took) = took {
            self.0.run_seconds.with_label_values(&[agent, namespace]).observe(took.as_secs_f64());
        }
    }
}

impl RunMetrics {
    /// Counts nothing.
    pub fn silent() -> Self {
        Self { metrics: None, agent: String::new(), namespace: String::new(), began: Instant::now() }
    }

    /// Counts what happens in this run.
    pub fn observer(&self, run: &ValidatedRun) -> Observer {
        let Some(metrics) = self.metrics.clone() else { return Observer::silent() };
        let counting = Counting {
            metrics,
            agent: self.agent.clone(),
            namespace: self.namespace.clone(),
            model: label(&run.model.id()),
            prices: run.model.prices,
            actions: run
                .skills
                .iter()
                .flat_map(|skill| &skill.tools)
                .flat_map(|tool| &tool.actions)
                .map(|action| action.id.clone())
                .collect(),
        };
        Observer::new(move |event| counting.count(event))
    }

    /// The run has ended, and its record is closed with this conclusion.
    pub fn concluded(&self, conclusion: &Conclusion) {
        let Some(Metrics(families)) = &self.metrics else { return };
        let (agent, namespace) = (self.agent.as_str(), self.namespace.as_str());
        self.closed(conclusion.phase);
        // Those that the skills and the model recorded were counted when they came.
        for finding in &conclusion.findings {
            families.findings.with_label_values(&[agent, namespace, finding.severity.as_str()]).inc();
        }
        for escalation in &conclusion.escalations {
            families.escalations.with_label_values(&[agent, namespace, reason(escalation.cause)]).inc();
        }
    }

    /// The run has ended in this phase, without a conversation.
    pub fn closed(&self, phase: RunPhase) {
        let Some(Metrics(families)) = &self.metrics else { return };
        let (agent, namespace) = (self.agent.as_str(), self.namespace.as_str());
        families.runs.with_label_values(&[agent, namespace, phase.as_str()]).inc();
        families.run_seconds.with_label_values(&[agent, namespace]).observe(self.began.elapsed().as_secs_f64());
    }
}

impl Drop for RunMetrics {
    fn drop(&mut self) {
        if let Some(Metrics(families)) = &self.metrics {
            families.active.with_label_values(&[&self.namespace]).dec();
        }
    }
}

/// What the events of a run are counted with.
struct Counting {
    metrics: Metrics,
    agent: String,
    namespace: String,
    model: String,
    prices: Option<crate::run::budget::Prices>,
    /// Ids of the sheets of the run: a guest may claim any other.
    actions: BTreeSet<String>,
}

impl Counting {
    fn count(&self, event: &Event) {
        let Self { metrics: Metrics(families), agent, namespace, model, prices, actions } = self;
        let whose = [agent.as_str(), namespace.as_str()];
        match event {
            Event::TurnStarted { turn: _, of: _, max_tokens: _ } => families.iterations.with_label_values(&whose).inc(),
            Event::Replied { usage, used: _, budget: _, cost: _, model: _, stop: _ } => {
                families.tokens.with_label_values(&[agent, namespace, model]).inc_by(usage.total());
                for (kind, tokens) in kinds(*usage) {
                    families.tokens_by_kind.with_label_values(&[agent.as_str(), namespace, model, kind]).inc_by(tokens);
                }
                if let Some(prices) = prices {
                    families.cost.with_label_values(&[agent, namespace, model]).inc_by(prices.dollars(*usage));
                }
            }
            Event::NotReplied { kind } => {
                families.model_errors.with_label_values(&[agent.as_str(), namespace, model, kind]).inc();
            }
            Event::Decided { call: _, what: _, tier, action, verdict, took } => {
                let refused = match verdict {
                    Verdict::Allow | Verdict::Propose => false,
                    Verdict::Deny { code: _, reason: _ } => true,
                };
                if refused {
                    let action = action.as_deref().filter(|id| actions.contains(*id)).unwrap_or(NO_ACTION);
                    families.blocks.with_label_values(&[agent, namespace, action]).inc();
                }
                let tier = tier.map_or("none", Tier::as_str);
                families.decision_seconds.with_label_values(&[tier, verdict.as_str()]).observe(took.as_secs_f64());
            }
            Event::ToolEnded { call: _, tool: _, status, summary: _, took: _, why } => {
                let status = match status {
                    ToolStatus::Ok => "ok",
                    ToolStatus::Blocked => "blocked",
                    ToolStatus::Error => "error",
                };
                families.tool_calls.with_label_values(&[agent, namespace, status]).inc();
                match why {
                    Some(Why::Trapped(kind)) => families.traps.with_label_values(&[agent.as_str(), namespace, kind]).inc(),
                    Some(Why::Told(_)) | None => {}
                }
            }
            Event::Finding { severity, resource: _, message: _ } => {
                families.findings.with_label_values(&[agent.as_str(), namespace, severity.as_str()]).inc();
            }
            // How it ended is in the conclusion, and what a change did is in the record.
            Event::Started(_) | Event::Said { .. } | Event::ToolStarted { .. } | Event::Effect { .. } | Event::Ended(_) => {}
        }
    }
}

/// The tokens of a reply by kind. The parts add up to [`Usage::total`], unless a provider counts more of a part than of the whole.
fn kinds(usage: Usage) -> [(&'static str, u64); 4] {
    let Usage { input, output, cached, cache_written } = usage;
    let fresh = input.saturating_sub(cached).saturating_sub(cache_written);
    [("input", fresh), ("cache_read", cached), ("cache_write", cache_written), ("output", output)]
}

/// Why a person is needed.
const fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::Autonomy { seq: _ } => "autonomy",
        Cause::Finding => "finding",
        Cause::Failure => "failure",
        Cause::Success => "success",
    }
}
