//! `webhooks`: how many deliveries one replica accepts per second, and how long each takes, against a bare axum handler.
//!
//! 202 means that the AgentRun exists. So the bare handler does the least that is honest: it authenticates the sender in the same way (bearer token, compared as HMACs), creates
//! the same AgentRun with a bare client as the same user, and says 202. It knows one agent per source without looking, has no limits, no filters, no memory of
//! what it has seen, and does not redact. What it takes without writing anything is told too, as a bound of HTTP itself.
//!
//! While either is measured the same operator is there and looks at the new runs; none of them begins, because one that never ends has the only slot.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hmac::{Hmac, KeyInit as _, Mac as _};
use infraagent_api::{
    AgentRun, AgentRunSpec, InfraAgent, LABEL_AGENT, ObjectMeta,
    names::Mode,
    run::{RECORD_VERSION, RunInput, RunTrigger},
};
use infraagent_tests::{
    OPERATOR, apply, client_of,
    model_server::{Fault, Script, Step},
};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, time::sleep};

use crate::{
    common::{
        sample::Sample,
        table::{Goal, Row},
    },
    fleet::{everything, one},
    stage::Stage,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Deliveries on their way at a time.
const SIDE_BY_SIDE: usize = 16;
/// Deliveries that one agent gets: with more runs waiting it would take none.
const EACH: usize = 12;

pub(crate) async fn run(quick: bool) -> anyhow::Result<Vec<Row>> {
    let (rounds, sources) = if quick { (1, 10) } else { (3, 50) };
    let agents = 1 + 2 * rounds * sources;
    let stage = Stage::start(Script { steps: vec![Step::Fault(Fault::Hang)], ..Script::default() }.for_each_conversation()).await?;
    stage.enroll_with(agents, |at| json!({ "triggers": [{ "type": "webhook", "source": source(at) }] })).await?;
    let secret = |at: usize| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": { "type": "bearer", "secret": TOKEN },
            "metadata": { "name": format!("infraagent-webhook-{}", source(at)), "namespace": OPERATOR.0 },
        })
    };
    let admin = stage.admin.clone();
    let created = stream::iter((0..agents).map(secret)).map(|secret| {
        let admin = admin.clone();
        async move { apply(&admin, &secret).await.map(drop) }
    });
    created.buffered(SIDE_BY_SIDE).try_collect::<()>().await?;
    let operator = stage.operator(agents, 1).await?;
    let bare = Bare::serve(&stage, true).await?;
    let silent = Bare::serve(&stage, false).await?;
    let ours = operator.webhooks()?;
    // The first one starts the evaluator, and its run takes the only slot.
    deliver(&ours, 0..1, 1).await?;
    sleep(Duration::from_secs(5)).await;

    let (mut own, mut compared) = (Measured::default(), Measured::default());
    let mut set = (0..2 * rounds).map(|round| 1 + round * sources..1 + (round + 1) * sources);
    for _ in 0..rounds {
        for (url, measured) in [(&bare, &mut compared), (&ours, &mut own)] {
            let Some(set) = set.next() else { continue };
            measured.add(deliver(url, set, EACH).await?);
            // The leader looks at the runs that are new, and tells each what it waits for.
            sleep(Duration::from_secs(if quick { 5 } else { 15 })).await;
        }
    }
    let bound = deliver(&silent, 0..agents, EACH).await?;
    operator.end()?;

    let note = format!(
        "{} deliveries of {} bytes, {SIDE_BY_SIDE} at a time; baseline: a bare handler that creates the same AgentRun",
        own.took.len(),
        body(0, 0).len()
    );
    let (own, compared) = (own.told(), compared.told());
    Ok(vec![
        Row::new("webhooks: accepted", own.0, Some(compared.0), "/s", Goal::AtLeast(0.5), note),
        Row::new("webhooks: answered", own.1, Some(compared.1), "ms", Goal::Told, "until 202; baseline: the same"),
        Row::new(
            "webhooks: without writing",
            own.0,
            Some(one(bound.rate())),
            "/s",
            Goal::Told,
            "baseline: a bare handler that authenticates, creates nothing, and says 202",
        ),
    ])
}

fn source(at: usize) -> String {
    format!("ci-{at:04}")
}

/// An alert of some hundred bytes that nobody has sent before.
fn body(source: usize, number: usize) -> String {
    let text = "Pods of the shop are not ready. ".repeat(20);
    json!({ "status": "firing", "alert": "NotReady", "source": source, "number": number, "description": text }).to_string()
}

