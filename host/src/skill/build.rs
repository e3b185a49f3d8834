//! Drives cargo: a skill in Rust becomes two components, the one that ships and the describer.
//!
//! Cargo is the one in `CARGO`, or `cargo`, and gets the environment as it is, so that any toolchain that builds for the target can be used. What it
//! says goes to standard error as it comes. Both builds share a target directory, since they share nearly all dependencies, and write a file of the same
//! name; cargo would take the one for the other. So the file is removed before each build, and the one that ships is built last and stays.

use std::{
    ffi::OsString,
    fmt, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::component;

/// What the component that ships is built for. The describer, which may import nothing, is always built for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Platform {
    /// No WASI, no import that is not in the contract
    #[default]
    #[value(name = "wasm32-unknown-unknown")]
    Unknown,
    /// Clocks, random numbers and captured output of WASI for crates that need them; no files, no network
    #[value(name = "wasm32-wasip2")]
    Wasip2,
}

impl Platform {
    const ALL: [Self; 2] = [Self::Unknown, Self::Wasip2];

    /// The name that Rust has for it.
    pub fn triple(self) -> &'static str {
        match self {
            Self::Unknown => "wasm32-unknown-unknown",
            Self::Wasip2 => "wasm32-wasip2",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.triple())
    }
}

/// The linker pads each index to five bytes so that it could still be changed; nothing changes it later. A tenth of a component.
/// It does that only for what has no debug information, which would not be shipped either.
const LINK: [&str; 4] = ["-C", "link-arg=--strip-debug", "-C", "link-arg=--compress-relocations"];
/// The crate whose feature makes the describer.
const SDK: &str = "skills-sdk";

