//! The skill endpoint-monitoring through everything: built as its author would, admitted, run in the sandbox, decided by the guard, and sent to servers on
//! this machine, one of them with a certificate that ended three days ago.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_infraagent");
const TOKEN: &str = "t0ken-of-the-shop-0123456789";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The component, built once.
fn component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = scratch.join("endpoint-monitoring.wasm");
        let output = Command::new(PROGRAM)
            .args(["skill", "build"])
            .arg(repository().join("example-skills/endpoint-monitoring"))
            .arg("-o")
            .arg(&file)
            .env("CARGO_TARGET_DIR", scratch.join("skills"))
            .output()
            .expect("infraagent starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    })
}

/// A server that answers each path as `answer` says, and keeps what it was sent.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

fn serve(tls: Option<Arc<ServerConfig>>, answer: fn(&str) -> String) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&heads);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            match &tls {
                None => talk(stream, answer, &kept),
                Some(config) => talk(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream), answer, &kept),
            }
        }
    });
    Server { port, heads }
}

fn talk(mut stream: impl Read + Write, answer: fn(&str) -> String, kept: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1..) => head.push(byte[0]),
            Ok(0) | Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let _ = stream.write_all(answer(&head).as_bytes());
    let _ = stream.flush();
    kept.lock().unwrap().push(head);
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// An authority in PEM, and two server configurations for `localhost`: one that holds, one that ended.
fn certificates() -> (String, Arc<ServerConfig>, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let day = Duration::from_secs(86_400);
    let config = |until: SystemTime| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = ((SystemTime::now() - 30 * day).into(), until.into());
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let builder =
            ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
    };
    (certificate.pem(), config(SystemTime::now() + 40 * day), config(SystemTime::now() - 3 * day))
}

/// What came of a run.
struct Run {
    answers: Vec<Value>,
    record: Value,
    everything: String,
}

/// Runs the skill against endpoints. The model makes these calls, one a turn.
fn run(endpoints: Value, flags: &[&str], authority: &str, calls: &[(&str, Value)]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let demo = repository().join("demo");
    let agent = json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "InfraAgent", "metadata": { "name": "watchman-light", "namespace": "infraagent" },
        "spec": {
            "description": "Asks every endpoint of the site whether it is well.", "schedule": {}, "environmentRef": "northwind",
            "model": { "tier": "standard", "tokenBudget": 100_000, "timeout": "180s" },
            "skills": [{ "name": "endpoint-monitoring", "source": "bundled" }],
            "guardrails": { "autonomy": "observe", "maxIterations": 8, "deniedActions": ["http.* /admin/**"] },
        },
    });
    let environment = json!({
        "apiVersion": "core.infraagent.io/v1alpha1", "kind": "AgentEnvironment", "metadata": { "name": "northwind", "namespace": "infraagent" },
        "spec": { "endpoints": endpoints, "credentials": { "shop": { "secretRef": "shop-token", "type": "bearer-token" } } },
    });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop-token" }, "stringData": { "token": TOKEN } });
    let mut turns: Vec<Value> =
        calls.iter().map(|(name, arguments)| json!({ "reply": { "calls": [{ "name": name, "arguments": arguments }] } })).collect();
    turns.push(json!({ "reply": { "text": "Done." } }));
    for (name, document) in [
        ("agent.yaml", agent),
        ("environment.yaml", environment),
        ("secrets.yaml", secret),
        ("conversation.yaml", json!({ "conversation": 1, "turns": turns })),
    ] {
        fs::write(at(name), document.to_string()).unwrap();
    }
    fs::write(at("authority.pem"), authority).unwrap();

    let mut command = Command::new(PROGRAM);
    command.arg("run").arg("--agent").arg(at("agent.yaml")).arg("--policy").arg(demo.join("policy.yaml"));
    command.arg("--environment").arg(at("environment.yaml")).arg("--models").arg(demo.join("models.yaml"));
    command.arg("--skill").arg(component()).arg("--snapshot").arg(demo.join("snapshot"));
    command.arg("--replay").arg(at("conversation.yaml")).arg("--update-replay").arg("--record-to").arg(at("run.agentrun.yaml"));
    command.args(flags).args(["-o", "json"]).current_dir(folder.path());
    command
        .env("SSL_CERT_FILE", at("authority.pem"))
        .env("INFRAAGENT_LOG", "debug")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9");
    let output = command.output().expect("infraagent starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let conversation = fs::read_to_string(at("conversation.yaml")).unwrap();
    let recorded: Value = serde_saphyr::from_str(&conversation).unwrap();
    let answers = recorded["turns"].as_array().unwrap().iter().skip(1).map(|turn| {
        let content = turn["request"]["messages"][0]["content"][0]["result"]["text"].as_str().unwrap_or_default();
        let json = content.lines().filter(|line| !line.starts_with('<') && !line.starts_with("</")).collect::<String>();
        serde_json::from_str(&json).unwrap_or_else(|_| Value::from(content))
    });
    Run { answers: answers.collect(), everything: format!("{stdout}{stderr}{conversation}"), record }
}

fn health(head: &str) -> String {
    match head.split(' ').nth(1) {
        // An endpoint that tells everybody what it was told.
        Some("/healthz") => ok(&json!({ "status": "ok", "checks": [{ "name": "db", "up": true }], "request": head }).to_string()),
        Some("/old") => "HTTP/1.1 301 X\r\nlocation: /admin/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
        Some("/broken") => "HTTP/1.1 503 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 404 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
    }
}

