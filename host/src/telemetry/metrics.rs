//! Prometheus metrics: one registry per process, in which every replica counts what it does itself.
//!
//! What happens in a run is counted as it happens, from its [`Event`](crate::run::event::Event)s ([`run`]); what only the end knows is counted from its
//! [`Conclusion`](crate::run::report::Conclusion). Nobody writes a label by hand: every value is a word of a closed set or the name of an object, never a text.
//!
//! | metric | labels | counted |
//! |---|---|---|
//! | `infraagent_runs_total` | agent, namespace, status | when a run ends |
//! | `infraagent_run_duration_seconds` | agent, namespace | when a run ends |
//! | `infraagent_tokens_used_total` | agent, namespace, model | with each reply |
//! | `infraagent_tokens_by_kind_total` | agent, namespace, model, kind | with each reply; the kinds add up to the line above |
//! | `infraagent_cost_dollars_total` | agent, namespace, model | with each reply, if prices are known |
//! | `infraagent_iterations_total` | agent, namespace | with each question to the model |
//! | `infraagent_model_errors_total` | agent, namespace, model, kind | when a question stays without a reply |
//! | `infraagent_guardrail_blocks_total` | agent, namespace, action | with each refusal; `action` is an id of a sheet of the run, or `none` |
//! | `infraagent_decision_duration_seconds` | tier, verdict | with each decision |
//! | `infraagent_tool_calls_total` | agent, namespace, status | when a tool call ends |
//! | `infraagent_sandbox_traps_total` | agent, namespace, kind | when the sandbox ends a skill |
//! | `infraagent_findings_total` | agent, namespace, severity | with each finding |
//! | `infraagent_escalations_total` | agent, namespace, reason | when a run ends that needs a person, whether somebody could be told or not |
//! | `infraagent_schedule_lag_seconds` | agent, namespace | by the leader, when it creates a scheduled run |
//! | `infraagent_active_runs` | namespace | between begin and end of a run |
//!
//! Those of the controllers are in [`operator`], those of webhooks and Events in [`triggers`], those of the export of records in `export`.

mod export;
mod forget;
pub mod operator;
pub mod run;
#[cfg(test)]
mod tests;
pub mod triggers;

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use prometheus::{
    CounterVec, Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};

