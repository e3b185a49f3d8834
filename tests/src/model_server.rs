//! A model server for tests and demos: it speaks Anthropic's and OpenAI's wire formats over HTTP, says what its script says, and misbehaves
//! where the script wants it to.
//!
//! It checks every request as the vendors do (unknown fields, roles in turn, a result for every call), so that a client cannot drift away from
//! them and still pass its tests; the vendors' own client packages are run against it for the same reason. It keeps every request, headers
//! included, for a test to look at.
//!
//! It runs in a thread of its own, so a test may block, and stops when it is dropped. It is not a model: it reads nothing that it is told.

mod anthropic;
mod check;
mod fault;
mod gate;
mod openai;
mod script;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header},
};
use serde_json::Value;
use tokio::sync::oneshot;

pub use fault::Fault;
pub use gate::Gate;
pub use script::{Call, Reply, Script, Step, Stop, Usage};

/// Which wire format a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's Chat Completions API.
    OpenAi,
}

/// A request that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body; null if that is no JSON.
    pub body: Value,
    /// Why the vendor would refuse it; None if it would not.
    pub refused: Option<String>,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// A running model server.
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Thinks up what to say: the question, and how often the model has spoken in its conversation.
type Improvise = Box<dyn Fn(&Value, usize) -> (Step, Duration) + Send + Sync>;

struct Shared {
    key: Option<String>,
    improvise: Option<Improvise>,
    conversations: Mutex<Vec<Progress>>,
}

/// One conversation.
struct Progress {
    /// A word that every request of it contains.
    word: String,
    script: Script,
    step: usize,
    replies: usize,
    seen: Vec<Seen>,
}

impl Shared {
    fn conversations(&self) -> MutexGuard<'_, Vec<Progress>> {
        self.conversations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModelServer {
    /// On a free port of the loopback interface. Whoever asks is answered.
    pub fn start(script: Script) -> io::Result<Self> {
        Self::listen(script, SocketAddr::from(([127, 0, 0, 1], 0)), None)
    }

    /// On a free port of the loopback interface; a request with another key is refused.
    pub fn start_with_key(script: Script, key: &str) -> io::Result<Self> {
        Self::listen(script, SocketAddr::from(([127, 0, 0, 1], 0)), Some(key.to_owned()))
    }

    /// On a free port, without a script: what is said, and after which pause, is thought up for each question, of which it is known how often the model has spoken
    /// in its conversation. No request is kept.
    pub fn improvise(answer: impl Fn(&Value, usize) -> (Step, Duration) + Send + Sync + 'static) -> io::Result<Self> {
        Self::serve(Script::default(), SocketAddr::from(([127, 0, 0, 1], 0)), None, Some(Box::new(answer)))
    }

    /// At an address.
    pub fn listen(script: Script, address: SocketAddr, key: Option<String>) -> io::Result<Self> {
        Self::serve(script, address, key, None)
    }

    fn serve(script: Script, address: SocketAddr, key: Option<String>, improvise: Option<Improvise>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { key, improvise, conversations: Mutex::new(vec![Progress::new("", script)]) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared)).layer(axum::extract::DefaultBodyLimit::max(64 << 20));
        let thread = std::thread::Builder::new().name("model-server".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return eprintln!("model-server: {error}"),
                };
                // Not gracefully: a request that hangs on purpose would keep it alive.
                tokio::select! {
                    _ = stopped => {}
                    result = async { axum::serve(listener, app).await } => {
                        if let Err(error) = result {
                            eprintln!("model-server: {error}");
                        }
                    }
                }
            });
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Its base URL, such as `http://127.0.0.1:40001`, without a version.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Holds another conversation beside that of the beginning: requests that contain `word` follow this script. The longest word that fits decides.
    pub fn also(&self, word: &str, script: Script) {
        let mut conversations = self.shared.conversations();
        conversations.retain(|known| known.word != word);
        conversations.push(Progress::new(word, script));
        conversations.sort_by_key(|known| std::cmp::Reverse(known.word.len()));
    }

    /// Every request so far that belongs to no other conversation, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen_with("")
    }

    /// Every request of the conversation with this word.
    pub fn seen_with(&self, word: &str) -> Vec<Seen> {
        self.shared.conversations().iter().filter(|known| known.word == word).flat_map(|known| known.seen.clone()).collect()
    }

    /// How many requests arrived so far that belong to no other conversation.
    pub fn asked(&self) -> usize {
        self.shared.conversations().iter().filter(|known| known.word.is_empty()).map(|known| known.seen.len()).sum()
    }

    /// Whether every step of every script was asked for.
    pub fn is_used_up(&self) -> bool {
        self.shared.conversations().iter().all(|known| known.step == known.script.steps.len())
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ModelServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelServer").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// One request: look at it as the vendor would, then do what the script says next.
async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let wire = match uri.path() {
        "/v1/messages" => Some(Wire::Anthropic),
        "/v1/chat/completions" => Some(Wire::OpenAi),
        _ => None,
    };
    let question: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, refused) = match wire {
        None => (StatusCode::NOT_FOUND, Err(format!("there is nothing at `{}`", uri.path()))),
        Some(wire) if !is_authentic(&shared, wire, &headers) => (StatusCode::UNAUTHORIZED, Err("invalid API key".to_owned())),
        Some(Wire::Anthropic) => (StatusCode::BAD_REQUEST, anthropic::check(&headers, &question)),
        Some(Wire::OpenAi) => (StatusCode::BAD_REQUEST, openai::check(&headers, &question)),
    };
    let (next, pause) = if let (Some(improvise), Ok(())) = (&shared.improvise, &refused) {
        let said = spoken(&question);
        let (step, pause) = improvise(&question, said);
        (Some((step, said + 1)), pause)
    } else {
        let mut conversations = shared.conversations();
        let asked = String::from_utf8_lossy(&body);
        // The empty word is in every request.
        let Some(state) = conversations.iter_mut().find(|known| asked.contains(&known.word)) else {
            return error(Wire::OpenAi, StatusCode::NOT_IMPLEMENTED, "no conversation fits");
        };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        state.seen.push(Seen {
            path: uri.path().to_owned(),
            headers: headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
            body: question.clone(),
            refused: refused.as_ref().err().cloned(),
        });
        (if refused.is_ok() { state.next(&question) } else { None }, state.script.pause)
    };
    tokio::time::sleep(pause).await;
    let wire = wire.unwrap_or(Wire::OpenAi);
    if let Err(why) = refused {
        return error(wire, status, &why);
    }
    match next {
        None => error(wire, StatusCode::BAD_REQUEST, "the script has ended: nothing is left to say"),
        Some((Step::Fault(fault), _)) => fault.response(wire).await,
        Some((Step::Reply(reply), turn)) => reply_with(wire, &reply, turn, &question),
        Some((Step::Held(gate, reply), turn)) => {
            gate.pass().await;
            reply_with(wire, &reply, turn, &question)
        }
    }
}

