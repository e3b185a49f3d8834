//! The operator from outside: replicas as processes, a real API server, a model that does what each test tells it, and the API server's audit log as the judge.
//!
//! Every test has an operator of its own, for the agents of its own namespace, on the control plane that this process shares; tests that break the control plane
//! start their own. `chaos` kills, freezes, cuts off and restarts: it prints the seed of what it draws (`CHAOS_SEED` repeats it), and does it in a short form
//! unless `CHAOS=full`.

mod budgets;
mod chaos;
mod edits;
mod endings;
mod events;
mod explain;
mod export;
mod lab;
mod limits;
mod model;
mod oracle;
mod orders;
mod people;
mod ready;
mod records;
mod retries;
mod signs;
mod webhooks;
