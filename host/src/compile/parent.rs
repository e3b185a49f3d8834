//! The parent: starts the child, feeds it, listens no longer and no more than it must, and says how it ended.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    sync::Semaphore,
    time::timeout,
};

use super::{Error, MAX_COMPONENT, PREFIX, Size};
use crate::audit::escape_terminal;

/// One child at a time in this process, however many runs wait for one.
static TURN: Semaphore = Semaphore::const_new(1);

/// The largest answer. Native code is about three times the size of its component, so that of the largest component fits.
const MAX_OUTPUT: Size = Size::mebibytes(128);

/// How much of what the child says is kept.
const MAX_WORDS: usize = 4096;

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Memory, beside what the program has when it starts.
    pub memory: Size,
    /// Processor time, in whole seconds.
    pub cpu: Duration,
    /// Time on the clock, from the start of the child.
    pub wall: Duration,
}

impl Default for CompileLimits {
    /// Enough for skills in Rust; languages that bring their own runtime need more memory.
    fn default() -> Self {
        Self { memory: Size::mebibytes(256), cpu: Duration::from_secs(60), wall: Duration::from_secs(180) }
    }
}

/// The limits on a command line.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Flags {
    /// Memory that compiling one skill may take; skills that bring an interpreter need 1Gi
    #[arg(long, env = "INFRAAGENT_COMPILE_MEMORY", value_name = "SIZE", default_value_t = CompileLimits::default().memory)]
    pub compile_memory: Size,
    /// Seconds of processor time that compiling one skill may take
    #[arg(long, env = "INFRAAGENT_COMPILE_CPU", value_name = "SECONDS", default_value_t = CompileLimits::default().cpu.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub compile_cpu: u64,
}

impl From<Flags> for CompileLimits {
    fn from(flags: Flags) -> Self {
        let Flags { compile_memory: memory, compile_cpu } = flags;
        let cpu = Duration::from_secs(compile_cpu);
        // A machine with other work to do still finishes what stays within its processor time.
        Self { memory, cpu, wall: cpu * 3 }
    }
}

/// Compiles components in children of this process.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    limits: CompileLimits,
}

impl Compiler {
    /// With this very program as the child.
    pub fn new(limits: CompileLimits) -> Self {
        Self::with_program(this_program(), limits)
    }

    /// With another program as the child: one that understands `compile`.
    pub fn with_program(program: impl Into<PathBuf>, limits: CompileLimits) -> Self {
        Self { program: program.into(), limits }
    }

    /// What compiling may take.
    pub fn limits(&self) -> &CompileLimits {
        &self.limits
    }

    /// Compiles `component` in a child, after the children that were asked for earlier. Dropping the future ends the child.
    pub async fn in_child(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        if component.len() > MAX_COMPONENT {
            return Err(Error::TooLarge { size: component.len(), limit: MAX_COMPONENT });
        }
        // INVARIANT: the semaphore is never closed; if it were, children would only no longer wait for each other.
        let _turn = TURN.acquire().await.ok();
        let mut child = self.start()?;
        let end = timeout(self.limits.wall, converse(&mut child, component)).await;
        // On every early way out the child still runs.
        let (status, native, words) = match end {
            Ok(Ok(end)) => end,
            Ok(Err(error)) => {
                let _ = child.kill().await;
                return Err(error);
            }
            Err(_) => {
                let _ = child.kill().await;
                return Err(Error::Wall { limit: self.limits.wall });
            }
        };
        if status.success() && !native.is_empty() { Ok(native) } else { Err(self.verdict(status, &words, component.len())) }
    }

