//! Connections to endpoints: the same way for all runs, so what it takes to find, reach and believe a peer is in memory once.
//!
//! * Without TLS nobody stands in between: a proxy would read the key.
//! * With TLS the proxies of the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) are asked for a tunnel, through which they see nothing.
//! * Whom TLS believes is what the machine believes; `SSL_CERT_FILE` and `SSL_CERT_DIR` say where that is, if not in the usual place.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Uri, header};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use rustls::{ClientConfig, client::danger::ServerCertVerifier, crypto::ring};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

use crate::USER_AGENT;

/// The longest time until a peer is connected to, and believed.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that is gone is noticed although a run waits for minutes: he is asked this often whether he is there,
const ALIVE: Duration = Duration::from_secs(15);
/// and may be silent this many times.
const SILENT: u32 = 3;

/// A connection to an endpoint.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How endpoints are reached.
pub(super) enum Connector {
    /// Without TLS.
    Plain(HttpConnector),
    /// With it.
    Secure {
        /// Straight there, and to proxies.
        direct: HttpsConnector<HttpConnector>,
        tls: Arc<ClientConfig>,
        proxies: Box<Matcher>,
    },
}

impl Connector {
    /// The one of all runs.
    pub(super) fn shared(plain: bool) -> Result<&'static Self, rustls::Error> {
        static SECURE: OnceLock<Connector> = OnceLock::new();
        static PLAIN: OnceLock<Connector> = OnceLock::new();
        let known = if plain { &PLAIN } else { &SECURE };
        match known.get() {
            Some(connector) => Ok(connector),
            // What failed is tried again.
            None => {
                let connector = if plain {
                    Self::Plain(tcp())
                } else {
                    Self::secure(Arc::new(Verifier::new(Arc::new(ring::default_provider()))?), Matcher::from_env())?
                };
                Ok(known.get_or_init(|| connector))
            }
        }
    }

    fn secure(verifier: Arc<dyn ServerCertVerifier>, proxies: Matcher) -> Result<Self, rustls::Error> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self::Secure { direct: https(&tls, tcp()), tls: Arc::new(tls), proxies: Box::new(proxies) })
    }

    /// A new connection to whom this address belongs to.
    pub(super) async fn connect(&self, to: &Uri) -> Result<Box<dyn Stream>, BoxError> {
        match self {
            Self::Plain(tcp) => Ok(Box::new(tcp.clone().call(to.clone()).await?.into_inner())),
            Self::Secure { direct, tls, proxies } => match proxies.intercept(to) {
                None => Ok(Box::new(TokioIo::new(direct.clone().call(to.clone()).await?))),
                Some(proxy) => {
                    let mut tunnel = Tunnel::new(proxy.uri().clone(), direct.clone());
                    tunnel = tunnel.with_headers(HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))]));
                    if let Some(auth) = proxy.basic_auth() {
                        tunnel = tunnel.with_auth(auth.clone());
                    }
                    Ok(Box::new(TokioIo::new(https(tls, tunnel).call(to.clone()).await?)))
                }
            },
        }
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(TIMEOUT));
    tcp.set_keepalive(Some(ALIVE));
    tcp.set_keepalive_interval(Some(ALIVE));
    tcp.set_keepalive_retries(Some(SILENT));
    tcp
}

fn https<C>(tls: &ClientConfig, connector: C) -> HttpsConnector<C> {
    hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1().wrap_connector(connector)
}

#[cfg(test)]
mod tests;
