//! `llm-bytes`: what the model is sent in one run of the skill deployment-pipeline on a cluster of 500 pods, of which two deployments crash, against the same
//! conversation in which every tool had answered with what `kubectl get -o json` prints for the reads that it made.
//!
//! The run is `infraagent run --kubeconfig`, the model a server that says what it is told to say, and the reads are those that the record names. kubectl is asked
//! after the run; a list that a tool read in parts is asked for once, and what kubectl has no `get` for (waiting, logs) stays as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Stdio},
};

use anyhow::{Context as _, anyhow};
use infraagent_api::{
    AgentRun,
    run::{ActionRecord, ActionStatus},
};
use infraagent_tests::{
    Programs, documents, eventually,
    model_server::{ModelServer, Reply, Script},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{AGENT, Cluster},
    guest::{PROGRAM, Skills},
    measure::Sample,
    table::{Goal, Row},
};

const DEPLOYMENTS: u32 = 25;
/// They crash.
const BROKEN: [&str; 2] = ["web-03", "web-17"];
/// The tool with which the model itself reports.
const FINDING: &str = "report_finding";

pub(crate) async fn run(skills: &Skills, quick: bool) -> anyhow::Result<Vec<Row>> {
    let replicas = if quick { 4 } else { 20 };
    let cluster = Cluster::start(Programs::Controllers).await?;
    populate(&cluster, replicas).await?;
    let model = ModelServer::start(conversation(&cluster.namespace))?;
    cluster.model_at(&model.url()).await?;
    let record = converse(&cluster, skills)?;
    let seen = model.seen();
    let ours: Vec<Value> = seen.iter().map(|request| request.body.clone()).collect();
    let answers = answers(&cluster, &record, &ours)?;
    let theirs: Vec<Value> = ours.iter().map(|body| answered(body.clone(), &answers)).collect();
    let (sent, instead) = (bytes(&ours), bytes(&theirs));
    let announced: f64 = seen.iter().filter_map(|request| request.header("content-length")?.parse::<f64>().ok()).sum();
    anyhow::ensure!(announced == sent, "{announced} bytes were announced, {sent} are counted");
    let row = |name: String, ours: f64, baseline: f64, goal, note: String| {
        let size = |bytes: f64| Sample { p50: bytes / 1000.0, p99: bytes / 1000.0 };
        Row::new(name, size(ours), Some(size(baseline)), "KB", goal, note)
    };
    let (pods, turns) = (DEPLOYMENTS * replicas, seen.len());
    Ok(vec![
        row(
            format!("llm-bytes: {pods} pods"),
            sent,
            instead,
            Goal::Times(0.1),
            format!("bodies of all {turns} requests of a run; baseline: each tool result is what `kubectl get -o json` says to its reads"),
        ),
        row("llm-bytes: results".to_owned(), results(&ours), results(&theirs), Goal::Told, "tool results alone, each once".to_owned()),
    ])
}

/// What a good engineer would do.
fn conversation(namespace: &str) -> Script {
    let about = |name: &str| json!({ "kind": "deployment", "namespace": namespace, "name": name });
    let mut restart = about(BROKEN[0]);
    restart["reason"] = "All pods crash and back off.".into();
    let finding = json!({ "severity": "warning", "message": "A deployment crashes since its last rollout. A person should look at why." });
    Script::replies([
        Reply::says("I begin with everything that does not get anywhere.").calls("find_broken_rollouts", json!({})),
        Reply::says("Two deployments are down. Why?")
            .calls("diagnose_rollout", about(BROKEN[0]))
            .calls("diagnose_rollout", about(BROKEN[1])),
        Reply::says("A crash loop. A restart is cheap, and allowed.").calls("restart_workload", restart),
        Reply::says("Did it help?").calls("diagnose_rollout", about(BROKEN[0])),
        Reply::says("It did. The other one is for a person.").calls(FINDING, finding),
        Reply::says("## Rollouts\n\nTwo deployments crashed. One was restarted, and is up; a person should look at the other one."),
    ])
}

/// Deployments whose pods run, and some whose pods crash.
async fn populate(cluster: &Cluster, replicas: u32) -> anyhow::Result<()> {
    let names: Vec<String> = (0..DEPLOYMENTS).map(|at| format!("web-{at:02}")).collect();
    for name in &names {
        cluster.apply(&cluster.deployment(name, replicas)).await?;
    }
    let wanted = i32::try_from(replicas)?;
    let deployments = &Api::<Deployment>::namespaced(cluster.admin.clone(), &cluster.namespace);
    let status = async |name: &str| deployments.get(name).await.ok()?.status;
    for name in &names {
        eventually(&format!("{name} runs"), async || (status(name).await?.available_replicas == Some(wanted)).then_some(())).await;
    }
    let pods = Api::<Pod>::namespaced(cluster.admin.clone(), &cluster.namespace);
    let crash = documents("demo/cluster/crash.yaml").pop().ok_or_else(|| anyhow!("demo/cluster/crash.yaml is empty"))?;
    for name in BROKEN {
        for pod in pods.list(&ListParams::default().labels(&format!("app={name}"))).await? {
            pods.patch_status(pod.metadata.name.as_deref().unwrap_or_default(), &PatchParams::default(), &Patch::Merge(&crash)).await?;
        }
        eventually(&format!("{name} is down"), async || (status(name).await?.unavailable_replicas == Some(wanted)).then_some(())).await;
    }
    Ok(())
}

