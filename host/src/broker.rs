//! The only door: screen, gather facts, decide, record the intent, execute, record the outcome.
//!
//! # Guarantees
//!
//! * Every request of a guest, log lines and findings included, passes [`Door::perform`] and is decided there against the policy as it is *now*.
//! * Nothing is read before a call has passed the screen; nothing is changed before its intent is durable; an executor takes nothing but a recorded permit.
//! * What a guest gets was redacted before, since a guest could re-encode a secret.
//! * Whatever goes wrong on the way to a decision is a denial, and it is recorded.
//!
//! # Caveats
//!
//! A call that is cancelled (the tool call's time is over) between intent and outcome still gets its outcome: effects run to their end in a task of their own.

pub(crate) mod change;
mod condition;
pub mod cooldown;
mod egress;
pub mod executor;
pub mod facts;
pub mod fence;
pub mod http;
pub mod kubernetes;
mod log;
mod object;
mod paging;
mod projection;
mod reading;
pub mod snapshot;
pub mod state;
mod tail;
pub mod world;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use infraagent_api::names::Mode;
use infraagent_guard::{
    Code, Decision, Denial,
    call::{Ambient, Call, Finding, Mutation, Read},
    decide,
    name::{ActionId, ToolName},
    permit::{Allowed, Permit, Proposal},
    policy::{Policy, Tier},
    screen::{Circumstances, Claim, bytes_out, screen},
};
use infraagent_sandbox::broker::{Answer, Answering, Broker, CallError, Page, Request, Response};
use tokio::sync::RwLock;
use tracing::Instrument as _;

pub use self::egress::RUN_EGRESS_BYTES;
use self::{
    cooldown::{CooldownKey, Cooldowns},
    egress::Reserved,
    executor::Executor,
    fence::Fence,
    http::{Http, Trouble},
    state::State,
};
use crate::{
    audit::{End, Journal, MutationOutcome, Recorded, Redactor, ToolEntry},
    cel,
    run::{
        event::{Event, Observer, Outcome, Verdict},
        execute::SETTLE,
        finding,
        lookup::{Freshness, Lookup},
        validate::{ValidatedRun, severity_word, tier_word},
    },
};

/// What all tool calls of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Where the policy comes from, anew for each call.
    pub lookup: Lookup,
    /// What acts.
    pub executor: Executor,
    /// Whether this process may still change anything for this run.
    pub fence: Fence,
    /// Asks endpoints. None: the run stays offline.
    pub http: Option<Http>,
    /// The record.
    pub journal: Arc<Journal>,
    /// What must not leave.
    pub redactor: Arc<Redactor>,
    /// When actions were last used.
    pub cooldowns: Cooldowns,
    /// The same for what a shadow run would have done: for this run alone, and in no way of those that really act.
    pub rehearsed: Cooldowns,
    /// Evaluates pre-conditions.
    pub preconditions: Arc<cel::Evaluator>,
    /// The agent's memory, by skill.
    pub memory: BTreeMap<String, State>,
    /// Who watches.
    pub observer: Observer,
    /// The end of the run.
    pub until: Instant,
    /// Bytes that were sent so far, or are set aside for a call that is being decided.
    pub sent: AtomicU64,
    /// Held by every change that was begun and has no outcome yet.
    pub effects: Arc<RwLock<()>>,
}

impl Shared {
    /// Records a finding of the model itself, decided like one of a skill.
    pub async fn finding(&self, finding: Finding) -> Result<(), CallError> {
        let tool = finding::guard_tool().map_err(|error| CallError::Internal(error.to_string()))?;
        let run = self
            .lookup
            .current(Freshness::Recent)
            .await
            .map_err(|error| CallError::Unavailable { message: error.to_string(), retry_after_ms: None })?;
        let claim = Claim { tool: tool.name().clone(), action: None, call: Call::Ambient(Ambient::Finding(finding)) };
        let egress = Reserved::new(&self.sent, bytes_out(&claim.call));
        let screened = screen(&run.policy(), claim, &self.circumstances(&run, &egress)).map_err(|denial| error_of(&denial))?;
        egress.spend();
        match decide(screened, None) {
            Decision::Allow(Allowed::Ambient(permit)) => match permit.call() {
                Ambient::Finding(finding) => self.record_finding(finding).await,
                other => Err(CallError::Internal(format!("`{other}` is no finding"))),
            },
            Decision::Deny(denial) => Err(error_of(&denial)),
            Decision::Allow(Allowed::Read(_) | Allowed::Mutation(_)) | Decision::Propose(_) => {
                Err(CallError::Internal("a finding was decided as something else".to_owned()))
            }
        }
    }