#[test]
fn a_site_is_looked_at_and_what_is_wrong_is_found() {
    let (authority, good, ended) = certificates();
    let (shop, expired, closed) = (serve(Some(good), health), serve(Some(ended), health), serve(None, health));
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let url = |server: &Server, scheme: &str| format!("{scheme}://localhost:{}", server.port);
    let endpoints = json!({
        "shop": { "url": url(&shop, "https"), "healthPath": "/healthz", "internal": true },
        "expired": { "url": url(&expired, "https"), "healthPath": "/healthz", "internal": true },
        "gone": { "url": format!("http://127.0.0.1:{gone}"), "internal": true },
        "outside": { "url": url(&closed, "http"), "healthPath": "/healthz" },
    });
    let calls = [
        ("check_endpoints", json!({})),
        ("check_certificate", json!({ "endpoint": "shop" })),
        ("check_certificate", json!({ "endpoint": "expired" })),
        (
            "check_content",
            json!({ "endpoint": "shop", "contains": ["\"up\"", "[redacted]"], "json": [{ "pointer": "/status", "equals": "ok" }] }),
        ),
        ("check_endpoint", json!({ "endpoint": "shop", "path": "/old", "samples": 1 })),
        ("check_endpoint", json!({ "endpoint": "shop", "path": "/admin/users", "samples": 1 })),
    ];
    let run = run(endpoints, &["--allow-http", "--secrets", "secrets.yaml"], &authority, &calls);

    let told = run.answers[0]["endpoints"].as_array().unwrap_or_else(|| panic!("{:#}", run.answers[0]));
    let states: Vec<(&str, &str, &str)> = told
        .iter()
        .map(|line| {
            (line["endpoint"].as_str().unwrap(), line["state"].as_str().unwrap(), line["problems"][0]["code"].as_str().unwrap_or_default())
        })
        .collect();
    let expected = [
        ("expired", "down", "certificate-expired"),
        ("gone", "down", "connection-refused"),
        ("outside", "degraded", "address-refused"),
        ("shop", "well", ""),
    ];
    assert_eq!(states, expected);
    // A snapshot has a clock of its own; the certificate's end is that of the certificate.
    let end = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 40 * 86_400;
    let told_end = run.answers[1]["validUntil"].as_u64().unwrap();
    assert!(end.abs_diff(told_end) < 3600, "{end} {told_end}");
    assert!(told[3]["certificateDays"].as_i64().unwrap() > 30);
    assert_eq!((&run.answers[1]["state"], &run.answers[1]["daysLeft"]), (&json!("believed"), &told[3]["certificateDays"]));
    assert_eq!((&run.answers[2]["state"], &run.answers[2]["severity"]), (&json!("not-believed"), &json!("critical")));
    assert_eq!(run.answers[3]["asExpected"], true, "{:#}", run.answers[3]);
    assert_eq!((&run.answers[4]["samples"], &run.answers[4]["location"]), (&json!(["301"]), &json!("/admin/")));
    assert_eq!(run.answers[5]["state"], "not-asked", "the agent's list denies it: {:#}", run.answers[5]);

    let findings: Vec<&str> =
        run.record["status"]["findings"].as_array().unwrap().iter().map(|finding| finding["severity"].as_str().unwrap()).collect();
    assert_eq!(findings, ["critical", "critical", "warning"]);
    let heads = shop.heads.lock().unwrap();
    assert!(heads.len() == 4 && heads.iter().all(|head| head.contains(&format!("authorization: Bearer {TOKEN}\r\n"))), "{heads:#?}");
    assert!(heads.iter().all(|head| !head.contains("/admin")), "a redirect is not followed into what is denied");
    assert_eq!(
        (expired.heads.lock().unwrap().len(), closed.heads.lock().unwrap().len()),
        (0, 0),
        "nothing is sent to whom nobody believes"
    );
    assert!(!run.everything.contains(TOKEN), "the endpoint tells what it was told, and still nobody sees the credential");
}

#[test]
fn a_run_against_a_snapshot_stays_offline_unless_it_is_told_otherwise() {
    let shop = serve(None, health);
    let endpoints = json!({ "shop": { "url": format!("http://127.0.0.1:{}", shop.port), "healthPath": "/healthz", "internal": true } });
    let calls = [("check_endpoints", json!({}))];
    let offline = run(endpoints.clone(), &[], "", &calls);
    assert!(offline.answers[0].as_str().unwrap().contains("--allow-http"), "{}", offline.answers[0]);
    assert!(shop.heads.lock().unwrap().is_empty());
    let online = run(endpoints, &["--allow-http", "--secrets", "secrets.yaml"], "", &calls);
    assert_eq!(online.answers[0]["well"], 1, "{:#}", online.answers[0]);
    assert_eq!(shop.heads.lock().unwrap().len(), 1);
}

#[test]
fn what_the_skill_is_can_be_read_without_running_it() {
    let inspect = Command::new(PROGRAM).args(["skill", "inspect"]).arg(component()).output().expect("infraagent starts");
    let text = String::from_utf8_lossy(&inspect.stdout);
    assert!(inspect.status.success() && text.contains("endpoint-monitoring") && text.contains("http-read"), "{text}");
    assert!(!text.contains("http-mutation") && !text.contains("kubernetes"), "it only looks, and only at endpoints: {text}");
    let check = Command::new(PROGRAM).args(["skill", "check"]).arg(component()).output().expect("infraagent starts");
    assert!(check.status.success(), "{}{}", String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    let size = fs::metadata(component()).unwrap().len();
    assert!(size < 150_000, "small components load fast: {size}");
}
