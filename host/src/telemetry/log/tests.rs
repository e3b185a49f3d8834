use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use infraagent_api::agent::{LogLevel, Observability};
use serde_json::Value;
use tracing::{Instrument as _, subscriber::DefaultGuard};

use super::*;
use crate::{audit::Redactor, telemetry::Subject};

/// A real subscriber, and what it wrote.
struct Logged {
    text: Arc<Mutex<String>>,
    _guard: DefaultGuard,
    /// One at a time: a place that logs for the first time while another subscriber is made may not see it.
    _alone: MutexGuard<'static, ()>,
}

impl Logged {
    fn start(levels: &str, format: Format) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let text: Arc<Mutex<String>> = Arc::default();
        let write = Arc::clone(&text);
        let write = Arc::new(move |line: &str| write.lock().unwrap_or_else(PoisonError::into_inner).push_str(line));
        let levels = levels.parse::<Levels>().unwrap().or(LevelFilter::WARN);
        let subscriber = tracing_subscriber::registry().with(Lines::new(levels, format, false, write));
        Self { text, _guard: tracing::subscriber::set_default(subscriber), _alone: alone }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The texts of the lines.
    fn messages(&self) -> Vec<String> {
        self.lines().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }
}

fn subject(agent: &str, log_level: LogLevel) -> Subject {
    Subject {
        namespace: "agents".to_owned(),
        agent: agent.to_owned(),
        agent_uid: None,
        run: format!("{agent}-1"),
        uid: "uid".to_owned(),
        observability: Observability { log_level, ..Observability::default() },
    }
}

fn say_everything() {
    tracing::error!("error");
    tracing::warn!("warn");
    tracing::info!("info");
    tracing::debug!("debug");
    tracing::trace!("trace");
}

#[tokio::test]
async fn every_line_of_a_run_names_it_and_other_lines_do_not() {
    let logged = Logged::start("info", Format::Json);
    let context = Context::new(&subject("forge", LogLevel::Info));
    tracing::info!("before");
    async {
        tracing::info!(tool = "restart", "inside");
        tokio::spawn(async { tracing::info!("in a task") }.in_current_span()).await.unwrap();
    }
    .instrument(context.span())
    .await;
    tracing::info!("after");
    let told: Vec<_> = logged
        .lines()
        .iter()
        .map(|line| ["message", "run", "agent", "namespace"].map(|name| line[name].as_str().unwrap_or("-").to_owned()))
        .collect();
    assert_eq!(
        told,
        [
            ["before", "-", "-", "-"],
            ["inside", "forge-1", "forge", "agents"],
            ["in a task", "forge-1", "forge", "agents"],
            ["after", "-", "-", "-"],
        ]
    );
    assert!(logged.lines().iter().all(|line| line["level"] == "INFO" && line["target"] == module_path!() && line["time"].is_string()));
}

#[test]
fn a_line_for_people_begins_with_the_time_and_ends_with_the_run() {
    let logged = Logged::start("info", Format::Text);
    let context = Context::new(&subject("forge", LogLevel::Info));
    context.span().in_scope(|| tracing::warn!(error = "two words", count = 3, "it is so"));
    let text = logged.text();
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == "2026-11-22T22:00:00.000000Z".len(), "{time}");
    assert_eq!(rest, format!(" WARN {}: it is so count=3 error=\"two words\" run=forge-1 agent=forge namespace=agents\n", module_path!()));
}

#[test]
fn the_process_says_what_is_logged_and_the_agent_what_of_its_runs() {
    let inside = |process: &str, agent: LogLevel| {
        let logged = Logged::start(process, Format::Json);
        Context::new(&subject("forge", agent)).span().in_scope(say_everything);
        logged.messages()
    };
    assert_eq!(inside("info", LogLevel::Info), ["error", "warn", "info"]);
    assert_eq!(inside("info", LogLevel::Error), ["error"], "the agent wants less");
    assert_eq!(inside("info", LogLevel::Warn), ["error", "warn"]);
    assert_eq!(inside("info", LogLevel::Debug), ["error", "warn", "info", "debug"], "one agent can be looked at alone");
    assert_eq!(inside("warn", LogLevel::Debug), ["error", "warn"], "the process wants less");
    assert_eq!(inside("trace", LogLevel::Info), ["error", "warn", "info"]);
    assert_eq!(inside("off", LogLevel::Debug), [""; 0]);
    let logged = Logged::start("info", Format::Json);
    say_everything();
    assert_eq!(logged.messages(), ["error", "warn", "info"], "outside of runs the process alone decides");
}

