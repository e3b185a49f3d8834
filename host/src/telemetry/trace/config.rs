//! Where traces, and logs, go: flags, then the standard environment variables, then defaults. Pure: the environment is an argument.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// Flags for traces. What they leave open is taken from the environment variables of OpenTelemetry.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Collector that OpenTelemetry traces are sent to, such as http://collector:4317; without one there are no traces [env: OTEL_EXPORTER_OTLP_ENDPOINT]
    ///
    /// The other variables of OpenTelemetry work too, among them OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_SERVICE_NAME,
    /// OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and OTEL_SDK_DISABLED.
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// How they are sent [env: OTEL_EXPORTER_OTLP_PROTOCOL] [default: grpc for port 4317, else http/protobuf]
    #[arg(long, value_name = "PROTOCOL", requires = "otlp_endpoint")]
    otlp_protocol: Option<Protocol>,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

impl Signal {
    /// As the names of variables have it.
    const fn upper(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Logs => "LOGS",
        }
    }

    /// As the paths of methods have it.
    const fn lower(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }
}

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// gRPC.
    Grpc,
    /// Protobuf over HTTP.
    #[value(name = "http/protobuf")]
    Http,
}

/// Why they cannot be sent as they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The endpoint is no URL.
    #[error("the OTLP endpoint `{0}` is no URL: write for example `http://collector:4317`")]
    Endpoint(String),
    /// Another protocol.
    #[error("the OTLP protocol `{0}` is not known here: write `grpc` or `http/protobuf`")]
    Protocol(String),
    /// gRPC without TLS would be sent in clear to an endpoint that asks for TLS.
    #[error("OTLP over gRPC to `{0}` would need TLS, which is not built in: use `http/protobuf`, or a collector inside the cluster")]
    GrpcOverTls(String),
    /// A list of `name=value` is none.
    #[error("`{0}` is no list of `name=value` pairs with commas between them")]
    Pairs(&'static str),
}

/// Where they go, and what they say about their sender.
#[derive(Debug)]
pub(crate) struct Config {
    /// For gRPC the collector, for HTTP the full address of the method.
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    pub(crate) headers: Vec<(String, SecretString)>,
    pub(crate) timeout: Duration,
    pub(crate) service: String,
    pub(crate) resource: Vec<(String, String)>,
}

const GRPC_PORT: u16 = 4317;
const TIMEOUT: Duration = Duration::from_secs(10);

impl Config {
    /// None if there is no endpoint for this signal, or if OpenTelemetry or the signal is switched off.
    pub(crate) fn read(args: &Args, signal: Signal, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, Invalid> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let of = |what: &str| set(&format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.upper()));
        // What is said about one signal alone is said more exactly.
        let either = |what: &str| of(what).or_else(|| set(&format!("OTEL_EXPORTER_OTLP_{what}")));
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || set(&format!("OTEL_{}_EXPORTER", signal.upper())).is_some_and(|value| value == "none")
        {
            return Ok(None);
        }
        let exact = if args.otlp_endpoint.is_none() { of("ENDPOINT") } else { None };
        let is_exact = exact.is_some();
        let Some(endpoint) = exact.or_else(|| args.otlp_endpoint.clone()).or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT")) else {
            return Ok(None);
        };
        let url = parse(&endpoint)?;
        let named = either("PROTOCOL");
        let protocol = match (args.otlp_protocol, named.as_deref()) {
            (Some(protocol), _) => protocol,
            (None, Some("grpc")) => Protocol::Grpc,
            (None, Some("http/protobuf")) => Protocol::Http,
            (None, Some(other)) => return Err(Invalid::Protocol(other.escape_debug().to_string())),
            (None, None) if url.port() == Some(GRPC_PORT) => Protocol::Grpc,
            (None, None) => Protocol::Http,
        };
        let url = match protocol {
            Protocol::Grpc if url.scheme() == "https" => return Err(Invalid::GrpcOverTls(url.origin().ascii_serialization())),
            Protocol::Grpc => url.to_string(),
            Protocol::Http if is_exact => url.to_string(),
            Protocol::Http => format!("{}/v1/{}", url.as_str().trim_end_matches('/'), signal.lower()),
        };
        let timeout = either("TIMEOUT").and_then(|value| value.parse().ok());
        let headers = either("HEADERS").unwrap_or_default();
        let headers = pairs("OTEL_EXPORTER_OTLP_HEADERS", &headers)?;
        let resource = pairs("OTEL_RESOURCE_ATTRIBUTES", &set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default())?;
        let named = resource.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.clone());
        Ok(Some(Self {
            url,
            protocol,
            headers: headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value.into())).collect(),
            timeout: timeout.map_or(TIMEOUT, Duration::from_millis),
            service: set("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| "infraagent".to_owned()),
            resource,
        }))
    }
}

