//! The binary `infraagent`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // Of the two that the TLS library knows; an error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    infraagent::cli::main().await
}
