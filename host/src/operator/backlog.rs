//! Which runs of each agent are not over, as this replica sees them: what the leader looks through instead of all runs, and what bounds how many more a webhook
//! may add.
//!
//! Every replica watches those runs anyway. A run that this replica is about to create counts from before it is created, so a flood of deliveries to one replica
//! cannot pass the bound while the watch is behind; of other replicas' deliveries it learns a moment later.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use infraagent_api::AgentRun;
use kube::ResourceExt as _;

use super::{
    series::AgentKey,
    shared_watch::{Listening, SharedWatch, Sight},
};

/// The runs that are not over.
#[derive(Debug, Default)]
pub struct Backlog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    listed: bool,
    /// Names of runs, by agent.
    open: HashMap<AgentKey, HashSet<String>>,
}

/// Whether one more run may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// It may, and counts from now on.
    Reserved,
    /// It is there already, or somebody is about to create it.
    Known,
    /// There are too many.
    None,
    /// It is not known yet how many there are.
    Unknown,
}

impl Backlog {
    /// Follows the runs, as long as what is returned lives.
    pub(super) fn follow(self: &Arc<Self>, runs: &SharedWatch<AgentRun>) -> Listening<AgentRun> {
        let backlog = Arc::clone(self);
        runs.listen(move |sight| match sight {
            Sight::All(runs) => backlog.only(runs.iter().map(|run| (agent(run), run.name_any()))),
            Sight::There(run) => backlog.seen(run),
            Sight::Gone(run) => backlog.gone(run),
        })
    }

    /// A run was seen that is not over.
    fn seen(&self, run: &AgentRun) {
        self.lock().open.entry(agent(run)).or_default().insert(run.name_any());
    }

    /// A run is over, or gone.
    fn gone(&self, run: &AgentRun) {
        self.forget(&agent(run), &run.name_any());
    }

    /// All of them were listed, and are these.
    fn only(&self, all: impl IntoIterator<Item = (AgentKey, String)>) {
        let mut open: HashMap<AgentKey, HashSet<String>> = HashMap::new();
        for (agent, run) in all {
            open.entry(agent).or_default().insert(run);
        }
        *self.lock() = State { listed: true, open };
    }

    /// Names of the agent's runs that are not over. Some of them may not exist yet.
    pub(super) fn of(&self, agent: &AgentKey) -> Vec<String> {
        self.lock().open.get(agent).map(|open| open.iter().cloned().collect()).unwrap_or_default()
    }

    /// Makes room for a run with this name if fewer than `most` of its agent are not over.
    pub(super) fn reserve(&self, agent: &AgentKey, run: &str, most: usize) -> Space {
        let mut state = self.lock();
        if !state.listed {
            return Space::Unknown;
        }
        let open = state.open.entry(agent.clone()).or_default();
        if open.contains(run) {
            return Space::Known;
        }
        if open.len() >= most {
            return Space::None;
        }
        open.insert(run.to_owned());
        Space::Reserved
    }

    /// A run for which room was made was not created.
    pub(super) fn forget(&self, agent: &AgentKey, run: &str) {
        let mut state = self.lock();
        if let Some(open) = state.open.get_mut(agent) {
            open.remove(run);
            if open.is_empty() {
                state.open.remove(agent);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose run it is.
fn agent(run: &AgentRun) -> AgentKey {
    (run.namespace().unwrap_or_default(), run.spec.agent_ref.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> AgentRun {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": { "namespace": "n", "name": name },
            "spec": { "agentRef": "a", "environmentRef": "e", "trigger": "webhook" },
        }))
        .unwrap()
    }

    #[test]
    fn no_more_than_the_most_even_before_the_watch_has_seen_them() {
        let (backlog, agent) = (Backlog::default(), ("n".to_owned(), "a".to_owned()));
        assert_eq!(backlog.reserve(&agent, "1", 2), Space::Unknown);
        backlog.only([]);
        assert_eq!(backlog.reserve(&agent, "1", 2), Space::Reserved);
        assert_eq!(backlog.reserve(&agent, "1", 2), Space::Known);
        backlog.seen(&run("2"));
        backlog.seen(&run("1"));
        assert_eq!(backlog.reserve(&agent, "3", 2), Space::None);
        assert_eq!(backlog.reserve(&("n".to_owned(), "b".to_owned()), "3", 2), Space::Reserved, "others have their own");
        backlog.gone(&run("1"));
        assert_eq!(backlog.reserve(&agent, "3", 2), Space::Reserved);
        assert_eq!(backlog.of(&agent).into_iter().collect::<HashSet<_>>(), ["2", "3"].map(str::to_owned).into());
        backlog.forget(&agent, "3");
        assert_eq!(backlog.reserve(&agent, "4", 2), Space::Reserved);
        backlog.only([(agent.clone(), "5".to_owned()), (agent.clone(), "6".to_owned())]);
        assert_eq!(backlog.reserve(&agent, "4", 2), Space::None, "what is listed is the truth");
    }
}
