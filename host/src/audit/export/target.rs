//! Where copies of records go: flags, the environment, and what makes no sense, before anything begins.

use std::{path::PathBuf, str::FromStr};

use url::{Host, Url};

use super::{
    Exporter, Way,
    file::File,
    otlp::Otlp,
    webhook::{Token, Webhook},
};
use crate::telemetry::trace::{
    self,
    config::{Config, Signal},
};

/// The variable that has the token of a webhook. A flag could be read by everybody on the machine.
const TOKEN: &str = "INFRAAGENT_EXPORT_TOKEN";

/// Flags for the export of records.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Send copies of all records there: `file:/absolute/path`, the http(s) URL of a webhook, or `otlp`
    ///
    /// Each entry as it is written, and how each run ended, at least once. `otlp` are logs to the collector of --otlp-endpoint, or of
    /// OTEL_EXPORTER_OTLP_LOGS_ENDPOINT. A webhook gets POST with JSON, and the token of --export-token-file or of INFRAAGENT_EXPORT_TOKEN.
    #[arg(long, value_name = "TARGET", env = "INFRAAGENT_EXPORT")]
    export: Option<String>,
    /// File with the bearer token of the webhook; it is read again for each request
    #[arg(long, value_name = "FILE", requires = "export", env = "INFRAAGENT_EXPORT_TOKEN_FILE")]
    export_token_file: Option<PathBuf>,
    /// Let retention remove records that were not exported yet
    #[arg(long, requires = "export", env = "INFRAAGENT_EXPORT_IGNORED_BY_RETENTION")]
    export_ignored_by_retention: bool,
}

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    File(PathBuf),
    Webhook(Url),
    Otlp,
}

/// Why records cannot be exported as they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is none of the three.
    #[error("write `file:/absolute/path`, `https://host/path` or `otlp`")]
    Target,
    /// Which folder it would be depends on who starts the program.
    #[error("the path after `file:` must be absolute and name a file")]
    Path,
    /// A password in a URL ends up in logs.
    #[error("the URL must have a host, and neither user nor password: give a token with --export-token-file")]
    Url,
    /// Everybody on the way could read it.
    #[error("a token is not sent in clear to `{0}`: use https")]
    Clear(String),
    /// There is nobody to show it to.
    #[error("--export-token-file and {TOKEN} are for webhooks; with `otlp` use OTEL_EXPORTER_OTLP_HEADERS")]
    NeedlessToken,
    /// There are two.
    #[error("--export-token-file and {TOKEN} exclude each other")]
    TwoTokens,
    /// Where is the collector?
    #[error(
        "`otlp` needs a collector: --otlp-endpoint or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT; OTEL_SDK_DISABLED and OTEL_LOGS_EXPORTER=none switch it off"
    )]
    NoCollector,
    /// What the variables of OpenTelemetry say makes no sense.
    #[error(transparent)]
    Otlp(#[from] trace::Invalid),
    /// A header that cannot be sent.
    #[error("the header `{0}` of the collector has a name or a value that no header can have")]
    Header(String),
    /// The client cannot be made.
    #[error("the receiver cannot be asked: {0}")]
    Client(String),
}

impl FromStr for Target {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "otlp" {
            return Ok(Self::Otlp);
        }
        if let Some(path) = text.strip_prefix("file:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            let is_file = path.is_absolute() && path.file_name().is_some() && !path.as_os_str().to_string_lossy().ends_with('/');
            return if is_file { Ok(Self::File(path)) } else { Err(Invalid::Path) };
        }
        let url = Url::parse(text).map_err(|_| Invalid::Target)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Invalid::Target);
        }
        let is_plain = url.has_host() && url.username().is_empty() && url.password().is_none();
        if is_plain { Ok(Self::Webhook(url)) } else { Err(Invalid::Url) }
    }
}

