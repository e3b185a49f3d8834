//! The walls around the host, each alone. `admission.rs` shows what policies hold when RBAC grants everything; here no policy binds, and RBAC holds.
//! (The guard alone, with every right and without a policy, is in the host's own suite on a live API server.)
//!
//! * [`alone`]: the operator's role and the agents' roles, request by request, for accounts that no policy knows.
//! * [`matrix`]: all that the operator and each tier may do, as the API server lists it.
//! * [`normal`]: an operator that has nothing but these roles misses none.

mod alone;
mod matrix;
mod normal;
