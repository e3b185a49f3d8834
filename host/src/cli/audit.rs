//! `infraagent audit`: is this record what was written, and what does it say? Are these all records of an agent?

pub(crate) mod agent;

use std::{
    fmt::Write as _,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anstream::println;
use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use infraagent_api::{
    AgentRun,
    run::{ActionRecord, ActionStatus, Reads},
};
use serde_json::json;

use crate::audit::{
    Document, PublicKey,
    document::MAX_FILE,
    escape_terminal, escape_terminal_lines,
    verify::{Answer, Report, verify},
};

const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

/// Subcommands of `infraagent audit`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Recompute the hashes of a record, or of all records of an agent, and check signatures and ends
    #[command(after_long_help = "\
Examples:
  infraagent audit verify run.agentrun.yaml
  infraagent audit verify run.agentrun.yaml --key audit.key.pub
  infraagent audit verify run.agentrun.json --key audit.key.pub --head 9f2c... -o json
  kubectl get agentrun web-watch-1 -o yaml | infraagent audit verify - --key audit.key.pub
  infraagent audit verify --agent web-watch -n agents --key audit.key.pub

Says of all records of an agent (--agent), read from the cluster with your own rights:
  content        every record is what its hashes were made of
  order          each one names the end of the one before it
  completeness   none is missing after the floor that retention signed, or from the first one on
  signature      each is signed by the key, and so is the floor

Says of one record:
  consistent   every hash of the chain, every seq and the head follow from the content
  authentic    and the head is signed by the key (--key)
  complete     and the record is closed and ends in the head that was reported (--head)

Exit status: 0 if everything that was checked holds, 1 if something does not, 2 if the record could not be checked.")]
    Verify(Verify),
    /// Print the entries of a record as a table, without checking anything
    #[command(after_long_help = "Example:\n  infraagent audit show run.agentrun.yaml")]
    Show(Show),
}

