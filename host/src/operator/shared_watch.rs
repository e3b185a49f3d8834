//! One watch of a kind for all parts of this replica: each watch costs the API server an encoding of every change, and this process a connection and a decoding.
//!
//! # Guarantees
//!
//! * Whoever listens is told everything in order, beginning with all that is there; also what went while nothing could be watched, as a new list of all.
//! * What it is told stands in the cache by then.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt as _,
        reflector::{self, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;

/// What was seen.
#[derive(Debug)]
pub(super) enum Sight<'a, K> {
    /// These are all there are.
    All(&'a [Arc<K>]),
    /// It came, or changed.
    There(&'a Arc<K>),
    /// It went, or is not watched for any more. This is how it was before.
    Gone(&'a K),
}

type Ear<K> = Box<dyn Fn(Sight<'_, K>) + Send>;

/// A watch, and who listens to it.
pub struct SharedWatch<K: Resource<DynamicType = ()> + Clone + 'static> {
    cache: Store<K>,
    state: Arc<Mutex<State<K>>>,
}

struct State<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: reflector::store::Writer<K>,
    listed: bool,
    ears: Vec<(u64, Ear<K>)>,
    next: u64,
}

/// As long as this lives it is told.
pub(super) struct Listening<K: Resource<DynamicType = ()> + Clone + 'static> {
    state: Arc<Mutex<State<K>>>,
    id: u64,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Drop for Listening<K> {
    fn drop(&mut self) {
        lock(&self.state).ears.retain(|(id, _)| *id != self.id);
    }
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Default for SharedWatch<K> {
    fn default() -> Self {
        let (cache, writer) = reflector::store();
        Self { cache, state: Arc::new(Mutex::new(State { writer, listed: false, ears: Vec::new(), next: 0 })) }
    }
}

impl<K> SharedWatch<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// What is there, as it was seen last. Without managed fields: who changed what when is not needed, and is the largest part of most objects.
    pub(super) fn cache(&self) -> Store<K> {
        self.cache.clone()
    }

    /// Is told everything from now on. The ear must not listen to the same watch, nor wait for anything.
    #[must_use]
    pub(super) fn listen(&self, ear: impl Fn(Sight<'_, K>) + Send + 'static) -> Listening<K> {
        let mut state = lock(&self.state);
        if state.listed {
            ear(Sight::All(&self.cache.state()));
        }
        let id = state.next;
        state.next += 1;
        state.ears.push((id, Box::new(ear)));
        Listening { state: Arc::clone(&self.state), id }
    }

    /// Watches, as long as it is polled.
    pub(super) async fn follow(&self, api: Api<K>, config: watcher::Config) {
        let mut changes = watcher(api, config).default_backoff().modify(|object| object.meta_mut().managed_fields = None).boxed();
        loop {
            match changes.try_next().await {
                Ok(Some(event)) => self.saw(event),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, kind = %K::kind(&()), "cannot be watched"),
            }
        }
    }

    fn saw(&self, event: watcher::Event<K>) {
        let mut state = lock(&self.state);
        state.writer.apply_watcher_event(&event);
        match event {
            watcher::Event::Init | watcher::Event::InitApply(_) => {}
            watcher::Event::InitDone => {
                state.listed = true;
                let all = self.cache.state();
                state.tell(|| Sight::All(&all));
            }
            watcher::Event::Apply(object) => {
                // As the cache has it, so that it is in memory once.
                let object = self.cache.get(&reflector::ObjectRef::from_obj(&object)).unwrap_or_else(|| Arc::new(object));
                state.tell(|| Sight::There(&object));
            }
            watcher::Event::Delete(object) => state.tell(|| Sight::Gone(&object)),
        }
    }
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> State<K> {
    fn tell<'a>(&self, sight: impl Fn() -> Sight<'a, K>) {
        for (_, ear) in &self.ears {
            ear(sight());
        }
    }
}

fn lock<K: Resource<DynamicType = ()> + Clone + 'static>(state: &Mutex<State<K>>) -> std::sync::MutexGuard<'_, State<K>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use infraagent_api::AgentRun;
    use kube::ResourceExt as _;
    use serde_json::json;
    use watcher::Event;

    use super::*;

    fn run(name: &str) -> AgentRun {
        serde_json::from_value(json!({
            "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentRun", "metadata": { "namespace": "agents", "name": name },
            "spec": { "agentRef": "a", "environmentRef": "e", "trigger": "manual" },
        }))
        .unwrap()
    }

    type Heard = Arc<Mutex<Vec<String>>>;

    fn ear(watch: &SharedWatch<AgentRun>) -> (Listening<AgentRun>, Heard) {
        let heard = Heard::default();
        let (hears, cache) = (Arc::clone(&heard), watch.cache());
        let listening = watch.listen(move |sight| {
            let said = match sight {
                Sight::All(all) => {
                    let mut names: Vec<_> = all.iter().map(|run| run.name_any()).collect();
                    names.sort();
                    format!("all {names:?}")
                }
                Sight::There(run) => format!("there {}", run.name_any()),
                Sight::Gone(run) => format!("gone {}", run.name_any()),
            };
            hears.lock().unwrap().push(format!("{said}, {} in the cache", cache.state().len()));
        });
        (listening, heard)
    }

    fn heard(heard: &Heard) -> Vec<String> {
        std::mem::take(&mut heard.lock().unwrap())
    }

    #[test]
    fn whoever_listens_early_or_late_knows_the_same() {
        let watch = SharedWatch::default();
        let (_early, early) = ear(&watch);
        for event in [Event::Init, Event::InitApply(run("a")), Event::InitApply(run("b"))] {
            watch.saw(event);
        }
        assert!(heard(&early).is_empty(), "a list that is not complete says nothing of what is not there");
        watch.saw(Event::InitDone);
        let (_late, late) = ear(&watch);
        watch.saw(Event::Apply(run("c")));
        watch.saw(Event::Delete(run("a")));
        let all = [r#"all ["a", "b"], 2 in the cache"#, "there c, 3 in the cache", "gone a, 2 in the cache"];
        assert_eq!((heard(&early), heard(&late)), (all.map(str::to_owned).to_vec(), all.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_went_unseen_is_missing_in_the_next_list() {
        let watch = SharedWatch::default();
        for event in [Event::Init, Event::InitApply(run("a")), Event::InitApply(run("b")), Event::InitDone] {
            watch.saw(event);
        }
        let (_listening, known) = ear(&watch);
        for event in [Event::Init, Event::InitApply(run("b")), Event::InitDone] {
            watch.saw(event);
        }
        assert_eq!(heard(&known), [r#"all ["a", "b"], 2 in the cache"#, r#"all ["b"], 1 in the cache"#]);
    }

    #[test]
    fn who_has_gone_is_told_nothing() {
        let watch = SharedWatch::default();
        let (gone, known) = ear(&watch);
        drop(gone);
        watch.saw(Event::Apply(run("a")));
        assert!(heard(&known).is_empty());
    }
}
