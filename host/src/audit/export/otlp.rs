//! Items as log records of OpenTelemetry: the body of each is the item, and what one searches by stands beside it as attributes.

use std::time::SystemTime;

use http::{
    HeaderMap,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_client::LogsServiceClient},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};
use prost::Message as _;
use secrecy::ExposeSecret as _;
use tonic::{metadata::MetadataMap, transport::Channel};

use super::{Error, Item, target::Invalid};
use crate::{
    causes::causes,
    telemetry::trace::config::{Config, Protocol},
};

/// A collector.
#[derive(Debug)]
pub(super) struct Otlp {
    way: Way,
    url: String,
    headers: HeaderMap,
    timeout: std::time::Duration,
    resource: Resource,
}

#[derive(Debug)]
enum Way {
    Grpc(Box<LogsServiceClient<Channel>>),
    Http(reqwest::Client),
}

impl Otlp {
    /// Connects with the first request. Must be called inside of a Tokio runtime.
    pub(super) fn new(config: Config) -> Result<Self, Invalid> {
        let Config { url, protocol, headers: given, timeout, service, resource } = config;
        let mut headers = HeaderMap::new();
        for (name, value) in &given {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| Invalid::Header(name.escape_debug().to_string()))?;
            let mut value = HeaderValue::try_from(value.expose_secret()).map_err(|_| Invalid::Header(name.as_str().to_owned()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let way = match protocol {
            Protocol::Grpc => {
                let endpoint = Channel::from_shared(url.clone()).map_err(|error| Invalid::Client(error.to_string()))?;
                Way::Grpc(Box::new(LogsServiceClient::new(endpoint.timeout(timeout).connect_timeout(timeout).connect_lazy())))
            }
            Protocol::Http => {
                // A redirect could take the headers to somebody else.
                let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(timeout).build();
                Way::Http(client.map_err(|error| Invalid::Client(causes(&error)))?)
            }
        };
        let mut attributes = vec![attribute("service.name", &service), attribute("service.version", env!("CARGO_PKG_VERSION"))];
        let known = ["service.name", "service.version"];
        attributes.extend(resource.iter().filter(|(name, _)| !known.contains(&name.as_str())).map(|(name, value)| attribute(name, value)));
        let resource = Resource { attributes, ..Resource::default() };
        Ok(Self { way, url, headers, timeout, resource })
    }

    pub(super) fn target(&self) -> String {
        format!("otlp {}", self.url.split(['?', '#']).next().unwrap_or_default())
    }

    pub(super) async fn send(&self, items: &[Item]) -> Result<(), Error> {
        let request = self.request(items);
        let answer = match &self.way {
            Way::Grpc(client) => {
                let mut request = tonic::Request::new(request);
                *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
                // Connecting is part of it.
                let sent = tokio::time::timeout(self.timeout, LogsServiceClient::clone(client).export(request)).await;
                let sent = sent.map_err(|_| Error::Unanswered("no answer in time".to_owned()))?;
                sent.map_err(|status| Error::Unanswered(format!("{:?}: {}", status.code(), status.message())))?.into_inner()
            }
            Way::Http(client) => {
                let post = client.post(&self.url).headers(self.headers.clone()).header(CONTENT_TYPE, "application/x-protobuf");
                let answer = post.body(request.encode_to_vec()).send().await;
                let answer = answer.map_err(|error| Error::Unanswered(causes(&error.without_url())))?;
                if !answer.status().is_success() {
                    return Err(Error::Refused(answer.status().to_string()));
                }
                let body = answer.bytes().await.map_err(|error| Error::Unanswered(causes(&error.without_url())))?;
                ExportLogsServiceResponse::decode(body).map_err(|error| Error::Refused(format!("what is no OTLP: {error}")))?
            }
        };
        // To drop what was rejected, as OpenTelemetry has it, is not what an auditor wants.
        match answer.partial_success.map_or(0, |partial| partial.rejected_log_records) {
            0 => Ok(()),
            rejected => Err(Error::Refused(format!("that it rejected {rejected} of {} log records", items.len()))),
        }
    }

    fn request(&self, items: &[Item]) -> ExportLogsServiceRequest {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let now = u64::try_from(now).unwrap_or(0);
        let records = items.iter().map(|item| LogRecord {
            time_unix_nano: item.at.and_then(|at| u64::try_from(at.as_nanosecond()).ok()).unwrap_or(0),
            observed_time_unix_nano: now,
            severity_number: SeverityNumber::Info.into(),
            severity_text: "INFO".to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(item.json.clone())) }),
            attributes: vec![
                attribute("k8s.namespace.name", &item.namespace),
                attribute("gen_ai.agent.name", &item.agent),
                attribute("infraagent.run.name", &item.run),
                attribute("infraagent.run.uid", &item.run_uid),
            ],
            event_name: format!("infraagent.record.{}", item.kind.as_str()),
            ..LogRecord::default()
        });
        let scope = InstrumentationScope {
            name: "infraagent.record".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records: records.collect(), ..ScopeLogs::default() }];
        let resource_logs = ResourceLogs { resource: Some(self.resource.clone()), scope_logs, ..ResourceLogs::default() };
        ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
    }
}

fn attribute(name: &str, value: &str) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests;
