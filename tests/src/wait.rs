//! Waiting for what others do.

use std::time::Duration;

/// How long a test waits for something that is certain to come: a machine that builds and tests at the same time is slow. It bounds a broken test, it measures nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Asks again until there is an answer.
///
/// # Panics
///
/// If there is none after five minutes; the message says what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("this never came: {what}"))
}
