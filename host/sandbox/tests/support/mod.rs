//! What tests of the sandbox share: components made of core WebAssembly text for the real contract, manifests, and a broker that records what it is asked.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use infraagent_guard::call::{Ambient, Call, Effect, Read};
use infraagent_sandbox::{
    admission::{self, Admitted},
    broker::{Answer, Answering, Broker, CallError, Page, Receipt, Request, Response},
    engine::{Engine, EngineConfig},
    instance::Skill,
    limits::Limits,
    manifest::{self, Manifest},
    outcome::ToolOutcome,
};
use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// One engine for all tests, as in the host.
pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(EngineConfig { instances: 16, pooling: true }).expect("an engine"));

/// Core imports, by interface and function, with the signatures of the canonical ABI. Each is bound to `$function`.
pub const LOG: &str = r#"(import "infraagent:skill/log@0.1.0" "emit" (func $emit (param i32 i32 i32 i32 i32 i32)))"#;
pub const SITE: &str = r#"(import "infraagent:skill/site@0.1.0" "describe" (func $describe (param i32)))"#;
pub const NOW: &str = r#"(import "infraagent:skill/clock@0.1.0" "now-unix-ms" (func $now (result i64)))"#;
pub const REMAINING: &str = r#"(import "infraagent:skill/clock@0.1.0" "remaining" (func $remaining (param i32)))"#;
pub const STATE_PUT: &str = r#"(import "infraagent:skill/state@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32 i64 i32)))"#;
pub const RESTART: &str = r#"(import "infraagent:skill/kubernetes-service-mutation@0.1.0" "restart"
    (func $restart (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;
pub const GET: &str = r#"(import "infraagent:skill/kubernetes-read@0.1.0" "get"
    (func $get (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;

/// Where a guest may let the host write results: 256 bytes.
pub const RESULT: i32 = 2048;

/// A component whose `invoke` runs `code` and then answers `{}`. `items` are further fields of the module.
///
/// At 16 lies `{}`, at 32 `done`; `(call $text (i32.const START) (i32.const END))` is not needed: texts are data segments of `items`, from 4096 on.
pub fn guest(imports: &str, items: &str, code: &str) -> Vec<u8> {
    guest_with_memory("(memory (export \"memory\") 2)", imports, items, code)
}

pub fn guest_with_memory(memory: &str, imports: &str, items: &str, code: &str) -> Vec<u8> {
    component(&module(memory, imports, items, code, ""), "destroyer", "")
}

/// The core module of such a guest; `realloc` runs whenever the host asks for memory.
pub fn module(memory: &str, imports: &str, items: &str, code: &str, realloc: &str) -> String {
    format!(
        r#"(module
            {imports}
            {memory}
            (global $next (mut i32) (i32.const 65536))
            (data (i32.const 16) "{{}}")
            (data (i32.const 32) "done")
            (data (i32.const 1024) "\00\00\00\00\10\00\00\00\02\00\00\00\20\00\00\00\04\00\00\00")
            (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32)
                {realloc}
                (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (global.set $next (i32.add (local.get $at) (local.get $size)))
                (block $fits
                    (loop $grow
                        (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
                        (br_if $grow (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
                        unreachable))
                (local.get $at))
            {items}
            (func $work (param $run i32) (param $run_len i32) (param $tool i32) (param $tool_len i32) (param $args i32) (param $args_len i32)
                {code})
            (func (export "infraagent:skill/skill@0.1.0#invoke") (param i32 i32 i32 i32 i32 i32) (result i32)
                (call $work (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5))
                (i32.const 1024)))"#
    )
}

/// The world `wasi`: the contract, and a part of WASI as toolchains import it.
pub const WASI: &str = r#"
package test:compat;
world wasi {
  import wasi:io/error@0.2.6;
  import wasi:io/streams@0.2.6;
  import wasi:cli/stdout@0.2.6;
  import wasi:cli/environment@0.2.6;
  import wasi:cli/exit@0.2.6;
  import wasi:filesystem/preopens@0.2.6;
  import wasi:random/random@0.2.6;
  import wasi:clocks/monotonic-clock@0.2.6;
  include infraagent:skill/destroyer@0.1.0;
}
package wasi:io@0.2.6 {
  interface error { resource error; }
  interface poll { resource pollable { block: func(); } }
  interface streams {
    use error.{error};
    variant stream-error { last-operation-failed(error), closed }
    resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
  }
}
package wasi:cli@0.2.6 {
  interface stdout { use wasi:io/streams@0.2.6.{output-stream}; get-stdout: func() -> output-stream; }
  interface environment { get-environment: func() -> list<tuple<string, string>>; get-arguments: func() -> list<string>; }
  interface exit { exit: func(status: result); }
}
package wasi:random@0.2.6 {
  interface random { get-random-bytes: func(len: u64) -> list<u8>; }
}
package wasi:clocks@0.2.6 {
  interface monotonic-clock { use wasi:io/poll@0.2.6.{pollable}; subscribe-duration: func(when: u64) -> pollable; }
}
package wasi:filesystem@0.2.6 {
  interface types { resource descriptor; }
  interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
}
"#;

/// A component of a core module for a world of the contract, or of `extra` WIT text beside it.
pub fn component(core: &str, world: &str, extra: &str) -> Vec<u8> {
    let mut module = wat::parse_str(core).unwrap_or_else(|error| panic!("{error}\n{core}"));
    let mut resolve = Resolve::default();
    let (mut package, _) = resolve.push_dir(contract()).expect("the contract");
    if !extra.is_empty() {
        package = resolve.push_str("extra.wit", extra).unwrap_or_else(|error| panic!("{error:?}"));
    }
    let world = resolve.select_world(&[package], Some(world)).expect("the world");
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .unwrap_or_else(|error| panic!("{error:?}"))
}

/// The folder `wit` at the top: tests of more than one crate use this file.
fn contract() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("wit"));
    above.into_iter().find(|folder| folder.join("skill.wit").is_file()).expect("the contract is in a folder above")
}

/// A manifest with one tool, `work`, that lists every action.
pub fn manifest(actions: &[Value], state: bool) -> Manifest {
    let ids: Vec<&Value> = actions.iter().map(|action| &action["id"]).collect();
    serde_json::from_value(json!({
        "name": "test", "version": "1.0.0", "contract": "0.1.0",
        "tools": [{ "name": "work", "description": "Works", "inputSchema": { "type": "object" }, "actions": ids }],
        "sheet": { "state": state, "actions": actions },
    }))
    .expect("a manifest")
}

/// The actions that the verbs of these tests need.
pub fn every_action() -> Vec<Value> {
    vec![
        json!({ "id": "look", "kubernetes": { "verb": "read", "resources": ["pods"], "namespaces": ["*"] } }),
        json!({ "id": "restart-it", "kubernetes": { "verb": "restart", "resources": ["deployments.apps"], "namespaces": ["*"] } }),
    ]
}

pub fn packed(component: &[u8]) -> Vec<u8> {
    manifest::append(component, &manifest(&every_action(), true)).expect("a manifest that fits")
}

pub fn admitted(component: &[u8]) -> Admitted {
    admission::admit(&packed(component)).unwrap_or_else(|refusals| panic!("{refusals:?}"))
}

pub fn load(component: &[u8]) -> Skill {
    let code = ENGINE.compile_trusted(&packed(component)).expect("it compiles");
    Skill::load(&ENGINE, admitted(component), &code).expect("it loads")
}

/// Runs `work` of a component under limits.
pub async fn run(component: &[u8], limits: &Limits, broker: &Arc<Recorder>) -> ToolOutcome {
    load(component).invoke("work", "{}", "run-1", limits, Arc::clone(broker) as Arc<dyn Broker>).await
}

/// The failure's word, or `ok`.
pub fn code(outcome: &ToolOutcome) -> &'static str {
    outcome.result.as_ref().map_or_else(|failure| failure.code(), |_| "ok")
}

type Reply = dyn Fn(&Request) -> Result<Answer, CallError> + Send + Sync;

/// A broker that records every request, and answers as it is told.
pub struct Recorder {
    requests: Mutex<Vec<Request>>,
    delay: Duration,
    reply: Box<Reply>,
}

impl Recorder {
    /// Answers each call with something of its kind.
    pub fn new() -> Arc<Self> {
        Self::with(Duration::ZERO, |request| match request {
            Request::Call { action: _, call } => Ok(plain(call)),
            Request::Malformed { function: _, message } => Err(CallError::Invalid(message.clone())),
        })
    }

    pub fn with(delay: Duration, reply: impl Fn(&Request) -> Result<Answer, CallError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { requests: Mutex::default(), delay, reply: Box::new(reply) })
    }

    /// What was asked so far: action and call, or `malformed`, function and message.
    pub fn asked(&self) -> Vec<String> {
        let text = |request: &Request| match request {
            Request::Call { action, call } => format!("{} {call}", action.as_ref().map_or("-", |action| action.as_str())),
            Request::Malformed { function, message } => format!("malformed {function}: {message}"),
        };
        self.requests.lock().expect("no panic").iter().map(text).collect()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().expect("no panic").len()
    }
}

impl Broker for Recorder {
    fn perform(&self, request: Request) -> Answering<'_> {
        let answer = (self.reply)(&request);
        self.requests.lock().expect("no panic").push(request);
        Box::pin(async move {
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            answer
        })
    }
}

/// An answer of the call's kind.
pub fn plain(call: &Call) -> Answer {
    match call {
        Call::Ambient(ambient) => match ambient {
            Ambient::Log(_) | Ambient::Finding(_) | Ambient::StateRemove(_) => Answer::Done,
            Ambient::Site => Answer::Json("{}".into()),
            Ambient::Clock => Answer::Time(1_700_000_000_000),
            Ambient::StateGet(_) => Answer::Entry(None),
            Ambient::StatePut(_) => Answer::Version(1),
            Ambient::StateKeys(_) => Answer::Keys(vec![]),
        },
        Call::Read(read) => match read {
            Read::Get(_) | Read::Mcp(_) => Answer::Json("{}".into()),
            Read::List(_) => Answer::Page(Page { items: "[]".into(), count: 0, continue_token: None, truncated: false }),
            Read::Logs(_) => Answer::Text(String::new(), false),
            Read::Wait(_) => Answer::Reached(true),
            Read::Http(_) => response(),
        },
        Call::Mutation(mutation) => match mutation.effect {
            Effect::Http(_) => response(),
            Effect::Mcp(_) => Answer::Json("{}".into()),
            Effect::Restart(_)
            | Effect::Scale(_)
            | Effect::Pause(..)
            | Effect::Evict(..)
            | Effect::Cordon(..)
            | Effect::RequestSync(..)
            | Effect::Delete(_)
            | Effect::Rollback(..) => Answer::Receipt(Receipt { audit_seq: 1, changed: true, resource_version: None }),
        },
    }
}

fn response() -> Answer {
    Answer::Response(Response { status: 200, headers: vec![], body: vec![], truncated: false, elapsed_ms: 1, tls: None })
}
