//! Executes tool calls: one entry of the record, one fresh instance of the skill's component, one door; then the entry is sealed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use infraagent_api::AgentRunStatus;
use infraagent_guard::{Code, call::Finding, name::ToolName};
use infraagent_sandbox::{
    broker::CallError,
    instance::Skill,
    limits::Limits,
    outcome::{Failure, Output, ToolOutcome as Ended},
};
use serde_json::Value;

use super::{
    finding,
    tools::{Outcome, RecordLost, Rejection, Tools, Why},
};
use crate::{
    audit::{ToolEntry, ToolOutcome},
    broker::{Door, Shared},
    llm::{ToolCall, ToolStatus, Trust},
    telemetry::log::SKILL,
};

/// A skill that can be called, and what a call may use.
#[derive(Debug)]
pub struct Loaded {
    /// The component.
    pub skill: Arc<Skill>,
    /// Per tool call: what the manifest asks for, under what the platform allows.
    pub limits: Limits,
}

/// The tools of a run's skills, in the sandbox.
#[derive(Debug)]
pub struct SkillTools {
    shared: Arc<Shared>,
    run: String,
    tools: BTreeMap<String, Arc<Loaded>>,
}

impl SkillTools {
    /// Every tool of the loaded skills, for the run with this uid.
    pub fn new(shared: Arc<Shared>, run: &str, skills: Vec<Loaded>) -> Self {
        let skills = skills.into_iter().map(Arc::new);
        let named = |loaded: Arc<Loaded>| {
            let names: Vec<String> = loaded.skill.manifest().tools.iter().map(|tool| tool.name.clone()).collect();
            names.into_iter().map(move |name| (name, Arc::clone(&loaded)))
        };
        Self { shared, run: run.to_owned(), tools: skills.flat_map(named).collect() }
    }

    async fn open(&self, call: &ToolCall) -> Result<ToolEntry, Outcome> {
        let arguments = call.arguments.to_string();
        let opened = self.shared.journal.tool(&call.name, &target(&call.arguments.to_value()), &format!("{} {arguments}", call.name)).await;
        opened.map_err(|error| Outcome::host(ToolStatus::Blocked, format!("budget-exhausted: {error}")))
    }

    async fn invoke(
        &self,
        call: &ToolCall,
        until: Instant,
        loaded: &Loaded,
        tool: ToolName,
        entry: &Arc<ToolEntry>,
    ) -> (Outcome, ToolOutcome) {
        let left = until.saturating_duration_since(Instant::now());
        let limits = Limits { wall: loaded.limits.wall.min(left), ..loaded.limits };
        let door = Arc::new(Door::new(Arc::clone(&self.shared), Arc::clone(entry), tool, &call.id));
        let Ended { result, usage, log } = loaded.skill.invoke(&call.name, &call.arguments.to_string(), &self.run, &limits, door).await;
        tracing::debug!(tool = %call.name, ?usage, "tool call ended");
        if !log.is_empty() {
            let log = self.shared.redactor.text(&log);
            tracing::info!(target: SKILL, tool = %call.name, text = &*log, "skill output");
        }
        match result {
            Ok(Output { content, summary }) => {
                let text = self.redacted(&content);
                let summary = self.shared.redactor.text(&summary).into_owned();
                let recorded = ToolOutcome::Executed { result: text.clone() };
                (
                    Outcome {
                        status: ToolStatus::Ok,
                        text,
                        trust: Trust::World { source: format!("tool {}", call.name) },
                        summary,
                        why: None,
                    },
                    recorded,
                )
            }
            Err(failure) => self.failed(call, failure, entry),
        }
    }

    /// An error in the skill's own words is data; one of the host's is the host's. A refusal is one only if the host refused something with that code.
    fn failed(&self, call: &ToolCall, failure: Failure, entry: &ToolEntry) -> (Outcome, ToolOutcome) {
        let text = self.shared.redactor.text(&failure.to_string()).into_owned();
        let exhausted = Code::BudgetExhausted.as_str();
        let blocked = match &failure {
            Failure::Guest(CallError::Denied { code, action: _, message: _ }) if entry.has_refused(code) => Some(code.clone()),
            Failure::Refused(CallError::Denied { code, action: _, message: _ }) => Some(code.clone()),
            Failure::Guest(CallError::BudgetExhausted(_)) if entry.has_refused(exhausted) => Some(exhausted.to_owned()),
            Failure::Guest(_)
            | Failure::Refused(_)
            | Failure::Limit { .. }
            | Failure::Trap { .. }
            | Failure::Panic { .. }
            | Failure::BadAnswer(_)
            | Failure::UnknownTool(_)
            | Failure::Internal(_) => None,
        };
        let trust = match &failure {
            Failure::Guest(_) | Failure::Panic { .. } | Failure::BadAnswer(_) => Trust::World { source: format!("tool {}", call.name) },
            Failure::Refused(_) | Failure::Limit { .. } | Failure::Trap { .. } | Failure::UnknownTool(_) | Failure::Internal(_) => {
                Trust::Host
            }
        };
        let (status, recorded) = match blocked {
            Some(reason) => (ToolStatus::Blocked, ToolOutcome::Blocked { reason, message: text.clone() }),
            None => (ToolStatus::Error, ToolOutcome::Failed { reason: failure.code().to_owned(), message: text.clone() }),
        };
        let why = match &failure {
            Failure::Trap { kind, detail: _ } => Why::Trapped(kind),
            Failure::Limit { .. } | Failure::Panic { .. } => Why::Trapped(failure.code()),
            Failure::Guest(_) | Failure::Refused(_) | Failure::BadAnswer(_) | Failure::UnknownTool(_) | Failure::Internal(_) => {
                Why::Told(failure.code())
            }
        };
        (Outcome { status, summary: text.clone(), text, trust, why: Some(why) }, recorded)
    }

