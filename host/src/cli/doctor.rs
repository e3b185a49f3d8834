//! `infraagent doctor`: looks for what keeps InfraAgent from working in a cluster, and says what to do.
//!
//! Every check is of one of four kinds: it is as it should be, it should be looked at, it keeps something from working, or it could not be looked at. What could
//! not be looked at is never called good. Nothing is written (access reviews are questions), and nothing outside of the cluster is asked unless a flag says so.

mod definitions;
mod leases;
mod models;
mod rights;
mod shipped;
mod skills;

use std::{path::PathBuf, process::ExitCode};

use infraagent_api::InfraAgent;
use kube::{Api, Resource, ResourceExt as _, api::ListParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    agents::holds_back,
    cluster::{Ask, Clocks, Cluster, ListFlags, Scope, Trouble},
    output::{self, Output},
    paint::{BAD, BOLD, DIM, GOOD, ODD, clean, count, paint, wrapped},
};

/// The oldest version of Kubernetes whose API server keeps the rules of the definitions: minor of version 1.
const OLDEST: u32 = 33;
/// Clocks that differ by more than this, in seconds, make ages and due times odd.
const SKEW: i64 = 5;
/// And by more than this they make tokens and certificates invalid.
const LARGE_SKEW: i64 = 60;

/// Arguments of `infraagent doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent doctor                                  # all namespaces
  infraagent doctor -n agents --bundled-skills ./skills
  infraagent doctor --kubeconfig operator.kubeconfig --own-rights
  infraagent doctor --contact-models                 # also connect to the models' endpoints; no key is sent

Looks at: the API server and its clock, the definitions and admission policies, what the operator may do, its Leases, the models and the presence
of their Secrets, and for each agent whether it is ready, its ServiceAccount and its skills.
Exit codes: 0 nothing keeps it from working, 1 something does, 2 the cluster could not be looked at.")]
pub struct Doctor {
    /// Namespace of the operator
    #[arg(long, value_name = "NAME", default_value = "infraagent-system", env = "INFRAAGENT_OPERATOR_NAMESPACE")]
    operator_namespace: String,
    /// ServiceAccount of the operator, whose rights are asked for
    #[arg(long, value_name = "NAME", default_value = "infraagent")]
    operator_account: String,
    /// Ask for the rights of this kubeconfig's user instead: for the kubeconfig of an operator
    #[arg(long, conflicts_with = "operator_account")]
    own_rights: bool,
    /// Folder of the components that the operator has as bundled skills
    #[arg(long, value_name = "DIR")]
    bundled_skills: Option<PathBuf>,
    /// Connect to the endpoints of the models, from this machine. No key is sent
    #[arg(long)]
    contact_models: bool,
    /// Print the complete answer in this format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
    #[command(flatten)]
    cluster: ListFlags,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    /// As it should be.
    Good,
    /// To be looked at.
    Odd,
    /// It keeps something from working.
    Bad,
    /// It could not be looked at.
    NotChecked,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    /// What was looked at.
    area: &'static str,
    verdict: Verdict,
    /// What was found.
    says: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
}

impl Found {
    fn good(area: &'static str, says: impl Into<String>) -> Self {
        Self { area, verdict: Verdict::Good, says: says.into(), change: None }
    }

    fn odd(area: &'static str, says: impl Into<String>, change: impl Into<String>) -> Self {
        Self { area, verdict: Verdict::Odd, says: says.into(), change: Some(change.into()) }
    }

    fn bad(area: &'static str, says: impl Into<String>, change: impl Into<String>) -> Self {
        Self { area, verdict: Verdict::Bad, says: says.into(), change: Some(change.into()) }
    }

    fn not_checked(area: &'static str, why: impl Into<String>, change: Option<&str>) -> Self {
        Self { area, verdict: Verdict::NotChecked, says: why.into(), change: change.map(str::to_owned) }
    }

    /// What could not be looked at because of this. Definitions that are missing have a check of their own.
    fn unseen(area: &'static str, trouble: &Trouble) -> Self {
        Self::not_checked(area, trouble.to_string(), None)
    }
}

/// Looks.
pub async fn main(args: Doctor) -> anyhow::Result<ExitCode> {
    let Doctor { operator_namespace, operator_account, own_rights, bundled_skills, contact_models, output, cluster } = args;
    let (cluster, scope) = cluster.connect_everywhere().await?;
    let mut found = Vec::new();
    let clocks = cluster.clocks().await?;
    found.push(version(&cluster).await?);
    found.push(clock(clocks));
    found.extend(definitions::check(&cluster).await);
    let installed = !found.iter().any(|found| found.area == definitions::AREA && found.verdict == Verdict::Bad);
    found.extend(shipped::policies(&cluster).await);
    let who =
        if own_rights { rights::Who::Own } else { rights::Who::Account { namespace: operator_namespace.clone(), name: operator_account } };
    found.extend(rights::check(&cluster, &who, &operator_namespace).await);
    found.extend(leases::check(&cluster, &operator_namespace, clocks.server).await);
    // Without definitions there is nothing to ask for.
    if installed {
        found.extend(models::check(&cluster, &operator_namespace, contact_models).await);
        match cluster.list::<InfraAgent>(&scope, &ListParams::default()).await {
            Ok(agents) => {
                found.push(ready(&agents));
                found.extend(rights::accounts(&cluster, &who, &agents).await);
                found.extend(skills::check(&cluster, bundled_skills, &agents).await);
            }
            Err(trouble) => found.push(Found::unseen("agents", &trouble)),
        }
    }
    match output {
        Some(output) => output::data(&found, output)?,
        None => output::text(&page(&cluster.url, &found))?,
    }
    Ok(ExitCode::from(u8::from(found.iter().any(|found| found.verdict == Verdict::Bad))))
}