    async fn record_finding(&self, finding: &Finding) -> Result<(), CallError> {
        self.journal.finding(finding).await.map_err(|error| unrecorded(&error))?;
        self.observer.tell(&Event::Finding {
            severity: severity_word(finding.severity),
            resource: finding.about.as_ref().map(ToString::to_string),
            message: self.redactor.text(&finding.message).into_owned(),
        });
        Ok(())
    }

    /// Tells that the model asked for something that no skill declares.
    pub fn undeclared(&self, call: &str, tool: &str, code: &str, reason: &str) {
        tracing::info!(tool = &*self.redactor.text(tool), call = "", verdict = "deny", code, "decided");
        let verdict = Verdict::Deny { code: code.to_owned(), reason: reason.to_owned() };
        let took = Duration::ZERO;
        self.observer.tell(&Event::Decided { call: call.to_owned(), what: tool.to_owned(), tier: None, action: None, verdict, took });
    }

    /// Waits until no change is on its way, but not longer than an effect may take.
    pub async fn settle(&self) {
        if tokio::time::timeout(SETTLE, self.effects.write()).await.is_err() {
            tracing::warn!("a change has no outcome yet");
        }
    }

    fn circumstances(&self, run: &ValidatedRun, egress: &Reserved<'_>) -> Circumstances {
        let left = self.until.saturating_duration_since(Instant::now());
        run.circumstances(self.executor.now(), self.journal.entries_left(), egress.available(), left)
    }
}

/// Serves one tool call.
#[derive(Debug, Clone)]
pub struct Door {
    shared: Arc<Shared>,
    entry: Arc<ToolEntry>,
    tool: ToolName,
    call: Arc<str>,
}

impl Broker for Door {
    fn perform(&self, request: Request) -> Answering<'_> {
        Box::pin(async { self.serve(request).await.map_err(|error| redacted_error(error, &self.shared.redactor)) })
    }
}

impl Door {
    /// A door for the tool call with this id, which `entry` records.
    pub fn new(shared: Arc<Shared>, entry: Arc<ToolEntry>, tool: ToolName, call: &str) -> Self {
        Self { shared, entry, tool, call: call.into() }
    }

    async fn serve(&self, request: Request) -> Result<Answer, CallError> {
        let began = Instant::now();
        let (action, call) = match request {
            Request::Call { action, call } => (action, call),
            Request::Malformed { function, message } => {
                self.entry.malformed(function, &message);
                self.decided(
                    function.to_owned(),
                    None,
                    None,
                    Verdict::Deny { code: Code::Malformed.as_str().to_owned(), reason: message.clone() },
                    began,
                );
                return Err(CallError::Invalid(message));
            }
        };
        let run = match self.shared.lookup.current(Freshness::of(&call)).await {
            Ok(run) => run,
            Err(error) => {
                self.entry.malformed("policy", &error.to_string());
                return Err(CallError::Unavailable { message: format!("no decision without a policy: {error}"), retry_after_ms: None });
            }
        };
        let policy = run.policy();
        // What is rare and large is boxed, so that a read, of which a skill makes hundreds, does not pay for its room.
        match self.decide(&run, &policy, action, call).await {
            Decision::Deny(denial) => Box::pin(self.refuse(&denial, began)).await,
            Decision::Propose(proposal) => Box::pin(self.propose(&proposal, began)).await,
            Decision::Allow(Allowed::Ambient(permit)) => Box::pin(self.ambient(permit, &run)).await,
            Decision::Allow(Allowed::Read(permit)) => self.read(permit, &run, began).await,
            Decision::Allow(Allowed::Mutation(permit)) => Box::pin(self.mutate(permit, &run, &policy, began)).await,
        }
    }

    async fn decide(&self, run: &ValidatedRun, policy: &Policy, action: Option<ActionId>, call: Call) -> Decision {
        let shared = &self.shared;
        let egress = Reserved::new(&shared.sent, bytes_out(&call));
        let circumstances = shared.circumstances(run, &egress);
        let screened = match screen(policy, Claim { tool: self.tool.clone(), action, call }, &circumstances) {
            Ok(screened) => screened,
            Err(denial) => return Decision::Deny(denial),
        };
        egress.spend();
        let facts = match screened.action().and_then(|id| policy.sheet.action(id)) {
            Some(action) if matches!(screened.call(), Call::Mutation(_)) => {
                let context = facts::Context {
                    action,
                    cluster: &policy.scope.cluster,
                    data: &run.declared,
                    cooldowns: &shared.cooldowns,
                    now: shared.executor.now(),
                    preconditions: &*shared.preconditions,
                };
                Box::pin(shared.executor.facts(&context, &screened)).await
            }
            Some(_) | None => None,
        };
        decide(screened, facts)
    }

