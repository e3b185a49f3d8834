//! Logs of the program itself, on standard error. What skills log is in them with the target `skill`, redacted and quoted.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The variable that says what is logged, such as `info`, `skill=debug` or `infraagent=debug,skill=info`.
pub const VARIABLE: &str = "INFRAAGENT_LOG";

/// Starts logging: warnings and errors, or what [`VARIABLE`] asks for.
pub fn start() {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into()).with_env_var(VARIABLE).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .compact()
        .init();
}