/// Why a skill was not built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a Rust package.
    #[error("there is no Cargo.toml in `{0}`; for another language build a component and use `infraagent skill pack`")]
    NotRust(PathBuf),
    /// No cargo.
    #[error("cannot start `{cargo}`; install Rust from https://rustup.rs, or set CARGO", cargo = cargo.display())]
    NoCargo {
        /// What was tried.
        cargo: OsString,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Cargo cannot read the package.
    #[error("cargo cannot read the package:\n{0}")]
    Metadata(String),
    /// No package in this folder.
    #[error("`{0}` is a workspace and not a package; give the directory of the skill")]
    NoPackage(PathBuf),
    /// The SDK is not among the dependencies.
    #[error(
        "the package `{0}` does not depend on {SDK}; add it with `cargo add {SDK}`, or build a component and use `infraagent skill pack`"
    )]
    NoSdk(String),
    /// The target is not installed.
    #[error("the Rust target {0} is missing; get it with: rustup target add {0}")]
    NoTarget(Platform),
    /// Cargo failed, and said why.
    #[error("the skill does not compile; cargo says why above")]
    Failed,
    /// No module came out.
    #[error("cargo built no module; Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`")]
    NoModule,
    /// The module is no component.
    #[error(transparent)]
    Component(#[from] component::Error),
    /// The module cannot be read.
    #[error("cannot read `{path}`", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A Rust package that holds a skill.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    cargo: OsString,
    /// The version in Cargo.toml.
    pub version: String,
    /// Where cargo builds.
    pub target: PathBuf,
    /// Files that both builds write.
    shared: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    /// Where intermediate files are, for a cargo that keeps them apart.
    build_directory: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<CargoTarget>,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
    crate_types: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

/// The messages of cargo that name files. All others are ignored.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Project {
    /// Finds the package of a folder.
    pub fn find(folder: &Path) -> Result<Self, Error> {
        let manifest = folder.join("Cargo.toml");
        let (Ok(manifest), Ok(folder)) = (manifest.canonicalize(), folder.canonicalize()) else {
            return Err(Error::NotRust(folder.to_owned()));
        };
        let cargo = std::env::var_os("CARGO").filter(|cargo| !cargo.is_empty()).unwrap_or_else(|| "cargo".into());
        let output = Command::new(&cargo)
            .current_dir(&folder)
            .args(["metadata", "--no-deps", "--format-version=1"])
            .output()
            .map_err(|source| Error::NoCargo { cargo: cargo.clone(), source })?;
        if !output.status.success() {
            return Err(Error::Metadata(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let Metadata { packages, target_directory, build_directory } =
            serde_json::from_slice(&output.stdout).map_err(|error| Error::Metadata(error.to_string()))?;
        let package = packages.into_iter().find(|package| package.manifest_path.canonicalize().is_ok_and(|path| path == manifest));
        let Some(Package { name, version, manifest_path: _, dependencies, targets }) = package else {
            return Err(Error::NoPackage(folder));
        };
        if !dependencies.iter().any(|dependency| dependency.name == SDK) {
            return Err(Error::NoSdk(name));
        }
        let library = targets.into_iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib")).ok_or(Error::NoModule)?;
        let file = format!("{}.wasm", library.name.replace('-', "_"));
        let folders = [Some(target_directory.clone()), build_directory]
            .into_iter()
            .flatten()
            .flat_map(|folder| Platform::ALL.map(|platform| folder.join(platform.triple()).join("release")));
        let shared = folders.flat_map(|folder| [folder.join(&file), folder.join("deps").join(&file)]).collect();
        Ok(Self { folder, cargo, version, target: target_directory, shared })
    }

    /// The component that ships. Build it last.
    pub fn component(&self, platform: Platform) -> Result<Vec<u8>, Error> {
        let built = self.build(platform, &[])?;
        match platform {
            Platform::Unknown => Ok(component::encode(&built)?),
            // Its linker has made one.
            Platform::Wasip2 => Ok(built),
        }
    }

    /// The component that is asked for tools and schemas, once.
    pub fn describer(&self) -> Result<Vec<u8>, Error> {
        Ok(component::encode(&self.build(Platform::Unknown, &["--features", "skills-sdk/describe"])?)?)
    }

    fn build(&self, platform: Platform, extra: &[&str]) -> Result<Vec<u8>, Error> {
        for file in &self.shared {
            match fs::remove_file(file) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(Error::Read { path: file.clone(), source }),
                Ok(()) | Err(_) => {}
            }
        }
        let start = |source| Error::NoCargo { cargo: self.cargo.clone(), source };
        let mut cargo = Command::new(&self.cargo)
            .current_dir(&self.folder)
            .args(["rustc", "--lib", "--release", "--target", platform.triple(), "--crate-type", "cdylib"])
            .arg("--message-format=json-render-diagnostics")
            .args(extra)
            .args(anonymous_paths(platform))
            .arg("--")
            .args(LINK)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let manifest = self.folder.join("Cargo.toml");
        let mut module = None;
        for line in cargo.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
            let Ok(Message { reason, manifest_path, filenames }) = serde_json::from_str(&line) else { continue };
            if reason == "compiler-artifact" && manifest_path == manifest {
                module = filenames.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "wasm")).or(module);
            }
        }
        if !cargo.wait().map_err(start)?.success() {
            return Err(if self.has(platform) { Error::Failed } else { Error::NoTarget(platform) });
        }
        let path = module.ok_or(Error::NoModule)?;
        fs::read(&path).map_err(|source| Error::Read { path, source })
    }

    /// Looked at only after a failure: there are ways to build for a target whose library is not installed.
    fn has(&self, platform: Platform) -> bool {
        let rustc = std::env::var_os("RUSTC").filter(|rustc| !rustc.is_empty()).unwrap_or_else(|| "rustc".into());
        let output =
            Command::new(rustc).current_dir(&self.folder).args(["--print", "target-libdir", "--target", platform.triple()]).output();
        // Without an answer nothing is known about the target, and what cargo said stands.
        output.map_or(true, |output| !output.status.success() || Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    }
}

/// Where crates lie on the author's machine is in every panic message of a library: the component shall not tell it, and its digest shall not depend on it.
/// Ignored by cargo where RUSTFLAGS is set.
fn anonymous_paths(platform: Platform) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let Some(home) = home.as_deref().and_then(Path::to_str) else { return Vec::new() };
    let flag = serde_json::Value::from(format!("--remap-path-prefix={home}=cargo"));
    vec!["--config".to_owned(), format!("target.{platform}.rustflags=[{flag}]")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src/lib.rs"), "").unwrap();
        fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        folder
    }

    #[test]
    fn folders_that_cannot_be_built_say_why() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Project::find(empty.path()), Err(Error::NotRust(_))));
        assert!(matches!(Project::find(&empty.path().join("none")), Err(Error::NotRust(_))));
        let broken = package("[package]\nname = 1");
        assert!(matches!(Project::find(broken.path()), Err(Error::Metadata(_))));
        let workspace = package("[workspace]\nmembers = []");
        assert!(matches!(Project::find(workspace.path()), Err(Error::NoPackage(_))));
        let other = package("[workspace]\n[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2024\"");
        assert!(matches!(Project::find(other.path()), Err(Error::NoSdk(name)) if name == "x"));
    }
}
