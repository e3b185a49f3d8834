//! What is proved about the decision: laws over every small world, a golden table, and the languages of all names and patterns.

mod golden;
mod hostile;
mod laws;
mod patterns;
mod strings;
mod support;
