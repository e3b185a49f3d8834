//! The live timeline of a run, for a person at a terminal.
//!
//! ```text
//!   0.01s  ▸ restart_deployment  name=web namespace=shop
//!   0.02s      ✓ kubectl.rollout restart deployment/web -n shop        service-mutation
//!   0.02s      ⚡ #4 kubectl.rollout restart deployment/web -n shop      changed
//!   0.02s  ◂ ok in 11 ms  restarted
//! ```
//!
//! Everything that comes from elsewhere is escaped here and nowhere else, so a log line cannot move the cursor or look like a decision.
//! Where colours cannot be shown, the stream drops them: nothing is said by colour alone.

use std::{
    fmt::Write as _,
    io::Write,
    sync::Mutex,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use infraagent_api::{names::Severity, run::RunPhase};
use serde_json::Value;

use crate::{
    audit::{escape_terminal, escape_terminal_lines},
    llm::ToolStatus,
    run::event::{Ended, Event, Observer, Outcome, Started, Verdict},
};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const ODD: Style = AnsiColor::Yellow.on_default();
const NOTE: Style = AnsiColor::Cyan.on_default();

/// Where the text of a decision ends and its meaning begins.
const COLUMN: usize = 58;
/// How wide the time is.
const STAMP: usize = 8;
/// The longest line of text from elsewhere.
const WIDTH: usize = 110;
const RULE: &str = "────────────────────────────────────────────────────────────────────────────────";

/// Renders events. It remembers which tool calls are open, since the events of parallel calls interleave.
#[derive(Debug, Default)]
pub struct Timeline {
    open: Vec<(String, String)>,
    side_by_side: bool,
}

/// An observer that writes the timeline to a stream; `ColorChoice` and terminal detection are the stream's.
pub fn observer(out: impl Write + Send + 'static) -> Observer {
    let state = Mutex::new((Timeline::default(), out));
    let began = Instant::now();
    Observer::new(move |event| {
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (timeline, out) = &mut *state;
        let text = timeline.render(event, began.elapsed());
        // A closed pipe ends the view, not the run.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    })
}

fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// One line from elsewhere.
fn shown(text: &str) -> String {
    cut(&escape_terminal(text), WIDTH)
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Lines of at most `WIDTH` characters, broken between words. A longer word stays whole.
fn wrapped(line: &str) -> Vec<String> {
    if line.chars().count() <= WIDTH {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) if last.chars().count() + 1 + word.chars().count() <= WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Words from elsewhere, which may have any form: each line has a mark of its own, so none can pass for a line of the timeline.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    let lines: Vec<String> = escape_terminal_lines(text).lines().flat_map(wrapped).collect();
    lines.into_iter().map(|line| format!("{} {line}", paint(NOTE, "│")).trim_end().to_owned())
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `11 ms`, `2.4 s`.
fn lasted(took: Duration) -> String {
    if took < Duration::from_secs(1) { format!("{} ms", took.as_millis()) } else { format!("{:.1} s", took.as_secs_f64()) }
}

impl Timeline {
    /// The lines of an event, `at` so long after the beginning.
    pub fn render(&mut self, event: &Event, at: Duration) -> String {
        let time = paint(DIM, format!("{:>7.2}s", at.as_secs_f64()));
        let mut out = String::new();
        match event {
            Event::Started(started) => start(&mut out, started),
            Event::TurnStarted { turn, of, max_tokens: _ } => {
                let _ = writeln!(out, "\n{time}  {}", paint(BOLD, format!("● turn {turn} of {of}")));
            }
            Event::Replied { usage, used, budget, cost, model: _, stop: _ } => {
                let cached = if usage.cached > 0 { format!(" ({} cached)", grouped(usage.cached)) } else { String::new() };
                let cost = cost.as_ref().map(|cost| format!(" · {cost}")).unwrap_or_default();
                let text = format!(
                    "Σ {} in{cached}, {} out · {} of {} tokens{cost}",
                    grouped(usage.input),
                    grouped(usage.output),
                    grouped(*used),
                    grouped(*budget)
                );
                let _ = writeln!(out, "{time}  {}", paint(DIM, text));
            }
            // The end of the run says it better.
            Event::NotReplied { kind: _ } => {}
            Event::Said { text } => {
                let mut time = time.clone();
                for line in quoted(text) {
                    let _ = writeln!(out, "{time}  {line}");
                    time = " ".repeat(STAMP);
                }
            }
            Event::ToolStarted { call, tool, arguments } => {
                self.open.push((call.clone(), tool.clone()));
                self.side_by_side = self.open.len() > 1;
                let _ = writeln!(out, "{time}  {} {}  {}", paint(NOTE, "▸"), paint(BOLD, shown(tool)), paint(DIM, brief(arguments)));
            }
            Event::Decided { call, what, tier, action, verdict, took: _ } => {
                let (mark, style) = match verdict {
                    Verdict::Allow => ("✓", GOOD),
                    Verdict::Propose => ("?", ODD),
                    Verdict::Deny { .. } => ("✗", BAD),
                };
                let what = shown(what);
                let pad = " ".repeat(COLUMN.saturating_sub(what.chars().count()));
                let tier = tier.map(|tier| tier.to_string()).unwrap_or_default();
                let action = action.as_ref().map(|action| format!(" by {}", shown(action))).unwrap_or_default();
                let _ = match verdict {
                    Verdict::Allow => writeln!(
                        out,
                        "{time}    {}  {} {what}{pad} {}",
                        self.of(call),
                        paint(style, mark),
                        paint(DIM, format!("{tier}{action}"))
                    ),
                    Verdict::Propose => {
                        writeln!(
                            out,
                            "{time}    {}  {} {what}{pad} {} {}",
                            self.of(call),
                            paint(style, mark),
                            paint(style, "proposed"),
                            paint(DIM, format!("{tier}{action}"))
                        )
                    }
                    Verdict::Deny { code, reason } => writeln!(
                        out,
                        "{time}    {}  {} {what}{pad} {}\n{:>8}    {}    {}",
                        self.of(call),
                        paint(style, mark),
                        paint(style, format!("refused: {}", shown(code))),
                        "",
                        self.of(call),
                        paint(DIM, shown(reason))
                    ),
                };
            }
            Event::Effect { call, seq, what, outcome } => {
                let (mark, style, text) = match outcome {
                    Outcome::Changed => ("⚡", GOOD, "changed".to_owned()),
                    Outcome::Unchanged => ("=", DIM, "was so already".to_owned()),
                    Outcome::DryRun => ("~", ODD, "dry run".to_owned()),
                    Outcome::Failed(why) => ("✗", BAD, format!("failed: {}", shown(why))),
                };
                let what = format!("#{seq} {}", shown(what));
                let pad = " ".repeat(COLUMN.saturating_sub(what.chars().count()));
                let _ = writeln!(out, "{time}    {}  {} {what}{pad} {}", self.of(call), paint(style, mark), paint(style, text));
            }
            Event::ToolEnded { call, tool, status, summary, took, why: _ } => {
                let name = if self.side_by_side { format!(" {}", shown(tool)) } else { String::new() };
                self.open.retain(|(open, _)| open != call);
                self.side_by_side &= !self.open.is_empty();
                let (word, style) = match status {
                    ToolStatus::Ok => ("ok", GOOD),
                    ToolStatus::Blocked => ("blocked", BAD),
                    ToolStatus::Error => ("error", ODD),
                };
                let _ = writeln!(
                    out,
                    "{time}  {}{name} {} {}  {}",
                    paint(NOTE, "◂"),
                    paint(style, word),
                    paint(DIM, format!("in {}", lasted(*took))),
                    shown(summary)
                );
            }
            Event::Finding { severity, resource, message } => {
                let resource = resource.as_ref().map(|resource| format!(" {}:", shown(resource))).unwrap_or_default();
                let _ = writeln!(out, "{time}    {}{resource} {}", badge(*severity), shown(message));
            }
            Event::Ended(ended) => end(&mut out, ended),
        }
        out
    }

    /// The tool that a line belongs to, where several run side by side.
    fn of(&self, call: &str) -> String {
        match self.open.iter().find(|(open, _)| open == call) {
            Some((_, tool)) if self.side_by_side => paint(DIM, shown(tool)),
            Some(_) | None => String::new(),
        }
    }
}

fn badge(severity: Severity) -> String {
    match severity {
        Severity::Info => paint(NOTE, "● info"),
        Severity::Warning => paint(ODD, "▲ warning"),
        Severity::Critical => paint(BAD, "■ critical"),
    }
}

fn start(out: &mut String, started: &Started) {
    let Started { run, agent, emoji, environment, model, autonomy: (effective, asked), skills, warnings } = started;
    let emoji = emoji.as_ref().map(|emoji| format!("{} ", shown(emoji))).unwrap_or_default();
    let ceiling = if effective == asked { String::new() } else { paint(DIM, format!(" (asked for {asked})")) };
    let _ = writeln!(out, "{emoji}{}  {}", paint(BOLD, shown(agent)), paint(DIM, shown(run)));
    let field = |name: &str| paint(DIM, format!("  {name:<12}"));
    let _ = writeln!(out, "{}{}", field("environment"), shown(environment));
    let _ = writeln!(out, "{}{}", field("model"), shown(model));
    let _ = writeln!(out, "{}{effective}{ceiling}", field("autonomy"));
    for (skill, tools) in skills {
        let _ = writeln!(out, "{}{} {}", field("skill"), shown(skill), paint(DIM, format!("({tools} tools)")));
    }
    for warning in warnings {
        let _ = writeln!(out, "  {} {}", paint(ODD, "!"), escape_terminal(warning));
    }
}

fn end(out: &mut String, ended: &Ended) {
    let Ended { phase, reason, report, usage, turns, cost, took, changed, blocked, proposed } = ended;
    if let Some(report) = report {
        let _ = writeln!(out, "\n{}", paint(DIM, RULE));
        for line in quoted(report.trim_end()) {
            let _ = writeln!(out, "{line}");
        }
    }
    let (mark, style) = match phase {
        RunPhase::Succeeded => ("✔", GOOD),
        RunPhase::Escalated => ("▲", ODD),
        RunPhase::Blocked | RunPhase::Failed => ("✗", BAD),
        RunPhase::Pending | RunPhase::Running => ("…", DIM),
    };
    let (reason, details) = match reason.as_deref().map(|reason| reason.split_once('\n').unwrap_or((reason, ""))) {
        Some((reason, details)) => (format!(": {}", escape_terminal(reason)), details),
        None => (String::new(), ""),
    };
    let details: String = quoted(details).map(|line| format!("\n  {line}")).collect();
    let count = |number: u32, one: &str, many: &str| if number == 1 { format!("1 {one}") } else { format!("{number} {many}") };
    let mut facts = vec![lasted(*took), count(*turns, "turn", "turns"), format!("{} tokens", grouped(usage.total()))];
    facts.extend(cost.clone());
    facts.push(count(*changed, "change", "changes"));
    facts.push(format!("{blocked} refused"));
    if *proposed > 0 {
        facts.push(format!("{proposed} proposed"));
    }
    let _ = writeln!(
        out,
        "{}\n{}{reason}{details}\n  {}",
        paint(DIM, RULE),
        paint(style.bold(), format!("{mark} {phase}")),
        paint(DIM, facts.join(" · "))
    );
}

/// `name=web replicas=3`: one line, however the arguments look.
fn brief(arguments: &Value) -> String {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = match arguments {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}={}", one(value))).collect();
            entries.sort();
            entries.join(" ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => one(arguments),
    };
    shown(&text)
}

#[cfg(test)]
mod tests;
