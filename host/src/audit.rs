//! The record: what was asked, decided and done, in an order that can be verified.
//!
//! The record of a run is its AgentRun document. A [`Journal`] writes it as the run goes: the intent of a change is durable *before* the change can happen,
//! because executors accept only a [`Recorded`] permit, and a [`Recorded`] permit for a change is made only after the [`Sink`] said that its intent is there.
//!
//! ```text
//! Permit<Mutation> --Journal: append, hash, write, sync--> Recorded<Permit<Mutation>> --executor--> outcome --Journal: seal, write--> record
//! Permit<Read>     --ToolEntry: note in memory-----------> Recorded<Permit<Read>>     --executor--> result digest --sealed with the tool call-->
//! ```
//!
//! # What is hashed
//!
//! Everything below is computed from the document as it stands (JSON, or YAML read as JSON), so a verifier needs nothing but the file, SHA-256 and Ed25519.
//! `canonical(v)` is JSON without whitespace as RFC 8785 writes it: members sorted by the UTF-16 code units of their names, the shortest string escapes,
//! integers in decimal. A record contains no other numbers; one that does is refused. `H(label, text)` is the SHA-256 of `infraagent audit v1 `, the label, one
//! newline (0x0A) and the text, all UTF-8, written as 64 lower-case hexadecimal digits.
//!
//! | hash | definition |
//! |---|---|
//! | run | `H("run", canonical({apiVersion, kind, name, namespace, uid, spec}))`: name, namespace and uid from `metadata`; an absent one is `null` |
//! | intentHash of entry 0 | `H("intent", run + "\n" + canonical(intent))` |
//! | intentHash of entry n | `H("intent", intentHash of entry n-1 + "\n" + canonical(intent))` |
//! | outcomeHash | `H("outcome", intentHash + "\n" + canonical(outcome))` |
//! | reads.digest | `H("reads", canonical([[call, end], ...]))` over all folded calls, also those that are not listed, in the order in which they were made |
//! | head.hash | `H("head", canonical({run, entries: [[intentHash, outcomeHash], ...], status}))`: `status` without `actions` and `head` |
//! | head.signature | base64 of the Ed25519 signature over `infraagent audit v1 head`, one newline, and head.hash |
//! | head.keyId | the first 16 digits of the SHA-256 of the 32 bytes of the public key |
//!
//! The *outcome* of an entry is its members `status`, `reason`, `result`, `reads` and `escalation`, as far as they are there; an entry without `outcomeHash`
//! has `status: intended` and none of the others. The *intent* is every other member but `intentHash` and `outcomeHash`. So a member that this version does
//! not know is part of the intent, and adding one is found. Parallel tool calls end in any order: an intentHash never depends on an outcome.
//!
//! In `reads.digest`, `call` is the canonical text of the call and `end` is one of `sha256:<hex> <bytes>` (of the result that the guest got), `denied:<code>`,
//! `error:<code>` or `unanswered`. Log lines, the clock and the site's description show the guest nothing of the world and are not part of it.
//!
//! # Guarantees
//!
//! * At any instant, also after the process was killed, the file or object is a whole, valid AgentRun.
//! * A change without a durable intent does not compile: the constructor of [`Recorded`] is private here.
//! * Entries are never dropped or shortened once they are sealed, and the bounds of [`bound`] hold by construction.
//! * Nothing is written before it went through the [`Redactor`].
//!
//! # Caveats
//!
//! * A crash loses at most the reads of the tool calls that were running; never a change.
//! * Labels, annotations and whatever else an API server keeps in `metadata` are not covered.
//! * Whoever has the audit key can write any record, and any floor. Whoever can remove files can remove the newest run: only a copy elsewhere shows that.

pub mod bound;
mod canonical;
mod chain;
pub mod document;
mod entry;
pub mod export;
pub mod floor;
pub mod history;
mod journal;
pub mod key;
mod outcome;
pub mod redact;
pub mod sink;
mod terminal;
#[cfg(test)]
pub(crate) mod tests;
mod tool;
pub mod verify;

pub use document::{Document, Unreadable};
pub use journal::{Closing, Journal, Setup};
pub use key::{AuditKey, PublicKey};
pub use outcome::MutationOutcome;
pub use redact::{Redactor, Redactors};
pub use sink::{ClusterSink, FileSink, Sink};
pub use terminal::{escape_terminal, escape_terminal_lines};
pub use tool::{End, ToolEntry, ToolOutcome};

/// A permit that is in the record. Executors take it by value.
///
/// Made only by the [`Journal`]; for a change only after its intent is durable:
///
/// ```compile_fail,E0451
/// use infraagent::audit::Recorded;
/// fn forge<T>(permit: T) -> Recorded<T> {
///     Recorded { inner: permit, seq: 0, ordinal: 0 }
/// }
/// ```
///
/// ```compile_fail,E0308
/// use infraagent::audit::Recorded;
/// fn twice<T>(recorded: &Recorded<T>) -> Recorded<T> {
///     recorded.clone()
/// }
/// ```
#[derive(Debug)]
#[must_use = "a recorded permit that is not executed leaves an entry without outcome"]
pub struct Recorded<T> {
    inner: T,
    seq: u32,
    ordinal: u32,
}

impl<T> Recorded<T> {
    fn new(inner: T, seq: u32, ordinal: u32) -> Self {
        Self { inner, seq, ordinal }
    }

    /// What was recorded.
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// The entry that records it: its own for a change, the tool call's for a read.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// Its place among the folded calls of the entry, for [`ToolEntry::answered`]; 0 for a change.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Gives the permit to the executor.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl Error {
    /// Whether the same write may succeed a moment later: the API server did not answer, or wants to be asked less.
    pub fn is_for_now(&self) -> bool {
        matches!(self, Self::Sink(sink::Error::Cluster(sink::cluster::Error::Unanswered { .. } | sink::cluster::Error::Busy { .. })))
    }
}

/// Why something could not be recorded. Whatever it was, it must not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The record is full.
    #[error("the record is full: {0}")]
    BudgetExhausted(&'static str),
    /// The record could not be written.
    #[error(transparent)]
    Sink(#[from] sink::Error),
    /// The permit was given for another run.
    #[error("the permit belongs to run `{permit}`, this is the record of run `{run}`")]
    WrongRun {
        /// The run of the permit.
        permit: String,
        /// The run of this record.
        run: String,
    },
    /// The run has ended.
    #[error("the record is closed")]
    Closed,
    /// There is no such entry, or it has its outcome already.
    #[error("entry {0} is not waiting for an outcome")]
    NotOpen(u32),
    /// The document cannot be written down, for example because it holds a fraction.
    #[error("the record cannot be put into canonical form: {0}")]
    Canonical(#[from] canonical::Error),
}