use self::{export::OfExport, operator::OfOperator, triggers::OfTriggers};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// How long runs take: 1 s to 40 min.
const RUN_SECONDS: [f64; 10] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 2400.0];
/// How long decisions take: 10 us (a screened read) to 10 s (facts from a slow API server).
const DECISION_SECONDS: [f64; 11] = [0.000_01, 0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Why the metrics cannot be made or told.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct Error(#[from] prometheus::Error);

/// Every metric of this process. Clones count into the same registry.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

struct Families {
    registry: Registry,
    runs: IntCounterVec,
    run_seconds: HistogramVec,
    tokens: IntCounterVec,
    tokens_by_kind: IntCounterVec,
    cost: CounterVec,
    iterations: IntCounterVec,
    model_errors: IntCounterVec,
    blocks: IntCounterVec,
    decision_seconds: HistogramVec,
    tool_calls: IntCounterVec,
    traps: IntCounterVec,
    findings: IntCounterVec,
    escalations: IntCounterVec,
    schedule_lag: GaugeVec,
    active: IntGaugeVec,
    export: OfExport,
    operator: OfOperator,
    triggers: OfTriggers,
}

impl Metrics {
    /// A registry in which nothing was counted yet.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let counter = |name, help, labels: &[&str]| registered(&registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let families = Families {
            runs: counter("infraagent_runs_total", "Runs that ended, by their final phase.", &["agent", "namespace", "status"])?,
            run_seconds: registered(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("infraagent_run_duration_seconds", "How long runs took, from begin to the end of their record.")
                        .buckets(RUN_SECONDS.to_vec()),
                    &["agent", "namespace"],
                )?,
            )?,
            tokens: counter(
                "infraagent_tokens_used_total",
                "Tokens that models charged, input and output together.",
                &["agent", "namespace", "model"],
            )?,
            tokens_by_kind: counter(
                "infraagent_tokens_by_kind_total",
                "The same tokens by kind: input, cache_read, cache_write, output.",
                &["agent", "namespace", "model", "kind"],
            )?,
            cost: registered(
                &registry,
                CounterVec::new(
                    Opts::new("infraagent_cost_dollars_total", "Estimated cost, by the prices of the ModelTierConfig."),
                    &["agent", "namespace", "model"],
                )?,
            )?,
            iterations: counter("infraagent_iterations_total", "Questions to the model.", &["agent", "namespace"])?,
            model_errors: counter(
                "infraagent_model_errors_total",
                "Questions to the model that stayed without a reply.",
                &["agent", "namespace", "model", "kind"],
            )?,
            blocks: counter(
                "infraagent_guardrail_blocks_total",
                "Calls that were refused, by the action that they claimed.",
                &["agent", "namespace", "action"],
            )?,
            decision_seconds: registered(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("infraagent_decision_duration_seconds", "From a call of a skill to its decision, facts included.")
                        .buckets(DECISION_SECONDS.to_vec()),
                    &["tier", "verdict"],
                )?,
            )?,
            tool_calls: counter(
                "infraagent_tool_calls_total",
                "Tool calls of the model, by how they ended.",
                &["agent", "namespace", "status"],
            )?,
            traps: counter(
                "infraagent_sandbox_traps_total",
                "Skills that the sandbox had to end, by limit or kind of crash.",
                &["agent", "namespace", "kind"],
            )?,
            findings: counter("infraagent_findings_total", "Findings in the records of runs.", &["agent", "namespace", "severity"])?,
            escalations: counter("infraagent_escalations_total", "What needed a person, by cause.", &["agent", "namespace", "reason"])?,
            schedule_lag: registered(
                &registry,
                GaugeVec::new(
                    Opts::new("infraagent_schedule_lag_seconds", "From the due time of the last scheduled run to its creation."),
                    &["agent", "namespace"],
                )?,
            )?,
            active: registered(
                &registry,
                IntGaugeVec::new(Opts::new("infraagent_active_runs", "Runs that this replica is executing."), &["namespace"])?,
            )?,
            export: OfExport::new(&registry)?,
            operator: OfOperator::new(&registry)?,
            triggers: OfTriggers::new(&registry)?,
            registry: registry.clone(),
        };
        Ok(Self(Arc::new(families)))
    }

    /// Everything in the text format of Prometheus.
    pub fn text(&self) -> Result<String, Error> {
        self.0.operator.age();
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// A scheduled run of this agent was created so long after it was due.
    pub fn scheduled(&self, namespace: &str, agent: &str, lag: Duration) {
        self.0.schedule_lag.with_label_values(&[agent, namespace]).set(lag.as_secs_f64());
    }

    /// Namespace and name of every agent that has series.
    pub fn agents(&self) -> HashSet<(String, String)> {
        forget::agents(&self.0.registry)
    }

    /// Removes the series of an agent that is gone. A run of it that goes on makes them anew, so call it after the last one has ended.
    pub fn forget(&self, namespace: &str, agent: &str) {
        let Families {
            registry: _,
            runs,
            run_seconds,
            tokens,
            tokens_by_kind,
            cost,
            iterations,
            model_errors,
            blocks,
            decision_seconds: _,
            tool_calls,
            traps,
            findings,
            escalations,
            schedule_lag,
            active: _,
            operator: _,
            triggers: _,
            export: _,
        } = &*self.0;
        for counter in [runs, tokens, tokens_by_kind, iterations, model_errors, blocks, tool_calls, traps, findings, escalations] {
            forget::series(counter, namespace, agent);
        }
        forget::series(run_seconds, namespace, agent);
        forget::series(cost, namespace, agent);
        forget::series(schedule_lag, namespace, agent);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The same family, in the registry.
fn registered<C: Collector + Clone + 'static>(registry: &Registry, family: C) -> Result<C, Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
