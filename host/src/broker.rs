//! The only door: decide, record the intent, execute, record the outcome.
