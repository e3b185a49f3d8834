//! The sheet does not ask for state.
use skills_sdk::prelude::*;

skills_sdk::skill! { tools: [remember] }

/// Remembers something.
#[tool]
fn remember(cx: &Cx<Self>) -> Result<Output> {
    cx.state().put("key", b"value", None)?;
    Ok(Output::text("done"))
}

fn main() {}
