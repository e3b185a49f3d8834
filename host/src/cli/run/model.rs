//! Who answers: a recorded conversation, or the model behind the agent's tier. And where its key comes from: for documents of a cluster its Secret,
//! for documents in files the environment.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use secrecy::SecretString;

use crate::{
    audit::Redactor,
    llm::{
        Provider, Replay,
        endpoint::default_base,
        replay::{Mode, Recorder},
    },
    run::{
        connection::Connection,
        dereference::secrets,
        validate::{Model, SecretKey},
    },
};

/// Arguments about the model.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Flags {
    /// Recorded conversation that answers instead of a model. Fails with a diff if anything else is asked than was recorded
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Keep the replies of the recording, and write what is asked into it
    #[arg(long, requires = "replay")]
    update_replay: bool,
    /// Write the conversation with the model into a new file, which --replay then plays
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Environment variable with the API key of the model's provider [default: the Secret of the tier with --agent-name, else ANTHROPIC_API_KEY or
    /// OPENAI_API_KEY for these providers' own addresses]
    #[arg(long, value_name = "VARIABLE", conflicts_with = "replay")]
    api_key_env: Option<String>,
}

impl Flags {
    /// The key of the model's provider from the environment: None if a recording answers, or if the tier's `auth` says that there is none.
    pub(super) fn key(&self, model: &Model) -> anyhow::Result<Option<SecretString>> {
        if model.secret().is_none() || self.replay.is_some() {
            return Ok(None);
        }
        let variable = match &self.api_key_env {
            Some(variable) => variable,
            None => conventional(model)?,
        };
        match std::env::var(variable) {
            Ok(key) if !key.trim().is_empty() => Ok(Some(key.into())),
            Ok(_) | Err(_) => {
                bail!("`{}` needs an API key: put it into the environment variable `{variable}`, or use --replay", model.id())
            }
        }
    }

    /// The same from the Secret that the tier names, unless an environment variable is named.
    pub(super) async fn key_in_cluster(&self, model: &Model, connection: &Connection) -> anyhow::Result<Option<SecretString>> {
        match model.secret() {
            Some(SecretKey { secret, key }) if self.replay.is_none() && self.api_key_env.is_none() => {
                Ok(Some(secrets::of_model(&connection.client, connection.operator_namespace.as_str(), secret, key, &model.id()).await?))
            }
            Some(_) | None => self.key(model),
        }
    }

    /// Who answers. The redactor knows the key, and whatever else must not get into a recording.
    pub(super) fn provider(self, model: &Model, key: Option<SecretString>, redactor: Arc<Redactor>) -> anyhow::Result<Provider> {
        let Self { replay, update_replay, record, api_key_env: _ } = self;
        if let Some(replay) = replay {
            let mode = if update_replay { Mode::Update } else { Mode::Strict };
            return Ok(Provider::Replay(Replay::open(&replay, mode)?));
        }
        if let Some(why) = model.unavailable() {
            return Ok(Provider::Unavailable(why));
        }
        let provider = Provider::connect(&model.provider, &model.model, &model.endpoint(key)?)?;
        Ok(match record {
            Some(path) => provider.recorded(Recorder::create(&path, redactor).context("the conversation cannot be recorded")?),
            None => provider,
        })
    }
}

/// The variable that everybody uses for a provider. Not for another address than the provider's own: whoever answers there would get a key that is not theirs.
fn conventional(model: &Model) -> anyhow::Result<&'static str> {
    let own = model.url.is_none() || model.url.as_deref() == default_base(&model.provider);
    match model.provider.as_str() {
        "anthropic" if own => Ok("ANTHROPIC_API_KEY"),
        "openai" if own => Ok("OPENAI_API_KEY"),
        provider => bail!(
            "`{provider}` at `{}` needs an API key: name the environment variable that holds it with --api-key-env, or use --replay",
            model.url.as_deref().unwrap_or_default()
        ),
    }
}
