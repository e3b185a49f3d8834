//! The smallest useful skill: it greets, and it lists pods.

use skills_sdk::kinds::Pod;
use skills_sdk::prelude::*;

use actions::ListPods;

skills_sdk::skill! { tools: [greet, list_pods] }

/// The most pods that one answer holds.
const MOST_PODS: u32 = 200;

/// Arguments of `greet`.
#[args]
pub struct Greet {
    /// Whom to greet; the world if absent.
    name: Option<String>,
}

/// Says hello, and tells which site this agent works for.
#[tool]
pub fn greet(cx: &Cx<Self>, args: Greet) -> Result<Output> {
    let site: Value = cx.site()?;
    let name = args.name.as_deref().unwrap_or("world");
    let greeting = format!("Hello, {name}!");
    Output::new(&json!({ "greeting": greeting, "site": site }), greeting)
}

/// Arguments of `list_pods`.
#[args]
pub struct ListPodsArgs {
    /// Only this namespace; all that the agent may see if absent.
    namespace: Option<String>,
    /// Only pods with these labels, as `kubectl -l` takes them: `app=web,tier!=cache`.
    labels: Option<String>,
}

/// One pod, as the model sees it.
#[output]
struct PodLine {
    namespace: String,
    name: String,
    phase: String,
    ready: bool,
    restarts: u32,
}

/// Lists pods with phase, readiness and restarts.
#[tool(actions = [ListPods])]
pub fn list_pods(cx: &Cx<Self>, args: ListPodsArgs) -> Result<Output> {
    let mut query = Pod::all().namespace_or_all(args.namespace);
    if let Some(labels) = args.labels {
        query = query.labels(labels);
    }
    let pods = cx.list_all(ListPods, query, MOST_PODS)?;

    let lines: Vec<PodLine> = pods.items.iter().map(PodLine::of).collect();
    let unwell = pods.items.iter().filter(|pod| !pod.is_ready() && pod.phase() != "Succeeded").count();
    let summary = format!("{} pods, {unwell} of them not well", lines.len());
    Output::new(&json!({ "pods": lines, "complete": pods.complete }), summary)
}

impl PodLine {
    fn of(pod: &Pod) -> Self {
        Self {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.name().to_owned(),
            phase: pod.phase().to_owned(),
            ready: pod.is_ready(),
            restarts: pod.restarts(),
        }
    }
}

#[cfg(test)]
mod tests;
