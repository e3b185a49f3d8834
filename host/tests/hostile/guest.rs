//! Guests written call by call: each call of the contract is a line of WebAssembly text with its strings beside it.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::support::{self, RESULT};

const SERVICE: &str = "infraagent:skill/kubernetes-service-mutation@0.1.0";
const DESTRUCTIVE: &str = "infraagent:skill/kubernetes-destructive-mutation@0.1.0";
const READ: &str = "infraagent:skill/kubernetes-read@0.1.0";

/// Deployment, as the enums `workload` and `scalable` count.
pub const DEPLOYMENT: u32 = 0;
/// StatefulSet, as the enum `workload` counts.
pub const STATEFUL_SET: u32 = 1;
/// DaemonSet, as the enum `workload` counts.
pub const DAEMON_SET: u32 = 2;
/// Kinds of the enum `disposable`.
pub const POD: u32 = 0;
pub const DELETE_STATEFUL_SET: u32 = 5;
pub const SERVICE_KIND: u32 = 7;

/// Code that never ends.
pub const FOREVER: &str = "(loop $forever (br $forever))";

/// What the code of a tool does, in order.
#[derive(Default, Clone)]
pub struct Guest {
    imports: BTreeSet<String>,
    data: String,
    used: usize,
    code: String,
    memory: Option<u32>,
    realloc: String,
    wasi: bool,
}

impl Guest {
    pub fn new() -> Self {
        Self::default()
    }

    /// So many pages of memory; texts and results need two.
    pub fn memory(mut self, pages: u32) -> Self {
        self.memory = Some(pages);
        self
    }

    /// Code as it is.
    pub fn code(mut self, code: &str) -> Self {
        self.code.push_str(code);
        self.code.push('\n');
        self
    }

    /// A further field of the module.
    pub fn item(mut self, item: &str) -> Self {
        self.data.push_str(item);
        self
    }

    /// What runs whenever the host asks for memory to put something into.
    pub fn realloc(mut self, code: &str) -> Self {
        self.realloc.push_str(code);
        self
    }

    /// Imports a function of WASI as `$name`: a guest of the compat profile.
    pub fn wasi(mut self, interface: &str, function: &str, name: &str, signature: &str) -> Self {
        self.wasi = true;
        self.import(&format!("wasi:{interface}@0.2.6"), function, name, signature);
        self
    }

    /// Puts a text into memory and leaves its place and length on the stack.
    pub fn text(&mut self, text: impl AsRef<[u8]>) -> String {
        let (at, length) = self.place(text.as_ref());
        format!("(i32.const {at}) (i32.const {length})")
    }

