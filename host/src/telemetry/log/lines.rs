//! Turns events into lines: which ones, without what, and in which form.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::{
    layer::{self, Layer},
    registry::{LookupSpan, SpanRef},
};

use super::{Context, Format, Levels, SKILL, context::TARGET};
use crate::audit::{Redactor, escape_terminal};

/// The field that holds the constant text of an event.
const MESSAGE: &str = "message";

/// Takes a whole line, its end included.
pub(super) type Write = dyn Fn(&str) + Send + Sync;

/// Writes a line for each event that is severe enough.
pub(super) struct Lines {
    levels: Levels,
    format: Format,
    colours: bool,
    patterns: Redactor,
    write: Arc<Write>,
}

impl Lines {
    pub(super) fn new(levels: Levels, format: Format, colours: bool, write: Arc<Write>) -> Self {
        Self { levels, format, colours, patterns: Redactor::default(), write }
    }

    /// The process logs such lines, whoever they are about.
    fn logs(&self, target: &str, level: Level) -> bool {
        let Levels(targets) = &self.levels;
        targets.would_enable(target, &level)
    }

    /// The process logs such lines of an agent that asks for them.
    fn logs_on_demand(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::DEBUG && is_ours(metadata.target()) && self.logs(metadata.target(), Level::INFO)
    }
}

fn is_ours(target: &str) -> bool {
    target == SKILL || target == "infraagent" || target.starts_with("infraagent::")
}

fn context<'a, S: LookupSpan<'a>>(span: Option<SpanRef<'a, S>>) -> Option<Arc<Context>> {
    span?.scope().find_map(|span| span.extensions().get::<Arc<Context>>().cloned())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() {
            return if metadata.target() == TARGET { Interest::always() } else { Interest::never() };
        }
        // Whether a run's line is written depends on the run.
        if self.logs(metadata.target(), *metadata.level()) || self.logs_on_demand(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: layer::Context<'_, S>) -> bool {
        if metadata.is_span() {
            return metadata.target() == TARGET;
        }
        let logs = self.logs(metadata.target(), *metadata.level());
        match context(ctx.lookup_current()) {
            Some(run) => *metadata.level() <= run.severity && (logs || self.logs_on_demand(metadata)),
            None => logs,
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let Levels(targets) = &self.levels;
        let most = <_ as Layer<S>>::max_level_hint(targets)?;
        Some(if most >= LevelFilter::INFO { most.max(LevelFilter::DEBUG) } else { most.max(LevelFilter::ERROR) })
    }

    fn on_event(&self, event: &Event<'_>, ctx: layer::Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let run = context(ctx.lookup_current());
        let mut fields = Value::Object(fields.0);
        self.patterns.json(&mut fields);
        if let Some(redactor) = run.as_ref().and_then(|run| run.redactor()) {
            redactor.json(&mut fields);
        }
        let Value::Object(fields) = fields else { return };
        let line = Line { time: Timestamp::now(), metadata: event.metadata(), run: run.as_deref(), fields };
        (self.write)(&match self.format {
            Format::Text => line.text(self.colours),
            Format::Json => line.json(),
        });
    }
}

/// The values of an event. The constant text is the field `message`.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        // The constant comes first. A field of the same name is a value like any other.
        let name = if field.name() == MESSAGE && self.0.contains_key(MESSAGE) { "text" } else { field.name() };
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

/// A line before it has a form. Its fields are redacted.
struct Line<'a> {
    time: Timestamp,
    metadata: &'a Metadata<'a>,
    run: Option<&'a Context>,
    fields: Map<String, Value>,
}

const DIM: Style = Style::new().dimmed();

impl Line<'_> {
    /// What the run says about itself.
    fn whose(&self) -> [Option<(&'static str, &str)>; 3] {
        let Some(Context { run, agent, namespace, severity: _, .. }) = self.run else { return [None; 3] };
        [Some(("run", run)), Some(("agent", agent)), Some(("namespace", namespace))]
    }

    /// A field of the event that the run does not say itself.
    fn rest(&self) -> impl Iterator<Item = (&String, &Value)> {
        let whose = self.whose();
        self.fields.iter().filter(move |(name, _)| name.as_str() != MESSAGE && !whose.iter().flatten().any(|(taken, _)| taken == name))
    }

    /// `<time>  INFO <target>: <message> name=value ... run=... agent=... namespace=...`
    fn text(&self, colours: bool) -> String {
        let level = *self.metadata.level();
        let (dim, loud) = if colours { (DIM, colour(level)) } else { (Style::new(), Style::new()) };
        let message = self.fields.get(MESSAGE).map_or_else(String::new, plain);
        let message = escape_terminal(&message);
        let mut line = format!("{dim}{:.6}{dim:#} {loud}{level:>5}{loud:#} {dim}{}:{dim:#} {message}", self.time, self.metadata.target());
        let mut add = |name: &str, value: &str| {
            let _ = write!(line, " {dim}{name}={dim:#}{}", quoted(value));
        };
        for (name, value) in self.rest() {
            add(name, &plain(value));
        }
        for (name, value) in self.whose().into_iter().flatten() {
            add(name, value);
        }
        line.push('\n');
        line
    }

    fn json(&self) -> String {
        let mut line = format!("{{\"time\":\"{:.6}\",\"level\":\"{}\",\"target\":", self.time, self.metadata.level());
        line.push_str(&Value::from(self.metadata.target()).to_string());
        let mut add = |name: &str, value: &Value| {
            let _ = write!(line, ",{}:{value}", Value::from(name));
        };
        if let Some(message) = self.fields.get(MESSAGE) {
            add(MESSAGE, message);
        }
        for (name, value) in self.whose().into_iter().flatten() {
            add(name, &Value::from(value));
        }
        for (name, value) in self.rest() {
            // The beginning of the line is the host's.
            add(if matches!(name.as_str(), "time" | "level" | "target") { "field" } else { name }, value);
        }
        line.push_str("}\n");
        line
    }
}

const fn colour(level: Level) -> Style {
    match level {
        Level::ERROR => AnsiColor::Red.on_default(),
        Level::WARN => AnsiColor::Yellow.on_default(),
        Level::INFO => AnsiColor::Green.on_default(),
        Level::DEBUG => AnsiColor::Blue.on_default(),
        Level::TRACE => AnsiColor::Magenta.on_default(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// As it is, if it is one word; else in quotes.
fn quoted(text: &str) -> String {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'));
    if is_word { text.to_owned() } else { format!("\"{}\"", escape_terminal(&text.replace('\\', "\\\\").replace('"', "\\\""))) }
}