    async fn refuse(&self, denial: &Denial, began: Instant) -> Result<Answer, CallError> {
        let what = denial.call.as_ref().map_or_else(String::new, ToString::to_string);
        let verdict = Verdict::Deny { code: denial.code.as_str().to_owned(), reason: denial.message() };
        self.decided(what, denial.tier, denial.action.as_ref(), verdict, began);
        self.entry.refused(denial).await.map_err(|error| unrecorded(&error))?;
        Err(error_of(denial))
    }

    async fn propose(&self, proposal: &Proposal, began: Instant) -> Result<Answer, CallError> {
        self.decided(proposal.call().to_string(), Some(proposal.tier()), proposal.action(), Verdict::Propose, began);
        self.entry.propose(proposal).await.map_err(|error| unrecorded(&error))?;
        let action = proposal.action().map_or_else(String::new, ToString::to_string);
        Err(CallError::Denied {
            code: Code::ApprovalRequired.as_str().to_owned(),
            action,
            message: Code::ApprovalRequired.message().to_owned(),
        })
    }

    async fn ambient(&self, permit: Permit<Ambient>, run: &ValidatedRun) -> Result<Answer, CallError> {
        let recorded = self.entry.ambient(permit);
        let ordinal = recorded.ordinal();
        let answer = self.answer_ambient(recorded.into_inner(), run).await;
        self.entry.answered(ordinal, End::of(&answer));
        answer
    }

    async fn answer_ambient(&self, permit: Permit<Ambient>, run: &ValidatedRun) -> Result<Answer, CallError> {
        let shared = &self.shared;
        match permit.call() {
            Ambient::Log(line) => {
                log::write(&self.tool, &self.call, line, &shared.redactor);
                Ok(Answer::Done)
            }
            Ambient::Finding(finding) => shared.record_finding(finding).await.map(|()| Answer::Done),
            Ambient::Site => Ok(Answer::Json(run.site.describe().to_string())),
            Ambient::Clock => Ok(Answer::Time(u64::try_from(shared.executor.now().as_millisecond()).unwrap_or(0))),
            Ambient::StateGet(key) => Ok(Answer::Entry(self.memory(run)?.get(key))),
            Ambient::StatePut(put) => self.memory(run)?.put(put).map(Answer::Version),
            Ambient::StateRemove(remove) => self.memory(run)?.remove(remove).map(|()| Answer::Done),
            Ambient::StateKeys(keys) => Ok(Answer::Keys(self.memory(run)?.keys(keys))),
        }
    }

    /// The memory of the skill that the running tool belongs to.
    fn memory(&self, run: &ValidatedRun) -> Result<&State, CallError> {
        let skill = run.tool(self.tool.as_str()).map(|(skill, _)| skill.name.as_str());
        let unavailable = || CallError::Unavailable { message: "this skill has no memory in this run".to_owned(), retry_after_ms: None };
        skill.and_then(|skill| self.shared.memory.get(skill)).ok_or_else(unavailable)
    }

    async fn read(&self, permit: Permit<Read>, run: &ValidatedRun, began: Instant) -> Result<Answer, CallError> {
        self.decided_lazily(|| (permit.call().to_string(), permit.tier(), permit.action().cloned()), began);
        let recorded = self.entry.read(permit);
        let ordinal = recorded.ordinal();
        let answer = self.look(recorded, run).await.map(|answer| redact(answer, &self.shared.redactor));
        self.entry.answered(ordinal, End::of(&answer));
        answer
    }

    /// Each permit goes to the executor of its kind: a request never to a cluster, and nothing else to an endpoint.
    async fn look(&self, recorded: Recorded<Permit<Read>>, run: &ValidatedRun) -> Result<Answer, CallError> {
        match recorded.get().call() {
            Read::Http(call) => match &self.shared.http {
                // What it was decided against is what it is sent to: the environment as it is now.
                Some(http) => Box::pin(http.send(recorded, &run.endpoints)).await,
                None => Err(Trouble::Offline.about(call.request.endpoint.as_str())),
            },
            Read::Get(_) | Read::List(_) | Read::Logs(_) | Read::Wait(_) | Read::Mcp(_) => self.shared.executor.read(recorded).await,
        }
    }