/// Arguments of `infraagent audit verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The record: an AgentRun as YAML or JSON; - for standard input
    #[arg(required_unless_present = "agent", conflicts_with = "agent")]
    file: Option<PathBuf>,
    /// All records of this InfraAgent, on a cluster
    #[arg(long, value_name = "NAME", conflicts_with = "head")]
    agent: Option<String>,
    #[command(flatten)]
    place: agent::Where,
    /// The public key that must have signed it (PEM)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The head that it must end in: 64 hexadecimal digits, from the run's output or from status.previous of the next run
    #[arg(long, value_name = "HASH", value_parser = head)]
    head: Option<String>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Arguments of `infraagent audit show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The record: an AgentRun as YAML or JSON; - for standard input
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

fn head(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a head has 64 hexadecimal digits".to_owned())
    }
}

/// Runs the subcommand.
pub async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(Verify { file, agent, place, key, head, output }) => {
            let key = key.map(|path| PublicKey::load(&path)).transpose()?;
            if let Some(agent) = agent {
                return agent::main(&agent, place, key, output).await;
            }
            let file = file.unwrap_or_else(|| PathBuf::from("-"));
            let document = read(&file)?;
            let report = verify(&document, key.as_ref(), head.as_deref());
            match output {
                Output::Text => println!("{}", text(&file, &document.run, &report)),
                Output::Json => println!("{}", serde_json::to_string_pretty(&as_json(&document.run, &report))?),
            }
            Ok(ExitCode::from(u8::from(report.refuted())))
        }
        Command::Show(Show { file }) => {
            let document = read(&file)?;
            println!("{}", table(&document.run));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Document> {
    let mut text = String::new();
    let name = path.display().to_string();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_FILE + 1).read_to_string(&mut text)
    } else {
        File::open(path).with_context(|| format!("cannot open `{name}`"))?.take(MAX_FILE + 1).read_to_string(&mut text)
    };
    read.with_context(|| format!("cannot read `{name}`"))?;
    if text.len() as u64 > MAX_FILE {
        bail!("`{name}` has more than {} MiB: no record is that large", MAX_FILE >> 20);
    }
    Document::parse(&text).map_err(|error| anyhow::anyhow!("cannot read `{name}`: {}", escape_terminal_lines(&error.to_string())))
}

fn as_json(run: &AgentRun, report: &Report) -> serde_json::Value {
    let phase = run.status.as_ref().and_then(|status| status.phase);
    json!({
        "run": { "name": run.metadata.name, "namespace": run.metadata.namespace, "uid": run.metadata.uid, "agentRef": run.spec.agent_ref, "phase": phase },
        "verification": report,
    })
}

fn text(file: &Path, run: &AgentRun, report: &Report) -> String {
    let Report { entries, open: _, closed: _, head, consistent: _, authentic: _, complete: _, first_bad: _, never_checked } = report;
    let phase = run.status.as_ref().and_then(|status| status.phase);
    let name = run.metadata.name.as_deref().unwrap_or("?");
    let namespace = run.metadata.namespace.as_deref().unwrap_or("?");
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "{DIM}{name:<12}{DIM:#} {text}");
    };
    line("record", &escape_terminal(&file.display().to_string()));
    line("run", &escape_terminal(&format!("{namespace}/{name}, agent {}", run.spec.agent_ref)));
    line("phase", phase.map_or("unknown", |phase| phase.as_str()));
    line("entries", &entries.to_string());
    if let Some(head) = head {
        line("head", head);
    }
    out.push('\n');
    out.push_str(&answers(report));
    let _ = write!(out, "\n{DIM}never checked here:");
    for what in never_checked {
        let _ = write!(out, "\n  {what}");
    }
    let _ = write!(out, "{DIM:#}");
    out
}

/// The three answers, a line for each.
pub(super) fn answers(report: &Report) -> String {
    let Report { entries: _, open: _, closed: _, head: _, consistent, authentic, complete, first_bad: _, never_checked: _ } = report;
    let mut out = String::new();
    for (word, answer) in [("consistent", consistent), ("authentic", authentic), ("complete", complete)] {
        let (style, sign, verdict, why) = match answer {
            Answer::Yes(why) => (GREEN, "✔", word.to_owned(), why),
            Answer::No(why) => (RED, "✘", format!("not {word}"), why),
            Answer::NotChecked(why) => (YELLOW, "–", format!("{word}?"), why),
        };
        let not_checked = if matches!(answer, Answer::NotChecked(_)) { "not checked: " } else { "" };
        let _ = writeln!(out, "{style}{sign} {verdict:<16}{style:#} {not_checked}{}", escape_terminal(why));
    }
    out
}

fn table(run: &AgentRun) -> String {
    let actions = run.status.as_ref().map(|status| status.actions.as_slice()).unwrap_or_default();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["seq", "status", "tier", "tool or verb", "target", "what came of it"]);
    for action in actions {
        let colour = match action.status {
            ActionStatus::Executed => Color::Green,
            ActionStatus::Blocked | ActionStatus::Failed => Color::Red,
            ActionStatus::Intended | ActionStatus::Skipped | ActionStatus::Unknown => Color::Yellow,
        };
        table.add_row([
            Cell::new(action.seq),
            Cell::new(action.status.as_str()).fg(colour),
            Cell::new(action.tier.as_str()),
            Cell::new(escape_terminal(&action.tool)),
            Cell::new(escape_terminal(&action.target)),
            Cell::new(came_of(action)),
        ]);
    }
    table.to_string()
}

fn came_of(action: &ActionRecord) -> String {
    let mut parts = Vec::new();
    parts.extend(action.reason.as_ref().map(|reason| escape_terminal(reason).into_owned()));
    if let Some(Reads { count, denied, calls: _, digest: _ }) = &action.reads {
        let refused = if *denied > 0 { format!(", {denied} refused") } else { String::new() };
        parts.push(format!("{count} {}{refused}", if *count == 1 { "read" } else { "reads" }));
    }
    if let Some(result) = &action.result {
        let short: String = result.chars().take(160).collect();
        let dots = if short.len() < result.len() { "…" } else { "" };
        parts.push(format!("{}{dots}", escape_terminal(&short)));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_record_cannot_control_the_terminal() {
        let run: AgentRun = serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": {"name": "a\u{1b}[2J"},
            "spec": {"agentRef": "x\u{202e}", "environmentRef": "e", "trigger": "manual"},
            "status": {"actions": [{"seq": 0, "timestamp": "2026-01-01T00:00:00Z", "tool": "t\u{1b}]0;", "target": "\u{9b}", "tier": "read",
                "call": "", "nonce": "", "intentHash": "", "status": "executed", "result": "\u{7}\n✔ authentic"}]},
        }))
        .unwrap();
        let document = Document::from_value(serde_json::to_value(&run).unwrap()).unwrap();
        let report = verify(&document, None, None);
        for shown in [text(Path::new("f"), &run, &report), table(&run)] {
            let plain = anstream::adapter::strip_str(&shown).to_string();
            assert!(
                !plain.chars().any(|character| character != '\n' && escape_terminal(&character.to_string()) != character.to_string()),
                "{plain:?}"
            );
            assert!(!plain.contains("\n✔ authentic"), "{plain}");
        }
    }

    #[test]
    fn a_head_is_64_digits() {
        assert_eq!(head(&"A".repeat(64)), Ok("a".repeat(64)));
        assert!(head("abc").is_err());
        assert!(head(&"g".repeat(64)).is_err());
    }
}