    fn start(&self) -> Result<Child, Error> {
        let CompileLimits { memory, cpu, wall: _ } = self.limits;
        Command::new(&self.program)
            .arg0("infraagent")
            .args([OsString::from("compile"), "--memory".into(), memory.as_bytes().to_string().into()])
            .args(["--cpu", &cpu.as_secs().max(1).to_string()])
            .env_clear()
            // One heap of the C library: heaps of further threads would reserve address space that nobody uses.
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Start { program: self.program.display().to_string(), source })
    }

    /// Why a child that ended gave no code. `words` are a stranger's: the child read the component before it spoke.
    fn verdict(&self, status: ExitStatus, words: &[u8], size: usize) -> Error {
        let words = String::from_utf8_lossy(words);
        let verdict = words.lines().find_map(|line| line.strip_prefix(PREFIX)?.split_once(": "));
        let signal = status.signal().and_then(Signal::from_named_raw);
        if signal == Some(Signal::XCPU) {
            return Error::Cpu { limit: self.limits.cpu };
        }
        let said = |message: &str| escape_terminal(message).into_owned();
        match verdict {
            Some(("memory", _)) => self.memory(size),
            Some(("too-large", _)) => Error::TooLarge { size, limit: MAX_COMPONENT },
            Some(("not-a-component", message)) => Error::NotAComponent(said(message)),
            Some(("invalid", message)) => Error::Invalid(said(message)),
            Some(("confine", message)) => Error::Confine(said(message)),
            // The standard library's last words when an allocation fails.
            None if signal == Some(Signal::ABORT) && words.contains("memory allocation of ") => self.memory(size),
            Some(_) | None => {
                let first: String = words.trim().lines().next().unwrap_or_default().chars().take(300).collect();
                let how = if first.is_empty() { status.to_string() } else { format!("{status} (`{}`)", said(&first)) };
                Error::Crash { how }
            }
        }
    }

    fn memory(&self, size: usize) -> Error {
        let limit = self.limits.memory;
        Error::Memory { limit, suggestion: suggestion(limit, size) }
    }
}

/// Compiles `component` in a child that is this very program.
pub async fn in_child(component: &[u8], limits: &CompileLimits) -> Result<Vec<u8>, Error> {
    Compiler::new(*limits).in_child(component).await
}

/// Feeds the child and reads its answer, its words and its end at the same time, whatever the order in which it uses them.
async fn converse(child: &mut Child, component: &[u8]) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), Error> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A child that ends before it read everything says itself why.
            let _ = stdin.write_all(component).await;
        }
        Ok(())
    };
    let ((), native, words) = tokio::try_join!(feed, answer(stdout), words(stderr))?;
    Ok((child.wait().await.map_err(Error::Pipe)?, native, words))
}

/// Everything that the child writes; too much is an error at once.
async fn answer(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Error> {
    let mut native = Vec::new();
    let Some(pipe) = pipe else { return Ok(native) };
    pipe.take(MAX_OUTPUT.as_bytes() + 1).read_to_end(&mut native).await.map_err(Error::Pipe)?;
    if native.len() as u64 > MAX_OUTPUT.as_bytes() { Err(Error::Output { limit: MAX_OUTPUT }) } else { Ok(native) }
}

/// The beginning of what the child says; the rest is read and dropped, so that it does not wait.
async fn words(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Error> {
    let mut words = Vec::new();
    let Some(mut pipe) = pipe else { return Ok(words) };
    (&mut pipe).take(MAX_WORDS as u64).read_to_end(&mut words).await.map_err(Error::Pipe)?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await.map_err(Error::Pipe)?;
    Ok(words)
}

/// What is likely to be enough: twice what was not, and what the hungriest known toolchains take per byte of component.
fn suggestion(limit: Size, size: usize) -> Size {
    let known = Size::mebibytes(128).as_bytes().saturating_add((size as u64).saturating_mul(40));
    Size::bytes(known.max(limit.as_bytes().saturating_mul(2))).round_up(Size::mebibytes(64))
}

/// This very program, also after an upgrade has put another one in its place.
fn this_program() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && link.exists() {
        return link.to_owned();
    }
    std::env::current_exe().unwrap_or_else(|_| "infraagent".into())
}
