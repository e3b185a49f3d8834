//! `infraagent agents`: the agents of a cluster, and orders to them.

pub mod list;
pub mod pause;
pub mod run;

use std::process::ExitCode;

use infraagent_api::{Condition, InfraAgent};

/// Subcommands of `infraagent agents`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List agents: where they stand, when they ran and when they run next
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Start a run of an agent now
    Run(run::Run),
    /// Stop an agent: no run of it starts, and none that goes on changes anything
    Pause(pause::Pause),
    /// Let a paused agent go on
    Resume(pause::Resume),
}

/// Runs the subcommand.
pub async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list::main(args).await,
        Command::Run(args) => run::main(args).await,
        Command::Pause(args) => pause::pause(args).await,
        Command::Resume(args) => pause::resume(args).await,
    }
}

/// A condition of an agent.
pub(super) fn condition<'a>(agent: &'a InfraAgent, kind: &str) -> Option<&'a Condition> {
    agent.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Why an agent does not run although somebody may want it to: it is paused, or not ready. None if it could.
pub(super) fn holds_back(agent: &InfraAgent) -> Option<String> {
    if agent.spec.paused {
        return Some("spec.paused is true".to_owned());
    }
    let ready = condition(agent, "Ready")?;
    let holds = ready.status != "True" || ready.reason == "Paused";
    holds.then(|| format!("{}: {}", ready.reason, ready.message))
}
