//! Where a model that thinks waits for the test.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::wait::PATIENCE;

/// Replies wait here until they are let through, one by one; a test knows when one is waiting. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    waiting: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { waiting: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.waiting, &other.waiting)
    }
}

impl Gate {
    /// Until the next reply is waiting here: whatever came before it in the run is done.
    ///
    /// # Panics
    ///
    /// If the model is not asked for five minutes.
    pub async fn reached(&self) {
        take(&self.waiting).await.expect("the model is asked");
    }

    /// Lets one reply through.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    /// A reply waits.
    pub(super) async fn pass(&self) {
        self.waiting.add_permits(1);
        // Whoever forgets to open the gate should see a run that goes on, not one that hangs.
        let _ = take(&self.open).await;
    }
}

async fn take(semaphore: &Semaphore) -> Option<()> {
    let permit = tokio::time::timeout(PATIENCE, semaphore.acquire()).await.ok()?.ok()?;
    permit.forget();
    Some(())
}
