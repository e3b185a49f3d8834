//! Pods that end.

use super::{Condition, LabelSelector, Time, object, part};

object! {
    /// A job.
    NamespacedKind Job, "jobs.batch" {
        /// What should run.
        spec: JobSpec,
        /// What runs.
        status: JobStatus,
    }
}

part! {
    /// What a job should run.
    JobSpec {
        /// How many pods must succeed.
        completions: Option<u32>,
        /// How many pods run at once.
        parallelism: Option<u32>,
        /// How many failures are taken.
        backoff_limit: Option<u32>,
        /// Whether it is held back.
        suspend: Option<bool>,
        /// Which pods are its own.
        selector: LabelSelector,
    }
}

part! {
    /// What a job does.
    JobStatus {
        /// Pods that run.
        active: u32,
        /// Pods that succeeded.
        succeeded: u32,
        /// Pods that failed.
        failed: u32,
        /// When it began.
        start_time: Option<Time>,
        /// When it succeeded.
        completion_time: Option<Time>,
        /// Its conditions: `Complete`, `Failed`, `Suspended`.
        conditions: Vec<Condition>,
    }
}
