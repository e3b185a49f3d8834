//! Two collectors of traces, in this process, which keep what arrives.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message as _;
use tokio::net::TcpListener;

use super::super::{
    Traces,
    config::{Args, Config, Protocol, Signal},
};

/// What arrived.
#[derive(Default)]
struct Arrived {
    requests: Vec<ExportTraceServiceRequest>,
    headers: BTreeMap<String, String>,
}

impl Arrived {
    fn add<'h>(&mut self, request: ExportTraceServiceRequest, headers: impl Iterator<Item = (&'h str, &'h [u8])>) {
        self.requests.push(request);
        self.headers.extend(headers.map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned())));
    }
}

pub(super) struct Receiver {
    url: String,
    protocol: Protocol,
    arrived: Arc<Mutex<Arrived>>,
    /// Holds the port of a collector that hangs.
    _listener: Option<TcpListener>,
}

struct Service(Arc<Mutex<Arrived>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let headers = request.metadata().clone().into_headers();
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        self.0.lock().unwrap().add(request.into_inner(), headers);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    fn at(listener: &TcpListener, protocol: Protocol) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, protocol, arrived: Arc::default(), _listener: None }
    }

    pub(super) async fn grpc() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self::at(&listener, Protocol::Grpc);
        let service = TowerToHyperService::new(TraceServiceServer::new(Service(Arc::clone(&receiver.arrived))));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service.clone()));
            }
        });
        receiver
    }

    pub(super) async fn http() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self::at(&listener, Protocol::Http);
        let arrived = Arc::clone(&receiver.arrived);
        let take = move |headers: HeaderMap, body: Bytes| async move {
            let request = ExportTraceServiceRequest::decode(body).expect("what arrives is the protobuf of a request");
            assert_eq!(headers["content-type"], "application/x-protobuf");
            arrived.lock().unwrap().add(request, headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
            Ok::<_, Infallible>(ExportTraceServiceResponse::default().encode_to_vec())
        };
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    /// Nobody listens.
    pub(super) async fn away(protocol: Protocol) -> Self {
        Self::at(&TcpListener::bind("127.0.0.1:0").await.unwrap(), protocol)
    }

    /// Connections are accepted by the system, and nobody ever answers.
    pub(super) async fn hanging() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { _listener: Some(listener), ..Self::at(&TcpListener::bind("127.0.0.1:0").await.unwrap(), Protocol::Http) }.with_port()
    }

    fn with_port(mut self) -> Self {
        if let Some(listener) = &self._listener {
            self.url = format!("http://{}", listener.local_addr().unwrap());
        }
        self
    }

    /// Traces that go here.
    pub(super) fn traces(&self) -> Traces {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let protocol = match self.protocol {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http/protobuf",
        };
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.url.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary-header"),
            ("OTEL_SERVICE_NAME", "agents"),
            ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=infraagent-0"),
        ];
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Traces::to(Config::read(&Args::default(), Signal::Traces, &variable).unwrap().unwrap()).unwrap()
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let arrived = self.arrived.lock().unwrap();
        let scopes = arrived.requests.iter().flat_map(|request| &request.resource_spans).flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    pub(super) fn resource(&self) -> Vec<(String, String)> {
        let arrived = self.arrived.lock().unwrap();
        let resources = arrived.requests.iter().flat_map(|request| &request.resource_spans).filter_map(|spans| spans.resource.as_ref());
        shown(&resources.flat_map(|resource| resource.attributes.clone()).collect::<Vec<_>>())
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.arrived.lock().unwrap().headers.get(name).cloned()
    }

    /// All that arrived but the headers, as text.
    pub(super) fn received(&self) -> String {
        format!("{:?}", self.arrived.lock().unwrap().requests)
    }
}

/// The attributes, sorted by name.
pub(super) fn attributes(span: &Span) -> Vec<(String, String)> {
    shown(&span.attributes)
}

pub(super) fn attribute(span: &Span, name: &str) -> Option<String> {
    attributes(span).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn shown(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let mut shown: Vec<_> = attributes.iter().map(|pair| (pair.key.clone(), value(pair.value.as_ref()))).collect();
    shown.sort();
    shown
}

fn value(any: Option<&AnyValue>) -> String {
    match any.and_then(|any| any.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => format!("{text:?}"),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::ArrayValue(values)) => {
            format!("[{}]", values.values.iter().map(|one| value(Some(one))).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}
