//! What every line of a run carries, and how the lines find it: it is kept in a span, inside of which the run is executed.

use std::sync::{Arc, PoisonError, RwLock};

use infraagent_api::agent::LogLevel;
use tracing::{Level, Span};
use tracing_subscriber::{Registry, registry::LookupSpan};

use crate::{audit::Redactor, telemetry::Subject};

/// The target of the spans that hold a context.
pub(super) const TARGET: &str = "infraagent::context";

/// A run, as its lines tell it.
#[derive(Debug)]
pub struct Context {
    pub(super) run: String,
    pub(super) agent: String,
    pub(super) namespace: String,
    pub(super) severity: Level,
    redactor: RwLock<Option<Arc<Redactor>>>,
}

impl Context {
    /// The context of this run. It knows no secrets yet.
    pub fn new(subject: &Subject) -> Arc<Self> {
        let severity = match subject.observability.log_level {
            LogLevel::Debug => Level::DEBUG,
            LogLevel::Info => Level::INFO,
            LogLevel::Warn => Level::WARN,
            LogLevel::Error => Level::ERROR,
        };
        let (run, agent, namespace) = (subject.run.clone(), subject.agent.clone(), subject.namespace.clone());
        Arc::new(Self { run, agent, namespace, severity, redactor: RwLock::default() })
    }

    /// From now on no line of the run contains what this redactor knows.
    pub fn redact(&self, redactor: Arc<Redactor>) {
        *self.redactor.write().unwrap_or_else(PoisonError::into_inner) = Some(redactor);
    }

    /// A span: what is logged inside of it is a line of this run. Tasks that the run starts must be started inside of it too.
    pub fn span(self: &Arc<Self>) -> Span {
        // Of the highest severity, so that no level of the process leaves it out.
        let span = tracing::error_span!(target: TARGET, "run");
        span.with_subscriber(|(id, dispatch)| {
            if let Some(span) = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id)) {
                span.extensions_mut().insert(Arc::clone(self));
            }
        });
        span
    }

    pub(super) fn redactor(&self) -> Option<Arc<Redactor>> {
        self.redactor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