    /// Puts bytes into memory: where, and how many.
    pub fn place(&mut self, bytes: &[u8]) -> (usize, usize) {
        let at = 4096 + self.used;
        self.used += bytes.len().next_multiple_of(8);
        assert!(at + bytes.len() < 65536, "the heap begins at 65536");
        let escaped = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        });
        let _ = writeln!(self.data, "(data (i32.const {at}) \"{escaped}\")");
        (at, bytes.len())
    }

    fn import(&mut self, interface: &str, function: &str, name: &str, signature: &str) {
        self.imports.insert(format!("(import \"{interface}\" \"{function}\" (func ${name} {signature}))"));
    }

    fn call(mut self, name: &str, arguments: &str) -> Self {
        let _ = writeln!(self.code, "(call ${name} {arguments} (i32.const {RESULT}))");
        self
    }

    /// Gives the error of the last call back as the tool's own, if it was one. Not for calls whose result has eight-byte parts.
    pub fn or_fail(self) -> Self {
        self.code(&format!(
            "(if (i32.load8_u (i32.const {RESULT})) (then (memory.copy (i32.const 1024) (i32.const {RESULT}) (i32.const 64)) (return)))"
        ))
    }

    /// The text that the last call answered becomes the tool's content.
    pub fn answer_it(self) -> Self {
        self.code(&format!(
            "(i32.store (i32.const 1028) (i32.load (i32.const {}))) (i32.store (i32.const 1032) (i32.load (i32.const {})))",
            RESULT + 4,
            RESULT + 8
        ))
    }

    /// The tool's content and summary.
    pub fn answer(mut self, content: &[u8], summary: &[u8]) -> Self {
        let ((content, content_length), (summary, summary_length)) = (self.place(content), self.place(summary));
        self.code(&format!(
            "(i32.store (i32.const 1028) (i32.const {content})) (i32.store (i32.const 1032) (i32.const {content_length}))
             (i32.store (i32.const 1036) (i32.const {summary})) (i32.store (i32.const 1040) (i32.const {summary_length}))"
        ))
    }

    /// As [`Guest::or_fail`], for http: its result has eight-byte parts.
    pub fn or_fail_http(self) -> Self {
        self.code(&format!(
            "(if (i32.load8_u (i32.const {RESULT})) (then
                (i32.store8 (i32.const 1024) (i32.const 1)) (memory.copy (i32.const 1028) (i32.const {}) (i32.const 60)) (return)))",
            RESULT + 8
        ))
    }

    /// A GET, or with `head` a HEAD.
    pub fn http(mut self, action: &str, endpoint: &str, head: bool, path: &str, query: &[(&str, &str)], headers: &[(&str, &str)]) -> Self {
        self.import("infraagent:skill/http-read@0.1.0", "send", "send", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)");
        let (action, endpoint, path) = (self.text(action), self.text(endpoint), self.text(path));
        let (query, headers) = (self.pairs(query), self.pairs(headers));
        self.call("send", &format!("{action} {endpoint} (i32.const {}) {path} {query} {headers}", u32::from(head)))
    }

    /// Puts a list of pairs into memory and leaves its place and length on the stack.
    fn pairs(&mut self, pairs: &[(&str, &str)]) -> String {
        let mut words = Vec::new();
        for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
            let (at, length) = self.place(text.as_bytes());
            words.extend([at, length]);
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| u32::try_from(*word).expect("small").to_le_bytes()).collect();
        format!("(i32.const {}) (i32.const {})", self.place(&bytes).0, pairs.len())
    }

    /// Keeps the text that the last call answered in the skill's memory, each byte `xor` this.
    pub fn keep_it(self, key: &str, xor: u32) -> Self {
        self.keep(key, xor, RESULT + 4)
    }

    /// The same with the body of the last answer of an endpoint.
    pub fn keep_body(self, key: &str, xor: u32) -> Self {
        self.keep(key, xor, RESULT + 20)
    }

    fn keep(mut self, key: &str, xor: u32, text: i32) -> Self {
        self.import("infraagent:skill/state@0.1.0", "put", "put", "(param i32 i32 i32 i32 i32 i64 i32)");
        let key = self.text(key);
        let length = text + 4;
        self.code(&format!(
            "(local.set $run (i32.load (i32.const {text}))) (local.set $run_len (i32.load (i32.const {length})))
             (local.set $tool (i32.const 0))
             (block $done (loop $next
                (br_if $done (i32.ge_u (local.get $tool) (local.get $run_len)))
                (i32.store8 (i32.add (local.get $run) (local.get $tool))
                    (i32.xor (i32.load8_u (i32.add (local.get $run) (local.get $tool))) (i32.const {xor})))
                (local.set $tool (i32.add (local.get $tool) (i32.const 1)))
                (br $next)))
             (call $put {key} (local.get $run) (local.get $run_len) (i32.const 0) (i64.const 0) (i32.const {RESULT}))"
        ))
    }

    pub fn restart(mut self, action: &str, kind: u32, namespace: &str, name: impl AsRef<[u8]>) -> Self {
        self.import(SERVICE, "restart", "restart", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)");
        let (action, namespace, name, reason) = (self.text(action), self.text(namespace), self.text(name), self.text("because"));
        self.call("restart", &format!("{action} (i32.const {kind}) {namespace} {name} {reason}"))
    }

    pub fn scale(mut self, action: &str, kind: u32, namespace: &str, name: &str, replicas: u32) -> Self {
        self.import(SERVICE, "scale", "scale", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)");
        let (action, namespace, name, reason) = (self.text(action), self.text(namespace), self.text(name), self.text("because"));
        self.call("scale", &format!("{action} (i32.const {kind}) {namespace} {name} (i32.const {replicas}) {reason}"))
    }

    pub fn evict(mut self, action: &str, namespace: &str, pod: &str, uid: &str) -> Self {
        self.import(SERVICE, "evict", "evict", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)");
        let (action, namespace, pod, uid, reason) =
            (self.text(action), self.text(namespace), self.text(pod), self.text(uid), self.text("because"));
        self.call("evict", &format!("{action} {namespace} {pod} {uid} {reason}"))
    }

    pub fn delete(mut self, action: &str, kind: u32, namespace: &str, name: &str, (uid, version): (&str, &str)) -> Self {
        self.import(DESTRUCTIVE, "delete", "delete", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)");
        let (action, namespace, name, reason) = (self.text(action), self.text(namespace), self.text(name), self.text("because"));
        let (uid, version) = (self.text(uid), self.text(version));
        self.call("delete", &format!("{action} (i32.const {kind}) {namespace} {name} {uid} {version} (i32.const 0) (i32.const 0) {reason}"))
    }

    pub fn get(mut self, action: &str, (group, resource): (&str, &str), namespace: &str, name: &str, whole: bool) -> Self {
        self.import(READ, "get", "get", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)");
        let (action, group, resource, namespace, name) =
            (self.text(action), self.text(group), self.text(resource), self.text(namespace), self.text(name));
        // A list of one empty pointer: the whole object.
        let select = if whole { self.place(&[0; 8]).0 } else { 0 };
        self.call(
            "get",
            &format!(
                "{action} {group} (i32.const 0) (i32.const 0) (i32.const 0) {resource} (i32.const 1) {namespace} {name} (i32.const {select}) (i32.const {})",
                u32::from(whole)
            ),
        )
    }

    pub fn logs(mut self, action: &str, namespace: &str, pod: &str) -> Self {
        self.import(READ, "logs", "logs", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)");
        let (action, namespace, pod) = (self.text(action), self.text(namespace), self.text(pod));
        self.call(
            "logs",
            &format!(
                "{action} {namespace} {pod} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 0) (i32.const 0)"
            ),
        )
    }

    /// `token`: none; a text; or the one that the list before answered.
    pub fn list(mut self, action: &str, resource: &str, namespace: &str, fields: Option<&str>, limit: u32, token: Token<'_>) -> Self {
        self.import(READ, "list", "list", "(param i32 i32)");
        let mut words = Vec::new();
        let mut put = |this: &mut Self, text: &str| {
            let (at, length) = this.place(text.as_bytes());
            words.extend([at, length]);
        };
        put(&mut self, action);
        put(&mut self, "");
        words.extend([0, 0, 0]);
        let mut put = |this: &mut Self, text: &str| {
            let (at, length) = this.place(text.as_bytes());
            words.extend([at, length]);
        };
        put(&mut self, resource);
        let option = |this: &mut Self, text: Option<&str>| {
            let (at, length) = text.map_or((0, 0), |text| this.place(text.as_bytes()));
            [usize::from(text.is_some()), at, length]
        };
        words.extend(option(&mut self, Some(namespace)));
        words.extend([0, 0, 0]);
        words.extend(option(&mut self, fields));
        words.extend([0, 0, limit as usize]);
        let token = match token {
            Token::None => option(&mut self, None),
            Token::Text(text) => option(&mut self, Some(text)),
            Token::Given => [1, 0, 0],
        };
        words.extend(token);
        let bytes: Vec<u8> = words.iter().flat_map(|word| u32::try_from(*word).expect("small").to_le_bytes()).collect();
        let (query, _) = self.place(&bytes);
        if token == [1, 0, 0] {
            // page: items 8, count 4, token 12: the handle lies at RESULT + 4 + 16.
            self = self.code(&format!(
                "(i32.store (i32.const {}) (i32.load (i32.const {}))) (i32.store (i32.const {}) (i32.load (i32.const {})))",
                query + 88,
                RESULT + 20,
                query + 92,
                RESULT + 24
            ));
        }
        self.call("list", &format!("(i32.const {query})"))
    }

    pub fn log(mut self, level: u32, message: &str) -> Self {
        self.import("infraagent:skill/log@0.1.0", "emit", "emit", "(param i32 i32 i32 i32 i32 i32)");
        let message = self.text(message);
        self.call("emit", &format!("(i32.const {level}) {message} (i32.const 0) (i32.const 0)"))
    }

    /// A finding about a deployment, if one is named.
    pub fn finding(mut self, severity: u32, about: Option<(&str, &str)>, message: &[u8]) -> Self {
        self.import(
            "infraagent:skill/report@0.1.0",
            "finding",
            "finding",
            "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
        );
        let about = match about {
            None => "(i32.const 0) ".repeat(13),
            Some((namespace, name)) => {
                let (group, resource, namespace, name) =
                    (self.text("apps"), self.text("deployments"), self.text(namespace), self.text(name));
                format!("(i32.const 1) {group} (i32.const 0) (i32.const 0) (i32.const 0) {resource} (i32.const 1) {namespace} {name}")
            }
        };
        let message = self.text(message);
        self.call("finding", &format!("(i32.const {severity}) {about} {message}"))
    }

    /// So many zero bytes go into the skill's memory.
    pub fn put(mut self, key: &str, bytes: u32) -> Self {
        self.import("infraagent:skill/state@0.1.0", "put", "put", "(param i32 i32 i32 i32 i32 i64 i32)");
        let key = self.text(key);
        self.call("put", &format!("{key} (i32.const 65536) (i32.const {bytes}) (i32.const 0) (i64.const 0)"))
    }

    pub fn site(mut self) -> Self {
        self.import("infraagent:skill/site@0.1.0", "describe", "describe", "(param i32)");
        self.call("describe", "")
    }

    /// Everything so far happens only in the tool `work`, what follows only in the other.
    pub fn in_the_other_tool(mut self) -> Self {
        self.code = format!("(if (i32.eq (local.get $tool_len) (i32.const 4)) (then {} (return)))\n", self.code);
        self
    }

    /// Everything so far again and again.
    pub fn forever(mut self) -> Self {
        self.code = format!("(loop $again {} (br $again))\n", self.code);
        self
    }

    pub fn build(&self) -> Vec<u8> {
        let imports: String = self.imports.iter().map(String::as_str).collect();
        let memory = format!("(memory (export \"memory\") {})", self.memory.unwrap_or(2));
        let module = support::module(&memory, &imports, &self.data, &self.code, &self.realloc);
        let (world, wit) = if self.wasi { ("wasi", support::WASI) } else { ("destroyer", "") };
        support::component(&module, world, wit)
    }
}

/// The continue token of a list.
#[derive(Clone, Copy)]
pub enum Token<'a> {
    None,
    Text(&'a str),
    Given,
}
