//! Copies of records for those who keep them for years: each entry as it is written, and how each run ended.
//!
//! ```text
//! AgentRun --pending: what this receiver has not got yet--> Items --Exporter: OTLP logs, webhook or file--> receiver --Marker--> annotation on the AgentRun
//! ```
//!
//! # What a receiver gets
//!
//! One JSON object per *item*. Every item has `version` (1), `kind`, `cluster` (uid of `kube-system`), `namespace`, `run`, `runUid`, `agent`, and `agentUid` and
//! `sequence` if the record has them.
//!
//! | kind | further members |
//! |---|---|
//! | `entry` | `seq`; `entry` as it stands in `status.actions`; `follows`: the hash that its intentHash was made with, so each entry can be verified by itself |
//! | `head` | `entries`: how many there are; `head`: hash, signature and key; `record`: the AgentRun without `status.actions` |
//!
//! An entry that is only intended is sent as such, and again with its outcome. With its entries put into `record.status.actions`, in the order of `seq`, the record is
//! whole: `infraagent audit verify` says whether it is what was signed.
//!
//! # Guarantees
//!
//! * At least once: a run is marked as exported only after the receiver has taken its head and all of its entries, and a mark is signed over the run, its head and the
//!   receiver. Who could write annotations can neither hide a run from the export nor from retention.
//! * The entries of a run come before its head. (Of an entry that is sent twice, the later one counts.)
//! * What waits for the receiver stands on the API server, not in memory.
//!
//! # Caveats
//!
//! * After a failure the same items come again. `runUid`, `seq` and `entry.outcomeHash` say whether they are known.
//! * Runs of different agents, and different runs of one agent, come in any order; `sequence` says which.

mod file;
mod item;
mod mark;
mod otlp;
mod target;
mod webhook;

pub use self::{
    item::{Item, Kind, Pending, Progress, pending},
    mark::{EXPORTED, Marker},
    target::{Args, Invalid},
};

/// Most items of one request.
const ITEMS: usize = 256;
/// Most bytes of the items of one request, unless a single one has more.
const BYTES: usize = 512 << 10;

/// Why items did not arrive. They are sent again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be written.
    #[error("`{path}` cannot be written: {message}")]
    File {
        /// Its path.
        path: String,
        /// What the system said.
        message: String,
    },
    /// The token cannot be read.
    #[error("the token cannot be read from `{path}`: {message}")]
    Token {
        /// Its path.
        path: String,
        /// What the system said.
        message: String,
    },
    /// Nobody answered.
    #[error("the receiver cannot be asked: {0}")]
    Unanswered(String),
    /// The receiver said no.
    #[error("the receiver answered {0}")]
    Refused(String),
}

/// Where copies go.
#[derive(Debug)]
pub struct Exporter(Way);

#[derive(Debug)]
enum Way {
    File(file::File),
    Webhook(webhook::Webhook),
    Otlp(otlp::Otlp),
}

impl Exporter {
    /// What it is called in the log and in marks. It contains no secret.
    pub fn target(&self) -> String {
        match &self.0 {
            Way::File(file) => file.target(),
            Way::Webhook(webhook) => webhook.target(),
            Way::Otlp(otlp) => otlp.target(),
        }
    }

    /// Sends items, in their order. When this returns without an error the receiver has them all.
    ///
    /// # Errors
    ///
    /// If one of them may not have arrived. Those before it may have.
    pub async fn send(&self, mut items: &[Item]) -> Result<(), Error> {
        while !items.is_empty() {
            let (batch, rest) = items.split_at(first_batch(items));
            match &self.0 {
                Way::File(file) => file.append(batch).await?,
                Way::Webhook(webhook) => webhook.post(batch).await?,
                Way::Otlp(otlp) => otlp.send(batch).await?,
            }
            items = rest;
        }
        Ok(())
    }
}

/// How many of the items go with the first request: at least one.
fn first_batch(items: &[Item]) -> usize {
    let mut bytes = 0_usize;
    let fit = items.iter().take(ITEMS).take_while(|item| {
        bytes = bytes.saturating_add(item.json.len());
        bytes <= BYTES
    });
    fit.count().clamp(1, items.len().max(1))
}

#[cfg(test)]
mod tests;
