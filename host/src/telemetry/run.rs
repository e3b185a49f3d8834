//! Everything that is told about one run while it is executed: its lines in the log, its numbers, its trace.
//!
//! ```text
//! let telling = telemetry.begin(&subject);
//! async {
//!     let tools = telling.assemble(assemble(...)).await?;          // after telling.redact(...), as soon as secrets are known
//!     let observer = telling.observer(&run).and(own_observer);
//!     let conclusion = run::execute(&run, &provider, &tools, &observer, stop).await;
//!     telling.report(&conclusion, close_the_record_and_tell_people()).await
//! }
//! .instrument(telling.span())
//! ```
//!
//! Dropping it ends what is still open: a replica that lost the run says neither that it goes on nor how it ended.

use std::sync::{Arc, PoisonError, RwLock};

use infraagent_api::run::RunPhase;
use tracing::Span;

use super::{Subject, Telemetry, log, metrics::run::RunMetrics, trace::run::RunTrace};
use crate::{
    audit::Redactor,
    run::{event::Observer, report::Conclusion, validate::ValidatedRun},
};

/// Tells about one run.
#[derive(Debug)]
pub struct RunTelemetry {
    lines: Arc<log::Context>,
    metrics: RunMetrics,
    trace: RunTrace,
    redactor: RwLock<Arc<Redactor>>,
}

impl Telemetry {
    /// A run begins on this replica.
    pub fn begin(&self, subject: &Subject) -> RunTelemetry {
        let Self { metrics, traces } = self;
        RunTelemetry {
            lines: log::Context::new(subject),
            metrics: metrics.as_ref().map_or_else(RunMetrics::silent, |metrics| metrics.begin(subject)),
            trace: traces.begin(subject),
            redactor: RwLock::default(),
        }
    }
}

impl RunTelemetry {
    /// The span that the run is to be executed in, so that its lines name it.
    pub fn span(&self) -> Span {
        self.lines.span()
    }

    /// From now on nothing that this redactor knows is told.
    pub fn redact(&self, redactor: &Arc<Redactor>) {
        self.lines.redact(Arc::clone(redactor));
        *self.redactor.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(redactor);
    }

    /// Whatever comes before the conversation.
    pub async fn assemble<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let step = self.trace.assemble();
        work.await.inspect_err(|_| step.failed())
    }

    /// Tells what happens in the conversation. Made after [`RunTelemetry::redact`].
    pub fn observer(&self, run: &ValidatedRun) -> Observer {
        let redactor = Arc::clone(&self.redactor.read().unwrap_or_else(PoisonError::into_inner));
        self.metrics.observer(run).and(self.trace.observer(run, &redactor))
    }

    /// Whatever comes after the conversation, which ended like this. It is counted if its record could be closed.
    pub async fn report<T, E>(&self, conclusion: &Conclusion, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.trace.concluded(conclusion);
        let step = self.trace.report();
        match work.await {
            Ok(done) => {
                self.metrics.concluded(conclusion);
                Ok(done)
            }
            Err(error) => {
                step.failed();
                self.trace.failed("RecordLost");
                Err(error)
            }
        }
    }

    /// The run ended in this phase without a conversation, for this reason: one word of a closed set.
    pub fn closed(&self, phase: RunPhase, reason: &str) {
        self.metrics.closed(phase);
        self.trace.failed(reason);
    }
}
