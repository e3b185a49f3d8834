//! The trace of one run, made from its [`Event`]s.
//!
//! Only what is in a closed set, a number, or the name of an object goes into a span. A tool that no skill of the run has is `unknown`, whatever the model called it; how the provider names
//! the model that answered is the only word from outside, and it is reduced to a name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use url::Url;

use super::{Sending, Traces, names};
use crate::{
    audit::Redactor,
    llm::{Stop, ToolStatus},
    run::{
        event::{Event, Observer, Outcome, Verdict},
        finding,
        report::Conclusion,
        tools::Why,
        validate::ValidatedRun,
    },
    telemetry::{Subject, label},
};

/// The trace of one run, or none. The span of the run ends when this is dropped.
#[derive(Debug)]
pub struct RunTrace(Option<Arc<Making>>);

/// A step of the run before or after the conversation. Its span ends when this is dropped.
#[must_use = "the span of a step lasts as long as this"]
pub struct Step(Option<Span>);

struct Making {
    tracer: SdkTracer,
    /// Holds the span of the run.
    root: Context,
    conversation: String,
    open: Mutex<Open>,
}

/// Spans that wait for their end.
#[derive(Default)]
struct Open {
    chat: Option<Span>,
    tools: BTreeMap<String, Span>,
}

impl Traces {
    /// A run begins. Nothing is made if its agent wants no traces.
    pub fn begin(&self, subject: &Subject) -> RunTrace {
        let Self(Some(Sending { provider: _, tracer })) = self else { return RunTrace(None) };
        if !subject.observability.tracing {
            return RunTrace(None);
        }
        let mut attributes = vec![
            KeyValue::new(names::OPERATION, "invoke_agent"),
            KeyValue::new(names::AGENT, subject.agent.clone()),
            KeyValue::new(names::CONVERSATION, subject.uid.clone()),
            KeyValue::new(names::NAMESPACE, subject.namespace.clone()),
            KeyValue::new(names::RUN, subject.run.clone()),
        ];
        attributes.extend(subject.agent_uid.clone().map(|uid| KeyValue::new(names::AGENT_ID, uid)));
        let builder = SpanBuilder::from_name("agent.run").with_kind(SpanKind::Internal).with_attributes(attributes);
        let root = Context::new().with_span(tracer.build_with_context(builder, &Context::new()));
        RunTrace(Some(Arc::new(Making { tracer: tracer.clone(), root, conversation: subject.uid.clone(), open: Mutex::default() })))
    }
}

impl RunTrace {
    /// The skills are loaded, and the sandbox is put in front of the broker.
    pub fn assemble(&self) -> Step {
        self.step("agent.assemble")
    }

    /// People are told, and the record is closed.
    pub fn report(&self) -> Step {
        self.step("agent.report")
    }

    fn step(&self, name: &'static str) -> Step {
        Step(self.0.as_ref().map(|making| making.start(SpanBuilder::from_name(name).with_kind(SpanKind::Internal))))
    }

    /// Makes the spans of the conversation.
    pub fn observer(&self, run: &ValidatedRun, redactor: &Arc<Redactor>) -> Observer {
        let Some(making) = self.0.clone() else { return Observer::silent() };
        let shape = Shape::of(run, Arc::clone(redactor));
        let span = making.root.span();
        span.set_attribute(KeyValue::new(names::PROVIDER, shape.provider.clone()));
        span.set_attribute(KeyValue::new(names::REQUEST_MODEL, shape.model.clone()));
        Observer::new(move |event| making.follow(&shape, event))
    }

    /// How the run ended.
    pub fn concluded(&self, conclusion: &Conclusion) {
        let Some(making) = &self.0 else { return };
        let span = making.root.span();
        span.set_attribute(KeyValue::new(names::PHASE, conclusion.phase.as_str()));
        // The reason of a condition is one word of a closed set.
        if let Some(failed) = conclusion.conditions.iter().find(|condition| condition.type_ == "Complete" && condition.status == "False") {
            making.fail(&failed.reason);
        }
    }

    /// The run ended before or without a conversation, for this reason: one word of a closed set.
    pub fn failed(&self, reason: &str) {
        if let Some(making) = &self.0 {
            making.fail(reason);
        }
    }
}

impl Drop for RunTrace {
    fn drop(&mut self) {
        if let Some(making) = &self.0 {
            making.close("dropped");
            making.root.span().end();
        }
    }
}

impl Step {
    /// The step did not work.
    pub fn failed(mut self) {
        if let Some(span) = &mut self.0 {
            fail(span, "error");
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}

/// What the spans of a run say about it.
struct Shape {
    provider: String,
    model: String,
    server: Option<(String, u16)>,
    tools: BTreeSet<String>,
    redactor: Arc<Redactor>,
}

impl Shape {
    /// A name that somebody else gave.
    fn foreign(&self, name: &str) -> String {
        label(&self.redactor.text(name))
    }

    fn of(run: &ValidatedRun, redactor: Arc<Redactor>) -> Self {
        let tools = run.skills.iter().flat_map(|skill| &skill.tools).map(|tool| tool.name.clone());
        let url = run.model.url.as_deref().or_else(|| crate::llm::endpoint::default_base(&run.model.provider));
        let url = url.and_then(|url| Url::parse(url).ok());
        Self {
            provider: label(&run.model.provider),
            model: label(&run.model.model),
            server: url.and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?))),
            tools: tools.chain([finding::NAME.to_owned()]).collect(),
            redactor,
        }
    }
}

