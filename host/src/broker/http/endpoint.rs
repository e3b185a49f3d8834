//! Where a request goes: the endpoint's origin and base path, with path and query of the call below it, and nothing that could lead elsewhere.

use std::{collections::BTreeMap, net::IpAddr};

use http::HeaderName;
use infraagent_guard::{call::HttpRequest, name::EndpointName};
use url::{Host, Url};

use super::address::Kind;

/// The endpoints of an environment, by name.
#[derive(Debug, Clone, Default)]
pub struct Endpoints(BTreeMap<EndpointName, Endpoint>);

impl Endpoints {
    /// The endpoint of this name.
    pub fn get(&self, name: &EndpointName) -> Option<&Endpoint> {
        self.0.get(name)
    }
}

impl FromIterator<(EndpointName, Endpoint)> for Endpoints {
    fn from_iter<I: IntoIterator<Item = (EndpointName, Endpoint)>>(endpoints: I) -> Self {
        Self(endpoints.into_iter().collect())
    }
}

/// An endpoint, as requests reach it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    base: Url,
    /// Private, loopback and cluster addresses are admitted.
    internal: bool,
    credential: Option<Attached>,
}

/// A credential that belongs to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its name in the environment.
    pub name: String,
    /// The Secret that holds it.
    pub secret: String,
    /// How it is shown.
    pub presentation: Presentation,
}

/// How a credential is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presentation {
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// `Authorization: token <token>`.
    Token,
    /// A header that holds the key.
    ApiKey(HeaderName),
    /// `Authorization: Basic <username:password>`.
    Basic,
    /// A client certificate.
    ClientCertificate,
}

/// Why there cannot be such an endpoint. The message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The URL reads differently to those who follow it.
    #[error("`{0}` is another way to write `{1}`: write that, so that everybody reads the same")]
    Spelling(String, String),
    /// It is no URL.
    #[error("`{0}` is no URL: write for example `https://api.example.com`")]
    Url(String),
    /// Its address is one that no endpoint may have.
    #[error("`{0}` is a {1} address, which no endpoint may have")]
    Never(String, Kind),
    /// Its address is one that only an internal endpoint may have.
    #[error("`{0}` is a {1} address, which only an internal endpoint is asked at: set `internal: true` if that is meant")]
    Internal(String, Kind),
    /// The credential could be read by others.
    #[error(
        "the credential `{0}` could be read on its way over plain http: use https, or set `internal: true` if the way there is the site's own network"
    )]
    Readable(String),
    /// A client certificate without TLS.
    #[error("the credential `{0}` is a client certificate, which plain http cannot carry: use https")]
    NoTls(String),
}

