//! Items as the body of a POST: `{"version": 1, "items": [...]}`. Any answer of 2xx means that the receiver has them all.

use std::{path::PathBuf, time::Duration};

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Error, Item};
use crate::causes::causes;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A token is some hundred bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// Where the token of the receiver is.
#[derive(Debug)]
pub(super) enum Token {
    /// In a file, which is read for each request: whoever exchanges it need not restart anything.
    File(PathBuf),
    /// It was given.
    Value(SecretString),
}

/// A receiver.
#[derive(Debug)]
pub(super) struct Webhook {
    url: Url,
    token: Option<Token>,
    client: reqwest::Client,
}

impl Webhook {
    pub(super) fn new(url: Url, token: Option<Token>) -> Result<Self, reqwest::Error> {
        // A redirect could take the token to somebody else.
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { url, token, client })
    }

    /// Without a query: it could be a key.
    pub(super) fn target(&self) -> String {
        format!("webhook {}{}", self.url.origin().ascii_serialization(), self.url.path())
    }

    pub(super) async fn post(&self, items: &[Item]) -> Result<(), Error> {
        let mut body = String::with_capacity(items.iter().map(|item| item.json.len() + 1).sum::<usize>() + 32);
        body.push_str("{\"version\":1,\"items\":[");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            body.push_str(&item.json);
        }
        body.push_str("]}");
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, bearer(token).await?);
        }
        let answer = request.send().await.map_err(|error| Error::Unanswered(causes(&error.without_url())))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Error::Refused(status.to_string())),
        }
    }
}

async fn bearer(token: &Token) -> Result<HeaderValue, Error> {
    let (token, path) = match token {
        Token::Value(token) => (token.clone(), "INFRAAGENT_EXPORT_TOKEN".to_owned()),
        Token::File(path) => (read(path).await?, path.display().to_string()),
    };
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Error::Token { path, message: "it has characters that a header cannot carry".to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

async fn read(path: &std::path::Path) -> Result<SecretString, Error> {
    let failed = |message: String| Error::Token { path: path.display().to_string(), message };
    let length = tokio::fs::metadata(path).await.map_err(|error| failed(error.to_string()))?.len();
    if length > MAX_TOKEN {
        return Err(failed(format!("it has {length} bytes")));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(|error| failed(error.to_string()))?;
    match text.trim() {
        "" => Err(failed("it is empty".to_owned())),
        token => Ok(token.into()),
    }
}