impl Making {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, builder: SpanBuilder) -> Span {
        self.tracer.build_with_context(builder, &self.root)
    }

    fn fail(&self, reason: &str) {
        let span = self.root.span();
        span.set_attribute(KeyValue::new(names::ERROR, reason.to_owned()));
        span.set_status(Status::error(reason.to_owned()));
    }

    /// Ends what was not ended: the run was.
    fn close(&self, why: &'static str) {
        let Open { chat, tools } = std::mem::take(&mut *self.lock());
        for mut span in chat.into_iter().chain(tools.into_values()) {
            fail(&mut span, why);
        }
    }

    fn follow(&self, shape: &Shape, event: &Event) {
        match event {
            Event::TurnStarted { turn, of: _, max_tokens } => self.lock().chat = Some(self.start(self.chat(shape, *turn, *max_tokens))),
            Event::Replied { usage, used: _, budget: _, cost: _, model, stop } => {
                let Some(mut span) = self.lock().chat.take() else { return };
                let reasons = Value::Array(Array::String(vec![StringValue::from(reason(*stop))]));
                span.set_attributes([
                    KeyValue::new(names::INPUT, number(usage.input)),
                    KeyValue::new(names::OUTPUT, number(usage.output)),
                    KeyValue::new(names::CACHE_READ, number(usage.cached)),
                    KeyValue::new(names::CACHE_CREATION, number(usage.cache_written)),
                    KeyValue::new(names::FINISH_REASONS, reasons),
                ]);
                span.set_attributes(model.as_deref().map(|model| KeyValue::new(names::RESPONSE_MODEL, shape.foreign(model))));
            }
            Event::NotReplied { kind } => {
                if let Some(mut span) = self.lock().chat.take() {
                    fail(&mut span, kind);
                }
            }
            Event::ToolStarted { call, tool, arguments: _ } => {
                let span = self.start(self.tool(shape, call, tool));
                self.lock().tools.insert(call.clone(), span);
            }
            Event::Decided { call, what: _, tier, action: _, verdict, took: _ } => {
                let is_plain = tier.is_some_and(|tier| tier == infraagent_api::names::Tier::Read) && *verdict == Verdict::Allow;
                // A skill reads hundreds of times: that would be all that one sees.
                if let Some(span) = self.lock().tools.get_mut(call).filter(|_| !is_plain) {
                    let tier = tier.map_or("none", infraagent_api::names::Tier::as_str);
                    let attributes = vec![KeyValue::new(names::TIER, tier), KeyValue::new(names::VERDICT, verdict.as_str())];
                    span.add_event("infraagent.decision", attributes);
                }
            }
            Event::Effect { call, seq, what: _, outcome } => {
                if let Some(span) = self.lock().tools.get_mut(call) {
                    let outcome = match outcome {
                        Outcome::Changed => "changed",
                        Outcome::Unchanged => "unchanged",
                        Outcome::DryRun => "dry-run",
                        Outcome::Failed(_) => "failed",
                    };
                    let attributes = vec![KeyValue::new(names::ENTRY, i64::from(*seq)), KeyValue::new(names::OUTCOME, outcome)];
                    span.add_event("infraagent.effect", attributes);
                }
            }
            Event::ToolEnded { call, tool: _, status, summary: _, took: _, why } => {
                if let Some(mut span) = self.lock().tools.remove(call) {
                    match status {
                        ToolStatus::Ok => {}
                        ToolStatus::Blocked | ToolStatus::Error => fail(&mut span, why.map_or("error", Why::code)),
                    }
                }
            }
            Event::Ended(_) => self.close("interrupted"),
            Event::Started(_) | Event::Said { .. } | Event::Finding { .. } => {}
        }
    }

    fn chat(&self, shape: &Shape, turn: u32, max_tokens: u32) -> SpanBuilder {
        let mut attributes = vec![
            KeyValue::new(names::OPERATION, "chat"),
            KeyValue::new(names::PROVIDER, shape.provider.clone()),
            KeyValue::new(names::REQUEST_MODEL, shape.model.clone()),
            KeyValue::new(names::MAX_TOKENS, i64::from(max_tokens)),
            KeyValue::new(names::CONVERSATION, self.conversation.clone()),
            KeyValue::new(names::TURN, i64::from(turn)),
        ];
        if let Some((host, port)) = &shape.server {
            attributes.extend([KeyValue::new(names::SERVER, host.clone()), KeyValue::new(names::PORT, i64::from(*port))]);
        }
        SpanBuilder::from_name(format!("chat {}", shape.model)).with_kind(SpanKind::Client).with_attributes(attributes)
    }

    fn tool(&self, shape: &Shape, call: &str, tool: &str) -> SpanBuilder {
        let tool = shape.tools.get(tool).map_or("unknown", String::as_str);
        SpanBuilder::from_name(format!("execute_tool {tool}")).with_kind(SpanKind::Internal).with_attributes([
            KeyValue::new(names::OPERATION, "execute_tool"),
            KeyValue::new(names::TOOL, tool.to_owned()),
            KeyValue::new(names::TOOL_TYPE, "function"),
            KeyValue::new(names::TOOL_CALL, shape.foreign(call)),
            KeyValue::new(names::CONVERSATION, self.conversation.clone()),
        ])
    }
}

impl fmt::Debug for Making {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Making")
    }
}

fn fail(span: &mut Span, kind: &'static str) {
    span.set_attribute(KeyValue::new(names::ERROR, kind));
    span.set_status(Status::error(kind));
}

fn number(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

/// As the conventions name it.
const fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndTurn => "stop",
        Stop::ToolUse => "tool_call",
        Stop::MaxTokens => "length",
        Stop::Refusal => "content_filter",
        Stop::Other => "other",
    }
}