    async fn mutate(&self, permit: Permit<Mutation>, run: &ValidatedRun, policy: &Policy, began: Instant) -> Result<Answer, CallError> {
        if let Err(why) = self.shared.fence.check() {
            self.entry.malformed("fence", &why.to_string());
            return Err(CallError::Unavailable { message: why.to_string(), retry_after_ms: None });
        }
        let action = permit.action().and_then(|id| policy.sheet.action(id));
        let seconds = action.map_or(0, |action| action.cooldown_seconds);
        let key = CooldownKey::new(&policy.scope.cluster, permit.call(), permit.observed());
        // Two tool calls can have passed the check at the same time: only the one that takes the cooldown goes on. A shadow run finds its own earlier changes
        // cooling down beside those that were really made, and leaves nothing behind that would keep a run that acts from acting.
        let cooldowns = match run.mode {
            Mode::Shadow => &self.shared.rehearsed,
            Mode::Live => &self.shared.cooldowns,
        };
        let taken = match cooldowns.take(key, seconds, self.shared.executor.now()).await {
            Ok(taken) => taken,
            Err(why) => {
                let denial = Denial {
                    code: Code::Cooldown,
                    call: Some(Call::Mutation(permit.call().clone())),
                    action: permit.action().cloned(),
                    tier: Some(permit.tier()),
                    checks: *permit.checks(),
                    detail: Some(why.to_string()),
                };
                return self.refuse(&denial, began).await;
            }
        };
        let what = permit.call().to_string();
        self.decided(what.clone(), Some(permit.tier()), permit.action(), Verdict::Allow, began);
        let recorded = match self.entry.intend(permit).await {
            Ok(recorded) => recorded,
            Err(error) => {
                cooldowns.give_back(taken).await;
                return Err(unrecorded(&error));
            }
        };
        let seq = recorded.seq();
        if run.mode == Mode::Shadow {
            return self.pretend(recorded, what).await;
        }
        let (shared, entry) = (Arc::clone(&self.shared), Arc::clone(&self.entry));
        // The effect is not cancelled with the tool call: a change that was begun gets its outcome.
        let begun = Arc::clone(&shared.effects).read_owned().await;
        let effect = async move {
            let _begun = begun;
            // Writing the intent can have taken long. Nothing is sent unless it will have ended before anybody else may hold the run.
            let outcome = match shared.fence.check() {
                Ok(()) => shared.executor.mutate(recorded).await,
                Err(why) => Err(CallError::Unavailable { message: why.to_string(), retry_after_ms: None }),
            };
            let written = entry.outcome(seq, MutationOutcome::of(&outcome)).await;
            (outcome, written)
        };
        let effect = tokio::spawn(effect.in_current_span());
        let (outcome, written) = effect.await.map_err(|_| CallError::Internal(format!("effect-{seq}")))?;
        let shown = match &outcome {
            Ok(receipt) if receipt.changed => Outcome::Changed,
            Ok(_) => Outcome::Unchanged,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.shared.observer.tell(&Event::Effect { call: self.call.to_string(), seq, what, outcome: shown });
        if let Err(error) = written {
            tracing::error!(%error, seq, "a change was made, and its outcome could not be recorded");
            return Err(CallError::Internal(format!("entry-{seq}-has-no-outcome")));
        }
        outcome.map(Answer::Receipt)
    }

    /// In a shadow run nothing is executed, and the guest is not told: it gets what the cluster says to a rehearsal.
    async fn pretend(&self, recorded: Recorded<Permit<Mutation>>, what: String) -> Result<Answer, CallError> {
        let seq = recorded.seq();
        let rehearsed = self.shared.executor.rehearse(recorded).await;
        let message = match &rehearsed {
            Ok(_) => "allowed, and not executed: this is a shadow run".to_owned(),
            Err(error) => format!("allowed, and not executed: this is a shadow run, and it would have failed: {error}"),
        };
        let outcome = MutationOutcome::Skipped { reason: "shadow".to_owned(), message };
        self.entry.outcome(seq, outcome).await.map_err(|error| unrecorded(&error))?;
        self.shared.observer.tell(&Event::Effect { call: self.call.to_string(), seq, what, outcome: Outcome::DryRun });
        rehearsed.map(Answer::Receipt)
    }

    fn decided(&self, what: String, tier: Option<Tier>, action: Option<&ActionId>, verdict: Verdict, began: Instant) {
        let took = began.elapsed();
        let what = self.shared.redactor.text(&what).into_owned();
        let code = match &verdict {
            Verdict::Allow | Verdict::Propose => None,
            Verdict::Deny { code, reason: _ } => Some(code.as_str()),
        };
        let (tier, action) = (tier.map(tier_word), action.map(ToString::to_string));
        tracing::info!(
            tool = self.tool.as_str(),
            call = what,
            action,
            tier = tier.map(infraagent_api::names::Tier::as_str),
            verdict = verdict.as_str(),
            code,
            "decided"
        );
        self.shared.observer.tell(&Event::Decided { call: self.call.to_string(), what, tier, action, verdict, took });
    }

    fn decided_lazily(&self, texts: impl FnOnce() -> (String, Tier, Option<ActionId>), began: Instant) {
        if self.shared.observer.is_listening() || tracing::enabled!(tracing::Level::INFO) {
            let (what, tier, action) = texts();
            self.decided(what, Some(tier), action.as_ref(), Verdict::Allow, began);
        }
    }
}

/// What a guest is told of a refusal: codes, never content.
fn error_of(denial: &Denial) -> CallError {
    let message = denial.message();
    match denial.code {
        Code::TargetAbsent => CallError::NotFound(message),
        Code::TargetChanged => CallError::Conflict(message),
        Code::BudgetExhausted => CallError::BudgetExhausted(message),
        Code::Malformed => CallError::Invalid(message),
        _ => CallError::Denied {
            code: denial.code.as_str().to_owned(),
            action: denial.action.as_ref().map_or_else(String::new, ToString::to_string),
            message,
        },
    }
}

/// What cannot be recorded does not happen.
fn unrecorded(error: &crate::audit::Error) -> CallError {
    match error {
        crate::audit::Error::BudgetExhausted(_) => CallError::BudgetExhausted(error.to_string()),
        _ => {
            tracing::error!(%error, "the record could not be written");
            CallError::Unavailable { message: "the record cannot be written, so nothing may happen".to_owned(), retry_after_ms: None }
        }
    }
}

/// Takes secrets out of an error in the words of the world.
fn redacted_error(error: CallError, redactor: &Redactor) -> CallError {
    let clean = |text: String| redactor.text(&text).into_owned();
    match error {
        CallError::Denied { code, action, message } => CallError::Denied { code, action, message: clean(message) },
        CallError::NotFound(what) => CallError::NotFound(clean(what)),
        CallError::Conflict(what) => CallError::Conflict(clean(what)),
        CallError::Invalid(what) => CallError::Invalid(clean(what)),
        CallError::Unavailable { message, retry_after_ms } => CallError::Unavailable { message: clean(message), retry_after_ms },
        CallError::BudgetExhausted(what) => CallError::BudgetExhausted(clean(what)),
        CallError::Timeout | CallError::Internal(_) => error,
    }
}

/// Takes secrets out of what a guest gets.
fn redact(answer: Answer, redactor: &Redactor) -> Answer {
    let json = |text: String| match serde_json::from_str(&text) {
        Ok(mut value) => {
            redactor.json(&mut value);
            value.to_string()
        }
        Err(_) => redactor.text(&text).into_owned(),
    };
    match answer {
        Answer::Json(text) => Answer::Json(json(text)),
        Answer::Page(Page { items, count, continue_token, truncated }) => {
            Answer::Page(Page { items: json(items), count, continue_token, truncated })
        }
        Answer::Text(text, cut) => Answer::Text(redactor.text(&text).into_owned(), cut),
        Answer::Response(Response { status, headers, body, truncated, elapsed_ms, tls }) => Answer::Response(Response {
            status,
            headers: headers
                .into_iter()
                .filter(|(name, _)| {
                    !matches!(
                        name.to_ascii_lowercase().as_str(),
                        "set-cookie" | "authorization" | "proxy-authenticate" | "www-authenticate"
                    )
                })
                .map(|(name, value)| (name, redactor.text(&value).into_owned()))
                .collect(),
            body: redactor.bytes(&body).into_owned(),
            truncated,
            elapsed_ms,
            tls,
        }),
        Answer::Done
        | Answer::Time(_)
        | Answer::Reached(_)
        | Answer::Receipt(_)
        | Answer::Entry(_)
        | Answer::Version(_)
        | Answer::Keys(_) => answer,
    }
}

#[cfg(test)]
mod suite;
