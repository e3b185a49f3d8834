//! `infraagent explain`: what holds for an object of a cluster, and where it comes from.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::run::Output;
use crate::{
    audit::escape_terminal,
    run::{
        dereference::cluster::{Governing, Reader},
        explain::{self, Explanation},
        validate::{self, Inputs, RunIdentity, SkillInput},
    },
    skill::source::Sources,
};

/// What is explained.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// What an agent may do, and which field of which document makes it so
    Agent(Agent),
}

/// Arguments of `infraagent explain agent`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent explain agent forge -n agents
  infraagent explain agent forge -n agents --bundled-skills ./skills -o json | jq '.actions[] | select(.verdict != \"allowed\")'

It reads what a run would read, with your own rights; nothing is run and nothing is written.")]
pub struct Agent {
    /// Name of the InfraAgent
    name: String,
    /// Its namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Kubeconfig of the cluster [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Folder of the components that the operator has as bundled skills
    #[arg(long, value_name = "DIR")]
    bundled_skills: Option<PathBuf>,
    /// Print the complete explanation in this format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
}

/// Explains.
pub async fn main(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Agent(Agent { name, namespace, kubeconfig, context, bundled_skills, output }) = command;
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let config = match kubeconfig {
        Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
        None => Config::from_kubeconfig(&options).await?,
    };
    let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
    let client = kube::Client::try_from(config)?;
    let reader = Reader::new(client.clone(), &namespace, &name);
    let (Governing { agent, environment, policies }, models) = tokio::try_join!(reader.governing(), reader.models())?;
    let sources = Sources::new(bundled_skills, client);
    let (mut skills, mut missing) = (Vec::new(), BTreeMap::new());
    for skill in &agent.spec.skills {
        match sources.resolve(&namespace, skill).await {
            Ok(component) => skills.push(SkillInput { manifest: component.manifest.clone(), digest: component.digest.clone() }),
            Err(why) => drop(missing.insert(skill.name.clone(), why.to_string())),
        }
    }
    // What can be said without a skill is said: the others' actions, and every bound.
    let mut known = agent.clone();
    known.spec.skills.retain(|skill| !missing.contains_key(&skill.name));
    let inputs = Inputs {
        agent: known,
        environment: Arc::unwrap_or_clone(environment),
        models,
        policies: policies.to_vec(),
        skills,
        cluster: String::new(),
        run: RunIdentity { name: String::new(), uid: String::new() },
    };
    let run = validate::validate(inputs);
    let explanation = explain::explain(&agent, &policies, run.as_ref(), &missing, Timestamp::now());
    match output {
        Some(Output::Json) => anstream::println!("{}", serde_json::to_string_pretty(&explanation)?),
        Some(Output::Yaml) => anstream::print!("{}", serde_saphyr::to_string(&explanation)?),
        None => anstream::println!("{}", shown(&explanation)),
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(Explanation { agent, bounds, actions, notes }: &Explanation) -> String {
    let table = |header: &[&str]| {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
        table
    };
    let clean = |text: &str| escape_terminal(text).into_owned();
    let mut said = table(&["BOUND", "HOLDS", "FROM", "INSTEAD OF"]);
    for bound in bounds {
        said.add_row([&bound.what, &bound.holds, &bound.from, &bound.instead_of.join("; ")].map(|text| clean(text)));
    }
    let mut text = format!("InfraAgent {}\n\n{said}\n", clean(agent));
    if !actions.is_empty() {
        let mut done = table(&["SKILL", "TOOL", "ACTION", "TIER", "VERDICT", "BECAUSE"]);
        for action in actions {
            done.add_row([&action.skill, &action.tool, &action.action, &action.tier, action.verdict, &action.because].map(clean));
        }
        text.push_str(&format!("\n{done}\n"));
    }
    if !notes.is_empty() {
        text.push_str("\nNotes:\n");
        for note in notes {
            text.push_str(&format!("  - {}\n", clean(note)));
        }
    }
    text.trim_end().to_owned()
}
