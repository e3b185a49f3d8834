//! The writer of a record: one per run, shared by everything that runs in it.

mod take_over;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use infraagent_api::{
    AgentRun, Condition, Time,
    agent::ResolvedSkill,
    names::Severity,
    run::{ActionStatus, AgentRunStatus, Finding, GuardrailSummary, Head, RunPhase, Usage},
};
use infraagent_guard::{
    call,
    call::Mutation,
    checks::Denial,
    permit::{Permit, Proposal},
};
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::{
    AuditKey, Error, Recorded, Redactor, Sink, ToolEntry,
    bound::{self, Room},
    canonical, chain,
    entry::{self, Intent},
    outcome::{MutationOutcome, Outcome},
    tool::Fold,
};

/// What a journal works with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What must not be written.
    pub redactor: Arc<Redactor>,
    /// Signs the head; without it the head has no signature.
    pub key: Option<Arc<AuditKey>>,
    /// Most entries: tool calls and changes together. At most [`bound::ENTRIES`]; the fewer, the more room each has.
    pub entries: u32,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// How a run ends.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    /// A final phase.
    pub phase: RunPhase,
    /// The agent's report.
    pub report: Option<String>,
    /// What it used.
    pub usage: Usage,
    /// What the guardrails did.
    pub guardrails: Option<GuardrailSummary>,
    /// Conditions; the reason of a failure is here.
    pub conditions: Vec<Condition>,
}

/// Writes the record of one run. Every operation that changes it takes one lock, so entries are appended one after the other and a write holds all of them.
#[derive(Debug)]
pub struct Journal {
    sink: Sink,
    setup: Setup,
    uid: String,
    left: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    run: AgentRun,
    room: Room,
    open: BTreeMap<u32, Open>,
    /// The intentHash of the last entry, or the hash of the run's identity.
    last: String,
    version: u64,
    dirty: bool,
    closed: bool,
}

/// An entry that waits for its outcome.
#[derive(Debug)]
struct Open {
    reserved: usize,
    /// Bytes of the canonical text of its intent.
    intent: usize,
    /// Somebody works with it: a permit was given out, so the effect may have happened, or it is a tool call.
    handed: bool,
    /// What a tool call did so far; none for a change.
    folded: Option<Arc<Fold>>,
}

impl Open {
    /// A tool call that nobody works with any more: it was cancelled.
    fn is_abandoned(&self) -> bool {
        self.folded.as_ref().is_some_and(|folded| Arc::strong_count(folded) == 1)
    }
}

impl State {
    fn status(&mut self) -> &mut AgentRunStatus {
        self.run.status.get_or_insert_default()
    }
}

impl Journal {
    /// Opens the record and writes it for the first time. The run has no entries yet.
    pub async fn open(sink: Sink, mut run: AgentRun, setup: Setup) -> Result<Arc<Self>, Error> {
        let status = run.status.get_or_insert_default();
        status.phase = Some(RunPhase::Running);
        status.start_time.get_or_insert_with(|| Time((setup.now)()));
        if !status.actions.is_empty() || status.head.is_some() {
            return Err(Error::Closed);
        }
        let last = chain::run(&serde_json::to_value(&run).map_err(canonical::Error::from)?)?;
        let room = Room::new(setup.entries);
        let journal = Self {
            uid: run.metadata.uid.clone().unwrap_or_default(),
            left: AtomicU32::new(room.entries()),
            state: Mutex::new(State { run, room, open: BTreeMap::new(), last, version: 0, dirty: true, closed: false }),
            sink,
            setup,
        };
        journal.flush().await?;
        Ok(Arc::new(journal))
    }

    /// How many entries the record still takes.
    pub fn entries_left(&self) -> u32 {
        self.left.load(Ordering::Relaxed)
    }

    /// What must not be written.
    pub fn redactor(&self) -> &Redactor {
        &self.setup.redactor
    }

    /// The record as it is now.
    pub async fn document(&self) -> AgentRun {
        self.state.lock().await.run.clone()
    }

