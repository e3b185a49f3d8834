//! Asks the endpoints of the environment: GET and HEAD, by recorded permits of [`Read::Http`], and nothing else.
//!
//! # Guarantees
//!
//! * A request goes to exactly the origin of its endpoint; path and query of the call stand below it and cannot change it ([`endpoint`]).
//! * What was decided is what is sent: no redirect is followed, not even to the same origin, since nobody decided about its path. A redirect is an answer, and
//!   a skill that wants to follow it makes another call. There is no proxy, no retry, no cookie, no cache.
//! * Every request has its own connection. The address is judged when it is connected to, and the connection goes to what was judged ([`names`], [`address`]);
//!   the certificate is seen each time ([`tls`]).
//! * The credential is the endpoint's own, attached here, after the guest's headers; it is sent to nobody whose certificate was not verified, and in plain text
//!   only where the environment says that the way is internal.
//! * A guest gets no secret, and no part of one ([`answer`]); nor the words of an error ([`trouble`]).
//!
//! # Caveats
//!
//! Who is asked is the environment's business: an endpoint that gives out what it should not, or that changes something on a GET, is not found out here.

mod address;
mod answer;
mod credential;
pub mod endpoint;
pub mod names;
mod tls;
mod trouble;

use std::{
    error::Error as _,
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use infraagent_guard::{
    call::{HttpRead, HttpRequest, Read, ReadMethod},
    name::EndpointName,
    permit::Permit,
    policy::Scope,
};
use infraagent_sandbox::broker::{Answer, CallError, Certificate, Response};
use reqwest::{Client, dns::Resolve, redirect::Policy, retry};
use rustls::client::danger::ServerCertVerifier;

pub use self::{
    address::Kind as AddressKind,
    credential::Secrets,
    tls::Trust,
    trouble::{Distrust, Reason, Trouble},
};
use self::{
    answer::Body,
    credential::Shown,
    endpoint::{Endpoint, Endpoints},
    names::{Admission, Protected, SystemNames},
    tls::Witness,
};
use crate::audit::{Recorded, Redactor};

/// How long one request may take, if nobody says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What an executor of requests is made of.
pub struct Setup {
    /// Where permits must be for.
    pub scope: Scope,
    /// The values of credentials. The redactor knows them.
    pub secrets: Secrets,
    /// What must not leave.
    pub redactor: Arc<Redactor>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Who knows the addresses of names.
    pub names: Arc<dyn Resolve>,
    /// What no endpoint may be.
    pub protected: Vec<Protected>,
    /// How long one request may take, from the look-up of the name to the last byte that is read.
    pub timeout: Duration,
}

impl Setup {
    /// As it is outside of tests: the names and certificate authorities of this machine.
    pub fn new(scope: Scope, secrets: Secrets, redactor: Arc<Redactor>, protected: Vec<Protected>) -> Self {
        Self { scope, secrets, redactor, trust: Trust::System, names: Arc::new(SystemNames), protected, timeout: TIMEOUT }
    }
}

/// Asks the endpoints of an environment.
pub struct Http {
    scope: Scope,
    secrets: Secrets,
    redactor: Arc<Redactor>,
    /// None: no certificate authority is known.
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    names: Arc<dyn Resolve>,
    protected: Arc<[Protected]>,
    timeout: Duration,
}

/// Says nothing of the secrets.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Http {
    /// An executor for one run.
    pub fn new(setup: Setup) -> Self {
        let Setup { scope, secrets, redactor, trust, names, protected, timeout } = setup;
        let verifier = trust
            .verifier()
            .inspect_err(|error| tracing::warn!(error, "no certificate authority is known: https endpoints cannot be asked"))
            .ok();
        Self { scope, secrets, redactor, verifier, names, protected: protected.into(), timeout }
    }

    /// Executes a permitted request to one of `endpoints`: those of the environment that the permit was decided against.
    pub async fn send(&self, permit: Recorded<Permit<Read>>, endpoints: &Endpoints) -> Result<Answer, CallError> {
        let permit = permit.into_inner();
        if *permit.scope() != self.scope {
            return Err(CallError::Internal("the permit belongs to another run, environment or cluster".to_owned()));
        }
        let Read::Http(call) = permit.call() else {
            return Err(CallError::Internal(format!("`{}` is no request to an endpoint", permit.call())));
        };
        let name = &call.request.endpoint;
        let endpoint = endpoints.get(name).ok_or_else(|| CallError::Internal(format!("the environment has no endpoint `{name}`")))?;
        let asked = tokio::time::timeout(self.timeout, self.ask(name, endpoint, call)).await;
        asked.map_err(|_| CallError::Timeout)?.map(Answer::Response).map_err(|trouble| self.told(&trouble, name))
    }

    async fn ask(&self, name: &EndpointName, endpoint: &Endpoint, call: &HttpRead) -> Result<Response, Trouble> {
        let url = endpoint.url(&call.request).ok_or(Trouble::Target("another place than the endpoint"))?;
        let attached = endpoint.credential();
        let shown = attached.map(|attached| Shown::new(attached, &self.secrets)).transpose().map_err(Trouble::Credential)?;
        let admission = Admission {
            names: Arc::clone(&self.names),
            internal: endpoint.is_internal(),
            port: endpoint.port(),
            protected: Arc::clone(&self.protected),
        };
        // The client asks its resolver only for names.
        if let Some(address) = endpoint.literal() {
            admission.judge(SocketAddr::new(address, endpoint.port())).await?;
        } else if let Some(Protected { what, host: _, port: _ }) =
            self.protected.iter().find(|one| one.port == endpoint.port() && one.host.eq_ignore_ascii_case(endpoint.host()))
        {
            return Err(Trouble::Target(what));
        }
        let headers = headers(&call.request, shown.as_ref());
        let witness = self.witness(endpoint)?;
        let client = client(admission, witness.as_ref(), shown)?;
        let method = match call.method {
            ReadMethod::Get => Method::GET,
            ReadMethod::Head => Method::HEAD,
        };
        let started = Instant::now();
        let sent = client.request(method, url).headers(headers).send().await;
        let (certificate, distrust) = witness.as_ref().map_or((None, None), Witness::testimony);
        let response = sent.map_err(|error| distrust.unwrap_or_else(|| trouble(&error)))?;
        let (status, headers) = (response.status().as_u16(), answer::headers(response.headers(), &self.redactor));
        let body = answer::body(response, &self.redactor).await.map_err(|_| Trouble::Answer)?;
        let elapsed_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        tracing::debug!(endpoint = %name, status, elapsed_ms, "an endpoint answered");
        let Body { bytes, is_cut } = match call.method {
            ReadMethod::Get => body,
            ReadMethod::Head => Body { bytes: Vec::new(), is_cut: false },
        };
        let tls = certificate.map(|certificate| self.redacted(certificate));
        Ok(Response { status, headers, body: bytes, truncated: is_cut, elapsed_ms, tls })
    }

    fn witness(&self, endpoint: &Endpoint) -> Result<Option<Witness>, Trouble> {
        match (&self.verifier, endpoint.is_encrypted()) {
            (_, false) => Ok(None),
            (Some(verifier), true) => Ok(Some(Witness::new(Arc::clone(verifier)))),
            (None, true) => Err(Trouble::Tls),
        }
    }

    fn redacted(&self, certificate: Certificate) -> Certificate {
        let Certificate { subject, issuer, not_before, not_after } = certificate;
        let clean = |text: String| self.redactor.text(&text).into_owned();
        Certificate { subject: clean(subject), issuer: clean(issuer), not_before, not_after }
    }

    fn told(&self, trouble: &Trouble, name: &EndpointName) -> CallError {
        tracing::info!(endpoint = %name, %trouble, "an endpoint was not reached");
        trouble.about(name.as_str())
    }
}

