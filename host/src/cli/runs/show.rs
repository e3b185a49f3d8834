//! `infraagent runs show`: one run on one page.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use infraagent_api::{
    AgentRun,
    names::Mode,
    run::{ActionRecord, BudgetUsed, RunPhase, Usage},
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{
    follow::{ended, is_change, what},
    phase, why,
};
use crate::{
    audit::{
        Document, PublicKey,
        verify::{Report, verify},
    },
    cli::{
        audit::answers,
        cluster::{Cluster, Flags},
        output::{self, ObjectOutput},
        paint::{BOLD, DIM, age, badge, clean, count, cut, grouped, lasted, moment, of_phase, of_status, paint, quoted, shown},
        program,
    },
};

/// Arguments of `infraagent runs show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent runs show forge-1a2b3c4d-5678 -n agents
  infraagent runs show forge-1a2b3c4d-5678 -n agents --key audit.key.pub
  infraagent runs show forge-1a2b3c4d-5678 -n agents -o yaml | infraagent audit verify - --key audit.key.pub

Exit codes: 0 it was shown, 1 its record is not what was written.")]
pub struct Show {
    /// Name of the AgentRun
    #[arg(value_name = "RUN")]
    name: String,
    /// The public key that must have signed the record (PEM)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print the object instead, exactly as the API server has it
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<ObjectOutput>,
    #[command(flatten)]
    cluster: Flags,
}

/// Shows.
pub async fn main(args: Show) -> anyhow::Result<ExitCode> {
    let Show { name, key, output, cluster } = args;
    let key = key.map(|path| PublicKey::load(&path)).transpose()?;
    let cluster = Cluster::connect(&cluster).await?;
    let object = cluster.raw::<AgentRun>(&name).await?;
    if let Some(output) = output {
        output::object(&object, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let document = Document::from_value(object)?;
    let report = verify(&document, key.as_ref(), None);
    output::text(&page(&document.run, &report, Timestamp::now()))?;
    Ok(ExitCode::from(u8::from(is_refuted(&document.run, &report))))
}

/// A record that is still being written is not complete, which is as it should be.
fn is_refuted(run: &AgentRun, report: &Report) -> bool {
    let Report { entries: _, open: _, closed: _, head: _, consistent, authentic, complete, first_bad: _, never_checked: _ } = report;
    let ended = phase(run).is_terminal();
    consistent.is_no() || (ended && (authentic.is_no() || complete.is_no()))
}

fn page(run: &AgentRun, report: &Report, now: Timestamp) -> String {
    let status = run.status.clone().unwrap_or_default();
    let phase = phase(run);
    let (mark, style) = of_phase(phase);
    let mut out = String::new();
    let namespace = run.namespace().unwrap_or_default();
    let _ = writeln!(
        out,
        "{}  {}",
        paint(style.bold(), format!("{mark} {phase}")),
        paint(BOLD, clean(&format!("{namespace}/{}", run.name_any())))
    );
    if let Some(why) = why(run) {
        let _ = writeln!(out, "  {}: {}", clean(&why.reason), clean(&why.message));
    }
    out.push('\n');
    facts(&mut out, run, now);
    actions(&mut out, &status.actions);
    if !status.findings.is_empty() {
        let _ = writeln!(out, "\n{}", paint(BOLD, "Findings"));
        for finding in &status.findings {
            let about = finding.resource.as_ref().map(|resource| format!(" {}:", clean(resource))).unwrap_or_default();
            let _ = writeln!(out, "  {}{about} {}", badge(finding.severity), clean(&finding.message));
        }
    }
    if let Some(text) = &status.report {
        let _ = writeln!(out, "\n{}", paint(BOLD, "Report"));
        for line in quoted(text.trim_end()) {
            let _ = writeln!(out, "  {line}");
        }
    }
    let _ = write!(out, "\n{}\n{}", paint(BOLD, "Record"), answers(report));
    next(&mut out, run, &namespace);
    out
}

/// What the run is, and what it used.
fn facts(out: &mut String, run: &AgentRun, now: Timestamp) {
    let status = run.status.clone().unwrap_or_default();
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "{}{}", paint(DIM, format!("  {name:<12}")), clean(text));
    };
    line("agent", &run.spec.agent_ref);
    line("environment", &run.spec.environment_ref);
    let again = run.spec.retry_of.as_ref().map(|first| format!(", attempt {} of {first}", run.spec.attempt)).unwrap_or_default();
    line("trigger", &format!("{}{again}", run.spec.trigger));
    if run.spec.mode == Mode::Shadow {
        line("mode", "shadow: nothing is changed");
    }
    if let Some(model) = status.model.as_ref().or(run.spec.model_used.as_ref()) {
        line("model", model);
    }
    for skill in &status.skills {
        line("skill", &format!("{} {}  {}", skill.name, skill.version.as_deref().unwrap_or_default(), cut(&skill.digest, 20)));
    }
    let when = |time: Timestamp| format!("{} ({} ago)", moment(time), age(time, now));
    if let Some(created) = run.creation_timestamp() {
        line("created", &when(created.0));
    }
    if let Some(time) = &status.start_time {
        line("started", &when(time.0));
    }
    if let Some(time) = &status.completion_time {
        line("ended", &when(time.0));
    }
    if let Some(sequence) = status.sequence {
        line("number", &format!("{sequence} of this agent"));
    }
    if let Some(holder) = &status.holder {
        line("replica", &holder.lease);
    }
    if let Some(usage) = &status.usage {
        line("used", &used(usage, status.guardrails.as_ref().and_then(|guardrails| guardrails.budget_used.as_ref())));
    }
    if let Some(guardrails) = &status.guardrails {
        let autonomy = guardrails.autonomy_ceiling.map(|autonomy| format!(", autonomy {autonomy}")).unwrap_or_default();
        let number = |number: i32| u64::try_from(number).unwrap_or_default();
        let checked = count(number(guardrails.checks_performed), "call decided", "calls decided");
        line("guardrails", &format!("{checked}, {} refused{autonomy}", grouped(number(guardrails.actions_blocked))));
    }
    if phase(run).is_terminal() {
        let ended = ended(run);
        line(
            "did",
            &format!("{}, {} refused, {} proposed", count(u64::from(ended.changed), "change", "changes"), ended.blocked, ended.proposed),
        );
    }
}

