//! The command line: one file per subcommand.

pub mod agents;
pub mod audit;
pub mod cluster;
pub mod crds;
pub mod doctor;
pub mod explain;
pub mod lines;
pub mod operator;
pub mod output;
pub mod paint;
pub mod program;
pub mod replicas;
pub mod run;
pub mod runs;
pub mod skill;
pub mod status;
pub mod table;
pub mod timeline;
pub mod why_blocked;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use tracing::level_filters::LevelFilter;

use crate::{audit::escape_terminal_lines, telemetry::log};

/// Autonomous infrastructure agents for Kubernetes that act only through sandboxed skills, every call decided and recorded.
#[derive(Debug, Parser)]
#[command(name = "infraagent", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    log: log::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run agents continuously, as a replica of the operator
    Operator(Box<operator::Args>),
    /// Run one agent once
    Run(Box<run::Args>),
    /// Work with skills: make, build, inspect and check them
    #[command(subcommand)]
    Skill(skill::Command),
    /// Look at runs, and end them
    #[command(subcommand)]
    Runs(runs::Command),
    /// Look at agents; start runs of them, pause and resume them
    #[command(subcommand)]
    Agents(agents::Command),
    /// Say what goes on in a cluster
    Status(status::Status),
    /// Say why a run waits, or why something in it was refused, and what to change
    WhyBlocked(why_blocked::WhyBlocked),
    /// Look for what keeps InfraAgent from working in a cluster
    Doctor(doctor::Doctor),
    /// Verify the record of a run
    #[command(subcommand)]
    Audit(audit::Command),
    /// Say what holds for an agent, and where it comes from
    #[command(subcommand)]
    Explain(explain::Command),
    /// Print the definitions of the custom resources
    Crds(crds::Args),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Compile a component from standard input to standard output, under resource limits
    #[command(hide = true)]
    Compile(crate::compile::Args),
}

/// The command line, as it is called where it is used.
fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments, starts logging, runs the subcommand, and turns its end into an exit code.
pub async fn main() -> ExitCode {
    let matches = program::named(command(), &program::name()).get_matches();
    let Cli { log, command } = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // Who watches a service wants to know what it does; who types a command wants its output.
    let severity = if matches!(command, Command::Operator(_)) { LevelFilter::INFO } else { LevelFilter::WARN };
    log::start(&log, severity);
    let result = match command {
        Command::Operator(args) => operator::main(*args).await,
        Command::Run(args) => run::main(*args).await,
        Command::Skill(command) => skill::main(command).await,
        Command::Runs(command) => runs::main(command).await,
        Command::Agents(command) => agents::main(command).await,
        Command::Status(args) => status::main(args).await,
        Command::WhyBlocked(args) => why_blocked::main(args).await,
        Command::Doctor(args) => doctor::main(args).await,
        Command::Audit(command) => audit::main(command).await,
        Command::Explain(command) => explain::main(command).await,
        Command::Crds(args) => crds::main(args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "infraagent", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Compile(args) => crate::compile::main(args),
    };
    result.unwrap_or_else(|error| {
        anstream::eprintln!("error: {}", escape_terminal_lines(&format!("{error:#}")));
        ExitCode::from(2)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parses(arguments: &[&str]) -> bool {
        Cli::try_parse_from([&["infraagent", "run", "--replay", "c.yaml"], arguments].concat()).is_ok()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_run_has_one_world_and_its_documents_come_from_one_place() {
        let files = ["--agent", "a", "--environment", "e", "--models", "m"];
        let with = |more: &[&str]| parses(&[&files, more].concat());
        assert!(with(&["--snapshot", "s"]) && with(&["--kubeconfig", "k"]));
        assert!(parses(&["--kubeconfig", "k", "--agent-name", "a", "-n", "ns"]));
        assert!(!with(&[]), "no world");
        assert!(!with(&["--snapshot", "s", "--kubeconfig", "k"]), "two worlds");
        assert!(!parses(&["--kubeconfig", "k"]), "no documents");
        assert!(!with(&["--kubeconfig", "k", "--agent-name", "a"]), "documents twice");
        assert!(!parses(&["--snapshot", "s", "--agent-name", "a"]), "a snapshot has no agents");
        assert!(!parses(&["--snapshot", "s", "--agent", "a"]), "no environment");
        assert!(!with(&["--kubeconfig", "k", "--memory", "m"]), "there is no memory in a cluster yet");
    }
}
