//! Models over HTTP: our client against a server that checks requests as the vendors do, and that misbehaves.

mod conversation;
mod faults;
mod run;
mod support;
