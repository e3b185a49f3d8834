//! `infraagent operator`: one replica of the operator, until it gets SIGTERM.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use infraagent_guard::name::Namespace;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
};

use crate::{
    audit::export,
    clock::Clock,
    compile::{CompileLimits, Compiler, Flags},
    operator::{
        self, Export, Hourly, Operator, Retention, Settings, Timings, keys,
        webhook::{self, tls::Acceptor},
    },
    run::{connection::Connection, workshop::Workshop},
    skill::{cache::Cache, source::Sources},
    telemetry::{
        Telemetry,
        health::Health,
        http::{serve_health, serve_metrics},
        metrics::Metrics,
        trace::{self, Traces},
    },
};

/// Arguments of `infraagent operator`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  infraagent operator                                        # in a pod, with the pod's ServiceAccount
  infraagent operator --kubeconfig operator.kubeconfig --bundled-skills ./skills
  kubectl annotate infraagent/forge infraagent.io/run-now=true           # start a run now
  kubectl annotate agentrun/forge-1a2b3c4d-5678 infraagent.io/cancel=true    # end it

Every replica executes runs; one of them, by the Lease `infraagent-leader`, assigns them. Start as many as you like.
What it needs in the cluster: `infraagent crds`, and deploy/rbac.yaml and deploy/admission.yaml of the release.
Exit codes: 0 it was told to end and did, 2 it could not start or lost its Lease.")]
pub struct Args {
    /// Kubeconfig of the cluster [default: that of the pod it runs in]
    #[arg(long, value_name = "FILE", env = "INFRAAGENT_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", requires = "kubeconfig", env = "INFRAAGENT_CONTEXT")]
    context: Option<String>,
    /// Namespace of the Leases, of the keys and of the Secrets of models
    #[arg(long, value_name = "NAME", default_value = "infraagent-system", env = "INFRAAGENT_OPERATOR_NAMESPACE")]
    operator_namespace: String,
    /// Look after agents of these namespaces only; comma-separated [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "INFRAAGENT_WATCH_NAMESPACES")]
    watch_namespaces: Vec<String>,
    /// What this replica is called [default: the name of the pod or machine]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// Folder of components that agents name with `source: bundled`
    #[arg(long, value_name = "DIR", env = "INFRAAGENT_BUNDLED_SKILLS")]
    bundled_skills: Option<PathBuf>,
    /// Most runs at a time in the whole cluster
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), env = "INFRAAGENT_MAX_CONCURRENT_RUNS")]
    max_concurrent_runs: u32,
    /// Most runs that may begin per hour in the whole cluster
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..), env = "INFRAAGENT_MAX_RUNS_PER_HOUR_CLUSTER")]
    max_runs_per_hour_cluster: u32,
    /// Most runs of one agent that may begin per hour
    #[arg(long, value_name = "NUMBER", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..), env = "INFRAAGENT_MAX_RUNS_PER_HOUR_PER_AGENT")]
    max_runs_per_hour_per_agent: u32,
    /// How many more runs webhooks and Events may begin per hour
    #[arg(long, value_name = "NUMBER", default_value_t = 3, env = "INFRAAGENT_BURST_ALLOWANCE")]
    burst_allowance: u32,
    /// How long after its end a record stays; 0s: for ever
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = duration, env = "INFRAAGENT_RETENTION_TTL")]
    retention_ttl: Duration,
    /// Between two looks for records that are to go
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration, env = "INFRAAGENT_RETENTION_SCAN_INTERVAL")]
    retention_scan_interval: Duration,
    /// Most records that are removed at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), env = "INFRAAGENT_RETENTION_MAX_DELETE_BATCH")]
    retention_max_delete_batch: u32,
    /// So many of the newest records of each agent stay, however old they are
    #[arg(long, value_name = "NUMBER", default_value_t = 5, env = "INFRAAGENT_RETENTION_PRESERVE_MIN_PER_AGENT")]
    retention_preserve_min_per_agent: u32,
    /// What all records together may take in MiB before the oldest go earlier; 0: anything
    #[arg(long, value_name = "NUMBER", default_value_t = 512, env = "INFRAAGENT_RETENTION_MAX_MEBIBYTES")]
    retention_max_mebibytes: u32,
    /// How long a replica or leader may be silent until others take its place
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, env = "INFRAAGENT_LEASE_DURATION")]
    lease_duration: Duration,
    /// The longest that one change may take; at most half of --lease-duration
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, env = "INFRAAGENT_EFFECT_TIMEOUT")]
    effect_timeout: Duration,
    /// How long runs may go on after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, env = "INFRAAGENT_DRAIN_TIMEOUT")]
    drain_timeout: Duration,
    /// How long the first retry of a failed run waits; each further one waits twice as long
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, env = "INFRAAGENT_RETRY_PAUSE")]
    retry_pause: Duration,
    /// Folder that keeps compiled skills [default: they are compiled once per process]
    #[arg(long, value_name = "DIR", env = "INFRAAGENT_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    /// Where /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081", env = "INFRAAGENT_HEALTH_ADDRESS")]
    health_address: SocketAddr,
    /// Where /metrics is served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443", env = "INFRAAGENT_METRICS_ADDRESS")]
    metrics_address: SocketAddr,
    /// Where POST /webhook/<source> is served: plain HTTP behind an Ingress, or TLS with --webhook-tls-cert
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443", env = "INFRAAGENT_WEBHOOK_ADDRESS")]
    webhook_address: SocketAddr,
    /// Certificates of the webhook server, PEM
    #[arg(long, value_name = "FILE", requires = "webhook_tls_key", env = "INFRAAGENT_WEBHOOK_TLS_CERT")]
    webhook_tls_cert: Option<PathBuf>,
    /// Private key of the webhook server, PEM
    #[arg(long, value_name = "FILE", requires = "webhook_tls_cert", env = "INFRAAGENT_WEBHOOK_TLS_KEY")]
    webhook_tls_key: Option<PathBuf>,
    #[command(flatten)]
    export: export::Args,
    #[command(flatten)]
    traces: trace::Args,
    #[command(flatten)]
    compile: Flags,
}

