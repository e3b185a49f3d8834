//! What the host shows to an endpoint in the site's name. Made for one request, from the Secret that the environment binds to the endpoint.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::endpoint::{Attached, Presentation};

/// The Secrets of a run: by name, then by key.
#[derive(Debug, Default)]
pub struct Secrets(BTreeMap<String, BTreeMap<String, SecretString>>);

impl Secrets {
    /// Keys whose values everybody may know.
    const OPEN: [&'static str; 3] = ["username", "tls.crt", "ca.crt"];

    /// Adds one value. Files usually end in a line break that belongs to nobody's password: it is left out.
    pub fn insert(&mut self, secret: &str, key: &str, value: &str) {
        let value = value.trim_end_matches(['\r', '\n']);
        self.0.entry(secret.to_owned()).or_default().insert(key.to_owned(), value.into());
    }

    /// Every value that nobody may see, for the redactor: also as `username:password`, which is what travels.
    pub fn values(&self) -> Vec<SecretString> {
        let mut all = Vec::new();
        for keys in self.0.values() {
            all.extend(keys.iter().filter(|(key, _)| !Self::OPEN.contains(&key.as_str())).map(|(_, value)| value.clone()));
            if let (Some(username), Some(password)) = (keys.get("username"), keys.get("password")) {
                all.push(format!("{}:{}", username.expose_secret(), password.expose_secret()).into());
            }
        }
        all
    }

    fn value(&self, secret: &str, key: &str) -> Result<&SecretString, String> {
        let keys = self.0.get(secret).ok_or_else(|| format!("this run knows no Secret `{secret}`: {BEGIN}"))?;
        let missing = || {
            let known: Vec<_> = keys.keys().map(String::as_str).collect();
            format!("the Secret `{secret}` has no key `{key}`, only `{}`: add it; {BEGIN}", known.join("`, `"))
        };
        keys.get(key).filter(|value| !value.expose_secret().is_empty()).ok_or_else(missing)
    }
}

/// Why a Secret that exists may not be known, and what to do.
const BEGIN: &str = "Secrets are read once, when a run begins, so one that was added or changed since needs another run";

/// A credential, ready to be attached to one request.
#[derive(Debug)]
pub(super) enum Shown {
    /// In a header, marked as sensitive.
    Header(HeaderName, HeaderValue),
    /// In the handshake.
    Certificate(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
}

impl Shown {
    /// The credential as its endpoint wants it. An error names the Secret and what it lacks, and no value.
    pub(super) fn new(attached: &Attached, secrets: &Secrets) -> Result<Self, String> {
        let Attached { name: _, secret, presentation } = attached;
        let value = |key| secrets.value(secret, key).map(SecretString::expose_secret);
        match presentation {
            Presentation::Bearer => header(secret, AUTHORIZATION, &format!("Bearer {}", value("token")?)),
            Presentation::Token => header(secret, AUTHORIZATION, &format!("token {}", value("token")?)),
            Presentation::ApiKey(name) => header(secret, name.clone(), value("api-key")?),
            Presentation::Basic => {
                let pair = format!("{}:{}", value("username")?, value("password")?);
                header(secret, AUTHORIZATION, &format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            Presentation::ClientCertificate => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(value("tls.crt")?.as_bytes()).collect();
                let chain = chain.ok().filter(|chain| !chain.is_empty());
                let chain = chain.ok_or_else(|| format!("`tls.crt` of the Secret `{secret}` holds no certificate in PEM"))?;
                let key = PrivateKeyDer::from_pem_slice(value("tls.key")?.as_bytes());
                Ok(Self::Certificate(chain, key.map_err(|_| format!("`tls.key` of the Secret `{secret}` holds no private key in PEM"))?))
            }
        }
    }
}

fn header(secret: &str, name: HeaderName, value: &str) -> Result<Shown, String> {
    let mut value = HeaderValue::from_str(value).map_err(|_| format!("the Secret `{secret}` holds characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(Shown::Header(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        let mut secrets = Secrets::default();
        for (key, value) in pairs {
            secrets.insert("s", key, value);
        }
        secrets
    }

    fn shown(presentation: Presentation, pairs: &[(&str, &str)]) -> Result<(String, String), String> {
        let attached = Attached { name: "c".to_owned(), secret: "s".to_owned(), presentation };
        match Shown::new(&attached, &secrets(pairs))? {
            Shown::Header(name, value) => {
                assert!(value.is_sensitive());
                Ok((name.to_string(), value.to_str().unwrap().to_owned()))
            }
            Shown::Certificate(..) => Err("a certificate".to_owned()),
        }
    }

    #[test]
    fn each_type_is_shown_as_its_servers_expect_it() {
        let of = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(shown(Presentation::Bearer, &[("token", "abc\n")]), of("authorization", "Bearer abc"));
        assert_eq!(shown(Presentation::Token, &[("token", "abc")]), of("authorization", "token abc"));
        assert_eq!(shown(Presentation::ApiKey(HeaderName::from_static("x-api-key")), &[("api-key", "abc")]), of("x-api-key", "abc"));
        assert_eq!(shown(Presentation::Basic, &[("username", "u"), ("password", "p:w")]), of("authorization", "Basic dTpwOnc="));
    }

    #[test]
    fn an_error_names_what_is_missing_and_no_value() {
        let error = shown(Presentation::Bearer, &[("api-key", "hunter2")]).unwrap_err();
        assert!(error.starts_with("the Secret `s` has no key `token`, only `api-key`: add it; "), "{error}");
        assert!(shown(Presentation::Bearer, &[("token", "")]).is_err());
        let error = shown(Presentation::Bearer, &[("token", "a\nhost: evil.example")]).unwrap_err();
        assert!(error.contains("no header can carry") && !error.contains("evil"), "{error}");
        assert!(shown(Presentation::ClientCertificate, &[("tls.crt", "x"), ("tls.key", "y")]).unwrap_err().contains("no certificate"));
        let other = Attached { name: "c".to_owned(), secret: "t".to_owned(), presentation: Presentation::Bearer };
        let error = Shown::new(&other, &secrets(&[])).unwrap_err();
        assert!(error.contains("no Secret `t`") && error.contains("needs another run"), "{error}");
    }

    #[test]
    fn what_is_secret_is_known_and_what_is_not_is_not() {
        let all = secrets(&[("username", "admin"), ("password", "hunter2"), ("tls.crt", "public"), ("other", "also")]);
        let mut values: Vec<_> = all.values().iter().map(|value| value.expose_secret().to_owned()).collect();
        values.sort();
        assert_eq!(values, ["admin:hunter2", "also", "hunter2"]);
        assert!(!format!("{all:?}").contains("hunter2"));
    }
}
