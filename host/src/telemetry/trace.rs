//! OpenTelemetry traces: one trace per run, sent by OTLP to whoever collects them.
//!
//! ```text
//! agent.run
//!   agent.assemble            skills are loaded, the sandbox is put in front of the broker
//!   chat <model>              one question to the model          (gen_ai.operation.name = chat)
//!   execute_tool <tool>       one tool call                      (gen_ai.operation.name = execute_tool)
//!   agent.report              people are told, the record is closed
//! ```
//!
//! Names and attributes follow the OpenTelemetry semantic conventions for generative AI (status: development; as of release 1.41). Content is never captured: no prompt, no reply,
//! no argument, no result, no text of the world ([`run`]). Without an endpoint nothing is made.
//!
//! # Guarantees
//!
//! * A collector that is away, slow or wrong never delays a run: spans are handed to a queue of a task of its own, and dropped if the queue is full.
//! * Credentials of the collector (`OTEL_EXPORTER_OTLP_HEADERS`) are in no log line and no error.

pub(crate) mod config;
mod export;
mod names;
pub mod run;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use opentelemetry::{InstrumentationScope, KeyValue, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource, runtime,
    trace::{BatchConfigBuilder, SdkTracer, SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};

pub use self::config::{Args, Invalid};
use self::config::{Config, Signal};

/// How long the spans that are left may take at the end of the process.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// The version of the conventions that the names are taken from.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.41.0";

/// Why there can be no traces.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration makes no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The exporter cannot be made.
    #[error("traces cannot be exported: {0}")]
    Exporter(String),
}

/// Makes traces, or does not. Clones send to the same collector.
#[derive(Clone, Default)]
pub struct Traces(Option<Sending>);

#[derive(Clone)]
struct Sending {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// No traces.
    pub const fn off() -> Self {
        Self(None)
    }

    /// What the flags and the standard environment variables of OpenTelemetry say; off without an endpoint. Must be called inside of a Tokio runtime.
    pub fn connect(args: &Args) -> Result<Self, Error> {
        match Config::read(args, Signal::Traces, &|name| std::env::var(name).ok())? {
            Some(config) => Self::to(config),
            None => Ok(Self::off()),
        }
    }

    fn to(config: Config) -> Result<Self, Error> {
        let exporter = export::Exporter::new(&config)?;
        let Config { service, resource, .. } = config;
        let attributes = resource.into_iter().map(|(name, value)| KeyValue::new(name, value));
        let resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attributes(attributes)
            .with_service_name(service)
            .build();
        let batch = BatchConfigBuilder::default().build();
        let processor = BatchSpanProcessor::builder(exporter, runtime::Tokio).with_batch_config(batch).build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build();
        let scope = InstrumentationScope::builder("infraagent").with_version(env!("CARGO_PKG_VERSION")).with_schema_url(SCHEMA).build();
        let tracer = provider.tracer_with_scope(scope);
        Ok(Self(Some(Sending { provider, tracer })))
    }

    /// Sends what is left, for at most so long. Spans that end later are lost.
    pub async fn shutdown(self, limit: Duration) {
        let Self(Some(Sending { provider, tracer: _ })) = self else { return };
        // It blocks its thread, and has no limit of its own.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limit));
        match tokio::time::timeout(limit, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last traces could not be sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last traces could not be sent in time"),
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Traces(on)" } else { "Traces(off)" })
    }
}
