//! Sends spans, and says so when it cannot: once when it begins, once when it is over. The library itself is silent.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_otlp::{
    SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _, tonic_types::metadata::MetadataMap,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use secrecy::ExposeSecret as _;

use super::{
    Error,
    config::{Config, Protocol},
};

/// Sends spans to a collector.
#[derive(Debug)]
pub(super) struct Exporter {
    inner: Otlp,
    failing: AtomicBool,
}

impl Exporter {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let Config { url, protocol, headers, timeout, service: _, resource: _ } = config;
        let cannot = |error: &dyn std::fmt::Display| Error::Exporter(error.to_string());
        let inner = match protocol {
            Protocol::Grpc => {
                let mut map = HeaderMap::new();
                for (name, value) in headers {
                    let name =
                        HeaderName::try_from(name).map_err(|_| Error::Exporter(format!("`{}` names no header", name.escape_debug())))?;
                    let unusable =
                        |_| Error::Exporter(format!("the value of the header `{name}` has characters that a header cannot carry"));
                    let mut value = HeaderValue::try_from(value.expose_secret()).map_err(unusable)?;
                    value.set_sensitive(true);
                    map.insert(name, value);
                }
                Otlp::builder()
                    .with_tonic()
                    .with_endpoint(url.as_str())
                    .with_timeout(*timeout)
                    .with_metadata(MetadataMap::from_headers(map))
                    .build()
                    .map_err(|error| cannot(&error))?
            }
            Protocol::Http => {
                // A redirect could take the headers to somebody else.
                let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(*timeout).build();
                let headers: HashMap<String, String> =
                    headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
                Otlp::builder()
                    .with_http()
                    .with_http_client(client.map_err(|error| cannot(&error))?)
                    .with_endpoint(url.as_str())
                    .with_timeout(*timeout)
                    .with_headers(headers)
                    .build()
                    .map_err(|error| cannot(&error))?
            }
        };
        Ok(Self { inner, failing: AtomicBool::new(false) })
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.inner.export(batch).await;
        let failed = sent.is_err();
        match (self.failing.swap(failed, Ordering::Relaxed), &sent) {
            (false, Err(error)) => tracing::warn!(%error, count, "traces cannot be sent, and are lost until they can"),
            (true, Ok(())) => tracing::info!("traces can be sent again"),
            (true, Err(_)) | (false, Ok(())) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
