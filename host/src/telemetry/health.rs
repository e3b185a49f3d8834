//! Whether this process lives, and whether it is ready.
//!
//! *Lives* ([`Health::alive`]): every critical task has shown itself within its patience. A task holds a [`Pulse`] and beats; one that hangs stops beating, and one
//! that ended, with a panic or without, has dropped its pulse. That the question is answered at all shows that the event loop turns.
//!
//! *Is ready* ([`Health::ready`]): it lives, every [`Gate`] is open, and it is not on its way out. A gate can be open up to a moment only, so that a Lease that is not renewed
//! closes it by itself, also when nobody comes to say so.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What is known about this process.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tasks: Vec<Task>,
    gates: Vec<(&'static str, Position)>,
    leaving: bool,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    patience: Duration,
    last: Beat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beat {
    At(Instant),
    /// It was allowed to end.
    Finished,
    /// It ended without leave.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Closed(&'static str),
    Open,
    Until(Instant),
}

/// The answer to a question, one line per part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Everything is as it should be.
    pub good: bool,
    /// What was looked at, for people.
    pub text: String,
}

impl Health {
    /// Nothing is known yet: no tasks, no gates. Alive, and not ready.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A critical task begins. It must beat at least once in every `patience`, and call [`Pulse::finish`] before it ends.
    pub fn task(self: &Arc<Self>, name: &'static str, patience: Duration) -> Pulse {
        let mut state = self.lock();
        state.tasks.push(Task { name, patience, last: Beat::At(Instant::now()) });
        Pulse { health: Arc::clone(self), index: state.tasks.len() - 1 }
    }

    /// Something that must be so before the process is ready. Closed at first.
    pub fn gate(self: &Arc<Self>, name: &'static str) -> Gate {
        let mut state = self.lock();
        state.gates.push((name, Position::Closed("not yet")));
        Gate { health: Arc::clone(self), index: state.gates.len() - 1 }
    }

    /// The process is on its way out: never ready again.
    pub fn leave(&self) {
        self.lock().leaving = true;
    }

    /// Whether the process lives.
    pub fn alive(&self) -> Answer {
        self.alive_at(Instant::now())
    }

    /// Whether the process is ready.
    pub fn ready(&self) -> Answer {
        self.ready_at(Instant::now())
    }

    fn alive_at(&self, now: Instant) -> Answer {
        let mut lines = Lines::default();
        for task in &self.lock().tasks {
            task.tell(now, &mut lines);
        }
        lines.answer()
    }

    fn ready_at(&self, now: Instant) -> Answer {
        let mut lines = Lines::default();
        let state = self.lock();
        for task in &state.tasks {
            task.tell(now, &mut lines);
        }
        for (name, position) in &state.gates {
            match position {
                Position::Closed(why) => lines.add(false, name, why),
                Position::Open => lines.add(true, name, ""),
                Position::Until(moment) if now < *moment => lines.add(true, name, ""),
                Position::Until(_) => lines.add(false, name, "expired"),
            }
        }
        if state.gates.is_empty() {
            lines.add(false, "process", "starting");
        }
        if state.leaving {
            lines.add(false, "process", "shutting down");
        }
        lines.answer()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self, index: usize, beat: Beat) {
        if let Some(task) = self.lock().tasks.get_mut(index) {
            task.last = beat;
        }
    }

    fn set(&self, index: usize, position: Position) {
        if let Some((_, at)) = self.lock().gates.get_mut(index) {
            *at = position;
        }
    }
}

impl Task {
    fn tell(&self, now: Instant, lines: &mut Lines) {
        let Self { name, patience, last } = self;
        match last {
            Beat::Finished => {}
            Beat::Lost => lines.add(false, name, "ended"),
            Beat::At(last) => match now.saturating_duration_since(*last) {
                silent if silent <= *patience => lines.add(true, name, ""),
                silent => lines.add(false, name, &format!("silent for {} s", silent.as_secs())),
            },
        }
    }
}

#[derive(Default)]
struct Lines {
    text: String,
    bad: bool,
}

impl Lines {
    fn add(&mut self, good: bool, name: &str, why: &str) {
        self.bad |= !good;
        let (mark, verdict) = if good { ('+', "ok") } else { ('-', "failed") };
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let _ = writeln!(self.text, "[{mark}] {name} {verdict}{why}");
    }

