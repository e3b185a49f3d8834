//! SIGINT and SIGTERM: the first one ends a run in order, the second one at once.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Tells when somebody wants the run to end. Clones tell the same.
#[derive(Debug, Clone)]
pub(super) struct Interrupt(watch::Receiver<Option<&'static str>>);

impl Interrupt {
    /// Listens from now on, instead of ending the process. What was begun is then closed in order; a second signal does not wait for that.
    pub(super) fn listen() -> std::io::Result<Self> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (tell, told) = watch::channel(None);
        tokio::spawn(async move {
            loop {
                let (name, code) = tokio::select! {
                    _ = interrupt.recv() => ("SIGINT", 130),
                    _ = terminate.recv() => ("SIGTERM", 143),
                };
                if tell.borrow().is_some() {
                    std::process::exit(code);
                }
                tell.send_replace(Some(name));
            }
        });
        Ok(Self(told))
    }

    /// Waits for the first signal, and names it.
    pub(super) async fn received(mut self) -> &'static str {
        match self.0.wait_for(Option::is_some).await {
            Ok(name) => name.unwrap_or_default(),
            // Nobody can tell any more.
            Err(_) => std::future::pending().await,
        }
    }
}
