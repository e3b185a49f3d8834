//! `infraagent skill new`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::skill::scaffold::{self, Sdk};

/// Arguments of `infraagent skill new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  infraagent skill new my-skill
  infraagent skill new my-skill --sdk ~/src/infraagent/skills-sdk")]
pub struct Args {
    /// The skill's name: words of a-z and 0-9 joined by `-`. The directory is called so too
    name: String,
    /// Directory of skills-sdk, to use it from source
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

/// Runs it.
pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { name, sdk } = args;
    let sdk = Sdk::find(sdk.as_deref())?;
    scaffold::create(Path::new("."), name, &sdk)?;
    anstream::println!(
        "made {name}/: SKILL.md says what it is, actions.yaml what it may do, src/lib.rs does it\n\nnext:\n  cd {name}\n  cargo test\n  infraagent skill build"
    );
    if let Sdk::Local(folder) = sdk {
        anstream::println!("\nskills-sdk comes from {}", folder.display());
    }
    Ok(ExitCode::SUCCESS)
}
