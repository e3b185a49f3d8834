//! `instance`: a fresh store, an instance in it, one tool call with one host call, and all of it dropped; with every limit on.

use std::sync::Arc;

use infraagent_sandbox::{
    broker::{Answer, Answering, Broker, Request},
    engine::{Engine, EngineConfig},
    limits::Limits,
};

use crate::{
    bare::{Bare, Constant},
    guest::{self, Skills},
    measure::{Plan, interleaved},
    table::{Goal, Row},
};

/// What both hosts answer when the guest asks where it is.
pub(crate) const SITE: &str = r#"{"name":"site-a","namespaces":{"apps":["cart","shop"]}}"#;

/// Answers a constant.
struct Constantly;

impl Broker for Constantly {
    fn perform(&self, _request: Request) -> Answering<'_> {
        Box::pin(std::future::ready(Ok(Answer::Json(SITE.to_owned()))))
    }
}

pub(crate) async fn run(skills: &Skills, quick: bool) -> anyhow::Result<Vec<Row>> {
    let engine = Engine::new(EngineConfig::default())?;
    let skill = guest::load(&engine, &skills.hello)?;
    let broker: Arc<dyn Broker> = Arc::new(Constantly);
    let bare = Bare::new(&skills.hello, Constant { site: SITE, object: Err("") })?;

    let ours = skill.invoke("greet", "{}", "run-1", &Limits::DEFAULT, Arc::clone(&broker)).await.result?.content;
    let (plain, fiber) = (bare.call("greet"), bare.call_on_fiber("greet").await);
    for theirs in [&plain, &fiber] {
        anyhow::ensure!(theirs.as_ref().is_ok_and(|theirs| *theirs == ours), "the same guest answers differently: {ours}, {theirs:?}");
    }

    let plan = Plan::new(quick, 400, 50);
    let call = async || skill.invoke("greet", "{}", "run-1", &Limits::DEFAULT, Arc::clone(&broker)).await;
    let (ours, on_fiber) = interleaved(plan, call, async || bare.call_on_fiber("greet").await).await;
    let (again, plain) = interleaved(plan, call, async || bare.call("greet")).await;
    let pool = if engine.is_pooled() { "pool" } else { "NO POOL on this machine" };
    Ok(vec![
        Row::new(
            "instance",
            ours,
            Some(on_fiber),
            "us",
            Goal::Times(1.3),
            format!("{pool}; bare: async, as a host call that waits needs it"),
        ),
        Row::new("instance, bare without fiber", again, Some(plain), "us", Goal::Told, "bare: no host call can wait"),
    ])
}
