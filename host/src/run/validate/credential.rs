//! Which credential belongs to which endpoint, and how it is shown. Values are not known here.

use std::collections::BTreeMap;

use http::HeaderName;
use infraagent_api::environment::{Credential, CredentialKind};

use super::Findings;
use crate::broker::http::endpoint::{Attached, Presentation};

/// A personal access token for GitHub needs no word in the endpoint, as it was in the first release: it belongs to this origin and to no other.
const GITHUB: (&str, &str) = ("github-pat", "https://api.github.com");

/// Headers that say where a request goes or where it ends. A key in one of them would be a request to somewhere else.
const FRAMING: [&str; 9] =
    ["connection", "content-encoding", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];

/// The credential of an endpoint: the one that it names; else the one of its own name; else, for GitHub, the one called `github-pat`.
pub(super) fn of(
    document: &str,
    endpoint: &str,
    named: Option<&str>,
    origin: &str,
    credentials: &BTreeMap<String, Credential>,
    findings: &mut Findings,
) -> Option<Attached> {
    let (name, credential) = match named {
        Some(named) => credentials.get_key_value(named),
        None => credentials.get_key_value(endpoint).or_else(|| github(origin, credentials)),
    }?;
    let Credential { secret_ref, kind, header } = credential;
    let presentation = match kind {
        CredentialKind::BearerToken => Presentation::Bearer,
        CredentialKind::Token => Presentation::Token,
        CredentialKind::BasicAuth => Presentation::Basic,
        CredentialKind::Tls => Presentation::ClientCertificate,
        CredentialKind::ApiKey => {
            let header = header.as_deref().unwrap_or("X-API-Key").to_ascii_lowercase();
            let parsed = HeaderName::from_bytes(header.as_bytes()).ok().filter(|_| !FRAMING.contains(&header.as_str()));
            let message = || format!("`{header}` cannot carry a key: name the header that the endpoint documents, for example `X-API-Key`");
            Presentation::ApiKey(findings.take(document, format!("spec.credentials.{name}.header"), parsed.ok_or_else(message))?)
        }
    };
    Some(Attached { name: name.clone(), secret: secret_ref.clone(), presentation })
}

fn github<'c>(origin: &str, credentials: &'c BTreeMap<String, Credential>) -> Option<(&'c String, &'c Credential)> {
    let (known, only) = GITHUB;
    let is_it = |name: &str, credential: &Credential| name == known || credential.secret_ref == known;
    credentials.iter().find(|(name, credential)| origin == only && is_it(name, credential))
}
