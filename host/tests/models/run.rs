//! A whole run of the demo with a model over HTTP: `infraagent run` as people call it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use infraagent_tests::model_server::{Fault, ModelServer, Reply, Script};
use serde_json::Value;

use crate::support::{KEY, all_were_fine};

const PROGRAM: &str = env!("CARGO_BIN_EXE_infraagent");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The demo's skill, built once.
fn skill() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = scratch.join("deployment-pipeline-for-models.wasm");
        let mut command = Command::new(PROGRAM);
        command.args(["skill", "build"]).arg(repository().join("example-skills/deployment-pipeline")).arg("-o").arg(&file);
        let output = command.env("CARGO_TARGET_DIR", scratch.join("skills")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    })
}

fn demo() -> Script {
    Script::open(&repository().join("demo/conversation.yaml")).unwrap()
}

/// A folder with the demo's documents, and a ModelTierConfig of one's own.
struct Site(tempfile::TempDir);

impl Site {
    fn new(provider: &str, url: Option<&str>, auth: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["agent.yaml", "environment.yaml", "policy.yaml"] {
            fs::copy(repository().join("demo").join(name), folder.path().join(name)).unwrap();
        }
        // The platform of the demo allows one provider's models only.
        let policy = fs::read_to_string(folder.path().join("policy.yaml")).unwrap();
        assert!(policy.contains("anthropic/*"));
        fs::write(folder.path().join("policy.yaml"), policy.replace("anthropic/*", "*")).unwrap();
        let endpoint = url.map(|url| format!("endpoint: {url}, ")).unwrap_or_default();
        let models = format!(
            "apiVersion: core.infraagent.io/v1alpha1\nkind: ModelTierConfig\nmetadata: {{ name: default }}\nspec:\n  tiers:\n    - {{ tier: standard, provider: {provider}, {endpoint}model: claude-sonnet-4-5, maxTokens: 8192, auth: {auth}, costPerMillionInput: \"3.00\", costPerMillionOutput: \"15.00\" }}\n"
        );
        fs::write(folder.path().join("models.yaml"), models).unwrap();
        Self(folder)
    }

    /// With a key in a Secret, at a server.
    fn with_key(provider: &str, server: &ModelServer) -> Self {
        Self::new(provider, Some(&server.url()), "{ type: apiKey, secretRef: llm, secretKey: key }")
    }

    fn run(&self, more: &[&str]) -> Output {
        // A record is never overwritten.
        let _ = fs::remove_file(self.file("run.yaml"));
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--agent", "agent.yaml", "--environment", "environment.yaml", "--models", "models.yaml"]);
        command.args(["--policy", "policy.yaml", "--record-to", "run.yaml", "-o", "json", "--skill"]).arg(skill());
        command.arg("--snapshot").arg(repository().join("demo/snapshot")).args(more).current_dir(self.0.path());
        command.env_remove("ANTHROPIC_API_KEY").env_remove("OPENAI_API_KEY").env("THE_KEY", KEY);
        command.output().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The record without what changes from run to run.
fn record(output: &Output) -> Value {
    let record: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error(output)));
    let mut status = record["status"].clone();
    strip(&mut status);
    status
}

