//! `capability`: one call of a guest through sandbox, guard and record, against the same call of the same guest to a bare import.
//!
//! The goal is about the way: parse, policy, screen, decide, append of a typed entry, answer; a constant stands where an executor would be, since what looking
//! costs is the cluster's matter ([`Way`]). Hashing is told apart: the digest of the answer has a row of its own. Beside it, without a goal, the whole door with a snapshot behind it, for a pod that is absent and for one
//! that is there; and what folding the entries into the record costs when a tool call ends.

use std::{sync::Arc, time::Instant};

use infraagent::{
    audit::{End, ToolEntry, ToolOutcome},
    broker::{Door, RUN_EGRESS_BYTES, Shared},
    run::lookup::Freshness,
};
use infraagent_guard::{
    Allowed, Claim, Decision,
    call::{Call, Read},
    decide,
    name::ToolName,
    permit::Permit,
    screen,
};
use infraagent_sandbox::{
    broker::{Answer, Answering, Broker, CallError, Request},
    engine::{Engine, EngineConfig},
    instance::Skill,
    limits::Limits,
};

use crate::{
    bare::{Bare, Constant},
    guest::{self, CALLS},
    measure::{Plan, Sample, micros},
    table::{Goal, Row},
    world::{NO_POD, POD, RUN, World},
};

/// How the host tells that there is no such pod.
const ABSENT: &str = "`shop/web-2` of kind `pods`";

/// What a compact projection of the pod looks like.
const PRESENT: &str = r#"{"metadata":{"labels":{"app":"web"},"name":"web-1","namespace":"shop"},"status":{"phase":"Running"}}"#;

pub(crate) async fn run(scratch: &std::path::Path, quick: bool) -> anyhow::Result<Vec<Row>> {
    let engine = Engine::new(EngineConfig::default())?;
    let world = World::new(scratch, &engine, &[&guest::looping_manifest()?])?;
    let plan = Plan::new(quick, 40, 10);

    let mut constant = side(&engine, &world, POD, Ok(PRESENT), Behind::Constant).await?;
    let (ours, bare) = compare(&world, &mut constant, plan).await?;
    let mut hashed = side(&engine, &world, POD, Ok(PRESENT), Behind::ConstantHashed).await?;
    let (digested, bare_digested) = compare(&world, &mut hashed, plan).await?;
    let note = format!("+{:.2} us; {CALLS} calls in one instance", ours.p50 - bare.p50);

    let mut absent = side(&engine, &world, NO_POD, Err(ABSENT), Behind::Snapshot).await?;
    let (looked, bare_looked) = compare(&world, &mut absent, plan).await?;

    let mut present = side(&engine, &world, POD, Ok(PRESENT), Behind::Snapshot).await?;
    let (found, bare_found) = compare(&world, &mut present, plan).await?;
    let (close, flush) = sealing(&present, quick).await?;
    Ok(vec![
        Row::new("capability", ours, Some(bare), "us", Goal::More(1.0), note),
        Row::new("capability, with digest", digested, Some(bare_digested), "us", Goal::Told, "and SHA-256 of an answer of 100 bytes"),
        Row::new("capability, no such object", looked, Some(bare_looked), "us", Goal::Told, "the whole door: looked up, error redacted"),
        Row::new("capability, object found", found, Some(bare_found), "us", Goal::Told, "also copied, projected, redacted, hashed"),
        Row::new("record: seal, per read", close, None, "us", Goal::Told, "text, redaction, SHA-256; when a tool call ends"),
        Row::new("record: flush", flush, None, "us", Goal::Told, "serialise, write, fsync; once per turn"),
    ])
}

/// What answers a read that was decided and recorded.
#[derive(Debug, Clone, Copy)]
enum Behind {
    /// The whole door, and a cluster in memory.
    Snapshot,
    /// The same text every time.
    Constant,
    /// The same, and its digest goes into the entry.
    ConstantHashed,
}

/// The way of a read to its executor and back, as [`Door`] goes it: the policy as it is now, the circumstances, screen, decide, a typed entry and, if that is measured too, the
/// answer's digest.
struct Way {
    shared: Arc<Shared>,
    entry: Arc<ToolEntry>,
    tool: ToolName,
    hashed: bool,
}

impl Broker for Way {
    fn perform(&self, request: Request) -> Answering<'_> {
        Box::pin(self.serve(request))
    }
}

impl Way {
    async fn serve(&self, request: Request) -> Result<Answer, CallError> {
        let odd = || CallError::Internal("not the call that is measured".to_owned());
        let Request::Call { action, call: call @ Call::Read(_) } = request else { return Err(odd()) };
        let run = self.shared.lookup.current(Freshness::of(&call)).await.map_err(|_| odd())?;
        let left = self.shared.until.saturating_duration_since(Instant::now());
        let now = run.circumstances(self.shared.executor.now(), self.shared.journal.entries_left(), RUN_EGRESS_BYTES, left);
        let screened = screen(&run.policy(), Claim { tool: self.tool.clone(), action, call }, &now).map_err(|_| odd())?;
        let Decision::Allow(Allowed::Read(permit)) = decide(screened, None) else { return Err(odd()) };
        self.read(permit)
    }