/// The run, as its record says.
fn converse(cluster: &Cluster, skills: &Skills) -> anyhow::Result<AgentRun> {
    let output = Command::new(PROGRAM)
        .args(["run", "--namespace", &cluster.namespace, "--agent-name", AGENT, "-o", "json", "--kubeconfig"])
        .arg(&cluster.operator)
        .arg("--skill")
        .arg(skills.scratch.join("deployment-pipeline.wasm"))
        .stdin(Stdio::null())
        .output()?;
    anyhow::ensure!(output.status.success(), "the run failed:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("`-o json` is no AgentRun")
}

/// For each tool call with reads, what kubectl says to them.
fn answers(cluster: &Cluster, record: &AgentRun, bodies: &[Value]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut entries = record.status.iter().flat_map(|status| &status.actions);
    let mut answers = BTreeMap::new();
    // A finding has no entry: it stands in the record itself, and reads nothing.
    for (id, name) in calls(bodies).into_iter().filter(|(_, name)| name != FINDING) {
        let entry = entries.find(|entry| entry.tool == name && entry.object_version.is_none());
        let entry = entry.ok_or_else(|| anyhow!("the record has no entry of the call `{id}` of `{name}`"))?;
        anyhow::ensure!(entry.status == ActionStatus::Executed, "{entry:?}");
        let said = reads(entry)?.iter().map(|read| kubectl(cluster, read)).collect::<anyhow::Result<String>>()?;
        if !said.is_empty() {
            answers.insert(id, said);
        }
    }
    anyhow::ensure!(answers.len() == 5, "too few calls read anything: {:?}", answers.keys());
    Ok(answers)
}

/// What a tool call read with success, each once.
fn reads(entry: &ActionRecord) -> anyhow::Result<BTreeSet<&str>> {
    let Some(reads) = &entry.reads else { return Ok(BTreeSet::new()) };
    anyhow::ensure!(usize::try_from(reads.count)? == reads.calls.len(), "the record does not list every read: {reads:?}");
    let succeeded = |call: &&str| !call.contains(" error:") && !call.contains(" denied:");
    Ok(reads.calls.iter().filter_map(|call| call.strip_prefix("kubectl.get ")).filter(succeeded).collect())
}

fn kubectl(cluster: &Cluster, read: &str) -> anyhow::Result<String> {
    // Of every namespace that the agent may see, which is one.
    let words = read.split(' ').map(|word| if word == "-A" { format!("-n={}", cluster.namespace) } else { word.to_owned() });
    let output = cluster.plane.kubectl().arg("get").args(words).args(["-o", "json"]).output()?;
    anyhow::ensure!(output.status.success(), "kubectl get {read}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Blocks of all messages. A request has only the last exchanges, so each call is in several of them.
fn blocks<'b>(bodies: &'b [Value], kind: &'static str) -> impl Iterator<Item = &'b Value> {
    let messages = bodies.iter().filter_map(|body| body["messages"].as_array()).flatten();
    messages.filter_map(|message| message["content"].as_array()).flatten().filter(move |block| block["type"] == kind)
}

/// Id and tool of each call, in order.
fn calls(bodies: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut known = BTreeSet::new();
    let all = blocks(bodies, "tool_use").map(|block| (text(&block["id"]), text(&block["name"])));
    all.filter(|(id, _)| known.insert(id.clone())).collect()
}

/// Bytes of all results, each once.
fn results(bodies: &[Value]) -> f64 {
    let sizes: BTreeMap<_, _> =
        blocks(bodies, "tool_result").map(|block| (block["tool_use_id"].as_str(), block["content"].to_string().len())).collect();
    sizes.into_values().sum::<usize>() as f64
}

/// The same request with these results.
fn answered(mut body: Value, answers: &BTreeMap<String, String>) -> Value {
    let messages = body["messages"].as_array_mut().into_iter().flatten();
    for block in messages.filter_map(|message| message["content"].as_array_mut()).flatten() {
        if block["type"] == "tool_result"
            && let Some(answer) = block["tool_use_id"].as_str().and_then(|id| answers.get(id))
        {
            block["content"] = answer.as_str().into();
        }
    }
    body
}

fn bytes(bodies: &[Value]) -> f64 {
    bodies.iter().map(|body| body.to_string().len()).sum::<usize>() as f64
}
