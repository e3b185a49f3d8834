//! The cluster: reads, service mutations, destructive mutations. Verbs, not patches.

mod mutate;
mod query;
mod read;

pub use mutate::{Disposable, Receipt, Sync, Victim};
pub use query::{Listing, LogQuery, LogText, Page, Query};
pub use read::{Condition, Described};

pub(crate) use query::{ListQuery, RawPage};
