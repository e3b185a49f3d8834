//! `infraagent audit verify --agent`: the records of an agent on a cluster, one after the other from where they begin.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anstream::println;
use anyhow::Context as _;
use infraagent_api::{API_VERSION, AgentRun, InfraAgent};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config, Resource as _, ResourceExt as _,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
    core::Request,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DIM, GREEN, Output, RED, YELLOW};
use crate::{
    audit::{
        Document, PublicKey, escape_terminal,
        floor::{Floor, Forged},
        history::{History, Link, by_agent},
        verify::Answer,
    },
    operator::{keys, retention::Floors},
};

/// Records per request. Only what they prove is kept.
const PAGE: u32 = 50;

/// Which cluster, and where in it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Records on a cluster")]
pub(crate) struct Where {
    /// Namespace of the agent [default: that of the context]
    #[arg(short, long, value_name = "NAME", requires = "agent")]
    namespace: Option<String>,
    /// Kubeconfig of the cluster [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE", requires = "agent")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", requires = "agent")]
    context: Option<String>,
    /// Namespace of the operator: floors, and the public key if none is given
    #[arg(long, value_name = "NAME", default_value = "infraagent-system", env = "INFRAAGENT_OPERATOR_NAMESPACE")]
    operator_namespace: String,
}

/// What was found, and where the key came from.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) histories: Vec<History>,
    notes: Vec<String>,
}

impl Found {
    /// Whether anything that was checked does not hold.
    pub(crate) fn refuted(&self) -> bool {
        self.histories.iter().any(History::refuted)
    }
}

/// Verifies and prints.
pub(super) async fn main(agent: &str, place: Where, key: Option<PublicKey>, output: Output) -> anyhow::Result<ExitCode> {
    let Where { namespace, kubeconfig, context, operator_namespace } = place;
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let config = match kubeconfig {
        Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
        None => Config::from_kubeconfig(&options).await?,
    };
    let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
    let found = examine(&Client::try_from(config)?, &namespace, agent, &operator_namespace, key).await?;
    match output {
        Output::Text => println!("{}", text(&namespace, agent, &found)),
        Output::Json => {
            let Found { histories, notes } = &found;
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({ "agent": agent, "namespace": namespace, "histories": histories, "notes": notes }))?
            );
        }
    }
    Ok(ExitCode::from(u8::from(found.refuted())))
}

/// Reads every record of the agents of this name, the one that is there and those that were, and puts them together.
pub(crate) async fn examine(
    client: &Client,
    namespace: &str,
    agent: &str,
    operator_namespace: &str,
    key: Option<PublicKey>,
) -> anyhow::Result<Found> {
    let mut notes = Vec::new();
    let key = match key {
        Some(key) => Some(key),
        None => key_of_cluster(client, operator_namespace, &mut notes).await,
    };
    let there = Api::<InfraAgent>::namespaced(client.clone(), namespace).get_opt(agent).await.context("the InfraAgent cannot be read")?;
    let current = there.as_ref().and_then(|agent| agent.uid()).unwrap_or_default();
    let counted = there.as_ref().and_then(|agent| agent.status.as_ref()).map(|status| status.run_count);
    let links = links(client, namespace, agent, key.as_ref()).await?;
    if links.is_empty() && there.is_none() {
        anyhow::bail!("there is no InfraAgent `{namespace}/{agent}`, and no AgentRun of one");
    }
    let mut sorted = by_agent(links, &current);
    if there.is_some() {
        sorted.entry(current.clone()).or_default();
    }
    let floors = Floors::new(client.clone(), operator_namespace);
    let mut histories = Vec::new();
    for (uid, links) in sorted {
        let floor: Option<Result<Floor, Forged>> = match floors.of(&uid).await {
            Ok(kept) => kept.map(|kept| match kept.signed {
                Some(signed) => signed.open(key.as_ref(), &uid),
                None => Err(Forged::Unreadable("the ConfigMap holds no floor".to_owned())),
            }),
            Err(error) => {
                notes.push(format!("the floor of agent {uid} cannot be read in namespace {operator_namespace}: {error}"));
                None
            }
        };
        let counted = counted.filter(|_| uid == current);
        histories.push(History::of(&uid, &links, floor.as_ref(), key.as_ref(), counted));
    }
    Ok(Found { histories, notes })
}

