//! Many agents with a Deployment each, and replicas that come back when they are killed.

use std::cell::Cell;

use infraagent_tests::{Replica, eventually};
use kube::api::ListParams;
use serde_json::json;

use crate::{
    chaos::dice::Dice,
    lab::Lab,
    model::{self, Plan},
};

/// A crowd of agents.
pub(crate) struct Fleet<'a> {
    pub(crate) lab: &'a Lab<'a>,
    pub(crate) agents: Vec<String>,
    ordered: usize,
}

impl<'a> Fleet<'a> {
    /// Agents that each make four changes of their own Deployment, one per turn, with a model that thinks so long.
    pub(crate) async fn new(lab: &'a Lab<'a>, size: usize, thinks: u64) -> Self {
        let mut agents = Vec::new();
        for number in 0..size {
            let (agent, web) = (format!("agent-{number}"), format!("web-{number}"));
            lab.deployment(&web).await;
            lab.agent(&agent, changes(&lab.namespace, &web).slow(thinks)).await;
            agents.push(agent);
        }
        Self { lab, agents, ordered: 0 }
    }

    /// Orders one run of every agent. Their names are `run-<number>-<agent>`.
    pub(crate) async fn order(&mut self) {
        self.ordered += 1;
        for agent in &self.agents {
            self.lab.order(&format!("run-{}-{agent}", self.ordered), agent, json!({})).await;
        }
    }

    /// Runs that were ordered.
    pub(crate) fn expected(&self) -> usize {
        self.ordered * self.agents.len()
    }

    /// How many runs are not over; None if the API server does not say.
    pub(crate) async fn left(&self) -> Option<usize> {
        let not_over =
            ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed,status.phase!=Escalated,status.phase!=Blocked");
        Some(self.lab.runs().list_metadata(&not_over).await.ok()?.items.len())
    }

    /// Waits until everything that was ordered is over. Patience begins anew whenever something ends.
    pub(crate) async fn over(&self) {
        let left = &Cell::new(usize::MAX);
        while left.get() > 0 {
            eventually("the end of the runs that are left", || async move {
                let now = self.left().await?;
                (now < left.get()).then(|| left.set(now))
            })
            .await;
        }
    }
}

/// Four changes.
pub(crate) fn changes(namespace: &str, name: &str) -> Plan {
    Plan::calls([
        model::restart(namespace, name),
        model::pause(namespace, name, true),
        model::pause(namespace, name, false),
        model::restart(namespace, name),
    ])
}

/// Replicas that are started again.
pub(crate) struct Crew<'a> {
    lab: &'a Lab<'a>,
    pub(crate) replicas: Vec<Option<Replica>>,
    started: usize,
}

impl<'a> Crew<'a> {
    pub(crate) fn new(lab: &'a Lab<'a>, size: usize) -> Self {
        let mut crew = Self { lab, replicas: Vec::new(), started: 0 };
        for _ in 0..size {
            let replica = crew.start();
            crew.replicas.push(Some(replica));
        }
        crew
    }

    pub(crate) fn start(&mut self) -> Replica {
        self.started += 1;
        self.lab.operator.replica(&format!("replica-{}", self.started))
    }

    /// kill -9 of one of them.
    pub(crate) fn kill_one(&mut self, dice: &mut Dice) -> usize {
        let at = dice.below(self.replicas.len());
        self.kill(at);
        at
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, at: usize) {
        drop(self.replicas[at].take());
    }

    pub(crate) fn start_again(&mut self, at: usize) {
        if self.replicas[at].is_none() {
            let replica = self.start();
            self.replicas[at] = Some(replica);
        }
    }
}