    fn answer(self) -> Answer {
        let Self { text, bad } = self;
        let verdict = if bad { "failed" } else { "ok" };
        Answer { good: !bad, text: format!("{text}{verdict}\n") }
    }
}

/// A critical task shows itself with this. Dropping it without [`Pulse::finish`] says that the task is lost.
#[derive(Debug)]
#[must_use = "a pulse that is dropped says that its task is lost"]
pub struct Pulse {
    health: Arc<Health>,
    index: usize,
}

impl Pulse {
    /// The task is alive.
    pub fn beat(&self) {
        self.health.beat(self.index, Beat::At(Instant::now()));
    }

    /// The task ends, and may.
    pub fn finish(self) {
        self.health.beat(self.index, Beat::Finished);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let mut state = self.health.lock();
        if let Some(task) = state.tasks.get_mut(self.index)
            && task.last != Beat::Finished
        {
            task.last = Beat::Lost;
        }
    }
}

/// Something that must be so before the process is ready.
#[derive(Debug)]
pub struct Gate {
    health: Arc<Health>,
    index: usize,
}

impl Gate {
    /// It is so.
    pub fn open(&self) {
        self.health.set(self.index, Position::Open);
    }

    /// It is so until this moment, and longer only if somebody says so again.
    pub fn open_until(&self, moment: Instant) {
        self.health.set(self.index, Position::Until(moment));
    }

    /// It is not so, for this reason.
    pub fn close(&self, why: &'static str) {
        self.health.set(self.index, Position::Closed(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_task_that_is_silent_too_long_is_not_alive_until_it_beats_again() {
        let health = Health::new();
        let pulse = health.task("dispatch", PATIENCE);
        let now = Instant::now();
        assert_eq!(health.alive_at(now), Answer { good: true, text: "[+] dispatch ok\nok\n".to_owned() });
        let late = health.alive_at(now + PATIENCE + Duration::from_secs(5));
        assert!(
            !late.good && late.text.starts_with("[-] dispatch failed: silent for 1") && late.text.ends_with("failed\n"),
            "{}",
            late.text
        );
        pulse.beat();
        assert!(health.alive_at(now + PATIENCE).good);
    }

    #[test]
    fn a_task_that_is_gone_is_lost_and_one_that_finished_is_not() {
        let health = Health::new();
        let (lost, finished) = (health.task("renew", PATIENCE), health.task("drain", PATIENCE));
        finished.finish();
        assert!(health.alive().good);
        let panicked = std::thread::spawn(move || {
            let _held = lost;
            panic!("a task of a test panics");
        });
        assert!(panicked.join().is_err());
        assert_eq!(health.alive(), Answer { good: false, text: "[-] renew failed: ended\nfailed\n".to_owned() });
        assert!(!health.ready().good, "what is dead is not ready");
    }

    #[test]
    fn it_is_ready_while_every_gate_is_open_and_the_lease_has_not_run_out() {
        let health = Health::new();
        let (caches, lease) = (health.gate("caches"), health.gate("lease"));
        let now = Instant::now();
        assert_eq!(health.ready_at(now).text, "[-] caches failed: not yet\n[-] lease failed: not yet\nfailed\n");
        caches.open();
        assert!(!health.ready_at(now).good);
        lease.open_until(now + PATIENCE);
        assert!(health.ready_at(now).good);
        assert_eq!(health.ready_at(now + PATIENCE).text, "[+] caches ok\n[-] lease failed: expired\nfailed\n", "nobody had to say so");
        lease.open_until(now + PATIENCE * 2);
        assert!(health.ready_at(now + PATIENCE).good);
        caches.close("the watch of AgentRuns is behind");
        assert!(health.ready_at(now).text.contains("caches failed: the watch of AgentRuns is behind"));
        assert!(health.alive_at(now).good, "a process that waits for its caches need not be restarted");
    }

    #[test]
    fn who_leaves_is_alive_and_never_ready_and_who_starts_is_not_ready_yet() {
        let health = Health::new();
        assert!(health.alive().good && !health.ready().good);
        health.gate("caches").open();
        assert!(health.ready().good);
        health.leave();
        assert!(health.alive().good && !health.ready().good);
    }
}
