//! Finds rollouts that do not get anywhere, says why, and does what is safe about it.
//!
//! ```text
//! find, diagnose  ->  evidence  ->  pods, workload (view)  ->  cause        read: what is wrong
//! change                                                             act: restart, scale, pause, roll back
//! ```
//!
//! Only `find`, `diagnose` and `change` talk to the host. The rest is pure: objects in, causes out.

mod cause;
mod change;
mod diagnose;
mod evidence;
mod find;
mod pods;
mod view;
mod workload;

skills_sdk::skill! {
    tools: [
        find::find_broken_rollouts,
        diagnose::diagnose_rollout,
        change::restart_workload,
        change::scale_workload,
        change::pause_rollout,
        change::roll_back,
    ]
}

#[cfg(test)]
mod tests;
