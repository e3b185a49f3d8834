//! What a run tells while it goes on: for the live timeline, never for a decision. The record is written elsewhere; losing every event loses nothing.

use std::{fmt, sync::Arc, time::Duration};

use infraagent_api::{
    names::{Severity, Tier},
    run::RunPhase,
};
use serde_json::Value;

use crate::{
    audit::Redactor,
    llm::{Stop, ToolStatus, Usage},
    run::tools::Why,
};

/// Something happened. Texts are not yet escaped for a terminal; [`Event::redacted`] takes secrets out of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run begins.
    Started(Started),
    /// A question goes to the model.
    TurnStarted {
        /// From 1.
        turn: u32,
        /// The limit.
        of: u32,
        /// The longest reply, in tokens.
        max_tokens: u32,
    },
    /// The question stayed without a reply.
    NotReplied {
        /// A stable word, see [`llm::Error::kind`](crate::llm::Error::kind).
        kind: &'static str,
    },
    /// The model said something between its tool calls.
    Said {
        /// Its words.
        text: String,
    },
    /// The model answered.
    Replied {
        /// Of this reply.
        usage: Usage,
        /// Tokens of the run so far.
        used: u64,
        /// Tokens that the run may use.
        budget: u64,
        /// Estimated cost of the run so far, if prices are known.
        cost: Option<String>,
        /// The model that answered, as the provider names it; it may be a more exact name than the one that was asked.
        model: Option<String>,
        /// Why the reply ended.
        stop: Stop,
    },
    /// A tool call begins.
    ToolStarted {
        /// The provider's id of the call: what belongs to one call is told apart by it.
        call: String,
        /// The tool.
        tool: String,
        /// Its arguments.
        arguments: Value,
    },
    /// A call of a skill was decided.
    Decided {
        /// The tool call that it belongs to.
        call: String,
        /// The call in canonical text, such as `kubectl.get deployments.apps -n shop`.
        what: String,
        /// Its tier, if it is known.
        tier: Option<Tier>,
        /// The action that it claims.
        action: Option<String>,
        /// How it was decided.
        verdict: Verdict,
        /// From the call to its decision, facts included.
        took: Duration,
    },
    /// A change was tried.
    Effect {
        /// The tool call that it belongs to.
        call: String,
        /// Number of its entry in the record.
        seq: u32,
        /// The call in canonical text.
        what: String,
        /// What came of it.
        outcome: Outcome,
    },
    /// A tool call ended.
    ToolEnded {
        /// The provider's id of the call.
        call: String,
        /// The tool.
        tool: String,
        /// How it ended.
        status: ToolStatus,
        /// One line about the result, or the reason.
        summary: String,
        /// How long it took.
        took: Duration,
        /// Why it did not end well.
        why: Option<Why>,
    },
    /// Something was noticed.
    Finding {
        /// How serious.
        severity: Severity,
        /// What it is about.
        resource: Option<String>,
        /// What was noticed.
        message: String,
    },
    /// The run has ended.
    Ended(Ended),
}

impl Event {
    /// The same without secrets: for whoever shows it.
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let clean = |text: &mut String| *text = redactor.text(text).into_owned();
        let mut event = self.clone();
        match &mut event {
            Self::Started(_) | Self::TurnStarted { .. } | Self::NotReplied { kind: _ } | Self::Replied { .. } => {}
            Self::Said { text } => clean(text),
            Self::ToolStarted { call: _, tool, arguments } => {
                clean(tool);
                redactor.json(arguments);
            }
            Self::Decided { call: _, what, tier: _, action: _, verdict, took: _ } => {
                clean(what);
                if let Verdict::Deny { code: _, reason } = verdict {
                    clean(reason);
                }
            }
            Self::Effect { call: _, seq: _, what, outcome } => {
                clean(what);
                if let Outcome::Failed(why) = outcome {
                    clean(why);
                }
            }
            Self::ToolEnded { call: _, tool, status: _, summary, took: _, why: _ } => {
                clean(tool);
                clean(summary);
            }
            Self::Finding { severity: _, resource, message } => {
                resource.as_mut().map(clean);
                clean(message);
            }
            Self::Ended(ended) => {
                ended.report.as_mut().map(clean);
                ended.reason.as_mut().map(clean);
            }
        }
        event
    }
}

/// The run begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// Name of the AgentRun.
    pub run: String,
    /// `namespace/name` of the agent.
    pub agent: String,
    /// Its icon.
    pub emoji: Option<String>,
    /// The environment.
    pub environment: String,
    /// `provider/model`.
    pub model: String,
    /// The autonomy that holds, and the one that the agent asks for.
    pub autonomy: (String, String),
    /// `name version`, and how many tools.
    pub skills: Vec<(String, usize)>,
    /// What should be looked at, although the run goes on.
    pub warnings: Vec<String>,
}

/// How a call was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may happen.
    Allow,
    /// It was written down for a person.
    Propose,
    /// It was refused.
    Deny {
        /// A stable word.
        code: String,
        /// One sentence.
        reason: String,
    },
}

impl Verdict {
    /// One word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Propose => "propose",
            Self::Deny { code: _, reason: _ } => "deny",
        }
    }
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Changed,
    /// It was so already.
    Unchanged,
    /// It was only tried on the server.
    DryRun,
    /// It did not work.
    Failed(String),
}

/// The run has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How.
    pub phase: RunPhase,
    /// Why, if it did not simply succeed.
    pub reason: Option<String>,
    /// What the agent reports.
    pub report: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// Turns.
    pub turns: u32,
    /// Estimated cost.
    pub cost: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Changes that were made.
    pub changed: u32,
    /// Calls that were refused.
    pub blocked: u32,
    /// Calls that were written down for a person.
    pub proposed: u32,
}

type Listen = dyn Fn(&Event) + Send + Sync;

/// Who listens.
#[derive(Clone)]
pub struct Observer(Option<Arc<Listen>>);

impl Observer {
    /// Calls a function for each event, in order; it must not block for long.
    pub fn new(listen: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listen)))
    }

    /// Nobody.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Both, this one first.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(first), Some(second)) => Self::new(move |event| {
                first(event);
                second(event);
            }),
            (Some(one), None) | (None, Some(one)) => Self(Some(one)),
            (None, None) => Self(None),
        }
    }

    /// False for nobody: an event need not be made.
    pub fn is_listening(&self) -> bool {
        self.0.is_some()
    }

    /// Tells.
    pub fn tell(&self, event: &Event) {
        if let Some(listen) = &self.0 {
            listen(event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
