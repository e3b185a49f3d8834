//! Whom the host believes, and what a peer showed.
//!
//! Every connection has a [`Witness`]: it verifies as strictly as anybody, and keeps the certificate that it saw, also one that does not hold. So a skill
//! learns that a certificate is expired, and since when, although the handshake ended there: no request, and no credential, was sent.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use infraagent_sandbox::broker::Certificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::Verifier;
use x509_cert::{
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::{
    credential::Shown,
    trouble::{Distrust, Reason, Trouble},
};

/// Which certificate authorities are believed.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// Those of this machine; `SSL_CERT_FILE` and `SSL_CERT_DIR` say where they are, if not in the usual place.
    #[default]
    System,
    /// Only these.
    Roots(Vec<CertificateDer<'static>>),
}

/// How many names of a certificate are told.
const NAMES: usize = 8;
/// How long a name may be, in characters.
const NAME: usize = 200;

/// Names that only the certificates of API servers carry.
const API_SERVER: [&str; 2] = ["kubernetes.default.svc", "kubernetes.default"];

/// Who verifies against the certificate authorities of this machine. They are read once: all of them are some hundred kilobytes, which no run needs for itself.
static SYSTEM: OnceLock<Arc<Verifier>> = OnceLock::new();

impl Trust {
    pub(super) fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, String> {
        let provider = Arc::new(ring::default_provider());
        match self {
            Self::System => match SYSTEM.get() {
                Some(verifier) => Ok(Arc::clone(verifier) as _),
                // What failed is tried again.
                None => {
                    let verifier = Verifier::new(provider).map_err(|error| error.to_string())?;
                    Ok(Arc::clone(SYSTEM.get_or_init(|| Arc::new(verifier))) as _)
                }
            },
            Self::Roots(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(|error| error.to_string())?;
                }
                Ok(WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().map_err(|error| error.to_string())?)
            }
        }
    }
}

/// For endpoints without TLS: believes nobody.
pub(super) fn nobody() -> Result<ClientConfig, Trouble> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    Ok(builder.map_err(|_| Trouble::Tls)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Verifies one peer, and remembers what it showed.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    inner: Arc<dyn ServerCertVerifier>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    certificate: Option<Certificate>,
    trouble: Option<Trouble>,
}

impl Witness {
    pub(super) fn new(inner: Arc<dyn ServerCertVerifier>) -> Self {
        Self { inner, seen: Arc::default() }
    }

    /// A configuration for one connection that this witness watches.
    pub(super) fn config(&self, shown: Option<Shown>) -> Result<ClientConfig, Trouble> {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|_| Trouble::Tls)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(self.clone()));
        let mut config = match shown {
            Some(Shown::Certificate(chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|_| {
                Trouble::Credential(
                    "certificate and key of the client certificate do not belong together, or are of an unknown kind".to_owned(),
                )
            })?,
            Some(Shown::Header(..)) | None => builder.with_no_client_auth(),
        };
        // A resumed session shows no certificate.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The certificate that was shown, and what is wrong with it.
    pub(super) fn testimony(&self) -> (Option<Certificate>, Option<Trouble>) {
        let Seen { certificate, trouble } = &*self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (certificate.clone(), trouble.clone())
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (certificate, names) = read(end_entity).map_or((None, Vec::new()), |(certificate, names)| (Some(certificate), names));
        let verdict = if names.iter().any(|name| API_SERVER.contains(&name.as_str())) {
            Err((Trouble::Target("the API server of a cluster"), Error::General("an API server is no endpoint".to_owned())))
        } else {
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map_err(|error| {
                let distrust = Distrust { reason: reason(&error), certificate: certificate.clone() };
                (Trouble::Certificate(distrust), error)
            })
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen { certificate, trouble: verdict.as_ref().err().map(|(trouble, _)| trouble.clone()) };
        verdict.map_err(|(_, error)| error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => Reason::Expired,
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => Reason::NotYetValid,
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => Reason::WrongName,
        // An authority of the same name with another key is another authority.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => Reason::UnknownIssuer,
        _ => Reason::Invalid,
    }
}

/// What a certificate says, and the DNS names that it is for.
fn read(der: &[u8]) -> Option<(Certificate, Vec<String>)> {
    let parsed = x509_cert::Certificate::from_der(der).ok()?;
    let content = parsed.tbs_certificate();
    let alternative = content.get_extension::<SubjectAltName>().ok().flatten();
    let names: Vec<String> = alternative
        .iter()
        .flat_map(|(_, names)| &names.0)
        .filter_map(|name| if let GeneralName::DnsName(name) = name { Some(name.to_string().to_ascii_lowercase()) } else { None })
        .collect();
    let told = names.iter().take(NAMES).map(|name| format!("DNS:{}", plain(name)));
    let subject: Vec<String> =
        Some(plain(&content.subject().to_string())).filter(|name| !name.is_empty()).into_iter().chain(told).collect();
    let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    let certificate = Certificate {
        subject: subject.join(", "),
        issuer: plain(&content.issuer().to_string()),
        not_before: seconds(content.validity().not_before),
        not_after: seconds(content.validity().not_after),
    };
    Some((certificate, names))
}

/// Names in a certificate were written by anybody.
fn plain(name: &str) -> String {
    name.chars().take(NAME).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_told_in_plain_and_short_words() {
        let mut params = CertificateParams::new(["a.example.com".to_owned(), "B.example.com".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("\u{1b}[31mx\n{}", "y".repeat(500)));
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 2, 1));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (told, names) = read(certificate.der()).unwrap();
        assert_eq!(names, ["a.example.com", "b.example.com"]);
        assert!(!told.subject.contains('\u{1b}') && !told.subject.contains('\n'), "{}", told.subject);
        assert!(told.subject.ends_with(", DNS:a.example.com, DNS:b.example.com"), "{}", told.subject);
        assert!(told.subject.len() < 300, "{}", told.subject);
        assert_eq!((told.not_before, told.not_after), (1_767_225_600, 1_769_904_000));
        assert!(read(b"nonsense").is_none());
    }
}