/// A client for one request: one connection, to what was admitted, watched by the witness.
fn client(admission: Admission, witness: Option<&Witness>, shown: Option<Shown>) -> Result<Client, Trouble> {
    let config = match witness {
        Some(witness) => witness.config(shown)?,
        None => tls::nobody()?,
    };
    let builder = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .retry(retry::never())
        .http1_only()
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(admission))
        .tls_backend_preconfigured(config);
    builder.build().map_err(|_| Trouble::Tls)
}

/// The guest's headers, which were checked when the call was parsed, and over them the host's own.
fn headers(request: &HttpRequest, shown: Option<&Shown>) -> HeaderMap {
    let HttpRequest { endpoint: _, path: _, query: _, headers, .. } = request;
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            all.append(name, value);
        }
    }
    all.insert(header::USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
    // What is compressed cannot be searched for secrets.
    all.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(Shown::Header(name, value)) = shown {
        all.insert(name.clone(), value.clone());
    }
    all
}

/// What an error of the client means. Its text is nobody's business.
fn trouble(error: &reqwest::Error) -> Trouble {
    let mut source = error.source();
    let mut found = if error.is_connect() { Trouble::Connection } else { Trouble::Answer };
    while let Some(error) = source {
        if let Some(own) = error.downcast_ref::<Trouble>() {
            return own.clone();
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if is_tls(io) {
                return Trouble::Tls;
            }
            if io.kind() == io::ErrorKind::ConnectionRefused {
                found = Trouble::Refused;
            }
        }
        source = error.source();
    }
    found
}

/// An error of TLS travels inside of one of input and output, or of two.
fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>() || inner.downcast_ref().is_some_and(is_tls))
}

#[cfg(test)]
mod tests;
