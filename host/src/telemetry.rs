//! Logs of the program itself.