/// What deliveries took.
#[derive(Default)]
struct Measured {
    /// Milliseconds each.
    took: Vec<f64>,
    rates: Vec<f64>,
}

impl Measured {
    fn add(&mut self, other: Self) {
        self.took.extend(other.took);
        self.rates.extend(other.rates);
    }

    fn rate(&self) -> f64 {
        Sample::of(self.rates.clone()).p50
    }

    fn told(self) -> (Sample, Sample) {
        (Sample::of(self.rates), Sample::of(self.took))
    }
}

/// So many deliveries to each of these sources, all of which must be accepted.
async fn deliver(url: &str, sources: std::ops::Range<usize>, each: usize) -> anyhow::Result<Measured> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let all: Vec<(usize, usize)> = (0..each).flat_map(|number| sources.clone().map(move |source| (source, number))).collect();
    let count = all.len();
    let began = Instant::now();
    let one = async |(at, number): (usize, usize)| {
        let body = body(at, number);
        let asked = Instant::now();
        let answer = client
            .post(format!("{url}/webhook/{}", source(at)))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?;
        let (status, text) = (answer.status(), answer.text().await?);
        let triggered = serde_json::from_str::<Value>(&text).ok().and_then(|said| said["triggered"].as_u64());
        ensure!(status == 202 && triggered == Some(1), "{status}: {text}");
        anyhow::Ok(asked.elapsed().as_secs_f64() * 1000.0)
    };
    let took: Vec<f64> = stream::iter(all).map(one).buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
    Ok(Measured { took, rates: vec![count as f64 / began.elapsed().as_secs_f64()] })
}

/// The handler that ours is compared with.
struct Bare {
    client: kube::Client,
    namespace: String,
    agents: Vec<InfraAgent>,
    writes: bool,
}

impl Bare {
    /// Returns its address. It ends with this process.
    async fn serve(stage: &Stage, writes: bool) -> anyhow::Result<String> {
        let mut agents = everything::<InfraAgent>(&stage.api(), &kube::api::ListParams::default()).await?;
        agents.sort_by_key(kube::ResourceExt::name_any);
        let client = client_of(&stage.plane.kubeconfig_for(OPERATOR.0, OPERATOR.1).await).await;
        let bare = Arc::new(Self { client, namespace: stage.namespace.clone(), agents, writes });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/webhook/{source}", post(Self::take)).with_state(bare);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(format!("http://{address}"))
    }

    async fn take(State(bare): State<Arc<Self>>, Path(source): Path<String>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
        let given = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(agent) =
            given.filter(|given| is_token(given)).and_then(|_| bare.agents.get(source.strip_prefix("ci-")?.parse::<usize>().ok()?))
        else {
            return (StatusCode::UNAUTHORIZED, String::new());
        };
        let accepted = (StatusCode::ACCEPTED, json!({ "status": "accepted", "agents": 1, "triggered": 1 }).to_string());
        let text = match serde_json::from_slice::<Value>(&body) {
            Ok(event) => event.to_string(),
            Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()),
        };
        if !bare.writes {
            return accepted;
        }
        let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = agent.name_any();
        let uid8: String = agent.uid().unwrap_or_default().chars().take(8).collect();
        let run = AgentRun {
            metadata: ObjectMeta {
                name: Some(format!("{name}-{uid8}-{}", &digest[..20])),
                labels: Some([(LABEL_AGENT.to_owned(), name.clone())].into()),
                ..ObjectMeta::default()
            },
            spec: AgentRunSpec {
                agent_ref: name,
                agent_uid: agent.uid(),
                environment_ref: agent.spec.environment_ref.clone(),
                trigger: RunTrigger::Webhook,
                model_used: None,
                mode: Mode::default(),
                retry_of: None,
                attempt: 1,
                input: Some(RunInput {
                    source: format!("webhook {source}"),
                    bytes: i64::try_from(text.len()).unwrap_or(i64::MAX),
                    text,
                    digest: format!("sha256:{digest}"),
                }),
                approval_ref: None,
                record_version: RECORD_VERSION,
            },
            status: None,
        };
        match Api::namespaced(bare.client.clone(), &bare.namespace).create(&PostParams::default(), &run).await {
            Ok(_) => accepted,
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

/// Compared in constant time, as the operator does it.
fn is_token(given: &str) -> bool {
    let mac = |text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"bearer").ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    };
    let expected = mac(TOKEN).map(|mac| mac.finalize().into_bytes());
    mac(given).zip(expected).is_some_and(|(given, expected)| given.verify(&expected).is_ok())
}