/// `62,282 of 100,000 tokens (12,000 cached) · 8 of 10 turns · 4.4 s of 120.0 s · $0.21`
fn used(usage: &Usage, budget: Option<&BudgetUsed>) -> String {
    let Usage { tokens_in: _, cached_tokens_in, tokens_out: _, total_tokens, iterations, wall_clock_ms, estimated_cost } = usage;
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    let time = |millis: i64| lasted(std::time::Duration::from_millis(number(millis)));
    let of = |limit: Option<String>| limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let cached = if *cached_tokens_in > 0 { format!(" ({} cached)", grouped(number(*cached_tokens_in))) } else { String::new() };
    let mut parts = vec![
        format!("{}{} tokens{cached}", grouped(number(*total_tokens)), of(budget.map(|budget| grouped(number(budget.token_budget))))),
        format!("{iterations}{} turns", of(budget.map(|budget| budget.max_iterations.to_string()))),
        format!("{}{}", time(*wall_clock_ms), of(budget.map(|budget| time(budget.timeout_ms)))),
    ];
    parts.extend(estimated_cost.clone());
    parts.join(" · ")
}

fn actions(out: &mut String, actions: &[ActionRecord]) {
    if actions.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint(BOLD, "Actions"));
    for entry in actions {
        let indent = if is_change(entry) { "  " } else { "" };
        let mut came_of = vec![paint(of_status(entry.status), entry.status)];
        came_of.extend(entry.reason.as_ref().map(|reason| shown(reason)));
        if let Some(reads) = &entry.reads {
            let refused = if reads.denied > 0 { format!(", {} refused", reads.denied) } else { String::new() };
            came_of.push(format!("{}{refused}", count(u64::try_from(reads.count).unwrap_or_default(), "read", "reads")));
        }
        let text = format!("{indent}{}", shown(&what(entry)));
        let _ = writeln!(out, "  {} {text:<64} {}", paint(DIM, format!("{:>3}", entry.seq)), came_of.join(" · "));
        if let Some(result) = entry.result.as_ref().filter(|result| !result.is_empty()) {
            let _ = writeln!(out, "      {indent}{}", paint(DIM, shown(result)));
        }
        if let Some(told) = &entry.escalation {
            let _ = writeln!(out, "      {indent}{}", paint(DIM, format!("told {}", shown(&told.channel))));
        }
    }
}

/// What could be asked next.
fn next(out: &mut String, run: &AgentRun, namespace: &str) {
    let (program, name) = (program::name(), run.name_any());
    let ended = ended(run);
    let command = match phase(run) {
        RunPhase::Pending => format!("{program} why-blocked {name} -n {namespace}"),
        RunPhase::Running => format!("{program} runs logs -f {name} -n {namespace}"),
        RunPhase::Succeeded | RunPhase::Failed | RunPhase::Escalated | RunPhase::Blocked if ended.blocked + ended.proposed > 0 => {
            format!("{program} why-blocked {name} -n {namespace}")
        }
        RunPhase::Succeeded | RunPhase::Failed | RunPhase::Escalated | RunPhase::Blocked => return,
    };
    let _ = writeln!(out, "\n{}", paint(DIM, format!("next: {}", clean(&command))));
}

#[cfg(test)]
mod tests;
