//! The loop: ask the model, run its tools, tell it what came of them, until it answers without tools or something is used up.
//!
//! In this order: is anything left (tokens, turns, time) -> one question -> [`Progress::next`] decides what follows -> calls -> window.
//!
//! * Arguments are checked against the tool's schema before anything else happens with them; what does not fit is an error to the model.
//! * The calls of one reply keep their order: neighbours that only read run side by side, a call that may change something runs alone, after
//!   everything before it and before everything after it. That is the run's mutation lock.
//! * At the end of time reads are dropped; a call that may change something gets [`EFFECT_GRACE`] to finish what it began, while the broker
//!   already refuses to begin anything.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use infraagent_guard::policy::Tier;
use tokio::time::timeout_at;

use super::{
    budget::Limits,
    event::{Event, Observer},
    finding,
    history::History,
    prompt,
    schema::Schema,
    stop::Stop as Ended,
    tools::{Outcome, RecordLost, Rejection, Tools},
    validate::ValidatedRun,
};
use crate::llm::{self, Content, Message, Provider, Reply, Request, Stop, ToolCall, ToolResult, ToolStatus, Usage};

/// What the host says in the last turn, in which there are no tools.
pub const LAST_TURN: &str = "No more tool calls are possible: produce your final report now.";
/// How long a call that may change something may still run after the end of time.
pub const EFFECT_GRACE: Duration = Duration::from_secs(10);
/// How many reads run side by side.
const SIDE_BY_SIDE: usize = 8;

/// What follows a reply.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// The model waits for these.
    CallTools(Vec<ToolCall>),
    /// The model called these, but its reply may be incomplete: none of them is carried out.
    Reject(Vec<ToolCall>),
    /// The model has answered: this is its report.
    Finish(String),
    /// Something is used up.
    Abort(Abort),
}

/// Why a run ends without a report of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Abort {
    /// No tokens are left.
    #[error("token budget exhausted: {used}/{budget} used")]
    Tokens {
        /// Used.
        used: u64,
        /// Allowed.
        budget: u64,
    },
    /// No turns are left.
    #[error("max iterations exhausted ({0})")]
    Iterations(u32),
    /// No time is left.
    #[error("wall-clock timeout exceeded")]
    WallClock,
    /// The model said nothing and called nothing.
    #[error("the model answered with an empty reply")]
    EmptyReply,
    /// The model declined to answer.
    #[error("the model declined to answer")]
    Declined,
    /// The model cannot be asked.
    #[error("the model could not be asked: {0}")]
    Provider(String),
    /// Nothing can be recorded any more.
    #[error("{0}")]
    RecordLost(String),
    /// Somebody wanted it to end.
    #[error("{0}")]
    Stopped(Ended),
}

impl Abort {
    /// A stable word for conditions and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Tokens { .. } => "TokenBudgetExhausted",
            Self::Iterations(_) => "MaxIterationsExhausted",
            Self::WallClock => "Timeout",
            Self::EmptyReply => "EmptyReply",
            Self::Declined => "ModelDeclined",
            Self::Provider(_) => "ProviderFailed",
            Self::RecordLost(_) => "RecordLost",
            Self::Stopped(ended) => ended.reason(),
        }
    }
}

impl From<RecordLost> for Abort {
    fn from(lost: RecordLost) -> Self {
        Self::RecordLost(lost.to_string())
    }
}

impl From<llm::Error> for Abort {
    fn from(error: llm::Error) -> Self {
        Self::Provider(error.to_string())
    }
}

/// How a conversation went.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The report, or why there is none.
    pub end: Result<String, Abort>,
    /// The model's last words, if it ended without a report.
    pub last_words: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// Questions that were answered.
    pub turns: u32,
    /// From the first question to the end.
    pub took: Duration,
}

/// How far a conversation is: pure, time is an argument.
#[derive(Debug)]
pub struct Progress<'a> {
    limits: &'a Limits,
    turn: u32,
    usage: Usage,
}

/// The next question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// From 1.
    pub turn: u32,
    /// Without tools: the model must report.
    pub last: bool,
    /// The longest reply.
    pub max_tokens: u32,
}

impl<'a> Progress<'a> {
    /// At the beginning.
    pub fn new(limits: &'a Limits) -> Self {
        Self { limits, turn: 0, usage: Usage::default() }
    }

    /// The next question, if anything is left. `entries`: what the record still takes; without any there is nothing to call tools for.
    pub fn ask(&mut self, elapsed: Duration, entries: u32) -> Result<Question, Abort> {
        if elapsed >= self.limits.wall {
            return Err(Abort::WallClock);
        }
        if self.turn >= self.limits.turns {
            return Err(Abort::Iterations(self.limits.turns));
        }
        let used = self.usage.total();
        let left = self.limits.tokens.saturating_sub(used);
        if left == 0 {
            return Err(Abort::Tokens { used, budget: self.limits.tokens });
        }
        self.turn += 1;
        let max_tokens = self.limits.reply_tokens.min(u32::try_from(left).unwrap_or(u32::MAX));
        Ok(Question { turn: self.turn, last: self.turn == self.limits.turns || entries == 0, max_tokens })
    }

