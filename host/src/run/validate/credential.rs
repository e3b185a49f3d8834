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

#[cfg(test)]
mod tests {
    use infraagent_guard::name::EndpointName;
    use serde_json::{Value, json};

    use super::*;
    use crate::run::{
        fixture,
        validate::{ValidatedRun, WarningKind, validate},
    };

    fn with(endpoints: Value, credentials: Value) -> Result<ValidatedRun, String> {
        let inputs = fixture::inputs(|documents| {
            documents.environment["spec"]["endpoints"] = endpoints;
            documents.environment["spec"]["dataResources"] = json!({});
            documents.environment["spec"]["credentials"] = credentials;
        });
        validate(inputs).map_err(|invalid| invalid.to_string())
    }

    /// Name and presentation of what is attached to the endpoint.
    fn attached(run: &ValidatedRun, endpoint: &str) -> Option<(String, Presentation)> {
        let endpoint = run.endpoints.get(&EndpointName::parse(endpoint).unwrap()).expect("the endpoint");
        endpoint.credential().map(|attached| (attached.name.clone(), attached.presentation.clone()))
    }

    #[test]
    fn a_credential_belongs_to_the_endpoint_that_names_it_or_is_called_like_it() {
        let endpoints = json!({
            "grafana": { "url": "https://grafana.example.com", "credential": "shared" },
            "shop": { "url": "https://shop.example.com" },
            "docs": { "url": "https://docs.example.com" },
        });
        let credentials = json!({
            "shared": { "secretRef": "a", "type": "api-key" },
            "shop": { "secretRef": "b", "type": "basic-auth" },
            "grafana": { "secretRef": "c", "type": "bearer-token" },
        });
        let run = with(endpoints, credentials).unwrap();
        let key = Presentation::ApiKey(HeaderName::from_static("x-api-key"));
        assert_eq!(attached(&run, "grafana"), Some(("shared".to_owned(), key)));
        assert_eq!(attached(&run, "shop"), Some(("shop".to_owned(), Presentation::Basic)));
        assert_eq!(attached(&run, "docs"), None);
    }

    #[test]
    fn a_token_for_github_belongs_to_that_origin_and_to_no_other() {
        for credential in
            [json!({ "github-pat": { "secretRef": "x", "type": "token" } }), json!({ "x": { "secretRef": "github-pat", "type": "token" } })]
        {
            for (url, is_it) in [
                ("https://api.github.com", true),
                ("https://API.github.com:443/", true),
                ("https://api.github.com.evil.example", false),
                ("http://api.github.com", false),
                ("https://api.github.com:8443", false),
                ("https://github.com", false),
            ] {
                let run = with(json!({ "gh": { "url": url } }), credential.clone()).unwrap();
                assert_eq!(attached(&run, "gh").is_some(), is_it, "{url}");
            }
        }
        assert!(with(json!({ "gh": { "url": "https://api.github.com@evil.example" } }), json!({})).unwrap_err().contains("user name"));
    }

    #[test]
    fn what_others_could_read_is_an_error_if_it_was_asked_for_and_else_left_out() {
        let credentials = json!({ "shop": { "secretRef": "a", "type": "bearer-token" } });
        let error = with(json!({ "shop": { "url": "http://shop.example.com", "credential": "shop" } }), credentials.clone()).unwrap_err();
        assert!(error.contains("spec.endpoints.shop.url") && error.contains("internal: true"), "{error}");
        let run = with(json!({ "shop": { "url": "http://shop.example.com" } }), credentials.clone()).unwrap();
        assert_eq!(attached(&run, "shop"), None);
        assert!(
            run.warnings.iter().any(|warning| warning.kind == WarningKind::NoEffect && warning.message.contains("without its credential"))
        );
        let run = with(json!({ "shop": { "url": "http://shop.apps.svc", "internal": true } }), credentials).unwrap();
        assert_eq!(attached(&run, "shop"), Some(("shop".to_owned(), Presentation::Bearer)));
    }

    #[test]
    fn a_key_is_carried_by_a_header_that_changes_nothing_else() {
        for (header, is_fine) in
            [("X-Grafana-Key", true), ("PRIVATE-TOKEN", true), ("Host", false), ("transfer-encoding", false), ("Content-Length", false)]
        {
            let credentials = json!({ "shop": { "secretRef": "a", "type": "api-key", "header": header } });
            let result = with(json!({ "shop": { "url": "https://shop.example.com" } }), credentials);
            assert_eq!(result.is_ok(), is_fine, "{header}: {:?}", result.err());
        }
    }

    #[test]
    fn a_model_provider_is_no_endpoint_whichever_tier_it_serves() {
        for url in
            ["https://api.anthropic.com", "https://API.openai.com/v1", "http://litellm.ai.svc:4000", "https://litellm.ai.svc:4000/v1"]
        {
            let inputs = fixture::inputs(|documents| {
                documents.models[0]["spec"]["tiers"][0]["baseURL"] = json!("http://litellm.ai.svc:4000/v1");
                documents.environment["spec"]["endpoints"]["x"] = json!({ "url": url });
            });
            let error = validate(inputs).unwrap_err().to_string();
            assert!(error.contains("`spec.endpoints.x.url`") && error.contains("model provider"), "{error}");
        }
        let fine = json!({ "status": { "url": "https://status.anthropic.com" }, "litellm": { "url": "http://litellm.ai.svc:9090" } });
        assert!(with(fine, json!({})).is_ok());
    }

    #[test]
    fn an_address_that_will_be_refused_is_a_warning_and_one_that_nobody_may_have_an_error() {
        let run =
            with(json!({ "a": { "url": "http://10.0.0.1" }, "b": { "url": "http://10.0.0.2", "internal": true } }), json!({})).unwrap();
        let told: Vec<&str> =
            run.warnings.iter().map(|warning| warning.message.as_str()).filter(|text| text.contains("cannot be asked")).collect();
        assert!(told.len() == 1 && told[0].contains("`a`") && told[0].contains("internal: true"), "{told:?}");
        for url in ["http://0.0.0.0", "http://100.100.100.200", "http://[fe80::1]", "http://127.1", "http://0x7f000001"] {
            assert!(with(json!({ "a": { "url": url, "internal": true } }), json!({})).is_err(), "{url}");
        }
    }
}
