//! Builds the guests that the binary brings along, with the cargo that builds the binary.
//!
//! `guests/cel` is a workspace of its own with its own lock file, built for wasm32 in `OUT_DIR` and made a component there. Cargo runs this again only
//! when a file of the guest changes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-unknown-unknown";

/// Flags and wrappers meant for the host: clippy's driver and native linker options have nothing to do with a guest.
const NOT_FOR_GUESTS: [&str; 5] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    let guest = Path::new(&variable("CARGO_MANIFEST_DIR")).join("guests/cel");
    for file in ["Cargo.toml", "Cargo.lock", "src", "wit"] {
        println!("cargo::rerun-if-changed={}", guest.join(file).display());
    }

    let module = build(&guest, &out.join("guest"));
    let component = component(&module).unwrap_or_else(|error| panic!("cannot make a component of {}: {error:#}", module.display()));
    let file = out.join("cel.wasm");
    fs::write(&file, component).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
}

/// Builds the guest and answers where its core module is.
fn build(guest: &Path, target_dir: &Path) -> PathBuf {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"]).arg(target_dir).current_dir(guest);
    for name in NOT_FOR_GUESTS {
        cargo.env_remove(name);
    }
    let output = cargo.output().unwrap_or_else(|error| panic!("cannot start cargo to build {}: {error}", guest.display()));
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let hint = if errors.contains("target may not be installed") || errors.contains("can't find crate for `core`") {
            format!("\n\nthe Rust target {TARGET} is missing; get it with: rustup target add {TARGET}\n")
        } else {
            String::new()
        };
        panic!("cannot build {}:\n{errors}{hint}", guest.display());
    }
    target_dir.join(TARGET).join("release/infraagent_cel.wasm")
}

fn component(module: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let module = fs::read(module)?;
    Ok(wit_component::ComponentEncoder::default().module(&module)?.validate(true).encode()?)
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}
