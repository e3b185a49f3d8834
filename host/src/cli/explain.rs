//! `infraagent explain`: what holds for an object of a cluster, and where it comes from.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use infraagent_api::AgentRun;
use jiff::Timestamp;

use super::{
    cluster::{Cluster, Flags},
    output::{self, Output},
    paint::clean,
    table::Columns,
};
use crate::{
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
    /// The same for the agent of a run
    Run(Run),
}

/// What both take.
#[derive(Debug, clap::Args)]
struct How {
    /// Folder of the components that the operator has as bundled skills
    #[arg(long, value_name = "DIR")]
    bundled_skills: Option<PathBuf>,
    /// Print the complete explanation in this format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
    #[command(flatten)]
    cluster: Flags,
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
    #[command(flatten)]
    how: How,
}

/// Arguments of `infraagent explain run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  infraagent explain run forge-1a2b3c4d-5678 -n agents

It explains the agent of the run as its documents are now. What was decided in the run: `infraagent why-blocked RUN`.")]
pub struct Run {
    /// Name of the AgentRun
    name: String,
    #[command(flatten)]
    how: How,
}

/// Explains.
pub async fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Agent(Agent { name, how: How { bundled_skills, output, cluster } }) => {
            agent(&Cluster::connect(&cluster).await?, &name, bundled_skills, output).await
        }
        Command::Run(Run { name, how: How { bundled_skills, output, cluster } }) => {
            let cluster = Cluster::connect(&cluster).await?;
            let run = cluster.get::<AgentRun>(&name).await?;
            agent(&cluster, &run.spec.agent_ref, bundled_skills, output).await
        }
    }
}

async fn agent(cluster: &Cluster, name: &str, bundled_skills: Option<PathBuf>, output: Option<Output>) -> anyhow::Result<ExitCode> {
    // First by itself: who misspells it is told what there is.
    cluster.get::<infraagent_api::InfraAgent>(name).await?;
    let (client, namespace) = (cluster.client.clone(), cluster.namespace.clone());
    let reader = Reader::new(client.clone(), &namespace, name);
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
        run: RunIdentity { name: String::new(), uid: String::new(), input: None },
    };
    let run = validate::validate(inputs);
    let explanation = explain::explain(&agent, &policies, run.as_ref(), &missing, Timestamp::now());
    match output {
        Some(output) => output::data(&explanation, output)?,
        None => output::text(&shown(&explanation))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(Explanation { agent, bounds, actions, notes }: &Explanation) -> String {
    let mut said = Columns::fitting(&["BOUND", "HOLDS", "FROM", "INSTEAD OF"]);
    for bound in bounds {
        said.row([&bound.what, &bound.holds, &bound.from, &bound.instead_of.join("; ")]);
    }
    let mut text = format!("InfraAgent {}\n\n{}", clean(agent), said.text());
    if !actions.is_empty() {
        let mut done = Columns::fitting(&["SKILL", "TOOL", "ACTION", "TIER", "VERDICT", "BECAUSE"]);
        for action in actions {
            done.row([&action.skill, &action.tool, &action.action, &action.tier, action.verdict, &action.because]);
        }
        text.push_str(&format!("\n{}", done.text()));
    }
    if !notes.is_empty() {
        text.push_str("\nNotes:\n");
        for note in notes {
            text.push_str(&format!("  - {}\n", clean(note)));
        }
    }
    text
}
