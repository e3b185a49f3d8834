//! Whether a run without a cluster reaches out to the endpoints of its environment, and with which credentials.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::Value;

use crate::{
    audit::Redactor,
    broker::http::{Http, Secrets, Setup},
    run::validate::ValidatedRun,
};

/// The largest file of Secrets.
const MAX_BYTES: u64 = 1 << 20;

/// Flags about endpoints.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub(super) struct Flags {
    /// Send GET and HEAD to the endpoints of the environment; without it they answer `unavailable`
    #[arg(long, requires = "snapshot")]
    pub(super) allow_http: bool,
    /// File with the Secrets that the environment's credentials name. It is read once, and nothing of it is shown
    #[arg(long, value_name = "FILE", requires = "allow_http")]
    pub(super) secrets: Option<PathBuf>,
}

impl Flags {
    /// The Secrets of the file, if endpoints may be asked.
    pub(super) fn secrets(&self) -> anyhow::Result<Option<Secrets>> {
        let Self { allow_http, secrets: file } = self;
        let mut secrets = Secrets::default();
        if let Some(path) = file {
            read(path, &mut secrets)?;
        }
        Ok(allow_http.then_some(secrets))
    }
}

/// What asks the endpoints of a run without a cluster: there is no API server that one of them could be.
pub(super) fn http(run: &ValidatedRun, secrets: Secrets, redactor: &Arc<Redactor>) -> Http {
    Http::new(Setup::new((*run.policy().scope).clone(), secrets, Arc::clone(redactor), Vec::new()))
}

/// No error of a parser is passed on: it could show a value.
fn read(path: &Path, secrets: &mut Secrets) -> anyhow::Result<()> {
    let shown = path.display();
    if fs::metadata(path).with_context(|| format!("cannot read `{shown}`"))?.len() > MAX_BYTES {
        bail!("`{shown}` is larger than {MAX_BYTES} bytes");
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).ok().with_context(|| format!("`{shown}` is not valid YAML"))?;
    for document in documents.into_iter().filter(|document| document.get("kind").and_then(Value::as_str) == Some("Secret")) {
        let Some(Secret { metadata, data, string_data, .. }) = serde_json::from_value(document).ok() else {
            bail!("`{shown}` has a Secret that is not well-formed: `data` holds base64, `stringData` text");
        };
        let name = metadata.name.with_context(|| format!("`{shown}` has a Secret without `metadata.name`"))?;
        for (key, ByteString(bytes)) in data.unwrap_or_default() {
            let Ok(value) = String::from_utf8(bytes) else { bail!("`{shown}`, Secret `{name}`: `{key}` is not text") };
            secrets.insert(&name, &key, &value);
        }
        for (key, value) in string_data.unwrap_or_default() {
            secrets.insert(&name, &key, &value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn values(text: &str) -> anyhow::Result<Vec<String>> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), text)?;
        let flags = Flags { allow_http: true, secrets: Some(file.path().to_owned()) };
        Ok(flags.secrets()?.unwrap_or_default().values().iter().map(|value| value.expose_secret().to_owned()).collect())
    }

    #[test]
    fn secrets_are_read_in_both_forms_and_other_kinds_are_left_alone() {
        let text = "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {token: aHVudGVyMg==}}\n---\n\
                    {apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {token: open}}\n---\n\
                    {apiVersion: v1, kind: Secret, metadata: {name: b}, stringData: {api-key: k-1}}\n";
        assert_eq!(values(text).unwrap(), ["hunter2", "k-1"]);
        assert!(Flags::default().secrets().unwrap().is_none());
    }

    #[test]
    fn an_error_shows_no_value() {
        for text in [
            "{kind: Secret, metadata: {name: a}, data: {token: 'hunter2!'}}",
            "kind: Secret\nhunter2: [",
            "{kind: Secret, stringData: {t: hunter2}}",
        ] {
            let error = format!("{:#}", values(text).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
