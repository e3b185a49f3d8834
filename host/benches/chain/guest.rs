//! The guests: the two skills of this repository, built as their authors build them, and a small one that calls the host in a loop.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow, bail};
use infraagent_sandbox::{
    admission::{self, Admitted},
    engine::Engine,
    instance::Skill,
    manifest::{self, Manifest},
};
use serde_json::json;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// The program that builds skills and compiles them in a child.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_infraagent");

/// How often the guest of [`looping`] calls the host in one tool call.
pub(crate) const CALLS: u32 = 400;

/// Skills as bytes.
#[derive(Debug)]
pub(crate) struct Skills {
    /// The tool `greet` asks the host one thing: which site this is.
    pub(crate) hello: Vec<u8>,
    /// The large one.
    pub(crate) pipeline: Vec<u8>,
    /// For what a benchmark writes. Below `target`, since the system's folder for such things may be in memory.
    pub(crate) scratch: PathBuf,
}

impl Skills {
    /// Builds both with `infraagent skill build`.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
        fs::create_dir_all(&scratch)?;
        Ok(Self { hello: build("hello-world", &scratch)?, pipeline: build("deployment-pipeline", &scratch)?, scratch })
    }
}

fn build(name: &str, scratch: &Path) -> anyhow::Result<Vec<u8>> {
    let folder = root().join("example-skills").join(name);
    let component = scratch.join(name).with_extension("wasm");
    let built = Command::new(PROGRAM).args(["skill", "build"]).arg(folder).arg("-o").arg(&component).output()?;
    if !built.status.success() {
        bail!("`{name}` does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    }
    fs::read(&component).with_context(|| format!("cannot read `{}`", component.display()))
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What admission says of a component that it must take.
pub(crate) fn admit(component: &[u8]) -> anyhow::Result<Admitted> {
    admission::admit(component).map_err(|refusals| anyhow!("refused: {refusals:?}"))
}

/// A skill that is ready to run, compiled in this process.
pub(crate) fn load(engine: &Engine, component: &[u8]) -> anyhow::Result<Skill> {
    Ok(Skill::load(engine, admit(component)?, &engine.compile_trusted(component)?)?)
}

/// The manifest of [`looping`]: its tool `work` may read pods.
pub(crate) fn looping_manifest() -> anyhow::Result<Manifest> {
    let tool = |name: &str| json!({ "name": name, "description": "Works", "inputSchema": { "type": "object" }, "actions": ["look"] });
    Ok(serde_json::from_value(json!({
        "name": "loop", "version": "1.0.0", "description": "Looks at one pod again and again", "contract": "0.1.0",
        "tools": [tool("work")],
        "sheet": { "actions": [{ "id": "look", "description": "Pods", "kubernetes": { "verb": "read", "resources": ["pods"], "namespaces": ["apps"] } }] },
    }))?)
}

/// A component that calls `kubernetes-read.get` [`CALLS`] times and answers `{}`. The result goes to memory and is not looked at, so that what is measured is
/// the way to the host and back.
pub(crate) fn looping(pod: &str) -> anyhow::Result<Vec<u8>> {
    let length = pod.len();
    let core = format!(
        r#"(module
            (import "infraagent:skill/kubernetes-read@0.1.0" "get"
                (func $get (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 65536))
            (data (i32.const 16) "{{}}")
            (data (i32.const 32) "done")
            (data (i32.const 64) "look")
            (data (i32.const 80) "pods")
            (data (i32.const 96) "shop")
            (data (i32.const 128) "{pod}")
            (data (i32.const 1024) "\00\00\00\00\10\00\00\00\02\00\00\00\20\00\00\00\04\00\00\00")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (global.set $next (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export "infraagent:skill/skill@0.1.0#invoke") (param i32 i32 i32 i32 i32 i32) (result i32)
                (local $left i32)
                (local.set $left (i32.const {CALLS}))
                (loop $again
                    (global.set $next (i32.const 65536))
                    (call $get
                        (i32.const 64) (i32.const 4)
                        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 80) (i32.const 4)
                        (i32.const 1) (i32.const 96) (i32.const 4)
                        (i32.const 128) (i32.const {length})
                        (i32.const 0) (i32.const 0)
                        (i32.const 2048))
                    (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
                (i32.const 1024)))"#
    );
    let mut module = wat::parse_str(&core)?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit"))?;
    let world = resolve.select_world(&[package], Some("destroyer"))?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let component = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    manifest::append(&component, &looping_manifest()?).map_err(|error| anyhow!("{error}"))
}
