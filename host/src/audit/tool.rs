//! One tool call of the model: its reads and refused reads are noted in memory and folded into one entry when it ends.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use infraagent_api::run::{ActionStatus, Reads};
use infraagent_guard::{
    call::{Ambient, Mutation, Read},
    checks::Denial,
    permit::{Permit, Proposal},
};
use infraagent_sandbox::broker::{Answer, CallError, Page, Response};

use super::{
    Error, MutationOutcome, Recorded, Redactor, bound, canonical, chain,
    entry::{self, Intent},
    journal::Journal,
    outcome::{Outcome, code},
};

/// The entry of one tool call, open until [`ToolEntry::close`]. Shared by everything that works for the call.
///
/// What is folded is shared with the journal: if the call is cancelled and nobody closes the entry, the journal seals it with its reads and refusals.
#[derive(Debug)]
pub struct ToolEntry {
    journal: Arc<Journal>,
    seq: u32,
    folded: Arc<Fold>,
}

/// What a tool call did, until its entry is sealed.
#[derive(Debug, Default)]
pub(super) struct Fold(Mutex<Folded>);

#[derive(Debug, Default)]
struct Folded {
    lines: Vec<Line>,
    denied: i32,
    /// Every code that a call was refused with, changes included.
    refusals: BTreeSet<String>,
}

#[derive(Debug)]
struct Line {
    call: Asked,
    end: End,
}

/// Texts are made when the entry is sealed: a read in the middle of a call costs no formatting.
#[derive(Debug)]
enum Asked {
    Read(Read),
    Text(String),
}

impl Asked {
    fn text(&self) -> String {
        match self {
            Self::Read(read) => read.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// How a folded call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nobody said. What a cancelled call leaves.
    Unanswered,
    /// The guest got so many bytes with this SHA-256.
    Result {
        /// The digest.
        sha256: [u8; 32],
        /// How many.
        bytes: usize,
    },
    /// The guest was refused.
    Denied(String),
    /// The guest got an error.
    Error(String),
}

impl End {
    /// The guest got these bytes.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Result { sha256: chain::digest(bytes), bytes: bytes.len() }
    }

    /// The guest got this answer: the digest is of its content (JSON, text, body or value), without what surrounds it.
    pub fn of(answer: &Result<Answer, CallError>) -> Self {
        match answer {
            Ok(Answer::Done) => Self::bytes(b""),
            Ok(Answer::Time(millis)) => Self::bytes(millis.to_string().as_bytes()),
            Ok(
                Answer::Json(text) | Answer::Text(text, _) | Answer::Page(Page { items: text, count: _, continue_token: _, truncated: _ }),
            ) => Self::bytes(text.as_bytes()),
            Ok(Answer::Reached(reached)) => Self::bytes(reached.to_string().as_bytes()),
            Ok(Answer::Receipt(receipt)) => Self::bytes(receipt.audit_seq.to_string().as_bytes()),
            Ok(Answer::Response(Response { body, status: _, headers: _, truncated: _, elapsed_ms: _, tls: _ })) => Self::bytes(body),
            Ok(Answer::Entry(entry)) => Self::bytes(entry.as_ref().map_or(b"".as_slice(), |(value, _)| value)),
            Ok(Answer::Version(version)) => Self::bytes(version.to_string().as_bytes()),
            Ok(Answer::Keys(keys)) => Self::bytes(keys.join("\n").as_bytes()),
            Err(CallError::Denied { code, action: _, message: _ }) => Self::Denied(code.clone()),
            Err(error) => Self::Error(code(error).to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Unanswered => "unanswered".to_owned(),
            Self::Result { sha256, bytes } => format!("sha256:{} {bytes}", chain::hex(sha256)),
            Self::Denied(code) => format!("denied:{code}"),
            Self::Error(code) => format!("error:{code}"),
        }
    }
}

/// What came of a tool call, as the model is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolOutcome {
    /// It ended as it should.
    Executed {
        /// What came of it.
        result: String,
    },
    /// It was not run.
    Blocked {
        /// A code, such as `budget-exhausted`.
        reason: String,
        /// Why.
        message: String,
    },
    /// It ended with an error of its own, or at a limit.
    Failed {
        /// A code, such as `trap`.
        reason: String,
        /// What happened.
        message: String,
    },
}

impl ToolEntry {
    pub(super) fn new(journal: Arc<Journal>, seq: u32, folded: Arc<Fold>) -> Self {
        Self { journal, seq, folded }
    }

    /// The number of the entry.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// The journal that it belongs to.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Notes a read. No I/O: a crash can lose the record of reads, never of a change.
    pub fn read(&self, permit: Permit<Read>) -> Recorded<Permit<Read>> {
        let ordinal = self.fold(Asked::Read(permit.call().clone()), End::Unanswered);
        Recorded::new(permit, self.seq, ordinal)
    }

    /// Notes a call that touches nothing beyond the run. Log lines, the clock and the site's description leave no trace: they show nothing of the world.
    pub fn ambient(&self, permit: Permit<Ambient>) -> Recorded<Permit<Ambient>> {
        let ordinal = match permit.call() {
            Ambient::Log(_) | Ambient::Clock | Ambient::Site => u32::MAX,
            call
            @ (Ambient::Finding(_) | Ambient::StateGet(_) | Ambient::StatePut(_) | Ambient::StateRemove(_) | Ambient::StateKeys(_)) => {
                self.fold(Asked::Text(call.to_string()), End::Unanswered)
            }
        };
        Recorded::new(permit, self.seq, ordinal)
    }