    /// What follows the reply to a question.
    pub fn next(&mut self, question: Question, reply: &Reply) -> Next {
        self.usage.add(reply.usage);
        if reply.stop == Stop::Refusal {
            return Next::Abort(Abort::Declined);
        }
        if reply.calls.is_empty() {
            let text = reply.text.trim();
            if text.is_empty() {
                return Next::Abort(Abort::EmptyReply);
            }
            return Next::Finish(match reply.stop {
                Stop::MaxTokens => format!("{text}\n\n(The report was cut off at {} tokens.)", question.max_tokens),
                Stop::EndTurn | Stop::ToolUse | Stop::Refusal | Stop::Other => text.to_owned(),
            });
        }
        if question.last {
            return Next::Abort(Abort::Iterations(question.turn));
        }
        let used = self.usage.total();
        if used >= self.limits.tokens {
            return Next::Abort(Abort::Tokens { used, budget: self.limits.tokens });
        }
        match reply.stop {
            Stop::EndTurn | Stop::ToolUse => Next::CallTools(reply.calls.clone()),
            Stop::MaxTokens | Stop::Refusal | Stop::Other => Next::Reject(reply.calls.clone()),
        }
    }
}

/// Holds the conversation of a run to its end, or until `stop` says why not: then nothing new begins, and a change on its way is seen to its end by the tools.
pub async fn converse<T: Tools>(
    run: &ValidatedRun,
    provider: &Provider,
    tools: &T,
    observer: &Observer,
    stop: impl Future<Output = Ended>,
) -> Transcript {
    let started = Instant::now();
    let mut talk = Talk {
        run,
        provider,
        tools,
        observer,
        until: started + run.limits.wall,
        started,
        progress: Progress::new(&run.limits),
        last_words: None,
        finding_schema: finding::schema(),
    };
    let mut end = tokio::select! {
        biased;
        why = stop => Err(Abort::Stopped(why)),
        end = talk.hold() => end,
    };
    // A recording that was not used up is an error of its own, but not a better reason than one that is there already.
    if let (Ok(_), Err(error)) = (&end, provider.finish()) {
        end = Err(error.into());
    }
    let Progress { limits: _, turn, usage } = talk.progress;
    let last_words = talk.last_words.filter(|_| end.is_err()).and_then(|message| words(&message));
    Transcript { last_words, end, usage, turns: turn, took: started.elapsed() }
}

/// What the model says in a message, its calls apart.
fn words(message: &Message) -> Option<String> {
    message.content.iter().find_map(|piece| match piece {
        Content::Text { text, trust: _ } => Some(text.trim().to_owned()),
        Content::ToolUse(_) | Content::ToolResult(_) => None,
    })
}

struct Talk<'a, T> {
    run: &'a ValidatedRun,
    provider: &'a Provider,
    tools: &'a T,
    observer: &'a Observer,
    started: Instant,
    until: Instant,
    progress: Progress<'a>,
    /// The last message of the model that has words.
    last_words: Option<Arc<Message>>,
    finding_schema: Option<&'static Schema>,
}

