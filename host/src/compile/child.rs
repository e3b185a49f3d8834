//! The child: gives up everything but computing, reads a component, writes native code.
//!
//! The order matters and is the content of this file: confine, then read, then compile. The work is done by a thread of its own with a stack of fixed
//! size, so that a stack that may not grow is never mistaken for anything else.

use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
    thread,
};

use infraagent_sandbox::engine::Engine;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{MAX_COMPONENT, PREFIX};

/// The stack of the compiling thread.
const STACK: usize = 16 * 1024 * 1024;

/// What the exit status says when the line on standard error says why.
const REFUSED: u8 = 3;

/// The first eight bytes of every component: magic, version, layer.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Arguments of the child: its limits.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bytes of memory, beside what the program has when it starts
    #[arg(long)]
    memory: u64,
    /// Seconds of processor time
    #[arg(long)]
    cpu: u64,
}

/// Compiles standard input to standard output. Every end is an exit status; a refusal is one line on standard error.
pub fn main(args: Args) -> anyhow::Result<ExitCode> {
    let worker = thread::Builder::new().name("compile".to_owned()).stack_size(STACK).spawn(move || work(&args))?;
    match worker.join() {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(Refusal { code, message })) => {
            let line: String = message.chars().take(1000).map(|c| if c.is_control() { ' ' } else { c }).collect();
            // A parent that no longer listens wants no reason either.
            let _ = writeln!(io::stderr(), "{PREFIX}{code}: {line}");
            Ok(ExitCode::from(REFUSED))
        }
        Err(_) => Ok(ExitCode::from(101)),
    }
}

/// Why there is no code: a word for the parent and a line for people.
struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(code: &'static str, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }

    /// Of an error while memory may be short.
    fn of(code: &'static str, message: String) -> Self {
        let short = ["os error 12", "out of memory", "Cannot allocate memory"].iter().any(|sign| message.contains(sign));
        Self { code: if short { "memory" } else { code }, message }
    }
}

fn work(args: &Args) -> Result<(), Refusal> {
    confine(args).map_err(|error| Refusal::new("confine", error))?;
    let engine = Engine::compiler().map_err(|error| Refusal::of("engine", error.to_string()))?;

    let mut component = Vec::new();
    io::stdin().take(MAX_COMPONENT as u64 + 1).read_to_end(&mut component).map_err(|error| Refusal::of("pipe", error.to_string()))?;
    if component.len() > MAX_COMPONENT {
        return Err(Refusal::new("too-large", format!("more than {MAX_COMPONENT} bytes")));
    }
    if !component.starts_with(COMPONENT) {
        let what =
            if component.starts_with(b"\0asm") { "this is a core module; make a component of it" } else { "it does not begin like one" };
        return Err(Refusal::new("not-a-component", what));
    }

    let native = engine.precompile(&component).map_err(|error| Refusal::of("invalid", error.to_string()))?;
    let mut out = io::stdout().lock();
    out.write_all(&native).and_then(|()| out.flush()).map_err(|error| Refusal::new("pipe", error))
}

/// Gives up what compiling does not need. Nothing of the component was read before; none of this can be taken back.
fn confine(args: &Args) -> io::Result<()> {
    let Args { memory, cpu } = *args;
    let at_most = |resource, soft: u64, hard: u64| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
    #[cfg(target_os = "linux")]
    {
        rustix::thread::set_no_new_privs(true)?;
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
        // Elsewhere the kernel does not keep this limit.
        let whole = mapped()?.saturating_add(memory);
        at_most(Resource::As, whole, whole)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
    at_most(Resource::Core, 0, 0)?;
    at_most(Resource::Fsize, 0, 0)?;
    at_most(Resource::Cpu, cpu, cpu.saturating_add(1))?;
    // The three pipes are open; no file, no socket and no directory will ever be.
    at_most(Resource::Nofile, 0, 0)?;
    Ok(())
}

/// Bytes of address space that this process has. The program itself, its libraries and the stacks of its threads differ between builds and machines; what
/// a component may need does not.
#[cfg(target_os = "linux")]
fn mapped() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "`/proc/self/statm` is not as expected"))?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}
