//! How skills look on a terminal. Whatever a component says is shown escaped: it could otherwise move the cursor, hide text or pretend to be the host.

use std::{fs, path::Path};

use anyhow::Context as _;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use infraagent_sandbox::manifest::{LimitRequest, MAX_COMPONENT};
use serde::Serialize;

use crate::{
    audit::escape_terminal,
    skill::inspect::{Action, Inspection},
};

/// Forms other than the one for people.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Format {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

impl Format {
    /// Prints a document.
    pub(super) fn print(self, document: &impl Serialize) -> anyhow::Result<()> {
        let text = match self {
            Self::Json => serde_json::to_string_pretty(document)?,
            Self::Yaml => serde_saphyr::to_string(document)?,
        };
        anstream::println!("{}", text.trim_end());
        Ok(())
    }
}

/// Reads a component, but never more than a component may have.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = || format!("cannot read `{}`", file.display());
    let size = fs::metadata(file).with_context(unreadable)?.len();
    anyhow::ensure!(
        size <= MAX_COMPONENT as u64,
        "`{}` has {size} bytes, more than a component may have ({MAX_COMPONENT})",
        file.display()
    );
    fs::read(file).with_context(unreadable)
}

/// Prints what a skill says of itself.
pub(super) fn inspection(skill: &Inspection) {
    let license = skill.license.as_deref().map(|license| format!("  {}", escape_terminal(license))).unwrap_or_default();
    anstream::println!("{} {}{license}", bold(&skill.name), escape_terminal(&skill.version));
    if !skill.description.is_empty() {
        anstream::println!("{}", escape_terminal(&skill.description));
    }
    let mut facts = table(&[]);
    facts.add_row(["digest", &skill.digest]);
    facts.add_row(["size", &size(skill.size)]);
    let host =
        skill.minimum_host.as_deref().map(|host| format!(", needs infraagent {} or newer", escape_terminal(host))).unwrap_or_default();
    facts.add_row(["contract", &format!("{}{host}", escape_terminal(&skill.contract))]);
    facts.add_row(["memory", if skill.state { "remembers across runs (state)" } else { "none across runs" }]);
    facts.add_row(["limits", &skill.limits.map_or_else(|| "the defaults".to_owned(), limits)]);
    if !skill.tags.is_empty() {
        facts.add_row(["tags", &escape_terminal(&skill.tags.join(", "))]);
    }
    anstream::println!("\n{facts}\n");

    let mut tools = table(&["TOOL", "TIER", "ACTIONS", "WHAT IT DOES"]);
    for tool in &skill.tools {
        let actions = if tool.actions.is_empty() { "-".to_owned() } else { escape_terminal(&tool.actions.join(", ")).into_owned() };
        tools.add_row([
            Cell::new(escape_terminal(&tool.name)),
            tier(tool.tier, ""),
            Cell::new(actions),
            Cell::new(first_sentence(&tool.description)),
        ]);
    }
    anstream::println!("{tools}\n");

    let mut actions = table(&["ACTION", "TIER", "COVERS"]);
    for Action { id, description: _, tier: own, tier_by_environment, target, functions: _ } in &skill.actions {
        let note = if *tier_by_environment { ", or as the environment says" } else { "" };
        actions.add_row([Cell::new(escape_terminal(id)), tier(own, note), Cell::new(escape_terminal(target))]);
    }
    if !skill.actions.is_empty() {
        anstream::println!("{actions}\n");
    }

    let mut imports = table(&["IMPORTS", "FUNCTIONS"]);
    for (interface, functions) in &skill.imports {
        let functions = if functions.is_empty() { "types only".to_owned() } else { functions.join(", ") };
        imports.add_row([escape_terminal(interface), escape_terminal(&functions)]);
    }
    if skill.imports.is_empty() {
        imports.add_row(["nothing", ""]);
    }
    anstream::println!("{imports}");
}

/// A table without lines; the columns stand under their heads.
pub(super) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !head.is_empty() {
        table.set_header(head.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    }
    table
}

/// Bytes, for people.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn tier(tier: &str, note: &str) -> Cell {
    let color = match tier {
        "read" => Color::Green,
        "service-mutation" => Color::Yellow,
        _ => Color::Red,
    };
    Cell::new(format!("{tier}{note}")).fg(color)
}

fn bold(text: &str) -> String {
    let style = anstyle::Style::new().bold();
    format!("{style}{}{style:#}", escape_terminal(text))
}

fn first_sentence(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    escape_terminal(line.split_inclusive(". ").next().unwrap_or(line).trim_end()).into_owned()
}

fn limits(limits: LimitRequest) -> String {
    let LimitRequest { memory_bytes, cpu_millis, wall_millis, host_calls, egress_bytes, result_bytes, output_bytes } = limits;
    [
        ("memory", memory_bytes, " bytes"),
        ("CPU", cpu_millis, " ms"),
        ("wall clock", wall_millis, " ms"),
        ("host calls", host_calls, ""),
        ("egress", egress_bytes, " bytes"),
        ("result", result_bytes, " bytes"),
        ("output", output_bytes, " bytes"),
    ]
    .into_iter()
    .filter_map(|(name, value, unit)| value.map(|value| format!("{name} {value}{unit}")))
    .collect::<Vec<_>>()
    .join(", ")
}
