//! Builds the guests that the binary brings along, with the cargo that builds the binary.
//!
//! Each is a workspace of its own with its own lock file, built for wasm32 in `OUT_DIR` and made components there: `guests/cel` one, `guests/generic` one for
//! each of its examples. Cargo runs this again only when a file of theirs changes.

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
    println!("cargo::rerun-if-changed=../wit");
    let out = PathBuf::from(variable("OUT_DIR"));
    let guests = Path::new(&variable("CARGO_MANIFEST_DIR")).join("guests");
    for file in [
        "cel/Cargo.toml",
        "cel/Cargo.lock",
        "cel/src",
        "cel/wit",
        "generic/Cargo.toml",
        "generic/Cargo.lock",
        "generic/src",
        "generic/examples",
    ] {
        println!("cargo::rerun-if-changed={}", guests.join(file).display());
    }

    let modules = build(&guests.join("cel"), &[], &out.join("guest"));
    component(&modules.join("infraagent_cel.wasm"), &out.join("cel.wasm"));

    let examples = files(&guests.join("generic/examples"));
    let modules = build(&guests.join("generic"), &["--examples"], &out.join("generic")).join("examples");
    for name in examples.iter().filter_map(|example| example.file_stem()?.to_str()) {
        component(&modules.join(name).with_extension("wasm"), &out.join(format!("{name}.wasm")));
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display())).path()).collect()
}

/// Builds a guest and answers where its core modules are.
fn build(guest: &Path, what: &[&str], target_dir: &Path) -> PathBuf {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--release", "--locked", "--target", TARGET]).args(what).arg("--target-dir").arg(target_dir).current_dir(guest);
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
    target_dir.join(TARGET).join("release")
}

/// Makes a component of a core module.
fn component(module: &Path, file: &Path) {
    let encode = || -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        Ok(wit_component::ComponentEncoder::default().module(&fs::read(module)?)?.validate(true).encode()?)
    };
    let component = encode().unwrap_or_else(|error| panic!("cannot make a component of {}: {error:#}", module.display()));
    fs::write(file, component).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}