impl Endpoint {
    /// An endpoint at `origin` (scheme, host, perhaps port) and `base` (empty or `/api`), both in canonical form.
    pub fn new(origin: &str, base: &str, internal: bool, credential: Option<Attached>) -> Result<Self, Invalid> {
        let written = format!("{origin}{base}");
        let url = Url::parse(&written).map_err(|_| Invalid::Url(written.escape_debug().to_string()))?;
        // Clients take `127.1` and `0x7f000001` for addresses. Whatever was judged must be what they follow.
        let is_same = url.origin().ascii_serialization() == origin && url.path().trim_end_matches('/') == base;
        if !is_same || !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(Invalid::Spelling(written.escape_debug().to_string(), url.to_string()));
        }
        let endpoint = Self { base: url, internal, credential };
        if let Some(kind) = endpoint.literal().map(Kind::of).filter(|kind| !kind.is_admitted(true)) {
            return Err(Invalid::Never(written, kind));
        }
        if let Some(Attached { name, secret: _, presentation }) = &endpoint.credential
            && !endpoint.is_encrypted()
        {
            if *presentation == Presentation::ClientCertificate {
                return Err(Invalid::NoTls(name.clone()));
            } else if !internal {
                return Err(Invalid::Readable(name.clone()));
            }
        }
        Ok(endpoint)
    }

    /// Why every request to it will be refused, if that is certain already.
    pub fn reservation(&self) -> Option<Invalid> {
        let kind = Kind::of(self.literal()?);
        (!kind.is_admitted(self.internal)).then(|| Invalid::Internal(self.base.to_string(), kind))
    }

    /// Whether private, loopback and cluster addresses are admitted.
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// What the host attaches.
    pub fn credential(&self) -> Option<&Attached> {
        self.credential.as_ref()
    }

    /// Whether it is reached over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The address, where the URL has one instead of a name.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        match self.base.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// The host as it is written.
    pub(super) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// The port, said or usual.
    pub(super) fn port(&self) -> u16 {
        self.base.port_or_known_default().unwrap_or_default()
    }

    /// The URL of a call. None if it were not exactly this origin, this base path and this call's path: that cannot be written, and would be an error here.
    pub(super) fn url(&self, request: &HttpRequest) -> Option<Url> {
        let HttpRequest { endpoint: _, path, query, headers: _, .. } = request;
        let path = format!("{}{path}", self.base.path().trim_end_matches('/'));
        let mut url = self.base.clone();
        url.set_path(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let stays = url.origin() == self.base.origin() && url.path() == path && url.fragment().is_none();
        (stays && url.username().is_empty() && url.password().is_none()).then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(origin: &str, base: &str, internal: bool) -> Result<Endpoint, Invalid> {
        Endpoint::new(origin, base, internal, None)
    }

    fn with(origin: &str, internal: bool, presentation: Presentation) -> Result<Endpoint, Invalid> {
        Endpoint::new(origin, "", internal, Some(Attached { name: "x".to_owned(), secret: "x".to_owned(), presentation }))
    }

    #[test]
    fn what_clients_read_differently_is_no_endpoint() {
        for origin in [
            "http://127.1",
            "http://2130706433",
            "http://0x7f.0.0.1",
            "http://0177.0.0.1",
            "http://127.0.0.1:80",
            "http://[::ffff:7f00:1]/",
        ] {
            assert!(matches!(endpoint(origin, "", true), Err(Invalid::Spelling(..))), "{origin}: {:?}", endpoint(origin, "", true));
        }
        for origin in [
            "http://127.0.0.1",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "http://grafana.monitoring.svc:3000",
            "https://a_b.example.com",
        ] {
            assert!(endpoint(origin, "/api", true).is_ok(), "{origin}");
        }
    }

    #[test]
    fn written_addresses_are_judged_at_once() {
        for origin in ["http://127.0.0.1", "http://10.0.0.1", "https://[fd12::1]", "http://[::ffff:a00:1]"] {
            assert!(matches!(endpoint(origin, "", false).unwrap().reservation(), Some(Invalid::Internal(..))), "{origin}");
            assert_eq!(endpoint(origin, "", true).unwrap().reservation(), None, "{origin}");
        }
        for origin in
            ["http://169.254.169.254", "http://[fe80::1]", "http://0.0.0.0", "http://[::ffff:a9fe:a9fe]", "http://100.100.100.200"]
        {
            assert!(matches!(endpoint(origin, "", true), Err(Invalid::Never(..))), "{origin}");
        }
        assert_eq!(endpoint("https://1.1.1.1", "", false).unwrap().reservation(), None);
    }

    #[test]
    fn a_credential_is_not_sent_where_others_could_read_it() {
        assert!(matches!(with("http://api.example.com", false, Presentation::Bearer), Err(Invalid::Readable(_))));
        assert!(matches!(with("http://api.example.com", true, Presentation::ClientCertificate), Err(Invalid::NoTls(_))));
        assert!(with("http://grafana.monitoring.svc:3000", true, Presentation::Basic).is_ok());
        assert!(with("https://api.example.com", false, Presentation::ClientCertificate).is_ok());
    }

    #[test]
    fn path_and_query_never_change_the_origin() {
        let endpoint = endpoint("https://api.github.com", "/v3", false).unwrap();
        let text = |value: &str| value.to_owned();
        for path in
            ["/", "/@evil.example", "/a:b@evil.example:80/", "/repos/a%20b/issues", "/a,b;c".split(';').next().unwrap(), "/x/%5Bid%5D/"]
        {
            let request = HttpRequest::parse("github", path, vec![(text("q"), text("x&y=z#f/?@evil.example"))], Vec::new()).unwrap();
            let url = endpoint.url(&request).unwrap();
            assert_eq!(url.origin().ascii_serialization(), "https://api.github.com", "{path}");
            assert_eq!(url.path(), format!("/v3{path}"));
            assert_eq!(url.query_pairs().collect::<Vec<_>>(), [("q".into(), "x&y=z#f/?@evil.example".into())]);
        }
        for path in [
            "//evil.example",
            "/\\evil.example",
            "/..",
            "/%2f..",
            "/%2e%2e/x",
            "/x?y",
            "/x#y",
            "evil.example",
            "/\u{ff0f}evil.example",
            "/a/./b",
            "/\t/evil",
        ] {
            assert!(HttpRequest::parse("github", path, Vec::new(), Vec::new()).is_err(), "{path}");
        }
    }
}
