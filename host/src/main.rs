//! The binary `infraagent`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    infraagent::telemetry::start();
    infraagent::cli::main().await
}