async fn version(cluster: &Cluster) -> Result<Found, Trouble> {
    let ask = Ask::of::<k8s_openapi::api::core::v1::Namespace>("get", &Scope::All);
    let version = cluster.ask(&ask, cluster.client.apiserver_version()).await?;
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().unwrap_or_default();
    let known = (digits(&version.major), digits(&version.minor));
    Ok(if known >= (1, OLDEST) {
        Found::good("cluster", format!("Kubernetes {}", version.git_version))
    } else {
        Found::bad("cluster", format!("Kubernetes {} is too old", version.git_version), format!("use 1.{OLDEST} or newer"))
    })
}

fn clock(clocks: Clocks) -> Found {
    let seconds = clocks.ahead.as_secs();
    let says = match seconds {
        0 => "this machine and the API server agree about the time".to_owned(),
        ahead if ahead > 0 => format!("this machine's clock is {ahead} s ahead of the API server's"),
        behind => format!("this machine's clock is {} s behind the API server's", behind.abs()),
    };
    let change = "set both clocks by a time server; ages and due times are off by so much";
    let off = seconds.abs();
    if off <= SKEW {
        Found::good("clock", says)
    } else if off <= LARGE_SKEW {
        Found::odd("clock", says, change)
    } else {
        Found::bad("clock", says, change)
    }
}

/// Whether agents are ready, as the operator says it.
fn ready(agents: &[InfraAgent]) -> Found {
    let lacking: Vec<String> = agents
        .iter()
        .filter(|agent| !agent.spec.paused)
        .filter_map(|agent| Some(format!("{}/{}: {}", agent.namespace().unwrap_or_default(), agent.name_any(), holds_back(agent)?)))
        .collect();
    let all = agents.len() as u64;
    if agents.is_empty() {
        return Found::odd("agents", "there are none", "apply an InfraAgent, or look at another namespace");
    }
    if lacking.is_empty() {
        return Found::good("agents", format!("{}, none is held back", count(all, "agent", "agents")));
    }
    Found::bad("agents", format!("{} of {all} held back: {}", lacking.len(), lacking.join("; ")), "do what each of them says")
}

/// An object that may not be there, exactly as the API server has it.
async fn find<K>(cluster: &Cluster, api: Api<K>, scope: &Scope, name: &str) -> Result<Option<Value>, Trouble>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let ask = Ask::of::<K>("get", scope).named(name);
    let found = cluster.ask(&ask, api.get_opt(name)).await?;
    Ok(found.and_then(|found| serde_json::to_value(found).ok()))
}

fn page(url: &str, found: &[Found]) -> String {
    let mut out = format!("{}\n\n", paint(BOLD, clean(url)));
    for Found { area, verdict, says, change } in found {
        let (mark, style) = match verdict {
            Verdict::Good => ("✔", GOOD),
            Verdict::Odd => ("!", ODD),
            Verdict::Bad => ("✘", BAD),
            Verdict::NotChecked => ("–", ODD),
        };
        let not_checked = if *verdict == Verdict::NotChecked { "not checked: " } else { "" };
        for (at, line) in wrapped(&format!("{not_checked}{}", clean(says)), 104).into_iter().enumerate() {
            let (mark, area) = if at == 0 { (paint(style, mark), *area) } else { (" ".to_owned(), "") };
            out.push_str(&format!("{mark} {}{line}\n", paint(DIM, format!("{area:<12}"))));
        }
        for (at, line) in change.iter().flat_map(|change| wrapped(&clean(change), 102).into_iter().enumerate()) {
            out.push_str(&format!("  {:<12}{} {line}\n", "", paint(DIM, if at == 0 { "→" } else { " " })));
        }
    }
    let number = |wanted: Verdict| found.iter().filter(|found| found.verdict == wanted).count();
    let (bad, odd, unseen) = (number(Verdict::Bad), number(Verdict::Odd), number(Verdict::NotChecked));
    let verdict = if bad > 0 { paint(BAD, format!("{bad} to be mended")) } else { paint(GOOD, "nothing keeps it from working") };
    let mut rest = String::new();
    if odd > 0 {
        rest.push_str(&format!(", {odd} to be looked at"));
    }
    if unseen > 0 {
        rest.push_str(&format!(", {unseen} not checked"));
    }
    out.push_str(&format!("\n{verdict}{rest}\n"));
    out
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    #[test]
    fn a_page_says_what_is_wrong_and_what_to_do_and_moves_no_cursor() {
        let found = [
            Found::good("cluster", "Kubernetes v1.37.2"),
            Found::odd("clock", "this machine's clock is 9 s ahead", "set both clocks"),
            Found::bad(
                "agents",
                "1 of 2 held back: agents/\u{1b}[2Jforge: EnvironmentNotFound: there is none",
                "do what each of them says",
            ),
            Found::not_checked("rights", "you may not ask", Some("use --own-rights")),
        ];
        let plain = anstream::adapter::strip_str(&page("https://cluster", &found)).to_string();
        insta::assert_snapshot!(plain);
    }

    #[test]
    fn small_differences_of_clocks_are_nothing() {
        let verdict = |seconds| clock(Clocks { server: Timestamp::UNIX_EPOCH, ahead: SignedDuration::from_secs(seconds) }).verdict;
        assert_eq!([verdict(0), verdict(-5), verdict(6), verdict(-60)], [Verdict::Good, Verdict::Good, Verdict::Odd, Verdict::Odd]);
        assert_eq!([verdict(61), verdict(-3600)], [Verdict::Bad, Verdict::Bad]);
    }
}
