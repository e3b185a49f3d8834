//! `POST /webhook/<source>`, on any replica: an authenticated sender starts runs of the agents that name the source.
//!
//! ```text
//! request --size--> body --secret of the source--> sender --format--> event --seen before?--> new --filters--> agents --room?--> AgentRuns --> 202
//! ```
//!
//! # Guarantees
//!
//! * 202 is said only when every run that the delivery starts is on the API server. What cannot be taken is refused: 429 and 503, with `Retry-After`.
//! * The same delivery starts a run of an agent once, whichever replicas are asked and however often. What that means depends on what is proved: a CloudEvent is
//!   known by its source and id, a signed body by itself, a body signed with its time by both, and anything else for 30 seconds.
//! * Who does not have the secret learns nothing: not which sources, agents or filters there are.
//! * Work and memory are bounded: connections, bytes of bodies, deliveries at a time, depth and number of values, runs of an agent that wait.
//!
//! # Caveats
//!
//! * What a signed body started can be started by it again once that run was deleted (retention), unless the time is signed too.
//! * If a run of one agent has no room, or cannot be created, the sender is told to come again, and the other agents' runs exist. They are not started again if
//!   he comes within 30 seconds.

mod answer;
mod auth;
mod desk;
mod keyring;
mod payload;
mod server;
mod subscribers;
pub mod tls;

pub use self::server::serve;