impl<T: Tools> Talk<'_, T> {
    async fn hold(&mut self) -> Result<String, Abort> {
        let mut history = History::new(prompt::task(self.run));
        let mut request = Request {
            model: self.run.model.id(),
            system: prompt::system(self.run),
            messages: Vec::new(),
            tools: prompt::tools(self.run),
            may_call: true,
            stable: 0,
            max_tokens: 0,
        };
        loop {
            let question = self.progress.ask(self.started.elapsed(), self.tools.entries_left())?;
            self.observer.tell(&Event::TurnStarted { turn: question.turn, of: self.run.limits.turns, max_tokens: question.max_tokens });
            request.messages = history.messages(question.last.then_some(LAST_TURN));
            (request.may_call, request.stable, request.max_tokens) = (!question.last, history.stable(), question.max_tokens);
            // What is done at other times takes no room while the model is waited for.
            let reply = Box::pin(self.ask(&request)).await?;
            let next = self.progress.next(question, &reply);
            let message = Arc::new(Message::assistant(&reply));
            self.tell_reply(&reply, &message, matches!(next, Next::Finish(_)));
            let results = match next {
                Next::CallTools(calls) => Box::pin(self.call_all(&calls)).await,
                Next::Reject(calls) => Ok(Box::pin(self.reject_all(&calls)).await),
                Next::Finish(report) => return Ok(report),
                Next::Abort(abort) => return Err(abort),
            };
            self.tools.turn_ended().await?;
            history.push(&reply, message, results?);
        }
    }

    /// One reply. That there is none is told as well.
    async fn ask(&self, request: &Request) -> Result<Reply, Abort> {
        let asked = timeout_at(self.until.into(), self.provider.complete(request, self.until)).await;
        let (kind, abort) = match asked {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => (error.kind(), error.into()),
            Err(_) => ("run-timeout", Abort::WallClock),
        };
        self.observer.tell(&Event::NotReplied { kind });
        Err(abort)
    }

    fn tell_reply(&mut self, reply: &Reply, message: &Arc<Message>, is_report: bool) {
        let total = self.progress.usage;
        self.observer.tell(&Event::Replied {
            usage: reply.usage,
            used: total.total(),
            budget: self.run.limits.tokens,
            cost: self.run.model.prices.map(|prices| prices.cost(total)),
            model: reply.model.clone(),
            stop: reply.stop,
        });
        if !reply.text.trim().is_empty() {
            self.last_words = Some(Arc::clone(message));
            if !is_report {
                self.observer.tell(&Event::Said { text: reply.text.trim().to_owned() });
            }
        }
    }

    async fn call_all(&self, calls: &[ToolCall]) -> Result<Vec<ToolResult>, Abort> {
        let mut results = Vec::with_capacity(calls.len());
        for group in calls.chunk_by(|a, b| self.only_reads(a) && self.only_reads(b)) {
            let reads = group.iter().all(|call| self.only_reads(call));
            let until = if reads { self.until } else { self.until + EFFECT_GRACE };
            let calls: Vec<_> = group.iter().map(|call| self.call_one(call)).collect();
            let together = stream::iter(calls).buffered(SIDE_BY_SIDE).collect::<Vec<_>>();
            results.extend(timeout_at(until.into(), together).await.map_err(|_| Abort::WallClock)?);
            if Instant::now() >= self.until {
                return Err(Abort::WallClock);
            }
        }
        Ok(results)
    }

    async fn reject_all(&self, calls: &[ToolCall]) -> Vec<ToolResult> {
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            results.push(self.tell_call(call, self.reject(call, &Rejection::CutOff)).await);
        }
        results
    }

    /// What is unknown runs nothing, so it only reads.
    fn only_reads(&self, call: &ToolCall) -> bool {
        self.run.tool(&call.name).is_none_or(|(_, tool)| tool.tier == Tier::Read)
    }

    async fn call_one(&self, call: &ToolCall) -> ToolResult {
        let answer = async { if call.name == finding::NAME { self.find(call).await } else { self.run_tool(call).await } };
        self.tell_call(call, answer).await
    }

    async fn tell_call(&self, call: &ToolCall, answer: impl Future<Output = Outcome>) -> ToolResult {
        let began = Instant::now();
        let ToolCall { id, name, arguments } = call;
        self.observer.tell(&Event::ToolStarted { call: id.clone(), tool: name.clone(), arguments: arguments.to_value() });
        let Outcome { status, text, trust, summary, why } = answer.await;
        self.observer.tell(&Event::ToolEnded { call: id.clone(), tool: name.clone(), status, summary, took: began.elapsed(), why });
        ToolResult { call: id.clone(), status, text, trust }
    }

    async fn run_tool(&self, call: &ToolCall) -> Outcome {
        if self.tools.entries_left() == 0 {
            return Outcome::host(
                ToolStatus::Blocked,
                format!("budget-exhausted: a run may make {} tool calls and changes", self.run.limits.entries),
            );
        }
        let fit = match self.run.tool(&call.name) {
            Some((_, tool)) => call.arguments.json().map_err(Rejection::from).and_then(|value| Ok(tool.schema.check(value)?)),
            None => {
                let known = self.run.skills.iter().flat_map(|skill| &skill.tools).map(|tool| tool.name.clone()).collect();
                Err(Rejection::UnknownTool { name: call.name.clone(), known })
            }
        };
        match fit {
            Ok(()) => self.tools.call(call, self.until).await,
            Err(why) => self.reject(call, &why).await,
        }
    }

    async fn reject(&self, call: &ToolCall, why: &Rejection) -> Outcome {
        self.tools.rejected(call, why).await;
        let status = match why {
            Rejection::UnknownTool { .. } => ToolStatus::Blocked,
            Rejection::Arguments(_) | Rejection::Unreadable(_) | Rejection::CutOff => ToolStatus::Error,
        };
        Outcome::host(status, why.to_string()).because(why.code())
    }

    /// Findings have a place of their own in the record and take no entry.
    async fn find(&self, call: &ToolCall) -> Outcome {
        let parsed = call.arguments.json().map_err(|error| error.to_string()).and_then(|value| {
            let checked = self.finding_schema.map_or(Ok(()), |schema| schema.check(value));
            checked.map_err(|error| error.to_string())?;
            finding::parse(value).map_err(|error| error.to_string())
        });
        match parsed {
            Ok(finding) => self.tools.finding(call, finding).await,
            Err(reason) => Outcome::error(reason),
        }
    }
}

#[cfg(test)]
mod tests;
