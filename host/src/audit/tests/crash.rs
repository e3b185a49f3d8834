//! The process dies at any point: the record is whole, and says what is known.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use infraagent_api::run::ActionStatus;

use super::support::{permit, run, setup};
use crate::audit::{
    AuditKey, Document, FileSink, Journal, MutationOutcome, Sink,
    verify::{Answer, verify},
};

const WHERE: &str = "INFRAAGENT_TEST_CRASH_DIR";
const WHEN: &str = "INFRAAGENT_TEST_CRASH_AT";

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    unreachable!("the process was killed")
}

/// Not a test of its own: what the tests below run in a child process.
#[tokio::test]
async fn child() {
    let (Some(dir), Ok(when)) = (std::env::var_os(WHERE), std::env::var(WHEN)) else { return };
    let dir = PathBuf::from(dir);
    let sink = Sink::File(FileSink::new(dir.join("run.agentrun.yaml")).unwrap());
    let key = Arc::new(AuditKey::generate().unwrap());
    let journal = Journal::open(sink, run("run-1"), setup(key, 16)).await.unwrap();
    if when == "during" {
        std::thread::spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(40));
            die();
        });
        loop {
            let recorded = journal.intend(permit("web")).await.unwrap();
            journal.outcome(recorded.seq(), MutationOutcome::Executed { result: "x".repeat(2000) }).await.unwrap();
            if journal.entries_left() == 0 {
                std::thread::sleep(std::time::Duration::from_secs(60));
            }
        }
    }
    let tool = journal.tool("restart", "deployment/web", "restart").await.unwrap();
    let recorded = tool.intend(permit("web")).await.unwrap();
    if when == "before" {
        die();
    }
    std::fs::write(dir.join("effect"), recorded.into_inner().call().to_string()).unwrap();
    die();
}

fn crash(when: &str, dir: &Path) -> Document {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "audit::tests::crash::child", "--nocapture", "--test-threads=1"])
        .env(WHERE, dir)
        .env(WHEN, when)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "the child was killed");
    Document::parse(&std::fs::read_to_string(dir.join("run.agentrun.yaml")).unwrap()).unwrap()
}

#[test]
fn killed_before_or_after_the_effect_the_record_says_intended() {
    for (when, happened) in [("before", false), ("after", true)] {
        let dir = tempfile::tempdir().unwrap();
        let document = crash(when, dir.path());
        assert_eq!(dir.path().join("effect").exists(), happened);
        let report = verify(&document, None, None);
        assert!(matches!(report.consistent, Answer::Yes(_)), "{report:?}");
        assert_eq!(report.complete, Answer::No("readable, not closed: the last intent has no outcome (entry 1)".to_owned()));
        let change = &document.run.status.unwrap().actions[1];
        assert_eq!((change.status, change.target.as_str()), (ActionStatus::Intended, "deployment/web -n apps"));
    }
}

#[test]
fn killed_in_the_middle_of_writing_the_record_is_whole() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let report = verify(&crash("during", dir.path()), None, None);
        assert!(matches!(report.consistent, Answer::Yes(_)), "{report:?}");
        assert!(report.open.len() <= 1, "{report:?}");
    }
}
