//! `infraagent runs`: the runs of a cluster, as people look at them.

pub mod cancel;
pub mod follow;
pub mod list;
pub mod logs;
pub mod show;

use std::process::ExitCode;

use infraagent_api::{AgentRun, Condition, run::RunPhase};

/// Subcommands of `infraagent runs`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List runs, the newest first
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show one run: how it ended, what it did and was refused, what it found, and whether its record is what was written
    Show(show::Show),
    /// Print what happened in a run, line by line, from its record
    Logs(logs::Logs),
    /// End a run that waits or goes on
    Cancel(cancel::Cancel),
}

/// Runs the subcommand.
pub async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list::main(args).await,
        Command::Show(args) => show::main(args).await,
        Command::Logs(args) => logs::main(args).await,
        Command::Cancel(args) => cancel::main(args).await,
    }
}

/// Where a run stands. One that nobody has looked at yet is pending.
pub(super) fn phase(run: &AgentRun) -> RunPhase {
    run.status.as_ref().and_then(|status| status.phase).unwrap_or_default()
}

/// A condition of a run.
pub(super) fn condition<'a>(run: &'a AgentRun, kind: &str) -> Option<&'a Condition> {
    run.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Why a run waits, or did not end well: the reason of the condition that says it.
pub(super) fn why(run: &AgentRun) -> Option<&Condition> {
    match phase(run) {
        RunPhase::Pending => condition(run, "Assigned").filter(|condition| condition.status == "False"),
        RunPhase::Failed => condition(run, "Complete"),
        RunPhase::Escalated => condition(run, "Escalated"),
        RunPhase::Running | RunPhase::Succeeded | RunPhase::Blocked => None,
    }
}

/// The exit code of a command that waited for the end of a run.
pub(super) fn exit_code(phase: RunPhase) -> ExitCode {
    match phase {
        RunPhase::Succeeded | RunPhase::Escalated => ExitCode::SUCCESS,
        RunPhase::Blocked => ExitCode::from(3),
        RunPhase::Failed | RunPhase::Pending | RunPhase::Running => ExitCode::from(1),
    }
}
