//! Replicas of the operator as processes, to be killed, frozen and told to end.
//!
//! Guarantee: a replica ends when it is dropped, and also if the test process is killed: a guard waits for the end of a pipe and then kills it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{binary, eventually};

/// One replica.
#[derive(Debug)]
pub struct Replica {
    identity: String,
    child: Child,
    guard: Child,
    log: PathBuf,
}

impl Replica {
    /// Starts `infraagent operator` with these arguments. What it says goes into `<folder>/<identity>.log`.
    ///
    /// # Panics
    ///
    /// If no process can be started.
    pub fn start(identity: &str, folder: &Path, arguments: &[String]) -> Self {
        let log = folder.join(format!("{identity}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        let child = Command::new(binary())
            .arg("operator")
            .args(arguments)
            .args(["--identity", identity])
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a log"))
            .stderr(file)
            .spawn()
            .expect("the program runs");
        let guard = Command::new("sh")
            .args(["-c", "cat > /dev/null; kill -KILL \"$0\" 2> /dev/null", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        Self { identity: identity.to_owned(), child, guard, log }
    }

    /// What it is called.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Everything that it said so far, with that of others of the same name.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it says this. `since`: how much it had said before, as the length of its log.
    pub async fn says(&self, since: usize, words: &str) {
        eventually(&format!("{} says: {words}", self.identity), || async { self.log().get(since..)?.contains(words).then_some(()) }).await;
    }

    /// What it answers to `GET <path>` on the address of this flag (`--health-address`, `--metrics-address`): everything, with status and headers. Nothing if
    /// it does not answer.
    pub async fn ask(&self, flag: &str, path: &str) -> Option<String> {
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains(&format!("{flag} is open")))?;
        let after = &line[line.find("127.0.0.1:")?..];
        let address = after.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next()?.to_owned();
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: replica\r\nconnection: close\r\n\r\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    /// Freezes it.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Wakes it after [`Replica::freeze`].
    pub fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM.
    pub fn tell_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Whether it still is there.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = std::cell::RefCell::new(&mut self.child);
        let child = &child;
        eventually("the end of a replica", || async move { child.borrow_mut().try_wait().expect("a child") }).await
    }

    /// kill -9.
    pub fn kill(self) {
        drop(self);
    }

    /// kill -9, also of one that is frozen; what it said can still be read.
    pub fn die(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("a signal can be sent");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // First the guard: it must not outlive the process whose number it knows.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
