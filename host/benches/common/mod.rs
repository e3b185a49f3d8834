//! What every benchmark has: its arguments, what is said about many samples, the table, and what the system says about a process.

pub(crate) mod args;
pub(crate) mod process;
pub(crate) mod sample;
pub(crate) mod table;