/// The key that is installed. Whoever can write there could have exchanged it, with every record.
async fn key_of_cluster(client: &Client, namespace: &str, notes: &mut Vec<String>) -> Option<PublicKey> {
    let shown = format!("{namespace}/{}", keys::SECRET);
    let found = match Api::<Secret>::namespaced(client.clone(), namespace).get_opt(keys::SECRET).await {
        Ok(found) => found,
        Err(error) => {
            notes.push(format!("no key was given, and the Secret {shown} cannot be read: {error}"));
            return None;
        }
    };
    let pem = found.and_then(|secret| secret.data?.remove(keys::PUBLIC)).and_then(|bytes| String::from_utf8(bytes.0).ok());
    let key = pem.as_deref().and_then(PublicKey::from_pem);
    notes.push(match &key {
        Some(key) => format!("the key {} is that of the Secret {shown}: give one that was kept elsewhere with --key", key.id()),
        None => format!("no key was given, and the Secret {shown} has none"),
    });
    key
}

#[derive(Deserialize)]
struct Page {
    metadata: Continue,
    items: Vec<Value>,
}

#[derive(Deserialize, Default)]
struct Continue {
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

async fn links(client: &Client, namespace: &str, agent: &str, key: Option<&PublicKey>) -> anyhow::Result<Vec<Link>> {
    let mut parameters = ListParams::default().limit(PAGE).fields(&format!("spec.agentRef={agent}"));
    let mut links = Vec::new();
    loop {
        let request = Request::new(AgentRun::url_path(&(), Some(namespace))).list(&parameters)?;
        let Page { metadata, items } = client.request(request).await.context("the AgentRuns cannot be read")?;
        for mut item in items {
            // A list says once what its items are.
            item["apiVersion"] = json!(API_VERSION);
            item["kind"] = json!("AgentRun");
            let document = Document::from_value(item).map_err(|error| anyhow::anyhow!("an AgentRun cannot be read: {error}"))?;
            links.push(Link::of(&document, key));
        }
        match metadata.next.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(links),
        }
    }
}

fn text(namespace: &str, agent: &str, found: &Found) -> String {
    let Found { histories, notes } = found;
    let mut out = String::new();
    for history in histories {
        let History { agent_uid, from, to, records, open, never_begun, content, order, completeness, signature, never_checked } = history;
        let mut line = |name: &str, text: &str| {
            let _ = writeln!(out, "{DIM}{name:<12}{DIM:#} {}", escape_terminal(text));
        };
        line("agent", &format!("{namespace}/{agent}, uid {agent_uid}"));
        let range = from.zip(*to).map_or_else(String::new, |(from, to)| format!(", {from} to {to}"));
        let open = if *open > 0 { format!(", {open} not over") } else { String::new() };
        let loose = if *never_begun > 0 { format!("; {never_begun} runs that never began") } else { String::new() };
        line("records", &format!("{records}{range}{open}{loose}"));
        out.push('\n');
        for (word, answer) in [("content", content), ("order", order), ("completeness", completeness), ("signature", signature)] {
            let (style, sign, why) = match answer {
                Answer::Yes(why) => (GREEN, "✔", why.clone()),
                Answer::No(why) => (RED, "✘", why.clone()),
                Answer::NotChecked(why) => (YELLOW, "–", format!("not checked: {why}")),
            };
            let _ = writeln!(out, "{style}{sign} {word:<13}{style:#} {}", escape_terminal(&why));
        }
        let _ = writeln!(out, "\n{DIM}never checked here:");
        for what in never_checked {
            let _ = writeln!(out, "  {}", escape_terminal(what));
        }
        let _ = writeln!(out, "{DIM:#}");
    }
    for note in notes {
        let _ = writeln!(out, "{DIM}note:{DIM:#} {}", escape_terminal(note));
    }
    out.trim_end().to_owned()
}
