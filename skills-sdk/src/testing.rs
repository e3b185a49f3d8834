//! A fake host for native tests: `cargo test` of a skill needs no cluster, no WebAssembly and no `infraagent`.
//!
//! ```
//! # use skills_sdk::testing::{Host, Skill};
//! # use skills_sdk::sheet::{ActionSpec, Sheet, Verb};
//! # let skill = Skill { tools: &[], describe: Vec::new, sheet: Sheet { state: false, actions: &[] } };
//! let host = Host::new(skill)                                          // `SKILL`, which `skill!` generates
//!     .yaml("{apiVersion: v1, kind: Pod, metadata: {namespace: apps, name: web}}")
//!     .site(serde_json::json!({ "name": "lab" }))
//!     .install();
//! // let output = host.call("list_pods", serde_json::json!({}))?;
//! assert!(host.calls().is_empty());
//! ```
//!
//! It keeps objects in memory, decides by the skill's own sheet (actions, verbs, resources, namespaces, bounds of `scale`), answers what the test scripted,
//! and records every call. It knows no guardrails, no projections and no consequences: those are the host's, and a test through the real sandbox sees them.
//! It belongs to the thread that installed it.

mod answers;
mod objects;
mod scope;
mod selector;
mod world;

use serde_json::Value;

use crate::cx::{Level, Severity};
use crate::http::Response;
use crate::reference::ObjectRef;
use crate::sheet::Sheet;
use crate::tool::{Description, Entry};
use crate::{Error, Output, Result};

use world::World;
pub(crate) use world::with;

/// A skill, as `skill!` hands it to tests.
#[derive(Debug, Clone, Copy)]
pub struct Skill {
    /// Its tools.
    pub tools: &'static [Entry],
    /// What the manifest will say about them.
    pub describe: fn() -> Vec<Description>,
    /// Its action sheet.
    pub sheet: Sheet,
}

/// One call that the skill made, refused ones included.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Interface and function of the contract: `kubernetes-read.list`.
    pub function: &'static str,
    /// The action that it claimed, where the function takes one.
    pub action: Option<String>,
    /// Its arguments, under their names in the contract.
    pub arguments: Value,
}

/// One finding that the skill reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub about: Option<ObjectRef>,
    /// The text.
    pub message: String,
}

/// One line that the skill logged.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}

/// An answer for [`Host::http`], after 20 ms, without headers and without TLS.
pub fn response(status: u16, body: impl Into<Vec<u8>>) -> Response {
    Response { status, headers: Vec::new(), body: body.into(), truncated: false, elapsed_ms: 20, tls: None }
}

/// A fake host that is being furnished.
#[derive(Debug)]
#[must_use = "call `install`"]
pub struct Host {
    world: World,
}

impl Host {
    /// An empty cluster and a site without properties. The clock stands at 2026-01-01T00:00:00Z.
    pub fn new(skill: Skill) -> Self {
        Self { world: World::new(skill) }
    }

    /// Adds an object. A list adds its items.
    ///
    /// # Panics
    ///
    /// If it has no `apiVersion`, `kind` or `metadata.name`.
    pub fn object(mut self, object: Value) -> Self {
        self.world.objects.add(object).expect("the object is not one of Kubernetes");
        self
    }

