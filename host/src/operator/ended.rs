//! How runs of this replica ended, for the leader if that is this replica too: it frees their agents at once, and reads nothing again. It is told only after the
//! API server has the record as it is told here; whoever is not told learns it from the API server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use infraagent_api::{AgentRun, InfraAgent};
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};
use tokio::sync::mpsc::UnboundedSender;

type Wake = UnboundedSender<ObjectRef<InfraAgent>>;

/// Runs whose record is closed.
#[derive(Debug, Default)]
pub struct Ended(Arc<Mutex<Option<Listener>>>);

#[derive(Debug)]
struct Listener {
    wake: Wake,
    runs: HashMap<String, Arc<AgentRun>>,
}

/// Somebody wants to be told. Dropping it ends that.
pub(super) struct Listening {
    all: Arc<Mutex<Option<Listener>>>,
    wake: Wake,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The next leader may have begun already.
        lock(&self.all).take_if(|listener| listener.wake.same_channel(&self.wake));
    }
}

impl Ended {
    /// From now on each agent is woken whose run ended here.
    pub(super) fn listen(&self, wake: &Wake) -> Listening {
        *lock(&self.0) = Some(Listener { wake: wake.clone(), runs: HashMap::new() });
        Listening { all: Arc::clone(&self.0), wake: wake.clone() }
    }

    /// Whether anybody wants to be told.
    pub(super) fn is_listened_to(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// The record of this run is closed, and the API server has it.
    pub(super) fn tell(&self, run: AgentRun) {
        let mut all = lock(&self.0);
        let (Some(listener), Some(uid)) = (all.as_mut(), run.uid()) else { return };
        let agent = ObjectRef::new(&run.spec.agent_ref).within(&run.namespace().unwrap_or_default());
        listener.runs.insert(uid, Arc::new(run));
        // Nobody receives only when it no longer leads.
        let _ = listener.wake.send(agent);
    }

    /// How that run ended, if it was told.
    pub(super) fn of(&self, uid: &str) -> Option<Arc<AgentRun>> {
        lock(&self.0).as_ref()?.runs.get(uid).cloned()
    }

    /// Nobody asks for it any more.
    pub(super) fn forget(&self, uid: &str) {
        if let Some(listener) = lock(&self.0).as_mut() {
            listener.runs.remove(uid);
        }
    }

    /// Forgets what nobody will ask for.
    pub(super) fn keep(&self, is_asked_for: impl Fn(&str) -> bool) {
        if let Some(listener) = lock(&self.0).as_mut() {
            listener.runs.retain(|uid, _| is_asked_for(uid));
        }
    }
}

fn lock(all: &Mutex<Option<Listener>>) -> std::sync::MutexGuard<'_, Option<Listener>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::sync::mpsc;

    use super::*;

    fn run(uid: &str) -> AgentRun {
        serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": { "namespace": "agents", "name": "r", "uid": uid },
            "spec": { "agentRef": "a", "environmentRef": "e", "trigger": "manual" },
        }))
        .unwrap()
    }

    #[test]
    fn who_leads_is_told_and_woken_and_who_does_not_keeps_nothing() {
        let ended = Ended::default();
        ended.tell(run("before"));
        let (wake, mut woken) = mpsc::unbounded_channel();
        let listening = ended.listen(&wake);
        assert!(ended.is_listened_to() && ended.of("before").is_none());
        ended.tell(run("x"));
        assert_eq!(woken.try_recv().unwrap(), ObjectRef::new("a").within("agents"));
        assert_eq!(ended.of("x").unwrap().uid().unwrap(), "x");
        ended.forget("x");
        assert!(ended.of("x").is_none());
        ended.tell(run("y"));
        ended.keep(|uid| uid != "y");
        assert!(ended.of("y").is_none());
        drop(listening);
        assert!(!ended.is_listened_to());
    }

    #[test]
    fn a_leader_that_goes_late_takes_nothing_from_the_next() {
        let ended = Ended::default();
        let (wake, _woken) = mpsc::unbounded_channel();
        let old = ended.listen(&wake);
        let (wake, _also) = mpsc::unbounded_channel();
        let _new = ended.listen(&wake);
        drop(old);
        assert!(ended.is_listened_to());
    }
}