fn reply_with(wire: Wire, reply: &Reply, turn: usize, question: &Value) -> Response<Body> {
    let body = match wire {
        Wire::Anthropic => anthropic::render(reply, turn, question),
        Wire::OpenAi => openai::render(reply, turn, question),
    };
    json(StatusCode::OK, &body)
}

impl Progress {
    fn new(word: &str, script: Script) -> Self {
        Self { word: word.to_owned(), script, step: 0, replies: 0, seen: Vec::new() }
    }

    /// The next step, and which reply it is, from 1.
    fn next(&mut self, question: &Value) -> Option<(Step, usize)> {
        if self.script.per_conversation {
            let said = spoken(question);
            return Some((self.script.steps.get(said)?.clone(), said + 1));
        }
        let step = self.script.steps.get(self.step)?.clone();
        self.step += 1;
        if matches!(step, Step::Reply(_) | Step::Held(..)) {
            self.replies += 1;
        }
        Some((step, self.replies))
    }
}

/// How often the model has spoken in this conversation.
fn spoken(question: &Value) -> usize {
    question["messages"].as_array().map_or(0, |messages| messages.iter().filter(|message| message["role"] == "assistant").count())
}

/// Anthropic documents `x-api-key`; its newer client packages send a bearer token. OpenAI knows the latter only.
fn is_authentic(shared: &Shared, wire: Wire, headers: &HeaderMap) -> bool {
    let Some(key) = &shared.key else { return true };
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|have| have.as_bytes() == value.as_bytes());
    has("authorization", &format!("Bearer {key}")) || (wire == Wire::Anthropic && has("x-api-key", key))
}

/// An error in the vendor's words.
fn error(wire: Wire, status: StatusCode, message: &str) -> Response<Body> {
    json(
        status,
        &match wire {
            Wire::Anthropic => anthropic::error(status, message),
            Wire::OpenAi => openai::error(status, message),
        },
    )
}

fn json(status: StatusCode, body: &Value) -> Response<Body> {
    response(status, &[(header::CONTENT_TYPE.as_str(), "application/json")], Body::from(body.to_string()))
}

fn response(status: StatusCode, headers: &[(&str, &str)], body: Body) -> Response<Body> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body).unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(format!("the script cannot be followed: {error}")));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        response
    })
}

#[cfg(test)]
mod tests;
