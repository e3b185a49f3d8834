use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, body::Bytes, routing::post};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess,
    logs_service_server::{LogsService, LogsServiceServer},
};
use tokio::net::TcpListener;

use super::*;
use crate::{
    audit::export::Kind,
    telemetry::trace::{self, config::Signal},
};

/// A collector, which keeps what arrives.
#[derive(Default)]
struct Collector {
    rejects: AtomicBool,
    arrived: Mutex<Vec<ExportLogsServiceRequest>>,
    tenants: Mutex<Vec<String>>,
}

impl Collector {
    fn take(&self, request: ExportLogsServiceRequest, headers: &HeaderMap) -> ExportLogsServiceResponse {
        self.tenants.lock().unwrap().extend(headers.get("x-tenant").map(|value| value.to_str().unwrap().to_owned()));
        self.arrived.lock().unwrap().push(request);
        let rejected = ExportLogsPartialSuccess { rejected_log_records: 1, error_message: "too old".to_owned() };
        ExportLogsServiceResponse { partial_success: self.rejects.load(Ordering::SeqCst).then_some(rejected) }
    }
}

struct Grpc(Arc<Collector>);

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        let headers = request.metadata().clone().into_headers();
        Ok(tonic::Response::new(self.0.take(request.into_inner(), &headers)))
    }
}

async fn grpc(collector: Arc<Collector>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = TowerToHyperService::new(LogsServiceServer::new(Grpc(collector)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service.clone()));
        }
    });
    url
}

async fn http(collector: Arc<Collector>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let take = move |headers: HeaderMap, body: Bytes| async move {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let request = ExportLogsServiceRequest::decode(body).expect("what arrives is the protobuf of a request");
        Ok::<_, Infallible>(collector.take(request, &headers).encode_to_vec())
    };
    let router = Router::new().route("/v1/logs", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn exporter(url: &str, protocol: &str) -> Otlp {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=audit"),
        ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=infraagent-0"),
    ];
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Otlp::new(Config::read(&trace::Args::default(), Signal::Logs, &variable).unwrap().unwrap()).unwrap()
}

fn items() -> Vec<Item> {
    let item = |seq: usize| Item {
        kind: if seq == 2 { Kind::Head } else { Kind::Entry },
        namespace: "agents".to_owned(),
        run: "forge-1".to_owned(),
        run_uid: "u".to_owned(),
        agent: "forge".to_owned(),
        at: "2026-11-23T11:00:00Z".parse().ok(),
        json: format!("{{\"seq\":{seq}}}"),
    };
    (0..3).map(item).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_collector_gets_each_item_as_a_log_record_by_either_protocol() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = Arc::new(Collector::default());
        let url = if protocol == "grpc" { grpc(Arc::clone(&collector)).await } else { http(Arc::clone(&collector)).await };
        exporter(&url, protocol).send(&items()).await.unwrap();
        let arrived = collector.arrived.lock().unwrap().clone();
        let logs = &arrived[0].resource_logs[0];
        let resource: Vec<_> = logs.resource.as_ref().unwrap().attributes.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(resource, ["service.name", "service.version", "k8s.pod.name"], "{protocol}");
        let records = &logs.scope_logs[0].log_records;
        let bodies: Vec<_> = records.iter().map(|record| text(record.body.as_ref())).collect();
        assert_eq!(bodies, ["{\"seq\":0}", "{\"seq\":1}", "{\"seq\":2}"], "{protocol}");
        let names: Vec<_> = records.iter().map(|record| record.event_name.as_str()).collect();
        assert_eq!(names, ["infraagent.record.entry", "infraagent.record.entry", "infraagent.record.head"]);
        assert_eq!(records[0].time_unix_nano, 1_795_431_600_000_000_000);
        let of = |key: &str| text(records[0].attributes.iter().find(|one| one.key == key).and_then(|one| one.value.as_ref()));
        assert_eq!((of("infraagent.run.uid"), of("gen_ai.agent.name")), ("u".to_owned(), "forge".to_owned()));
        assert_eq!(*collector.tenants.lock().unwrap(), ["audit"]);
    }
}

#[tokio::test]
async fn what_a_collector_rejects_or_does_not_take_is_an_error() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = Arc::new(Collector::default());
        collector.rejects.store(true, Ordering::SeqCst);
        let url = if protocol == "grpc" { grpc(Arc::clone(&collector)).await } else { http(Arc::clone(&collector)).await };
        let exporter = exporter(&url, protocol);
        let error = exporter.send(&items()).await.unwrap_err().to_string();
        assert!(error.contains("rejected 1 of 3"), "{protocol}: {error}");
        collector.rejects.store(false, Ordering::SeqCst);
        exporter.send(&items()).await.unwrap();
    }
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for protocol in ["grpc", "http/protobuf"] {
        let error = exporter(&format!("http://{away}"), protocol).send(&items()).await.unwrap_err();
        assert!(matches!(error, Error::Unanswered(_)), "{protocol}: {error}");
    }
}