impl Args {
    /// What the flags and the environment say; nothing without a target. Must be called inside of a Tokio runtime.
    ///
    /// # Errors
    ///
    /// If that makes no sense.
    pub fn open(&self, traces: &trace::Args, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Exporter>, Invalid> {
        let Self { export, export_token_file, export_ignored_by_retention: _ } = self;
        let Some(target) = export else { return Ok(None) };
        // Not by the parser of flags, which repeats what it refuses.
        let target: Target = target.parse()?;
        let given = variable(TOKEN).filter(|token| !token.trim().is_empty());
        let token = match (export_token_file, given) {
            (Some(_), Some(_)) => return Err(Invalid::TwoTokens),
            (Some(path), None) => Some(Token::File(path.clone())),
            (None, Some(token)) => Some(Token::Value(token.trim().into())),
            (None, None) => None,
        };
        if token.is_some() && !matches!(&target, Target::Webhook(_)) {
            return Err(Invalid::NeedlessToken);
        }
        Ok(Some(Exporter(match target {
            Target::File(path) => Way::File(File::new(path)),
            Target::Webhook(url) => {
                if token.is_some() && url.scheme() == "http" && !is_loopback(&url) {
                    return Err(Invalid::Clear(url.origin().ascii_serialization()));
                }
                Way::Webhook(Webhook::new(url, token).map_err(|error| Invalid::Client(error.to_string()))?)
            }
            Target::Otlp => Way::Otlp(Otlp::new(Config::read(traces, Signal::Logs, variable)?.ok_or(Invalid::NoCollector)?)?),
        })))
    }

    /// Whether retention waits for the export.
    pub fn holds_retention(&self) -> bool {
        !self.export_ignored_by_retention
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(target: &str, file: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Exporter>, Invalid> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let args = Args { export: Some(target.to_owned()), export_token_file: file.map(PathBuf::from), export_ignored_by_retention: false };
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        args.open(&trace::Args::default(), &variable)
    }

    #[tokio::test]
    async fn a_target_says_what_it_is_and_never_a_secret() {
        let target = |text: &str, variables: &[(&str, &str)]| open(text, None, variables).unwrap().unwrap().target();
        let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        assert_eq!(target("file:/var/log/record.jsonl", &[]), "file /var/log/record.jsonl");
        assert_eq!(target("file:///var/log/record.jsonl", &[]), "file /var/log/record.jsonl");
        assert_eq!(target("https://siem.example.com/in?key=canary", &[]), "webhook https://siem.example.com/in");
        assert_eq!(target("otlp", &[collector]), "otlp http://c:4318/v1/logs");
        let exact = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4318/as/it/is");
        assert_eq!(target("otlp", &[collector, exact]), "otlp http://logs:4318/as/it/is");
        let exporter = open("https://siem.example.com/in", None, &[(TOKEN, "canary")]).unwrap().unwrap();
        assert!(!format!("{exporter:?}").contains("canary"));
        assert!(Args::default().open(&trace::Args::default(), &|_| None).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_refused_before_anything_begins() {
        let token = (TOKEN, "canary");
        for (target, file, variables, expected) in [
            ("", None, vec![], Invalid::Target),
            ("ftp://x/y", None, vec![], Invalid::Target),
            ("siem.example.com", None, vec![], Invalid::Target),
            ("file:relative", None, vec![], Invalid::Path),
            ("file:/var/log/", None, vec![], Invalid::Path),
            ("https://user:canary@h/", None, vec![], Invalid::Url),
            ("http://siem.example.com/in", None, vec![token], Invalid::Clear("http://siem.example.com".to_owned())),
            ("https://h/", Some("/token"), vec![token], Invalid::TwoTokens),
            ("file:/a", None, vec![token], Invalid::NeedlessToken),
            ("otlp", None, vec![], Invalid::NoCollector),
            ("otlp", None, vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_SDK_DISABLED", "true")], Invalid::NoCollector),
            ("otlp", None, vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "c")], Invalid::Otlp(trace::Invalid::Endpoint("c".to_owned()))),
        ] {
            let error = open(target, file, &variables).unwrap_err();
            assert_eq!(error, expected, "{target}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        open("http://127.0.0.1:9/in", None, &[token]).unwrap();
        open("http://siem.example.com/in", None, &[]).unwrap();
    }
}
