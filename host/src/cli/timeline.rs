//! The live timeline of a run, for a person at a terminal.
//!
//! ```text
//!   0.01s  ▸ restart_deployment  name=web namespace=shop
//!   0.02s      ✓ kubectl.rollout restart deployment/web -n shop        service-mutation
//!   0.02s      ⚡ #4 kubectl.rollout restart deployment/web -n shop      changed
//!   0.02s  ◂ ok in 11 ms  restarted
//! ```
//!
//! Everything that comes from elsewhere is escaped where a line is made ([`lines`]) and nowhere else, so a log line cannot move the cursor or look like a decision.
//! Where colours cannot be shown, the stream drops them: nothing is said by colour alone.

use std::{
    fmt::Write as _,
    io::Write,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    lines::{self, Decided, brief},
    paint::{BOLD, DIM, ODD, grouped, paint, shown},
};
use crate::{
    audit::escape_terminal,
    run::event::{Event, Observer, Started},
};

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

impl Timeline {
    /// The lines of an event, `at` so long after the beginning.
    pub fn render(&mut self, event: &Event, at: Duration) -> String {
        let time = lines::stamp(at);
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
            Event::Said { text } => lines::said(&mut out, &time, text),
            Event::ToolStarted { call, tool, arguments } => {
                self.open.push((call.clone(), tool.clone()));
                self.side_by_side = self.open.len() > 1;
                lines::called(&mut out, &time, tool, &brief(arguments));
            }
            Event::Decided { call, what, tier, action, verdict, took: _ } => {
                lines::decided(&mut out, &time, &self.of(call), &Decided { what, tier: *tier, action: action.as_deref(), verdict });
            }
            Event::Effect { call, seq, what, outcome } => lines::effect(&mut out, &time, &self.of(call), *seq, what, outcome),
            Event::ToolEnded { call, tool, status, summary, took, why: _ } => {
                let name = if self.side_by_side { Some(tool.as_str()) } else { None };
                self.open.retain(|(open, _)| open != call);
                self.side_by_side &= !self.open.is_empty();
                lines::returned(&mut out, &time, name, *status, Some(*took), summary);
            }
            Event::Finding { severity, resource, message } => {
                lines::finding(&mut out, &time, *severity, resource.as_deref(), message);
            }
            Event::Ended(ended) => lines::ended(&mut out, ended),
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

#[cfg(test)]
mod tests;