    /// Adds objects from YAML, several documents if need be.
    ///
    /// # Panics
    ///
    /// If the text is not YAML, or holds something that is no object.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn yaml(mut self, documents: &str) -> Self {
        let documents: Vec<Value> = serde_saphyr::from_multiple(documents).expect("the objects are not YAML");
        for document in documents {
            self = self.object(document);
        }
        self
    }

    /// What `Cx::site` answers.
    pub fn site(mut self, site: Value) -> Self {
        self.world.site = site;
        self
    }

    /// Says which namespaces a name in the sheet stands for. A name without a group stands for itself.
    pub fn namespace_group(mut self, group: &str, namespaces: &[&str]) -> Self {
        self.world.groups.insert(group.to_owned(), namespaces.iter().map(|&namespace| namespace.to_owned()).collect());
        self
    }

    /// What the clock says.
    pub fn now_unix_ms(mut self, now: u64) -> Self {
        self.world.now = now;
        self
    }

    /// The log of a pod; `previous` of its container before it was started again.
    pub fn pod_log(mut self, namespace: &str, pod: &str, previous: bool, text: &str) -> Self {
        self.world.logs.insert((namespace.to_owned(), pod.to_owned(), previous), text.to_owned());
        self
    }

    /// The next call that claims this action gets this error. Several errors for one action are given out in order.
    pub fn fail(mut self, action: &str, error: Error) -> Self {
        self.world.failures.push((action.to_owned(), error));
        self
    }

    /// The next call that claims this action is denied.
    pub fn deny(self, action: &str, code: &str, message: &str) -> Self {
        let denial = crate::Denial { code: code.to_owned(), action: action.to_owned(), message: message.to_owned() };
        self.fail(action, Error::Denied(denial))
    }

    /// What a request of this path on this endpoint is answered, whatever its method.
    pub fn http(mut self, endpoint: &str, path: &str, response: Response) -> Self {
        self.world.http.push((endpoint.to_owned(), path.to_owned(), Ok(response)));
        self
    }

    /// What is answered instead, where an endpoint does not answer: the reason as in [`Error::http_reason`], and a sentence. `timeout` is a time-out.
    pub fn http_fails(mut self, endpoint: &str, path: &str, reason: &str, sentence: &str) -> Self {
        let error = match reason {
            "timeout" => Error::Timeout,
            word => Error::Unavailable { message: format!("{word}: endpoint `{endpoint}`: {sentence}"), retry_after: None },
        };
        self.world.http.push((endpoint.to_owned(), path.to_owned(), Err(error)));
        self
    }

    /// What a tool of an MCP server answers.
    pub fn mcp(mut self, server: &str, tool: &str, answer: Value) -> Self {
        self.world.mcp.push((server.to_owned(), tool.to_owned(), answer));
        self
    }

    /// Whether what is waited for happens in time. It does, unless a test says otherwise.
    pub fn waiting_ends(mut self, holds: bool) -> Self {
        self.world.waiting_ends = holds;
        self
    }

    /// At most this many items in a page, to see that a skill asks for the next one.
    pub fn page_size(mut self, items: usize) -> Self {
        self.world.page_size = items.max(1);
        self
    }

    /// An entry of the skill's memory, of version 1.
    pub fn remembered(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.world.state.insert(key.to_owned(), crate::state::Entry { value: value.into(), version: 1 });
        self
    }

    /// Installs it for this thread, until the answer is dropped.
    ///
    /// # Panics
    ///
    /// If one is installed already.
    pub fn install(self) -> Installed {
        world::install(self.world);
        Installed { thread_bound: std::marker::PhantomData }
    }
}

/// A fake host that is installed for this thread.
#[derive(Debug)]
#[must_use = "the host is gone once this is dropped"]
pub struct Installed {
    thread_bound: std::marker::PhantomData<*const ()>,
}

impl Installed {
    /// Calls a tool of the skill, as the model would.
    pub fn call(&self, tool: &str, arguments: Value) -> Result<Output> {
        let tools = with(|world| Ok(world.skill.tools))?;
        Entry::invoke(tools, tool, &arguments.to_string())
    }

    /// All calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        world::peek(|world| world.calls.clone())
    }

    /// All findings so far, in order.
    pub fn findings(&self) -> Vec<Finding> {
        world::peek(|world| world.findings.clone())
    }

    /// All log lines so far, in order.
    pub fn log_lines(&self) -> Vec<LogLine> {
        world::peek(|world| world.log.clone())
    }

    /// An object as it is now, by its resource (`deployments.apps`), namespace and name.
    pub fn object(&self, resource: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let target = ObjectRef { resource: crate::Resource::new(resource), namespace: namespace.map(str::to_owned), name: name.to_owned() };
        world::peek(|world| world.objects.find(&target).cloned())
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        world::uninstall();
    }
}