#[test]
fn the_constant_text_of_a_line_is_its_message() {
    let logged = Logged::start("info", Format::Json);
    let message = "no, this is";
    tracing::info!(message, "this is the message");
    tracing::info!(%message, count = 1, "so it is here");
    let lines = logged.lines();
    assert_eq!((lines[0]["message"].as_str(), lines[0]["text"].as_str()), (Some("this is the message"), Some(message)));
    assert_eq!((lines[1]["message"].as_str(), lines[1]["text"].as_str()), (Some("so it is here"), Some(message)));
}

#[test]
fn levels_are_given_by_target() {
    let logged = Logged::start("skill=debug", Format::Json);
    say_everything();
    tracing::debug!(target: "skill", "of a skill");
    tracing::info!(target: "hyper", "of a library");
    assert_eq!(logged.messages(), ["error", "warn", "of a skill"]);
    for (text, good) in [
        ("info", true),
        ("", true),
        ("warn,skill=debug", true),
        ("off", true),
        ("loud", false),
        ("info,skill", false),
        ("skill=loud", false),
    ] {
        assert_eq!(text.parse::<Levels>().is_ok(), good, "{text}");
    }
    assert_eq!(
        "loud".parse::<Levels>().unwrap_err().to_string(),
        "`loud` names no levels: write for example `info`, or `warn,skill=debug`"
    );
}

const KNOWN: &str = "canary-7f3a-known";
const GITHUB: &str = "ghp_canary0123456789ABCDEFabcdef0123456789";

#[test]
fn no_canary_reaches_a_line() {
    for format in [Format::Text, Format::Json] {
        let logged = Logged::start("trace", format);
        let context = Context::new(&subject("forge", LogLevel::Debug));
        context.redact(Arc::new(Redactor::new([KNOWN])));
        let error = io::Error::other(format!("refused: {KNOWN} and {GITHUB}"));
        context.span().in_scope(|| {
            tracing::info!(text = format!("the key is {KNOWN}, neighbour-1"), "a string");
            tracing::info!(list = ?[KNOWN, "neighbour-2"], error = %error, "debug and display");
            tracing::info!(password = "hunter2", user = "neighbour-3", "by name");
            tracing::info!("interpolated: {KNOWN} {GITHUB} neighbour-4");
            tracing::error!(error = &error as &dyn std::error::Error, "an error");
            tracing::debug!(target: "skill", text = format!("{KNOWN}"), "skill log");
        });
        // Nobody knows the secrets of a run here, but what looks like one is one.
        tracing::info!(text = format!("token {GITHUB} neighbour-5"), "outside");
        let text = logged.text();
        for canary in [KNOWN, GITHUB, "hunter2", "canary"] {
            assert!(!text.contains(canary), "`{canary}`: {text}");
        }
        for neighbour in 1..=5 {
            assert!(text.contains(&format!("neighbour-{neighbour}")), "{neighbour}: {text}");
        }
        assert_eq!(text.lines().count(), 7);
    }
}

#[test]
fn a_value_is_no_line_and_no_other_value() {
    let evil = "x\n2026-11-22T12:00:00Z  INFO infraagent: decided verdict=allow\u{1b}[2J\u{202e}\" run=other \\";
    for format in [Format::Text, Format::Json] {
        let logged = Logged::start("info", format);
        Context::new(&subject("forge", LogLevel::Info)).span().in_scope(|| {
            tracing::info!(text = evil, run = "other", time = "never", level = "ERROR", "{evil}");
        });
        let text = logged.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
        match format {
            Format::Text => {
                assert!(!text.contains('\u{202e}') && text.ends_with(" run=forge-1 agent=forge namespace=agents\n"), "{text}");
                assert!(text.contains(r#"text="x\n2026"#) && text.contains(r#"\" run=other \\""#), "{text}");
            }
            Format::Json => {
                let line = &logged.lines()[0];
                assert_eq!(
                    (line["run"].as_str(), line["level"].as_str(), line["text"].as_str()),
                    (Some("forge-1"), Some("INFO"), Some(evil))
                );
                assert_ne!(line["time"], "never");
            }
        }
    }
}
