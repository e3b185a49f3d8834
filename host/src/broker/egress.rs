//! What a run may send of its guests' own making. Bytes are set aside before a call is decided, so that two calls side by side cannot both take the last ones.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a run may send of its guests' own making: bodies, arguments, log lines, state.
pub const RUN_EGRESS_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes that were set aside for one call. Dropped, they are free again, unless the call was let through.
#[derive(Debug)]
#[must_use = "bytes that are set aside are free again when this is dropped"]
pub(super) struct Reserved<'a> {
    sent: &'a AtomicU64,
    bytes: u64,
    available: u64,
}

impl<'a> Reserved<'a> {
    /// Sets so many bytes aside, if the run has them; if it has not, none. `sent` counts what was sent or is set aside.
    pub(super) fn new(sent: &'a AtomicU64, bytes: u64) -> Self {
        let add = |sent: u64| sent.checked_add(bytes).filter(|sum| *sum <= RUN_EGRESS_BYTES);
        // What carries nothing, as nearly every read, touches no counter.
        let taken = if bytes == 0 { Ok(0) } else { sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) };
        match taken {
            Ok(_) => Self { sent, bytes, available: bytes },
            Err(sent_before) => Self { sent, bytes: 0, available: RUN_EGRESS_BYTES.saturating_sub(sent_before) },
        }
    }

    /// What the call may carry: its own bytes if they were set aside, else what is left, which is less.
    pub(super) fn available(&self) -> u64 {
        self.available
    }

    /// The call was let through: its bytes are gone.
    pub(super) fn spend(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.sent.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_set_aside_are_not_there_for_another_call() {
        let sent = AtomicU64::new(0);
        let first = Reserved::new(&sent, RUN_EGRESS_BYTES - 10);
        let second = Reserved::new(&sent, 11);
        assert_eq!((first.available(), second.available()), (RUN_EGRESS_BYTES - 10, 10), "the second must be refused");
        drop(second);
        drop(first);
        assert_eq!(sent.load(Ordering::Relaxed), 0, "neither was let through");
        Reserved::new(&sent, 11).spend();
        assert_eq!(sent.load(Ordering::Relaxed), 11);
        assert_eq!(Reserved::new(&sent, u64::MAX).available(), RUN_EGRESS_BYTES - 11);
    }

    #[test]
    fn calls_side_by_side_never_send_more_than_the_run_may() {
        const PART: u64 = RUN_EGRESS_BYTES / 5 - 1;
        let sent = AtomicU64::new(0);
        let through = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let reserved = Reserved::new(&sent, PART);
                        if reserved.available() >= PART {
                            through.fetch_add(1, Ordering::Relaxed);
                            reserved.spend();
                        }
                    }
                });
            }
        });
        assert_eq!((through.into_inner(), sent.into_inner()), (5, 5 * PART));
    }
}
