//! There is no such action in the sheet.
use skills_sdk::prelude::*;

skills_sdk::skill! { tools: [wipe] }

/// Wipes the disks.
#[tool(actions = [WipeDisks])]
fn wipe() -> Result<Output> {
    Ok(Output::text("done"))
}

fn main() {}