    /// Says how a read or ambient call ended: `ordinal` is that of its [`Recorded`] permit.
    pub fn answered(&self, ordinal: u32, end: End) {
        let mut folded = self.folded.lock();
        if let End::Denied(code) | End::Error(code) = &end
            && !folded.refusals.contains(code)
        {
            folded.refusals.insert(code.clone());
        }
        // A read that the guard allowed may still be refused by the cluster.
        let is_denied = matches!(end, End::Denied(_));
        let Folded { lines, denied, refusals: _ } = &mut *folded;
        if let Some(line) = usize::try_from(ordinal).ok().and_then(|index| lines.get_mut(index)) {
            let was_denied = matches!(line.end, End::Denied(_));
            *denied = denied.saturating_add(i32::from(is_denied && !was_denied));
            line.end = end;
        }
    }

    /// Records a refusal. A refused change gets an entry of its own, and its number is returned; everything else is folded, and so is a change when the record
    /// takes no more entries.
    pub async fn refused(&self, denial: &Denial) -> Result<Option<u32>, Error> {
        self.note_refusal(denial.code.as_str());
        if let Some(mutation) = entry::mutation_of(denial) {
            match self.journal.refuse(Intent::denied(mutation, denial), denial).await {
                Ok(seq) => return Ok(Some(seq)),
                Err(Error::BudgetExhausted(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let text = match &denial.call {
            Some(call) => call.to_string(),
            None => denial.code.as_str().to_owned(),
        };
        self.fold(Asked::Text(text), End::Denied(denial.code.as_str().to_owned()));
        Ok(None)
    }

    /// Records something that never became a call, as a refused read.
    pub fn malformed(&self, function: &str, message: &str) {
        let text = format!("{function}: {message}");
        self.fold(Asked::Text(text), End::Denied(infraagent_guard::Code::Malformed.as_str().to_owned()));
    }

    /// Records the intent of a change. When this returns a permit, the intent is durable; when it returns an error, the change must not happen.
    pub async fn intend(&self, permit: Permit<Mutation>) -> Result<Recorded<Permit<Mutation>>, Error> {
        self.journal.intend(permit).await
    }

    /// Records the outcome of a change: `seq` is that of its [`Recorded`] permit.
    pub async fn outcome(&self, seq: u32, outcome: MutationOutcome) -> Result<(), Error> {
        if let MutationOutcome::Failed { reason, message: _ } = &outcome {
            self.note_refusal(reason);
        }
        self.journal.outcome(seq, outcome).await
    }

    /// Writes a proposal down for a human. Returns its number.
    pub async fn propose(&self, proposal: &Proposal) -> Result<u32, Error> {
        self.note_refusal(infraagent_guard::Code::ApprovalRequired.as_str());
        self.journal.propose(proposal).await
    }

    /// The tool call has ended: its entry gets the outcome and everything that was folded. It is written with the next flush.
    pub async fn close(&self, outcome: ToolOutcome) -> Result<(), Error> {
        let (status, reason, result) = match outcome {
            ToolOutcome::Executed { result } => (ActionStatus::Executed, None, result),
            ToolOutcome::Blocked { reason, message } => (ActionStatus::Blocked, Some(reason), message),
            ToolOutcome::Failed { reason, message } => (ActionStatus::Failed, Some(reason), message),
        };
        self.journal.seal_tool(self.seq, Outcome { status, reason, result, reads: None }).await
    }

    /// Whether a call of this tool call really ended with this code. A skill can answer any error that it likes, also one that nobody gave it.
    pub fn has_refused(&self, code: &str) -> bool {
        self.folded.lock().refusals.contains(code)
    }

    fn note_refusal(&self, code: &str) {
        self.folded.lock().refusals.insert(code.to_owned());
    }

    fn fold(&self, call: Asked, end: End) -> u32 {
        let mut folded = self.folded.lock();
        if matches!(end, End::Denied(_)) {
            folded.denied = folded.denied.saturating_add(1);
        }
        folded.lines.push(Line { call, end });
        u32::try_from(folded.lines.len() - 1).unwrap_or(u32::MAX)
    }
}

impl Fold {
    /// Everything so far, as it stands in the entry. Nothing is left behind.
    pub(super) fn take(&self, redactor: &Redactor) -> Result<Option<Reads>, Error> {
        std::mem::take(&mut *self.lock()).into_reads(redactor)
    }

    fn lock(&self) -> MutexGuard<'_, Folded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folded {
    /// Everything counted and hashed, the first calls listed. The journal drops listed calls that do not fit.
    fn into_reads(self, redactor: &Redactor) -> Result<Option<Reads>, Error> {
        let Self { lines, denied, refusals: _ } = self;
        if lines.is_empty() {
            return Ok(None);
        }
        let mut calls = Vec::new();
        let mut all = String::from("[");
        for (index, line) in lines.iter().enumerate() {
            let (call, end) = (redactor.text(&line.call.text()).into_owned(), line.end.text());
            if calls.len() < bound::LISTED_CALLS {
                calls.push(match &line.end {
                    End::Unanswered | End::Result { .. } => bound::short(&call, bound::LISTED_CALL),
                    End::Denied(_) | End::Error(_) => bound::short(&format!("{call} {end}"), bound::LISTED_CALL),
                });
            }
            all.push_str(if index == 0 { "[" } else { ",[" });
            canonical::quote(&call, &mut all)?;
            all.push(',');
            canonical::quote(&end, &mut all)?;
            all.push(']');
        }
        all.push(']');
        let digest = chain::hash("reads", &[&all]);
        Ok(Some(Reads { count: i32::try_from(lines.len()).unwrap_or(i32::MAX), denied, calls, digest: Some(digest) }))
    }
}
