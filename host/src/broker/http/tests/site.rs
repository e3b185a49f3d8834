//! A site with one endpoint, and permits for requests to it: screened, decided and recorded as in a run.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use infraagent_api::run::AgentRunSpec;
use infraagent_guard::{
    Autonomy, Call, Circumstances, Claim, Decision, Policy,
    call::{HttpRead, HttpRequest, Read, ReadMethod},
    decide,
    name::{ActionId, EndpointName, Namespace, Origin, ToolName},
    pattern::Glob,
    permit::{Allowed, Permit},
    policy::{self, Action, Grant, HttpGrant, Method, Platform, Scope, Sheet, Suspend, Tool},
    screen,
};
use infraagent_sandbox::{
    broker::{Answer, CallError, Response},
    notation::Entry,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tempfile::TempDir;

use super::super::{
    Http, Secrets, Setup, Trust,
    endpoint::{Attached, Endpoint, Endpoints, Presentation},
    names::{Protected, SystemNames},
};
use crate::audit::{FileSink, Journal, Recorded, Redactor, Setup as Journaled, Sink, ToolEntry};

/// Answers what a test wrote down, in order; the last one for ever.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicU32,
}

impl Scripted {
    pub(super) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |addresses: &&[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), asked: AtomicU32::new(0) })
    }

    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Resolve for Scripted {
    fn resolve(&self, _: Name) -> Resolving {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        let now = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap_or_default();
        Box::pin(async move { Ok(Box::new(now.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs) })
    }
}

/// What is said about the only endpoint, called `status`.
pub(super) struct Site {
    pub(super) origin: String,
    pub(super) base: &'static str,
    pub(super) internal: bool,
    pub(super) credential: Option<(Presentation, Vec<(&'static str, String)>)>,
    pub(super) names: Arc<dyn Resolve>,
    pub(super) trust: Trust,
    pub(super) protected: Vec<Protected>,
    pub(super) timeout: Duration,
    pub(super) denied: &'static str,
}

impl Site {
    /// An internal endpoint.
    pub(super) fn new(origin: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            base: "",
            internal: true,
            credential: None,
            names: Arc::new(SystemNames),
            trust: Trust::Roots(Vec::new()),
            protected: Vec::new(),
            timeout: super::super::TIMEOUT,
            denied: "",
        }
    }

    /// With a bearer token.
    pub(super) fn token(mut self, token: &str) -> Self {
        self.credential = Some((Presentation::Bearer, vec![("token", token.to_owned())]));
        self
    }

    pub(super) async fn open(self) -> Open {
        let Self { origin, base, internal, credential, names, trust, protected, timeout, denied } = self;
        let mut secrets = Secrets::default();
        let attached = credential.map(|(presentation, values)| {
            for (key, value) in values {
                secrets.insert("site-secret", key, &value);
            }
            Attached { name: "site".to_owned(), secret: "site-secret".to_owned(), presentation }
        });
        let endpoint = Endpoint::new(&origin, base, internal, attached).unwrap();
        let name = EndpointName::parse("status").unwrap();
        let known: Vec<String> = secrets.values().iter().map(|value| secrecy::ExposeSecret::expose_secret(value).to_owned()).collect();
        let redactor = Arc::new(Redactor::new(known));
        let policy = policy(&name, &origin, base, denied);
        let setup = Setup { scope: (*policy.scope).clone(), secrets, redactor: Arc::clone(&redactor), trust, names, protected, timeout };
        let dir = tempfile::tempdir().unwrap();
        let sink = Sink::File(FileSink::new(dir.path().join("run.agentrun.yaml")).unwrap());
        let mut run = infraagent_api::AgentRun::new("run", AgentRunSpec::default());
        run.metadata.uid = Some("run-1".to_owned());
        let journal = Journal::open(sink, run, Journaled { redactor, key: None, entries: 8, now: jiff::Timestamp::now }).await.unwrap();
        let entry = journal.tool("work", "", "work {}").await.unwrap();
        Open { http: Http::new(setup), endpoints: [(name, endpoint)].into_iter().collect(), policy, entry, _dir: dir }
    }
}

/// A site that can be asked.
pub(super) struct Open {
    pub(super) http: Http,
    endpoints: Endpoints,
    policy: Policy,
    entry: ToolEntry,
    _dir: TempDir,
}

pub(super) type Pairs<'a> = &'a [(&'a str, &'a str)];

impl Open {
    pub(super) async fn get(&self, path: &str) -> Result<Response, CallError> {
        self.ask(ReadMethod::Get, path, &[], &[]).await
    }

    pub(super) async fn head(&self, path: &str) -> Result<Response, CallError> {
        self.ask(ReadMethod::Head, path, &[], &[]).await
    }

    /// Parsed, screened, decided, recorded, sent.
    pub(super) async fn ask(&self, method: ReadMethod, path: &str, query: Pairs<'_>, headers: Pairs<'_>) -> Result<Response, CallError> {
        match self.http.send(self.permit(method, path, query, headers)?, &self.endpoints).await? {
            Answer::Response(response) => Ok(response),
            other => panic!("{other:?}"),
        }
    }

    /// A recorded permit, or what refused it.
    pub(super) fn permit(
        &self,
        method: ReadMethod,
        path: &str,
        query: Pairs<'_>,
        headers: Pairs<'_>,
    ) -> Result<Recorded<Permit<Read>>, CallError> {
        let owned = |pairs: Pairs<'_>| pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let request =
            HttpRequest::parse("status", path, owned(query), owned(headers)).map_err(|error| CallError::Invalid(error.to_string()))?;
        let claim = Claim {
            tool: ToolName::parse("work").unwrap(),
            action: Some(ActionId::parse("probe").unwrap()),
            call: Call::Read(Read::Http(HttpRead { method, request })),
        };
        let plenty = Circumstances { frozen: false, entries: 10, egress_bytes: 100_000, millis: 60_000 };
        let screened = screen(&self.policy, claim, &plenty).map_err(|denial| CallError::Denied {
            code: denial.code.as_str().to_owned(),
            action: "probe".to_owned(),
            message: denial.message(),
        })?;
        match decide(screened, None) {
            Decision::Allow(Allowed::Read(permit)) => Ok(self.entry.read(permit)),
            other => panic!("{other:?}"),
        }
    }
}

fn policy(name: &EndpointName, origin: &str, base: &str, denied: &str) -> Policy {
    let any = |text: &str| vec![Glob::parse(text).unwrap()];
    let probe = ActionId::parse("probe").unwrap();
    let grant = Grant::Http(HttpGrant { endpoints: any("*"), methods: vec![Method::Get, Method::Head], paths: any("/**") });
    let action = Action { id: probe.clone(), grant, raise: None, data_impact: false, cooldown_seconds: 0, preconditions: Vec::new() };
    let tool = Tool::new(ToolName::parse("work").unwrap(), vec![probe], false);
    let endpoint = policy::Endpoint {
        origin: Origin::parse(origin).unwrap(),
        base: base.to_owned(),
        holds_data: false,
        allowed: true,
        writes: Vec::new(),
    };
    Policy {
        revision: "1".into(),
        scope: Arc::new(Scope { cluster: "lab".into(), run: "run-1".into(), environment: "env-1".into() }),
        home: Namespace::parse("agents").unwrap(),
        autonomy: Autonomy::Observe,
        sheet: Sheet::new(vec![action], vec![tool]).unwrap(),
        environment: policy::Environment {
            namespaces: Vec::new(),
            endpoints: BTreeMap::from([(name.clone(), endpoint)]),
            servers: BTreeMap::new(),
        },
        denied: if denied.is_empty() { Vec::new() } else { Entry::parse(denied).unwrap().denies().to_vec() },
        allowed: None,
        platform: Platform { ceiling: Autonomy::Observe, suspend: Suspend::Nothing },
    }
}