fn strip(value: &mut Value) {
    const VOLATILE: [&str; 17] = [
        "model",
        "timestamp",
        "startTime",
        "completionTime",
        "lastTransitionTime",
        "wallClockMs",
        "durationMs",
        "nonce",
        "intentHash",
        "outcomeHash",
        "hash",
        "head",
        "digest",
        "resultDigest",
        "objectVersion",
        "decidedAgainst",
        "observed",
    ];
    match value {
        Value::Object(members) => {
            members.retain(|key, _| !VOLATILE.contains(&key.as_str()));
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::String(text) => *text = infraagent::llm::replay::normalise(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn a_model_over_http_and_the_recorded_conversation_leave_the_same_record() {
    let replayed =
        Site::new("anthropic", None, "{ type: none }").run(&["--replay", repository().join("demo/conversation.yaml").to_str().unwrap()]);
    assert_eq!(replayed.status.code(), Some(0), "{}", error(&replayed));
    for provider in ["anthropic", "openai", "somebody-else"] {
        // Not everything works at the first try.
        let server = ModelServer::start_with_key(demo().after(Fault::retry_after(529, "0")), KEY).unwrap();
        let output = Site::with_key(provider, &server).run(&["--api-key-env", "THE_KEY"]);
        assert_eq!(output.status.code(), Some(0), "{provider}: {}", error(&output));
        assert_eq!(record(&output), record(&replayed), "{provider}");
        assert!(record(&output)["actions"].as_array().unwrap().len() > 5, "there is something to compare");
        assert!(server.is_used_up());
        all_were_fine(&server);
        assert!(!String::from_utf8_lossy(&output.stdout).contains("canary") && !error(&output).contains("canary"));
        // What the model is told holds no key either.
        assert!(server.seen().iter().all(|seen| !seen.body.to_string().contains("canary")), "{provider}");
    }
}

#[test]
fn what_is_recorded_can_be_replayed_until_the_agent_changes() {
    for provider in ["anthropic", "openai"] {
        let server = ModelServer::start(demo()).unwrap();
        let site = Site::with_key(provider, &server);
        let recorded = site.run(&["--api-key-env", "THE_KEY", "--record", "talk.yaml"]);
        assert_eq!(recorded.status.code(), Some(0), "{}", error(&recorded));
        drop(server);

        let replayed = site.run(&["--replay", "talk.yaml"]);
        assert_eq!(replayed.status.code(), Some(0), "{}", error(&replayed));
        assert_eq!(record(&replayed), record(&recorded));

        let again = site.run(&["--api-key-env", "THE_KEY", "--record", "talk.yaml"]);
        assert_eq!(again.status.code(), Some(2));
        assert!(error(&again).contains("talk.yaml"), "a recording is not overwritten: {}", error(&again));

        let agent = fs::read_to_string(site.file("agent.yaml")).unwrap();
        assert!(agent.contains("Watches rollouts"));
        fs::write(site.file("agent.yaml"), agent.replace("Watches rollouts", "Watches all rollouts")).unwrap();
        let changed = site.run(&["--replay", "talk.yaml"]);
        assert_eq!(changed.status.code(), Some(1));
        let reason = String::from_utf8_lossy(&changed.stdout).into_owned();
        assert!(reason.contains("turn 1: the request differs from the recording") && reason.contains("-  Your purpose: "), "{reason}");
    }
}

#[test]
fn secrets_do_not_get_into_a_recording() {
    let said = format!("The key is {KEY}, the password=hunter2-hunter2 and ghp_0123456789abcdefghijklmnopqrstuvwxyz.");
    let server = ModelServer::start(Script::replies([Reply::says(&said)])).unwrap();
    let site = Site::with_key("anthropic", &server);
    let agent = fs::read_to_string(site.file("agent.yaml")).unwrap();
    fs::write(site.file("agent.yaml"), agent.replace("Watches rollouts", "Uses glpat-0123456789abcdefghij and watches rollouts")).unwrap();
    let output = site.run(&["--api-key-env", "THE_KEY", "--record", "talk.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let talk = fs::read_to_string(site.file("talk.yaml")).unwrap();
    for secret in ["canary", "hunter2", "ghp_0123", "glpat-0123"] {
        assert!(!talk.contains(secret), "{secret}: {talk}");
    }
    assert!(talk.contains("[redacted]") && talk.contains("The key is"), "{talk}");
    let replayed = site.run(&["--replay", "talk.yaml"]);
    assert_eq!(replayed.status.code(), Some(0), "what was redacted is not missed: {}", error(&replayed));
}

#[test]
fn a_key_goes_to_its_own_endpoint_only() {
    let server = ModelServer::start(demo()).unwrap();
    for provider in ["anthropic", "openai", "somebody-else"] {
        let site = Site::with_key(provider, &server);
        let mut command_line = Vec::new();
        let output = site.run(&command_line);
        assert_eq!(output.status.code(), Some(2), "the conventional variables are for the providers' own addresses");
        assert!(error(&output).contains("--api-key-env"), "{}", error(&output));
        command_line.extend(["--api-key-env", "NOT_SET"]);
        let output = site.run(&command_line);
        assert_eq!(output.status.code(), Some(2));
        assert!(error(&output).contains("`NOT_SET`"), "{}", error(&output));
        // A tier without authentication sends none, whatever there is.
        let quick = ModelServer::start(Script::replies([Reply::says("Done.")])).unwrap();
        let output = Site::new(provider, Some(&format!("{}/v1", quick.url())), "{ type: none }").run(&["--api-key-env", "THE_KEY"]);
        assert_eq!(output.status.code(), Some(0), "{}", error(&output));
        let seen = quick.seen();
        assert_eq!((seen.len(), seen[0].header("authorization"), seen[0].header("x-api-key")), (1, None, None));
    }
    assert_eq!(server.seen(), []);
}

#[test]
fn a_model_that_cannot_be_asked_fails_the_run_and_says_why() {
    let server = ModelServer::start_with_key(demo(), "another-key").unwrap();
    let output = Site::with_key("openai", &server).run(&["--api-key-env", "THE_KEY"]);
    assert_eq!(output.status.code(), Some(1), "the run failed, and its record is closed: {}", error(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("the model could not be asked") && text.contains("answered 401"), "{text}");
    assert!(!text.contains("canary") && !error(&output).contains("canary"));

    for auth in ["oauth", "custom", "serviceAccount"] {
        // Somebody listens who would answer anybody.
        let open = ModelServer::start(Script::replies([Reply::says("Done.")])).unwrap();
        let output = Site::new("anthropic", Some(&open.url()), &format!("{{ type: {auth}, secretRef: llm }}")).run(&[]);
        assert_eq!(output.status.code(), Some(1), "{}", error(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("the model could not be asked: unavailable: ") && text.contains(&format!("authentication by `{auth}`")),
            "{text}"
        );
        assert!(text.contains(&format!("ModelTierConfig spec.tiers[0].auth.type: {auth}")), "{text}");
        assert_eq!(open.seen(), [], "nobody was asked without the credentials that were asked for");
    }
    let output = Site::new("somebody-else", None, "{ type: none }").run(&[]);
    assert!(error(&output).contains("spec.tiers[0].endpoint") && error(&output).contains("no address of its own"), "{}", error(&output));
}