    fn read(&self, permit: Permit<Read>) -> Result<Answer, CallError> {
        let recorded = self.entry.read(permit);
        let ordinal = recorded.ordinal();
        drop(recorded.into_inner());
        let answer = Ok(Answer::Json(PRESENT.to_owned()));
        if self.hashed {
            self.entry.answered(ordinal, End::of(&answer));
        }
        answer
    }
}

struct Side {
    behind: Behind,
    shared: Arc<Shared>,
    skill: Skill,
    bare: Bare,
}

async fn side(
    engine: &Engine,
    world: &World,
    pod: &str,
    object: Result<&'static str, &'static str>,
    behind: Behind,
) -> anyhow::Result<Side> {
    let component = guest::looping(pod)?;
    let side = Side {
        behind,
        shared: world.open().await?,
        skill: guest::load(engine, &component)?,
        bare: Bare::new(&component, Constant { site: "{}", object })?,
    };
    side.check(object.is_ok()).await?;
    Ok(side)
}

impl Side {
    /// Every call must have been decided and recorded, or the numbers mean nothing.
    async fn check(&self, found: bool) -> anyhow::Result<()> {
        let entry = Arc::new(self.shared.journal.tool("work", "", "work {}").await?);
        let outcome = self.skill.invoke("work", "{}", RUN, &Limits::DEFAULT, self.door(&entry)?).await;
        anyhow::ensure!(outcome.usage.host_calls == CALLS, "{outcome:?}");
        outcome.result?;
        let seq = entry.seq();
        entry.close(ToolOutcome::Executed { result: "{}".to_owned() }).await?;
        let document = self.shared.journal.document().await;
        let reads =
            document.status.and_then(|status| status.actions.into_iter().find(|action| u32::try_from(action.seq) == Ok(seq))?.reads);
        let reads = reads.ok_or_else(|| anyhow::anyhow!("the calls are not in the record"))?;
        anyhow::ensure!(u32::try_from(reads.count) == Ok(CALLS) && reads.denied == 0, "{reads:?}");
        let missing = reads.calls.iter().any(|call| call.contains("not-found"));
        anyhow::ensure!(missing != found, "{reads:?}");
        Ok(())
    }

    fn door(&self, entry: &Arc<ToolEntry>) -> anyhow::Result<Arc<dyn Broker>> {
        let (shared, entry, tool) = (Arc::clone(&self.shared), Arc::clone(entry), ToolName::parse("work")?);
        Ok(match self.behind {
            Behind::Snapshot => Arc::new(Door::new(shared, entry, tool, "call-1")),
            Behind::Constant => Arc::new(Way { shared, entry, tool, hashed: false }),
            Behind::ConstantHashed => Arc::new(Way { shared, entry, tool, hashed: true }),
        })
    }
}

/// Microseconds per call of the guest: ours and the bare engine's. Each tool call has its own entry of a record; opening and sealing it is not in these numbers.
async fn compare(world: &World, side: &mut Side, plan: Plan) -> anyhow::Result<(Sample, Sample)> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let per_call = 1.0 / f64::from(CALLS);
    for round in 0..=plan.rounds {
        side.shared = world.open().await?;
        for _ in 0..plan.calls {
            let entry = Arc::new(side.shared.journal.tool("work", "", "work {}").await?);
            let door = side.door(&entry)?;
            let started = Instant::now();
            let outcome = side.skill.invoke("work", "{}", RUN, &Limits::DEFAULT, door).await;
            ours.push(micros(started) * per_call);
            outcome.result?;
            entry.close(ToolOutcome::Executed { result: "{}".to_owned() }).await?;
            let started = Instant::now();
            let answer = side.bare.call_on_fiber("work").await;
            bare.push(micros(started) * per_call);
            anyhow::ensure!(answer.is_ok(), "{answer:?}");
        }
        if round == 0 {
            ours.clear();
            bare.clear();
        }
    }
    Ok((Sample::of(ours), Sample::of(bare)))
}

/// What is not paid per call: sealing an entry, per folded read, and writing the record.
async fn sealing(side: &Side, quick: bool) -> anyhow::Result<(Sample, Sample)> {
    let (mut closes, mut flushes) = (Vec::new(), Vec::new());
    for _ in 0..if quick { 5 } else { 40 } {
        let entry = Arc::new(side.shared.journal.tool("work", "", "work {}").await?);
        side.skill.invoke("work", "{}", RUN, &Limits::DEFAULT, side.door(&entry)?).await.result?;
        let started = Instant::now();
        entry.close(ToolOutcome::Executed { result: "{}".to_owned() }).await?;
        closes.push(micros(started) / f64::from(CALLS));
        let started = Instant::now();
        side.shared.journal.flush().await?;
        flushes.push(micros(started));
    }
    Ok((Sample::of(closes), Sample::of(flushes)))
}
