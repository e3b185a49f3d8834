//! The operator as a process.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::process;

/// The program: that of the environment variable `INFRAAGENT_BINARY`, to compare with another build, else the one that cargo built with this benchmark.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("INFRAAGENT_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_infraagent")), PathBuf::from)
}

/// A replica. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Operator {
    child: Child,
    log: PathBuf,
}

impl Operator {
    /// Starts one. What it says goes to a file beside its kubeconfig.
    pub(crate) fn start(kubeconfig: &Path, skills: &Path, most_runs: usize) -> anyhow::Result<Self> {
        let log = kubeconfig.with_extension("log");
        let child = Command::new(program())
            .arg("operator")
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--bundled-skills")
            .arg(skills)
            .args(["--max-concurrent-runs", &most_runs.to_string()])
            .args(["--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--webhook-address", "127.0.0.1:0"])
            .args(["--identity", "bench"])
            .args(["--max-runs-per-hour-cluster", "1000000", "--max-runs-per-hour-per-agent", "1000000"])
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).create(true).open(&log)?)
            .spawn()
            .with_context(|| format!("`{}` cannot be started", program().display()))?;
        Ok(Self { child, log })
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where it takes webhooks.
    pub(crate) fn webhooks(&self) -> anyhow::Result<String> {
        let log = std::fs::read_to_string(&self.log)?;
        let line =
            log.lines().rfind(|line| line.contains("--webhook-address is open")).context("it does not say where it takes webhooks")?;
        let (_, after) = line.split_once("127.0.0.1:").context("it takes webhooks elsewhere")?;
        let port: String = after.chars().take_while(char::is_ascii_digit).collect();
        Ok(format!("http://127.0.0.1:{port}"))
    }

    /// KiB that are resident.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        process::resident(self.child.id())
    }

    /// Milliseconds of CPU time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        process::cpu(self.child.id())
    }

    /// Stands still until [`Self::go_on`].
    pub(crate) fn stand_still(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Goes on.
    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it in order, so that the next one can lead at once.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let process = Pid::from_child(&self.child);
        kill_process(process, signal).context("the operator is gone")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