    /// Says which model and which artifacts the run uses, once they are known.
    pub async fn describe(&self, model: String, skills: Vec<ResolvedSkill>) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(Error::Closed);
        }
        let status = state.status();
        status.model.get_or_insert(model);
        if status.skills.is_empty() {
            status.skills = skills;
        }
        state.dirty = true;
        Ok(())
    }

    /// Opens the entry of a tool call: what the model called, what it is about, and the call in one line. Written with the next flush or change.
    pub async fn tool(self: &Arc<Self>, tool: &str, target: &str, call: &str) -> Result<ToolEntry, Error> {
        let mut state = self.state.lock().await;
        let seq = self.append(&mut state, Intent::tool(tool, target, call))?;
        let folded = Arc::<Fold>::default();
        if let Some(open) = state.open.get_mut(&seq) {
            (open.handed, open.folded) = (true, Some(Arc::clone(&folded)));
        }
        Ok(ToolEntry::new(Arc::clone(self), seq, folded))
    }

    /// Records the intent of a change. When this returns a permit, the intent is durable; when it returns an error, the change must not happen.
    pub async fn intend(&self, permit: Permit<Mutation>) -> Result<Recorded<Permit<Mutation>>, Error> {
        if permit.scope().run != self.uid {
            return Err(Error::WrongRun { permit: permit.scope().run.clone(), run: self.uid.clone() });
        }
        let mut state = self.state.lock().await;
        let seq = self.append(&mut state, Intent::permitted(&permit))?;
        if let Err(error) = self.write(&mut state).await {
            let message = format!("the intent could not be written, so nothing was done: {error}");
            self.seal(&mut state, seq, Outcome::new(ActionStatus::Blocked, Some("not-recorded"), message))?;
            return Err(error);
        }
        if let Some(open) = state.open.get_mut(&seq) {
            open.handed = true;
        }
        Ok(Recorded::new(permit, seq, 0))
    }

    /// Records the outcome of a change, durably.
    pub async fn outcome(&self, seq: u32, outcome: MutationOutcome) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        self.seal(&mut state, seq, outcome.into())?;
        self.write(&mut state).await
    }

    /// Writes a proposal down for a human, durably. Returns its number.
    pub async fn propose(&self, proposal: &Proposal) -> Result<u32, Error> {
        let mut state = self.state.lock().await;
        let seq = self.append(&mut state, Intent::proposed(proposal))?;
        self.seal(&mut state, seq, Outcome::new(ActionStatus::Skipped, Some("proposed"), "written down for a human to decide"))?;
        self.write(&mut state).await?;
        Ok(seq)
    }

    /// Records a finding. At most [`bound::FINDINGS`]; a longer text than [`bound::FINDING`] bytes is cut.
    pub async fn finding(&self, finding: &call::Finding) -> Result<(), Error> {
        let call::Finding { severity, about, message } = finding;
        let severity = match severity {
            call::Severity::Info => Severity::Info,
            call::Severity::Warning => Severity::Warning,
            call::Severity::Critical => Severity::Critical,
        };
        self.report_finding(severity, about.as_ref().map(ToString::to_string).as_deref(), message).await
    }

    /// Records a finding that did not come from a skill.
    pub async fn report_finding(&self, severity: Severity, resource: Option<&str>, message: &str) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(Error::Closed);
        }
        if state.status().findings.len() >= bound::FINDINGS {
            return Err(Error::BudgetExhausted("it takes no more findings"));
        }
        let resource = resource.map(|resource| bound::short(&self.redactor().text(resource), 512));
        let message = bound::cut(&self.redactor().text(message), bound::FINDING);
        state.status().findings.push(Finding { severity, resource, message });
        state.dirty = true;
        Ok(())
    }

    /// Writes what is not written yet: once per turn of the model. Tool calls that were cancelled are sealed as `unknown`.
    pub async fn flush(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let abandoned: Vec<u32> = state.open.iter().filter(|(_, open)| open.is_abandoned()).map(|(seq, _)| *seq).collect();
        for seq in abandoned {
            self.seal(&mut state, seq, Outcome::new(ActionStatus::Unknown, Some("interrupted"), "the tool call was cancelled"))?;
        }
        if state.dirty { self.write(&mut state).await } else { Ok(()) }
    }

    /// Closes the record: entries without outcome get `unknown` (or `skipped`, if no permit was given out), the head is computed and signed, and everything is
    /// written. Nothing can be added afterwards. If it could not be written [`Self::flush`] tries again.
    pub async fn finish(&self, closing: Closing) -> Result<Head, Error> {
        let Closing { phase, report, usage, guardrails, conditions } = closing;
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(Error::Closed);
        }
        let open: Vec<(u32, bool)> = state.open.iter().map(|(seq, open)| (*seq, open.handed)).collect();
        for (seq, handed) in open {
            let outcome = if handed {
                Outcome::new(ActionStatus::Unknown, Some("interrupted"), "the run ended before the outcome was known")
            } else {
                Outcome::new(ActionStatus::Skipped, Some("interrupted"), "the run ended before anything was done")
            };
            self.seal(&mut state, seq, outcome)?;
        }
        let redactor = self.redactor();
        let completion = Time((self.setup.now)());
        let status = state.status();
        status.phase = Some(if phase.is_terminal() { phase } else { RunPhase::Failed });
        status.report = report.map(|report| bound::cut(&redactor.text(&report), bound::REPORT));
        status.usage = Some(usage);
        status.guardrails = guardrails;
        status.conditions = conditions;
        for condition in &mut status.conditions {
            condition.message = redactor.text(&condition.message).into_owned();
        }
        status.completion_time = Some(completion);
        let hash = chain::head(&serde_json::to_value(&state.run).map_err(canonical::Error::from)?)?;
        let head = match &self.setup.key {
            Some(key) => Head { signature: Some(key.sign(&chain::signed_text(&hash))), key_id: Some(key.id()), hash },
            None => Head { hash, signature: None, key_id: None },
        };
        state.status().head = Some(head.clone());
        (state.closed, state.dirty) = (true, true);
        self.left.store(0, Ordering::Relaxed);
        self.write(&mut state).await?;
        Ok(head)
    }

    /// An error if somebody else has taken this record over, or if nobody can tell. Asks the API server, if the record is there.
    pub async fn held(&self) -> Result<(), Error> {
        Ok(self.sink.held().await?)
    }

    /// A refused change: an entry of its own, written with the next flush or change.
    pub(crate) async fn refuse(&self, intent: Intent, denial: &Denial) -> Result<u32, Error> {
        let mut state = self.state.lock().await;
        let seq = self.append(&mut state, intent)?;
        self.seal(&mut state, seq, Outcome::new(ActionStatus::Blocked, Some(denial.code.as_str()), denial.message()))?;
        Ok(seq)
    }

    pub(crate) async fn seal_tool(&self, seq: u32, outcome: Outcome) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        self.seal(&mut state, seq, outcome)
    }

    fn append(&self, state: &mut State, mut intent: Intent) -> Result<u32, Error> {
        if state.closed {
            return Err(Error::Closed);
        }
        for text in [&mut intent.tool, &mut intent.target, &mut intent.call] {
            *text = self.redactor().text(text).into_owned();
        }
        let seq = u32::try_from(state.status().actions.len()).unwrap_or(u32::MAX);
        let reserved = state.room.open().ok_or(Error::BudgetExhausted("it takes no more entries"))?;
        let (mut record, text) = intent.into_record(seq, Time((self.setup.now)()), nonce(), reserved)?;
        record.intent_hash = chain::intent(&state.last, &text);
        state.last.clone_from(&record.intent_hash);
        // A run waits for its model for minutes; room for entries that may never come is not kept for it.
        state.status().actions.reserve_exact(1);
        state.status().actions.push(record);
        state.open.insert(seq, Open { reserved, intent: text.len(), handed: false, folded: None });
        state.dirty = true;
        self.left.store(state.room.entries(), Ordering::Relaxed);
        Ok(seq)
    }

    fn seal(&self, state: &mut State, seq: u32, outcome: Outcome) -> Result<(), Error> {
        if state.closed {
            return Err(Error::Closed);
        }
        let Outcome { status, reason, result, reads } = outcome;
        let Open { reserved, intent, handed: _, folded } = state.open.remove(&seq).ok_or(Error::NotOpen(seq))?;
        let reads = match folded {
            Some(folded) => folded.take(self.redactor())?,
            None => reads,
        };
        let room = state.room.at_seal(reserved);
        let index = usize::try_from(seq).unwrap_or(usize::MAX);
        let Some(entry) = state.run.status.as_mut().and_then(|status| status.actions.get_mut(index)) else {
            return Err(Error::NotOpen(seq));
        };
        let result = self.redactor().text(&result).into_owned();
        entry.status = status;
        entry.reason = reason.map(|reason| bound::short(&self.redactor().text(&reason), entry::REASON));
        entry.result = Some(String::new());
        let calls = reads.map(|mut reads| {
            let calls = std::mem::take(&mut reads.calls);
            entry.reads = Some(reads);
            calls
        });
        let mut spare = room.saturating_sub(chain::sealed_len(intent, entry::outcome_text(entry)?.len()));
        if let (Some(calls), Some(reads)) = (calls, &mut entry.reads) {
            // The result has the first claim on half of the room.
            let mut listed = spare - canonical::escaped_len(&result).min(spare / 2).max(bound::MARK.min(spare));
            listed = listed.saturating_sub(r#","calls":[]"#.len());
            for call in calls {
                let Some(rest) = listed.checked_sub(canonical::escaped_len(&call) + 3) else { break };
                listed = rest;
                reads.calls.push(call);
            }
            spare = room.saturating_sub(chain::sealed_len(intent, entry::outcome_text(entry)?.len()));
        }
        entry.result = if result.is_empty() { None } else { Some(bound::cut(&result, spare.min(bound::SHARE))) };
        let text = entry::outcome_text(entry)?;
        entry.outcome_hash = Some(chain::outcome(&entry.intent_hash, &text));
        let taken = chain::sealed_len(intent, text.len());
        state.room.seal(reserved, taken);
        state.dirty = true;
        Ok(())
    }

    async fn write(&self, state: &mut State) -> Result<(), Error> {
        state.version += 1;
        self.sink.write(state.version, &state.run).await?;
        state.dirty = false;
        Ok(())
    }
}

/// A letter and fifteen random digits; if the system has no randomness, nothing: the chain does not depend on it. The letter is there because YAML takes digits
/// with an `e` among them for a number, and writers and readers of YAML do not agree on how large one may be.
fn nonce() -> String {
    getrandom::u64().map_or_else(|_| String::new(), |number| format!("n{:015x}", number >> 4))
}