fn parse(endpoint: &str) -> Result<Url, Invalid> {
    // What is not shown could be a password.
    let shown = || Invalid::Endpoint(endpoint.rsplit('@').next().unwrap_or_default().escape_debug().to_string());
    let url = Url::parse(endpoint).map_err(|_| shown())?;
    let is_plain = matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() && url.password().is_none();
    if is_plain { Ok(url) } else { Err(shown()) }
}

/// `name=value,name=value`, percent-encoded, as W3C baggage writes it. An error names the variable, never the value.
fn pairs(variable: &'static str, text: &str) -> Result<Vec<(String, String)>, Invalid> {
    let decoded = |part: &str| {
        let part = part.trim().replace('+', "%2B");
        url::form_urlencoded::parse(format!("x={}", part.replace('&', "%26")).as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let name = name.trim();
        if name.is_empty() { None } else { Some((name.to_owned(), decoded(value)?)) }
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(|part| pair(part).ok_or(Invalid::Pairs(variable))).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(endpoint: Option<&str>, protocol: Option<Protocol>, variables: &[(&str, &str)]) -> Result<Option<Config>, Invalid> {
        let args = Args { otlp_endpoint: endpoint.map(str::to_owned), otlp_protocol: protocol };
        Config::read(&args, Signal::Traces, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_an_endpoint_or_when_switched_off_there_are_no_traces() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        for variables in [
            vec![],
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            vec![("OTEL_SERVICE_NAME", "x")],
            vec![endpoint, ("OTEL_SDK_DISABLED", "true")],
            vec![endpoint, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(read(None, None, &variables).unwrap().is_none(), "{variables:?}");
        }
        assert!(read(None, None, &[endpoint]).unwrap().is_some());
    }

    #[test]
    fn the_flag_comes_first_then_the_variable_for_traces_then_the_one_for_everything() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4318/otlp/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/as/it/is");
        let url = |endpoint, variables: &[_]| read(endpoint, None, variables).unwrap().unwrap().url;
        assert_eq!(url(None, &[general]), "http://general:4318/otlp/v1/traces");
        assert_eq!(url(None, &[general, traces]), "http://traces:4318/as/it/is");
        assert_eq!(url(Some("http://flag"), &[general, traces]), "http://flag/v1/traces");
        assert_eq!(url(Some("http://flag:4317"), &[general, traces]), "http://flag:4317/", "gRPC has no path");
    }

    #[test]
    fn the_protocol_is_said_or_follows_from_the_port() {
        let protocol = |endpoint, flag, variables: &[_]| read(Some(endpoint), flag, variables).unwrap().unwrap().protocol;
        assert_eq!(protocol("http://c:4317", None, &[]), Protocol::Grpc);
        assert_eq!(protocol("http://c:4318", None, &[]), Protocol::Http);
        assert_eq!(protocol("https://otlp.example.com", None, &[]), Protocol::Http);
        let variable = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        assert_eq!(protocol("http://c:4317", None, &[variable]), Protocol::Http);
        assert_eq!(protocol("http://c:4317", None, &[variable, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")]), Protocol::Grpc);
        assert_eq!(protocol("http://c:4317", Some(Protocol::Grpc), &[variable]), Protocol::Grpc);
    }

    #[test]
    fn what_cannot_be_done_is_refused_before_anything_begins() {
        for (endpoint, variables, expected) in [
            ("collector:4317", vec![], Invalid::Endpoint("collector:4317".to_owned())),
            ("http://user:canary@c:4317", vec![], Invalid::Endpoint("c:4317".to_owned())),
            ("https://c:4317", vec![], Invalid::GrpcOverTls("https://c:4317".to_owned())),
            ("http://c", vec![("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], Invalid::Protocol("http/json".to_owned())),
            ("http://c", vec![("OTEL_EXPORTER_OTLP_HEADERS", "canary")], Invalid::Pairs("OTEL_EXPORTER_OTLP_HEADERS")),
        ] {
            let error = read(Some(endpoint), None, &variables).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn headers_and_attributes_are_decoded_and_headers_are_never_shown() {
        let config = read(
            Some("http://c"),
            None,
            &[
                ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=canary%201+2, x-tenant = a=b"),
                ("OTEL_RESOURCE_ATTRIBUTES", "service.name=agents,k8s.pod.name=infraagent-0"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ],
        )
        .unwrap()
        .unwrap();
        let headers: Vec<_> = config.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("api-key", "canary 1+2"), ("x-tenant", "a=b")]);
        assert_eq!((config.service.as_str(), config.timeout), ("agents", Duration::from_millis(2500)));
        assert_eq!(config.resource[1], ("k8s.pod.name".to_owned(), "infraagent-0".to_owned()));
        assert!(!format!("{config:?}").contains("canary"));
        let named = read(Some("http://c"), None, &[("OTEL_SERVICE_NAME", "mine"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=agents")]);
        assert_eq!(named.unwrap().unwrap().service, "mine");
    }
}
