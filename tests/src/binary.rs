//! The program under test.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use crate::repository;

/// Path of the program `infraagent`: that of the environment variable `INFRAAGENT_BINARY` (`make test` sets it), else built by cargo, once.
///
/// # Panics
///
/// If it does not build.
pub fn binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os("INFRAAGENT_BINARY") {
        Some(path) => {
            let path = repository().join(path);
            assert!(path.is_file(), "INFRAAGENT_BINARY names {}, which is no file", path.display());
            path
        }
        None => build(),
    })
}

fn build() -> PathBuf {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--package", "infraagent", "--bin", "infraagent", "--message-format", "json-render-diagnostics"])
        .current_dir(repository())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "infraagent does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "infraagent")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable")
}
