//! Time on the processor that one guest takes.
//!
//! A guest runs inside of the polls of one future, each on one thread from its beginning to its end, so that thread's own clock counts exactly: a copy of
//! megabytes or a slow host function counts in full, however rarely the guest is looked at, and neither waiting nor a busy machine counts at all.

use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// No guest runs at the moment.
const IDLE: u64 = u64::MAX;

/// What a guest took so far.
#[derive(Debug)]
pub(crate) struct Processor {
    /// Nanoseconds up to the last stop.
    spent: AtomicU64,
    /// What the clock of the running thread said at the last start.
    since: AtomicU64,
}

impl Processor {
    pub(crate) fn new() -> Self {
        Self { spent: AtomicU64::new(0), since: AtomicU64::new(IDLE) }
    }

    /// The guest's time. Asked while it runs, it must be asked on the guest's own thread, which host functions are on.
    pub(crate) fn spent(&self) -> Duration {
        let running = match self.since.load(Ordering::Acquire) {
            IDLE => 0,
            since => now().saturating_sub(since),
        };
        Duration::from_nanos(self.spent.load(Ordering::Acquire).saturating_add(running))
    }

    /// Counts what a future takes: a guest.
    pub(crate) async fn count<F: Future>(&self, guest: F) -> F::Output {
        let mut guest = pin!(guest);
        poll_fn(|context| {
            self.start();
            let polled = guest.as_mut().poll(context);
            self.stop();
            polled
        })
        .await
    }

    /// Leaves out what a future takes: the broker, which works on behalf of a guest that is being counted.
    pub(crate) async fn leave_out<F: Future>(&self, other: F) -> F::Output {
        let mut other = pin!(other);
        poll_fn(|context| {
            let counted = self.stop();
            let polled = other.as_mut().poll(context);
            if counted {
                self.start();
            }
            polled
        })
        .await
    }

    fn start(&self) {
        self.since.store(now(), Ordering::Release);
    }

    /// True if it was running.
    fn stop(&self) -> bool {
        let since = self.since.swap(IDLE, Ordering::AcqRel);
        if since == IDLE {
            return false;
        }
        self.spent.fetch_add(now().saturating_sub(since), Ordering::AcqRel);
        true
    }
}

/// Nanoseconds of this thread on the processor.
fn now() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
