//! The sheet lets `list-pods` list; it does not let it scale.
use actions::ListPods;
use skills_sdk::kinds::Deployment;
use skills_sdk::prelude::*;

skills_sdk::skill! { tools: [grow] }

/// Makes a deployment larger.
#[tool(actions = [ListPods])]
fn grow(cx: &Cx<Self>) -> Result<Output> {
    cx.scale(ListPods, Deployment::at("apps", "web"), 100, "more is more")?;
    Ok(Output::text("done"))
}

fn main() {}
