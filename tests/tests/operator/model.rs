//! One model for all agents of this process: each of them says in its description which plan is its own.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use infraagent_tests::model_server::{Fault, Gate, ModelServer, Reply, Step, Usage};
use serde_json::{Value, json};

/// What the model does in every run of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Turn by turn; then it reports. At most four: of a longer conversation the model is not shown the beginning.
    pub(crate) turns: Vec<Step>,
    /// How long it thinks before each turn.
    pub(crate) pause: Duration,
    /// What the first questions get, whichever run asks them.
    pub(crate) at_first: Vec<Fault>,
}

impl Plan {
    /// Tool calls, turn by turn.
    pub(crate) fn calls(turns: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let turns: Vec<Step> = turns.into_iter().map(|(tool, arguments)| Step::Reply(Reply::default().calls(tool, arguments))).collect();
        assert!(turns.len() <= 4);
        Self { turns, pause: Duration::ZERO, at_first: Vec::new() }
    }

    /// It reports at once.
    pub(crate) fn nothing() -> Self {
        Self::calls([])
    }

    /// It never answers.
    pub(crate) fn hangs() -> Self {
        Self { turns: vec![Step::Fault(Fault::Hang)], pause: Duration::ZERO, at_first: Vec::new() }
    }

    pub(crate) fn slow(self, millis: u64) -> Self {
        Self { pause: Duration::from_millis(millis), ..self }
    }

    /// What it would say in this turn waits at the gate. The turn after the last one is the report.
    pub(crate) fn held(mut self, turn: usize, gate: &Gate) -> Self {
        if turn == self.turns.len() {
            self.turns.push(Step::Reply(report()));
        }
        let Step::Reply(reply) = self.turns[turn].clone() else { panic!("nothing is said in this turn") };
        self.turns[turn] = Step::Held(gate.clone(), reply);
        self
    }

    /// Each of its answers uses so many tokens of input and of output.
    pub(crate) fn uses(mut self, input: u64, output: u64) -> Self {
        self.turns.push(Step::Reply(report()));
        for step in &mut self.turns {
            if let Step::Reply(reply) | Step::Held(_, reply) = step {
                reply.usage = Some(Usage { input, output, cached: 0, cache_written: 0 });
            }
        }
        self
    }

    pub(crate) fn then(mut self, fault: Fault) -> Self {
        self.turns.push(Step::Fault(fault));
        self
    }

    pub(crate) fn at_first(self, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { at_first: faults.into_iter().collect(), ..self }
    }
}

/// Restarts a Deployment.
pub(crate) fn restart(namespace: &str, name: &str) -> (&'static str, Value) {
    ("restart", json!({"kind": "deployments.apps", "namespace": namespace, "name": name, "reason": "it is time"}))
}

/// Holds the rollout of a Deployment, or lets it go on.
pub(crate) fn pause(namespace: &str, name: &str, paused: bool) -> (&'static str, Value) {
    ("pause", json!({"namespace": namespace, "name": name, "paused": paused, "reason": "to look at it"}))
}

/// Looks at a Deployment.
pub(crate) fn look(namespace: &str, name: &str) -> (&'static str, Value) {
    ("look", json!({"kind": "deployments.apps", "namespace": namespace, "name": name}))
}

#[derive(Debug)]
struct Known {
    plan: Plan,
    asked: usize,
}

fn known() -> MutexGuard<'static, HashMap<String, Known>> {
    static KNOWN: OnceLock<Mutex<HashMap<String, Known>>> = OnceLock::new();
    KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on the model does this in runs of the agent. Returns what the agent's description must say.
pub(crate) fn follow(agent: &str, plan: Plan) -> String {
    let mut known = known();
    let asked = known.get(agent).map_or(0, |known| known.asked);
    known.insert(agent.to_owned(), Known { plan, asked });
    format!("Does what it is told. plan-of {agent} end-of-plan")
}

/// How often the model was asked on behalf of the agent.
pub(crate) fn asked(agent: &str) -> usize {
    known().get(agent).map_or(0, |known| known.asked)
}

/// Its address.
pub(crate) fn url() -> String {
    static SERVER: OnceLock<ModelServer> = OnceLock::new();
    SERVER.get_or_init(|| ModelServer::improvise(answer).expect("a model server")).url()
}

fn answer(question: &Value, said: usize) -> (Step, Duration) {
    let text = question.to_string();
    let agent = text.split_once("plan-of ").and_then(|(_, rest)| rest.split_once(" end-of-plan")).map_or("", |(agent, _)| agent);
    let mut known = known();
    let Some(Known { plan, asked }) = known.get_mut(agent) else {
        return (Step::Fault(Fault::status(400)), Duration::ZERO);
    };
    *asked += 1;
    if said == 0 && !plan.at_first.is_empty() {
        return (Step::Fault(plan.at_first.remove(0)), plan.pause);
    }
    (plan.turns.get(said).cloned().unwrap_or_else(|| Step::Reply(report())), plan.pause)
}

fn report() -> Reply {
    Reply::says("That is all.")
}
