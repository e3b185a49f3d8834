//! Who answers.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{
    Content, Endpoint, Replay, Reply, Request,
    anthropic::Anthropic,
    openai::{Dialect, OpenAi},
    replay::{self, Recorder},
    retry::Pace,
    transport,
};

/// Why a model did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording does not fit, or cannot be written.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// There is no answer.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The answer makes no sense.
    #[error(transparent)]
    BadReply(#[from] BadReply),
    /// Nobody was asked.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl Error {
    /// A stable word: for metrics and traces.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Replay(_) => "replay",
            Self::Transport(error) => error.kind(),
            Self::BadReply(_) => "bad-reply",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// A provider answered with something that is no reply.
#[derive(Debug, thiserror::Error)]
#[error("the reply of `{origin}` cannot be read: {message}")]
pub struct BadReply {
    /// Who answered.
    pub origin: String,
    /// Why it is no reply.
    pub message: String,
}

/// Who answers.
#[derive(Debug)]
pub enum Provider {
    /// A recorded conversation. It exists on the command line only.
    Replay(Replay),
    /// Anthropic's Messages API.
    Anthropic(Anthropic),
    /// OpenAI's Chat Completions API, or a compatible one.
    OpenAi(OpenAi),
    /// Nobody, for this reason: no request is made.
    Unavailable(String),
    /// Another provider, whose replies are written down.
    Recorded(Box<Provider>, Recorder),
}

impl Provider {
    /// A model over HTTP. `provider` is `anthropic`, `openai`, or the name of a compatible one.
    pub fn connect(provider: &str, model: &str, endpoint: &Endpoint) -> Result<Self, Error> {
        Ok(match provider {
            "anthropic" => Self::Anthropic(Anthropic::new(endpoint, model)?),
            "openai" => Self::OpenAi(OpenAi::new(endpoint, model, Dialect::OpenAi)?),
            _ => Self::OpenAi(OpenAi::new(endpoint, model, Dialect::Compatible)?),
        })
    }

    /// The same, with another patience. A recorded conversation needs none.
    #[must_use]
    pub fn with_patience(self, pace: Pace, timeout: Duration) -> Self {
        match self {
            Self::Replay(replay) => Self::Replay(replay),
            Self::Anthropic(anthropic) => Self::Anthropic(anthropic.with_transport(|transport| transport.with_patience(pace, timeout))),
            Self::OpenAi(openai) => Self::OpenAi(openai.with_transport(|transport| transport.with_patience(pace, timeout))),
            Self::Unavailable(why) => Self::Unavailable(why),
            Self::Recorded(provider, recorder) => Self::Recorded(Box::new(provider.with_patience(pace, timeout)), recorder),
        }
    }

    /// The same, and whatever it answers is written down.
    pub fn recorded(self, recorder: Recorder) -> Self {
        Self::Recorded(Box::new(self), recorder)
    }

    /// Asks for one reply. Nothing is asked again if the next try would be after `until`. Dropping the future cancels the question.
    pub async fn complete(&self, request: &Request, until: Instant) -> Result<Reply, Error> {
        match self {
            Self::Replay(replay) => Ok(replay.complete(request)?),
            Self::Anthropic(anthropic) => anthropic.complete(request, until).await,
            Self::OpenAi(openai) => openai.complete(request, until).await,
            Self::Unavailable(why) => Err(Error::Unavailable(why.clone())),
            Self::Recorded(provider, recorder) => {
                let reply = Box::pin(provider.complete(request, until)).await?;
                recorder.add(request, &reply)?;
                Ok(reply)
            }
        }
    }

    /// Called once after the last question: a recording must be used up.
    pub fn finish(&self) -> Result<(), Error> {
        match self {
            Self::Replay(replay) => Ok(replay.finish()?),
            Self::Anthropic(_) | Self::OpenAi(_) | Self::Unavailable(_) => Ok(()),
            Self::Recorded(provider, _) => provider.finish(),
        }
    }
}

/// Gives calls the ids that they lack: some servers send none, the same one twice, or one that another server would not take back.
#[derive(Debug, Default)]
pub(super) struct CallIds(AtomicU64);

impl CallIds {
    /// After this every id of the reply is well formed and new in the conversation.
    pub(super) fn make_unique(&self, request: &Request, reply: &mut Reply) {
        let pieces = request.messages.iter().flat_map(|message| &message.content);
        let mut taken: BTreeSet<String> = pieces
            .filter_map(|piece| match piece {
                Content::ToolUse(call) => Some(call.id.clone()),
                Content::Text { .. } | Content::ToolResult(_) => None,
            })
            .collect();
        for call in &mut reply.calls {
            while !is_id(&call.id) || taken.contains(&call.id) {
                call.id = format!("call_{}", self.0.fetch_add(1, Ordering::Relaxed) + 1);
            }
            taken.insert(call.id.clone());
        }
    }
}

fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
