//! The compat profile: components built for wasm32-wasip2 get clocks, random numbers, captured standard streams, an empty environment and an empty
//! filesystem. There is nothing else in the linker, so sockets and HTTP cannot be reached whatever a component imports.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{
    WasiCtx, WasiCtxView, WasiView,
    cli::{WasiCli, WasiCliView as _},
    clocks::{WasiClocks, WasiClocksView as _},
    filesystem::{WasiFilesystem, WasiFilesystemView as _},
    p2::{bindings, pipe::MemoryOutputPipe},
    random::{WasiRandom, WasiRandomView as _},
};

use crate::{limits::Limits, outcome::printable, session::Session};

/// The most random bytes in one call: a guest that wants more is ended.
const MAX_RANDOM: u64 = 64 * 1024;

/// The host's side of the profile for one tool call.
pub(crate) struct Compat {
    context: WasiCtx,
    table: ResourceTable,
    out: MemoryOutputPipe,
    error: MemoryOutputPipe,
}

impl Compat {
    pub(crate) fn new(limits: &Limits) -> Self {
        let capacity = usize::try_from(limits.log_bytes).unwrap_or(usize::MAX);
        let (out, error) = (MemoryOutputPipe::new(capacity), MemoryOutputPipe::new(capacity));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles as usize);
        let context = WasiCtx::builder()
            .stdout(out.clone())
            .stderr(error.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(MAX_RANDOM)
            .build();
        Self { context, table, out, error }
    }

    /// Both streams, line by line, escaped.
    pub(crate) fn log(&self) -> String {
        let mut shown = String::new();
        for stream in [&self.out, &self.error] {
            for line in String::from_utf8_lossy(&stream.contents()).lines() {
                shown.push_str(&printable(line, 1024));
                shown.push('\n');
            }
        }
        shown
    }

    /// True if a stream took all that it takes: whatever else was written is lost.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        [&self.out, &self.error].iter().any(|stream| stream.contents().len() as u64 >= limits.log_bytes)
    }

    /// The last words on standard error, if they are a panic's.
    pub(crate) fn panic(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.error.contents()).into_owned();
        text.rfind("panicked at").and_then(|at| text.get(at..)).map(|message| printable(message.trim_end(), 512))
    }
}

/// There is always a view where the profile is linked; the empty one serves nobody.
impl WasiView for Session {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let limits = self.limits;
        let compat = self.compat.get_or_insert_with(|| Box::new(Compat::new(&limits)));
        WasiCtxView { ctx: &mut compat.context, table: &mut compat.table }
    }
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links the profile and nothing else of WASI.
pub(crate) fn link(linker: &mut Linker<Session>) -> wasmtime::Result<()> {
    use bindings::{cli, clocks, filesystem, io, random};

    io::error::add_to_linker::<_, Io>(linker, |session| session.ctx().table)?;
    io::poll::add_to_linker::<_, Io>(linker, |session| session.ctx().table)?;
    io::streams::add_to_linker::<_, Io>(linker, |session| session.ctx().table)?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, Session::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, Session::clocks)?;
    random::random::add_to_linker::<_, WasiRandom>(linker, Session::random)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, Session::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, Session::random)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, Session::filesystem)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, Session::filesystem)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, Session::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, Session::cli)
}
