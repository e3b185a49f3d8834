//! The house's walls: which crate may import which, and where a few dangerous words may appear.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

struct Graph {
    /// Package name -> names of direct normal dependencies.
    direct: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn load() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--locked"])
            .current_dir(root())
            .output()
            .expect("cargo metadata runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let names: BTreeMap<&str, &str> = metadata["packages"]
            .as_array()
            .expect("packages")
            .iter()
            .map(|package| (package["id"].as_str().expect("id"), package["name"].as_str().expect("name")))
            .collect();
        let mut direct = BTreeMap::<String, BTreeSet<String>>::new();
        for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
            let entry = direct.entry(names[node["id"].as_str().expect("id")].to_owned()).or_default();
            for dependency in node["deps"].as_array().expect("deps") {
                let normal = dependency["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"].is_null());
                if normal {
                    entry.insert(names[dependency["pkg"].as_str().expect("pkg")].to_owned());
                }
            }
        }
        Self { direct }
    }

    fn direct(&self, package: &str) -> &BTreeSet<String> {
        self.direct.get(package).unwrap_or_else(|| panic!("no package {package}"))
    }

    fn only(&self, package: &str, allowed: &[&str]) {
        let extra: Vec<_> = self.direct(package).iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(extra.is_empty(), "{package} must not import {extra:?}");
    }
}

/// Everything that is compiled into a package when it is built by itself: features that another member of the workspace asks for are not its.
fn tree(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--package", package, "--edges", "normal", "--target", "all", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    let names: BTreeSet<String> = lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.contains(package), "{lines}");
    names
}

fn never(package: &str, forbidden: &[&str]) {
    let found: Vec<_> = tree(package).into_iter().filter(|name| forbidden.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{package} reaches {found:?}");
}

const NETWORK: &[&str] = &["kube", "kube-client", "k8s-openapi", "hyper", "reqwest", "rustls", "oci-client", "rmcp"];

#[test]
fn the_guard_imports_nothing() {
    Graph::load().only("infraagent-guard", &[]);
}

#[test]
fn the_api_knows_types_only() {
    let graph = Graph::load();
    graph.only("infraagent-api", &["k8s-openapi", "kube", "schemars", "serde", "serde_json", "thiserror"]);
    never("infraagent-api", &["infraagent-guard", "infraagent-sandbox", "kube-client", "hyper", "tokio"]);
}

#[test]
fn the_sandbox_has_no_network_and_no_cluster() {
    let graph = Graph::load();
    graph.only(
        "infraagent-sandbox",
        &["infraagent-guard", "rustix", "serde", "serde_json", "sha2", "thiserror", "tokio", "wasmparser", "wasmtime", "wasmtime-wasi"],
    );
    never("infraagent-sandbox", NETWORK);
    never("infraagent-sandbox", &["infraagent-api", "infraagent"]);
}

#[test]
fn the_host_runs_guests_only_through_the_sandbox() {
    let graph = Graph::load();
    let engines: Vec<_> = graph.direct("infraagent").iter().filter(|name| name.starts_with("wasmtime")).collect();
    assert!(engines.is_empty(), "the host must not import {engines:?}");
}

#[test]
fn the_sdk_and_the_tests_never_see_the_host() {
    let host = ["infraagent", "infraagent-guard", "infraagent-sandbox", "wasmtime"];
    never("skills-sdk", &host);
    never("skills-sdk", NETWORK);
    never("infraagent-tests", &host);
    never("infraagent", &["infraagent-tests", "skills-sdk"]);
}

/// Every Rust file below `folder`, without build output.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).expect("readable").map(|entry| entry.expect("entry").path()) {
            if entry.is_dir() && entry.file_name().is_none_or(|name| name != "target") {
                open.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                files.push(entry);
            }
        }
    }
    files
}

fn files_with(folder: &str, words: &[&str]) -> Vec<String> {
    let root = root();
    let mut found: Vec<String> = sources(&root.join(folder))
        .into_iter()
        .filter(|file| {
            let text = std::fs::read_to_string(file).expect("text");
            let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            words.iter().any(|word| code.contains(word))
        })
        .map(|file| file.strip_prefix(&root).expect("below the root").display().to_string())
        .collect();
    found.sort();
    found
}

#[test]
fn unsafe_code_lives_in_one_place() {
    assert_eq!(files_with("host", &["unsafe {", "unsafe fn", "unsafe impl"]), ["host/sandbox/src/engine.rs"]);
}

/// Rooms of the host in which a client of a cluster, or what makes one, may appear: those that must reach the API server.
const CLUSTER: &[&str] = &[
    "audit/sink",
    "broker/cooldown/leases",
    "broker/kubernetes",
    "cli/audit",
    "cli/cluster",
    "cli/doctor",
    "cli/operator",
    "cli/run",
    "operator",
    "run/connection",
    "run/dereference",
    "run/lookup",
    "run/report",
    "skill/source",
];

#[test]
fn a_client_of_a_cluster_appears_only_where_one_is_needed() {
    let words = ["Client", "Api", "Config"];
    let mut clients = product("host/src", "kube::");
    clients.retain(|file| {
        let text = std::fs::read_to_string(root().join(file)).expect("text");
        text.split(|character: char| !character.is_alphanumeric() && character != '_').any(|word| words.contains(&word))
    });
    assert!(clients.iter().any(|file| file == "host/src/broker/kubernetes/client.rs"), "{clients:?}");
    clients.retain(|file| !CLUSTER.iter().any(|room| file.strip_prefix("host/src/").is_some_and(|file| file.starts_with(room))));
    assert_eq!(clients, [""; 0]);
}

#[test]
fn only_the_audit_makes_a_recorded_permit() {
    // The constructor is private to the module, so another one would not compile; this says where to look.
    assert_eq!(product("host/src", "Recorded::new("), ["host/src/audit/journal.rs", "host/src/audit/tool.rs"]);
}

#[test]
fn native_code_comes_from_the_compiler_and_the_sealed_cache_only() {
    let mut makers = product("host/src", "Authentic::from_compiler(");
    makers.extend(product("host/sandbox/src", "Authentic::from_compiler("));
    assert_eq!(makers, ["host/src/skill/load.rs", "host/sandbox/src/engine.rs"]);
}

/// Files with the word, without tests and the suite of the executors.
fn product(folder: &str, word: &str) -> Vec<String> {
    files_with(folder, &[word])
        .into_iter()
        .filter(|file| !["/tests.rs", "/tests/", "/suite.rs", "/suite/"].iter().any(|test| file.contains(test)))
        .collect()
}