/// A duration as Kubernetes writes it, such as `30s` or `1m30s`.
fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<infraagent_api::GoDuration>().map(|duration| duration.as_std()).map_err(|error| error.to_string())
}

/// Runs a replica.
pub async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let Args {
        kubeconfig,
        context,
        operator_namespace,
        watch_namespaces,
        identity,
        bundled_skills,
        max_concurrent_runs,
        max_runs_per_hour_cluster,
        max_runs_per_hour_per_agent,
        burst_allowance,
        retention_ttl,
        retention_scan_interval,
        retention_max_delete_batch,
        retention_preserve_min_per_agent,
        retention_max_mebibytes,
        lease_duration,
        effect_timeout,
        drain_timeout,
        retry_pause,
        cache_dir,
        health_address,
        metrics_address,
        webhook_address,
        webhook_tls_cert,
        webhook_tls_key,
        export,
        traces,
        compile,
    } = args;
    let timings = Timings::new(lease_duration, effect_timeout, drain_timeout)?;
    let exporter = export.open(&traces, &|name| std::env::var(name).ok()).context("--export")?;
    let shutdown = told_to_end().context("signals cannot be listened to")?;
    // What is asked for while it starts is answered: not ready yet.
    let (health, metrics) = (Health::new(), Metrics::new()?);
    let listen = |flag: &'static str, address: SocketAddr| async move {
        let listener = TcpListener::bind(address).await.with_context(|| format!("{flag} {address}"))?;
        // Which port it is, where any was asked for.
        tracing::info!(address = %listener.local_addr()?, "{flag} is open");
        anyhow::Ok(listener)
    };
    let asked = listen("--health-address", health_address).await?;
    let scraped = listen("--metrics-address", metrics_address).await?;
    let called = listen("--webhook-address", webhook_address).await?;
    let acceptor = match (webhook_tls_cert, webhook_tls_key) {
        (Some(certificates), Some(key)) => Some(Acceptor::open(&certificates, &key).context("--webhook-tls-cert, --webhook-tls-key")?),
        _ => None,
    };
    tokio::spawn(served("/healthz and /readyz", serve_health(asked, Arc::clone(&health), std::future::pending())));
    tokio::spawn(served("/metrics", serve_metrics(scraped, metrics.clone(), std::future::pending())));
    let traces = Traces::connect(&traces)?;
    let config = match kubeconfig {
        Some(path) => {
            let shown = path.display().to_string();
            let file = Kubeconfig::read_from(&path).with_context(|| format!("cannot read the kubeconfig `{shown}`"))?;
            let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
            Config::from_custom_kubeconfig(file, &options).await.with_context(|| format!("the kubeconfig `{shown}` cannot be used"))?
        }
        None => Config::incluster().context("this is no pod of a cluster: name a kubeconfig with --kubeconfig")?,
    };
    let operator_namespace = Namespace::parse(&operator_namespace).context("--operator-namespace")?;
    let mut watching = config.clone();
    // A watch is silent for as long as nothing changes.
    watching.read_timeout = None;
    let watching = kube::Client::try_from(watching).context("the cluster cannot be connected to")?;
    let mut connection = Connection::open(config, operator_namespace).await?;
    connection.effect = timings.effect;
    let keys = keys::keys(&connection.client, connection.operator_namespace.as_str()).await?;
    let cache = match cache_dir {
        Some(folder) => Some(Cache::with_key(&folder, keys.cache).with_context(|| format!("--cache-dir {}", folder.display()))?),
        None => None,
    };
    let identity = match identity {
        Some(identity) if !identity.trim().is_empty() => identity,
        Some(_) => bail!("--identity must not be empty"),
        None => machine(),
    };
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let settings = Settings {
        identity,
        namespaces: watch_namespaces,
        max_concurrent: number(max_concurrent_runs),
        hourly: Hourly {
            cluster: number(max_runs_per_hour_cluster),
            per_agent: number(max_runs_per_hour_per_agent),
            burst: number(burst_allowance),
            ..Hourly::default()
        },
        retention: Retention {
            ttl: retention_ttl,
            // Less would be a busy loop.
            scan_interval: retention_scan_interval.max(Duration::from_secs(1)),
            batch: number(retention_max_delete_batch),
            keep: number(retention_preserve_min_per_agent),
            bytes: u64::from(retention_max_mebibytes) << 20,
        },
        retry_pause,
        timings,
    };
    let operator = Operator {
        settings,
        skills: Sources::new(bundled_skills, connection.client.clone()),
        connection,
        watching,
        clock: Clock::system(),
        began: Clock::system().now(),
        workshop: Workshop::new(Compiler::new(CompileLimits::from(compile)), cache),
        export: exporter.map(|exporter| Export::new(exporter, Arc::clone(&keys.audit), export.holds_retention())),
        key: keys.audit,
        telemetry: Telemetry { metrics: Some(metrics.clone()), traces: traces.clone() },
        metrics,
        runs: operator::SharedWatch::default(),
        agents: operator::SharedWatch::default(),
        backlog: Arc::default(),
        ended: operator::Ended::default(),
        health,
        starting: Semaphore::new(operator::STARTING),
    };
    let operator = Arc::new(operator);
    tokio::spawn(served("/webhook", webhook::serve(called, acceptor, Arc::clone(&operator))));
    let ended = operator::run(operator, shutdown).await;
    traces.shutdown(trace::FAREWELL).await;
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// Says so if a server ends that should not.
async fn served(what: &'static str, server: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = server.await {
        tracing::error!(%error, "{what} can no longer be asked");
    }
}

/// The name of the machine, where it has one that can be asked for.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "replica".to_owned() } else { name.trim().to_owned() }
}

/// True after SIGTERM or SIGINT. A second one ends the process at once.
fn told_to_end() -> std::io::Result<watch::Receiver<bool>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            if *tell.borrow() {
                std::process::exit(code);
            }
            tell.send_replace(true);
        }
    });
    Ok(told)
}
