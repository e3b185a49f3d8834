//! What an operator of controllers expects to see.
//!
//! | metric | labels | counted |
//! |---|---|---|
//! | `infraagent_reconciles_total` | controller, result | when a controller has looked at an object |
//! | `infraagent_reconcile_duration_seconds` | controller | the same |
//! | `infraagent_leader` | | 1 while this replica leads |
//! | `infraagent_holder_lease_age_seconds` | | since the Lease of this replica was last renewed; none before the first time |
//! | `infraagent_record_write_duration_seconds` | result | when a record was written, or not |
//! | `infraagent_build_info` | version | always 1 |

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{Error, Metrics, registered};

/// How long a reconciliation takes: 1 ms to 30 s.
const RECONCILE_SECONDS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 10.0, 30.0];
/// How long one write of a record takes: 1 ms to 10 s.
const WRITE_SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// Who reconciles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// InfraAgents.
    Agent,
    /// AgentEnvironments.
    Environment,
    /// ModelTierConfigs.
    ModelTier,
    /// InfraAgentPolicies.
    Policy,
    /// AgentRuns: dispatch, execution, closing.
    Run,
    /// AgentRuns that are old enough to go.
    Retention,
}

impl Controller {
    /// Every controller.
    pub const ALL: [Self; 6] = [Self::Agent, Self::Environment, Self::ModelTier, Self::Policy, Self::Run, Self::Retention];

    /// The value of the label `controller`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "infraagent",
            Self::Environment => "agentenvironment",
            Self::ModelTier => "modeltierconfig",
            Self::Policy => "infraagentpolicy",
            Self::Run => "agentrun",
            Self::Retention => "retention",
        }
    }
}

pub(super) struct OfOperator {
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    leader: IntGauge,
    lease_age: Gauge,
    write_seconds: HistogramVec,
    renewed: Mutex<Option<Instant>>,
    registry: Registry,
}

impl OfOperator {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let histogram = |name, help, buckets: &[f64], labels: &[&str]| {
            registered(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
        };
        let version = registered(
            registry,
            IntGaugeVec::new(Opts::new("infraagent_build_info", "The version of this program; always 1."), &["version"])?,
        )?;
        version.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            reconciles: registered(
                registry,
                IntCounterVec::new(
                    Opts::new("infraagent_reconciles_total", "Objects that a controller looked at, by how it ended."),
                    &["controller", "result"],
                )?,
            )?,
            reconcile_seconds: histogram(
                "infraagent_reconcile_duration_seconds",
                "How long a controller looked at an object.",
                &RECONCILE_SECONDS,
                &["controller"],
            )?,
            leader: registered(registry, IntGauge::new("infraagent_leader", "1 while this replica leads, else 0.")?)?,
            lease_age: Gauge::new("infraagent_holder_lease_age_seconds", "Since this replica last renewed its own Lease.")?,
            write_seconds: histogram(
                "infraagent_record_write_duration_seconds",
                "How long one write of a record took.",
                &WRITE_SECONDS,
                &["result"],
            )?,
            renewed: Mutex::new(None),
            registry: registry.clone(),
        })
    }

    /// Sets what depends on the time of the question.
    pub(super) fn age(&self) {
        let renewed = *self.renewed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(renewed) = renewed {
            self.lease_age.set(renewed.elapsed().as_secs_f64());
        }
    }
}

const fn result(ok: bool) -> &'static str {
    if ok { "ok" } else { "error" }
}

impl Metrics {
    /// A controller has looked at an object; `ok` is false if it ended in an error.
    pub fn reconciled(&self, controller: Controller, took: Duration, ok: bool) {
        let of = &self.0.operator;
        of.reconciles.with_label_values(&[controller.as_str(), result(ok)]).inc();
        of.reconcile_seconds.with_label_values(&[controller.as_str()]).observe(took.as_secs_f64());
    }

    /// This replica leads, or no longer does.
    pub fn leads(&self, leads: bool) {
        self.0.operator.leader.set(i64::from(leads));
    }

    /// This replica has renewed its own Lease.
    pub fn lease_renewed(&self) {
        let of = &self.0.operator;
        let before = of.renewed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).replace(Instant::now());
        if before.is_none() {
            // Only now: an age of 0 before the first renewal would look healthy. It is there already only if two were the first at the same time.
            let _ = of.registry.register(Box::new(of.lease_age.clone()));
        }
    }

    /// A record was written, or could not be.
    pub fn record_written(&self, took: Duration, ok: bool) {
        self.0.operator.write_seconds.with_label_values(&[result(ok)]).observe(took.as_secs_f64());
    }
}
