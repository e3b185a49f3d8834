//! Where a provider's API is, and the key that opens it. They are made together and stay together: a key is sent to this origin and nowhere else.

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// A provider's API.
#[derive(Debug, Clone)]
pub struct Endpoint {
    base: Url,
    key: Option<SecretString>,
}

/// Why a provider cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Only two providers have an address of their own.
    #[error("the provider `{0}` has no address of its own: set `endpoint` to the base URL of its OpenAI-compatible API")]
    NoAddress(String),
    /// The base URL is none.
    #[error("`{0}` is no base URL: write for example `https://llm.example.com/v1`")]
    Url(String),
    /// The key cannot be sent.
    #[error("the API key of `{origin}` is empty or has characters that a header cannot carry: check the value")]
    Key {
        /// Whose key.
        origin: String,
    },
}

/// The address that a provider has without `endpoint`.
pub fn default_base(provider: &str) -> Option<&'static str> {
    match provider {
        "anthropic" => Some("https://api.anthropic.com"),
        "openai" => Some("https://api.openai.com"),
        _ => None,
    }
}

impl Endpoint {
    /// The API of `provider`, at `base` or at its own address. White space around the key is taken off: files and Secrets end in line feeds.
    pub fn new(provider: &str, base: Option<&str>, key: Option<SecretString>) -> Result<Self, Invalid> {
        let text = base.or_else(|| default_base(provider)).ok_or_else(|| Invalid::NoAddress(provider.to_owned()))?;
        let invalid = || Invalid::Url(text.escape_debug().to_string());
        let mut base = Url::parse(text).map_err(|_| invalid())?;
        let is_plain =
            matches!(base.scheme(), "http" | "https") && base.has_host() && base.username().is_empty() && base.password().is_none();
        if !is_plain || base.query().is_some() || base.fragment().is_some() {
            return Err(invalid());
        }
        if !is_versioned(&base) {
            base.path_segments_mut().map_err(|()| invalid())?.pop_if_empty().push("v1");
        }
        let key = key.map(|key| trimmed(&key).ok_or_else(|| Invalid::Key { origin: base.origin().ascii_serialization() })).transpose()?;
        Ok(Self { base, key })
    }

    /// The address of one of its methods.
    pub fn method(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // INVARIANT: an http URL has segments; `new` took no other.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Scheme, host and port: for people.
    pub fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// The key, for the header of a request to this endpoint.
    pub(super) fn key(&self) -> Option<&SecretString> {
        self.key.as_ref()
    }
}

/// `/v1`, but also `/v1beta/openai` or `/api/paas/v4`: a version is there already, so none is added.
fn is_versioned(base: &Url) -> bool {
    let is_version = |segment: &str| {
        let mut rest = segment.strip_prefix('v').unwrap_or_default().chars();
        rest.next().is_some_and(|c| c.is_ascii_digit()) && rest.all(|c| c.is_ascii_alphanumeric())
    };
    base.path_segments().is_some_and(|mut segments| segments.any(is_version))
}

fn trimmed(key: &SecretString) -> Option<SecretString> {
    let text = key.expose_secret().trim();
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_added_once() {
        for (base, method) in [
            (None, "https://api.anthropic.com/v1/messages"),
            (Some("https://llm.example.com"), "https://llm.example.com/v1/messages"),
            (Some("https://llm.example.com/"), "https://llm.example.com/v1/messages"),
            (Some("https://llm.example.com/v1"), "https://llm.example.com/v1/messages"),
            (Some("https://llm.example.com/v1/"), "https://llm.example.com/v1/messages"),
            (Some("http://127.0.0.1:8080/proxy"), "http://127.0.0.1:8080/proxy/v1/messages"),
            (Some("http://127.0.0.1:8080/proxy/v1"), "http://127.0.0.1:8080/proxy/v1/messages"),
            (Some("https://example.com/v1beta/openai/"), "https://example.com/v1beta/openai/messages"),
            (Some("https://example.com/api/paas/v4"), "https://example.com/api/paas/v4/messages"),
            (Some("https://example.com/vault"), "https://example.com/vault/v1/messages"),
        ] {
            let endpoint = Endpoint::new("anthropic", base, None).unwrap();
            assert_eq!(endpoint.method(&["messages"]).as_str(), method);
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for base in ["", "llm.example.com", "ftp://x", "https://user:pw@x/", "https://x/?a=b", "https://x/#a", "data:x"] {
            assert_eq!(Endpoint::new("openai", Some(base), None).unwrap_err(), Invalid::Url(base.to_owned()), "{base}");
        }
        assert_eq!(Endpoint::new("ollama", None, None).unwrap_err(), Invalid::NoAddress("ollama".to_owned()));
        assert_eq!(Endpoint::new("openai", None, None).unwrap().origin(), "https://api.openai.com");
    }

    #[test]
    fn a_key_is_trimmed_checked_and_never_shown() {
        let endpoint = |key: &str| Endpoint::new("openai", None, Some(key.into()));
        let good = endpoint(" sk-canary-5f1e\n").unwrap();
        assert_eq!(good.key().unwrap().expose_secret(), "sk-canary-5f1e");
        assert!(!format!("{good:?}").contains("canary"), "{good:?}");
        for key in ["", " \n", "sk-canary 5f1e", "sk-canary\r\nx-evil: 1", "sk-canäry"] {
            let error = endpoint(key).unwrap_err();
            assert!(matches!(error, Invalid::Key { .. }) && !error.to_string().contains("sk-"), "{error}");
        }
    }
}
