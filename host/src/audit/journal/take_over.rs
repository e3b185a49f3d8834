//! Takes over the record of a run whose writer is gone, to close it. Nothing can be added; what was only intended can get its outcome.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU32},
};

use infraagent_api::{
    AgentRun,
    run::{ActionRecord, ActionStatus},
};
use tokio::sync::Mutex;

use super::{Journal, Open, Setup, State};
use crate::audit::{Error, Sink, bound, bound::Room, canonical, chain};

impl Journal {
    /// The record as it stands. It is an error if the run has ended.
    ///
    /// A record whose hashes do not fit its content is closed without a signature: nobody vouches for what was put there.
    pub fn take_over(sink: Sink, mut run: AgentRun, mut setup: Setup) -> Result<Arc<Self>, Error> {
        let identity = chain::run(&serde_json::to_value(&run).map_err(canonical::Error::from)?)?;
        let status = run.status.get_or_insert_default();
        if status.phase.is_some_and(|phase| phase.is_terminal()) || status.head.is_some() {
            return Err(Error::Closed);
        }
        let mut last = identity;
        let mut open = BTreeMap::new();
        for (seq, entry) in (0_u32..).zip(&status.actions) {
            let text = intent_text(entry)?;
            if chain::intent(&last, &text) != entry.intent_hash || !outcome_fits(entry)? {
                tracing::error!(seq, "an entry of a record that is taken over does not fit its hash: the record is not signed");
                setup.key = None;
            }
            last.clone_from(&entry.intent_hash);
            if entry.status == ActionStatus::Intended {
                open.insert(seq, Open { reserved: bound::FIXED, intent: text.len(), handed: true, folded: None });
            }
        }
        let state = State { run, room: Room::new(0), open, last, version: 0, dirty: true, closed: false };
        let uid = state.run.metadata.uid.clone().unwrap_or_default();
        Ok(Arc::new(Self { sink, setup, uid, left: AtomicU32::new(0), state: Mutex::new(state) }))
    }
}

fn intent_text(entry: &ActionRecord) -> Result<String, Error> {
    Ok(chain::intent_text(&canonical::members(entry)?)?)
}

fn outcome_fits(entry: &ActionRecord) -> Result<bool, Error> {
    let expected = match entry.status {
        ActionStatus::Intended => None,
        ActionStatus::Executed | ActionStatus::Blocked | ActionStatus::Failed | ActionStatus::Skipped | ActionStatus::Unknown => {
            Some(chain::outcome(&entry.intent_hash, &super::entry::outcome_text(entry)?))
        }
    };
    Ok(expected == entry.outcome_hash)
}