    /// JSON without secrets: by key and by pattern.
    fn redacted(&self, content: &str) -> String {
        match serde_json::from_str::<Value>(content) {
            Ok(mut value) => {
                self.shared.redactor.json(&mut value);
                value.to_string()
            }
            Err(_) => self.shared.redactor.text(content).into_owned(),
        }
    }
}

impl Tools for SkillTools {
    async fn call(&self, call: &ToolCall, until: Instant) -> Outcome {
        let entry = match self.open(call).await {
            Ok(entry) => Arc::new(entry),
            Err(refused) => return refused,
        };
        let (outcome, recorded) = match (self.tools.get(&call.name), ToolName::parse(&call.name)) {
            (Some(loaded), Ok(tool)) => self.invoke(call, until, loaded, tool, &entry).await,
            (Some(_), Err(_)) | (None, _) => self.failed(call, Failure::UnknownTool(call.name.escape_debug().to_string()), &entry),
        };
        match entry.close(recorded).await {
            Ok(()) => outcome,
            Err(error) => Outcome::error(format!("the outcome could not be recorded: {error}")),
        }
    }

    fn entries_left(&self) -> u32 {
        self.shared.journal.entries_left()
    }

    async fn finding(&self, call: &ToolCall, finding: Finding) -> Outcome {
        let about = finding.about.as_ref().map(ToString::to_string);
        match self.shared.finding(finding).await {
            Ok(()) => Outcome::host(ToolStatus::Ok, "recorded"),
            Err(CallError::Denied { code, action: _, message }) => {
                let Ok(entry) =
                    self.shared.journal.tool(finding::NAME, &about.unwrap_or_default(), &format!("{} {}", call.name, call.arguments)).await
                else {
                    return Outcome::host(ToolStatus::Blocked, message);
                };
                let recorded = ToolOutcome::Blocked { reason: code, message: message.clone() };
                match entry.close(recorded).await {
                    Ok(()) => Outcome::host(ToolStatus::Blocked, message),
                    Err(error) => Outcome::error(format!("the refusal could not be recorded: {error}")),
                }
            }
            Err(error) => Outcome::error(error.to_string()),
        }
    }

    async fn rejected(&self, call: &ToolCall, why: &Rejection) {
        let (reason, message) = (why.code().to_owned(), why.to_string());
        let recorded = match why {
            Rejection::UnknownTool { name: _, known: _ } => {
                self.shared.undeclared(&call.id, &call.name, &reason, &message);
                ToolOutcome::Blocked { reason, message }
            }
            Rejection::Arguments(_) | Rejection::Unreadable(_) | Rejection::CutOff => ToolOutcome::Failed { reason, message },
        };
        if let Ok(entry) = self.open(call).await
            && let Err(error) = entry.close(recorded).await
        {
            tracing::error!(%error, "a refusal could not be recorded");
        }
    }

    async fn turn_ended(&self) -> Result<(), RecordLost> {
        self.shared.settle().await;
        // While the API server is away nothing can be changed, and the conversation waits for its record as long as the run has time.
        loop {
            match self.shared.journal.flush().await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_for_now() && Instant::now() < self.shared.until => {
                    tracing::warn!(%error, "the record waits for the API server");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(RecordLost(error.to_string())),
            }
        }
    }

    async fn record(&self) -> AgentRunStatus {
        self.shared.settle().await;
        self.shared.journal.document().await.status.unwrap_or_default()
    }
}

/// What a call is about, in one line, if its arguments name an object in the usual words.
fn target(arguments: &Value) -> String {
    let text = |key: &str| arguments.get(key).and_then(Value::as_str);
    match (text("kind"), text("name"), text("namespace")) {
        (Some(kind), Some(name), Some(namespace)) => format!("{kind}/{name} -n {namespace}"),
        (Some(kind), Some(name), None) => format!("{kind}/{name}"),
        (None, Some(name), Some(namespace)) => format!("{name} -n {namespace}"),
        (None, Some(name), None) => name.to_owned(),
        (_, None, Some(namespace)) => format!("-n {namespace}"),
        (_, None, None) => String::new(),
    }
}

/// Between two tries to write what a turn did.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a change that was begun may still take when its tool call has ended.
pub const SETTLE: Duration = Duration::from_secs(10);
