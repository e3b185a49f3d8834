//! Continue tokens: handles of the host, good for one query of one run.
//!
//! A handle means nothing by itself. It is looked up, together with the hash of the query it was given out for, so a forged one and one of another query are the same:
//! unknown.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use infraagent_guard::{
    call::{Handle, List},
    permit::Reach,
};
use sha2::{Digest, Sha256};

/// The most handles that are remembered; the oldest go first.
const MAX_HANDLES: usize = 1024;

/// What a query is known by: everything but the handle itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryHash([u8; 32]);

impl QueryHash {
    pub(crate) fn of(list: &List, reach: &Reach) -> Self {
        let List { kind, namespace, labels, fields, select, limit: _, continue_from: _ } = list;
        let mut hash = Sha256::new();
        let version = kind.version.as_ref().map_or("", |version| version.as_str());
        let namespace = namespace.as_ref().map_or("", |namespace| namespace.as_str());
        let mut part = |text: &str| {
            hash.update(text.len().to_le_bytes());
            hash.update(text.as_bytes());
        };
        for text in [&kind.kind.kind().to_string(), version, namespace, &labels.to_string(), &fields.to_string()] {
            part(text);
        }
        match reach {
            Reach::Cluster => part("cluster"),
            Reach::Elsewhere => part("elsewhere"),
            Reach::Namespaces(namespaces) => namespaces.iter().for_each(|namespace| part(namespace.as_str())),
        }
        part("select");
        select.pointers().iter().for_each(|pointer| part(pointer));
        Self(hash.finalize().into())
    }
}

/// The handles of one run.
#[derive(Debug)]
pub(crate) struct Handles<P> {
    run: String,
    known: Mutex<Known<P>>,
}

#[derive(Debug)]
struct Known<P> {
    next: u64,
    order: VecDeque<String>,
    positions: BTreeMap<String, (QueryHash, P)>,
}

impl<P: Clone> Handles<P> {
    pub(crate) fn new(run: &str) -> Self {
        Self { run: run.to_owned(), known: Mutex::new(Known { next: 0, order: VecDeque::new(), positions: BTreeMap::new() }) }
    }

    /// A handle for the page after `position`. The same run gives the same handles, so that a replay meets them again.
    pub(crate) fn give(&self, query: QueryHash, position: P) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hash = Sha256::new();
        hash.update(self.run.as_bytes());
        hash.update(query.0);
        hash.update(known.next.to_le_bytes());
        let handle = URL_SAFE_NO_PAD.encode(hash.finalize());
        known.next = known.next.wrapping_add(1);
        known.order.push_back(handle.clone());
        known.positions.insert(handle.clone(), (query, position));
        if known.order.len() > MAX_HANDLES
            && let Some(oldest) = known.order.pop_front()
        {
            known.positions.remove(&oldest);
        }
        handle
    }

    /// Where the page before ended. None for a handle that was not given out for this query.
    pub(crate) fn position(&self, query: &QueryHash, handle: &Handle) -> Option<P> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.positions.get(handle.as_str()).filter(|(of, _)| of == query).map(|(_, position)| position.clone())
    }
}
