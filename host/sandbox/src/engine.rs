//! The WebAssembly engine: its settings, its clock, its pool, and the one place that turns bytes into native code.
//!
//! Settings that change compiled code are the same in every process of this version, so the child that compiles and the host that runs agree.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Store, UpdateDeadline,
    component::{Component, Linker},
};

use crate::{compiled::Authentic, limits::Limits, session::Session};

/// How often a guest that computes is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// What stays mapped of a slot's memory, stack and table between calls: enough for most calls of most skills.
const KEEP_RESIDENT: usize = 128 * 1024;

/// Evaluations at the same time, beside the tool calls. They are short and never wait for anything.
const EVALUATIONS: u32 = 4;

/// How the engine is sized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Tool calls at the same time. More wait for their turn.
    pub instances: u32,
    /// Slots are reserved in advance. Where the system does not allow that, the engine falls back to allocating on demand.
    pub pooling: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { instances: 64, pooling: true }
    }
}

/// The engine cannot be made, or cannot take this code.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine at all.
    #[error("the WebAssembly engine does not start on this machine: {0}")]
    Start(String),
    /// The thread that counts time does not start.
    #[error("the clock of the WebAssembly engine does not start: {0}")]
    Clock(#[source] std::io::Error),
    /// Not code that it takes.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// Code of another version, or broken.
    #[error("the compiled code does not load: {0}")]
    Load(String),
}

/// The engine. Cheap to clone; its clock ends with the last clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: wasmtime::Engine,
    turns: Semaphore,
    evaluations: Semaphore,
    pooled: bool,
    fingerprint: [u8; 32],
    /// Dropping it ends the clock.
    _clock: Option<mpsc::Sender<()>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("pooled", &self.inner.pooled).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that runs skills.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig { instances, pooling } = config;
        let instances = instances.max(1);
        let pool = pooling
            .then(|| wasmtime::Engine::new(settings().allocation_strategy(pool(instances.saturating_add(EVALUATIONS)))).ok())
            .flatten();
        let pooled = pool.is_some();
        let engine = match pool {
            Some(engine) => engine,
            None => plain()?,
        };
        let clock = clock(&engine)?;
        Ok(Self::from_parts(engine, instances, pooled, Some(clock)))
    }

    /// An engine that only compiles: no pool, no clock.
    pub fn compiler() -> Result<Self, EngineError> {
        Ok(Self::from_parts(plain()?, 1, false, None))
    }

    /// True if slots are reserved in advance.
    pub fn is_pooled(&self) -> bool {
        self.inner.pooled
    }

    /// Identifies every setting and version that compiled code depends on.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.inner.fingerprint
    }

    /// Compiles a component. Meant for a process under resource limits: it takes as long and as much memory as the component makes it.
    pub fn precompile(&self, component: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.inner.engine.precompile_component(component).map_err(|error| EngineError::Compile(format!("{error:#}")))
    }

    /// Compiles a component that comes with the host itself, in this process.
    pub fn compile_trusted(&self, component: &[u8]) -> Result<Authentic, EngineError> {
        Ok(Authentic::from_compiler(self.precompile(component)?))
    }

    fn from_parts(engine: wasmtime::Engine, instances: u32, pooled: bool, clock: Option<mpsc::Sender<()>>) -> Self {
        let mut hasher = Fingerprint(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        let (turns, evaluations) = (Semaphore::new(instances as usize), Semaphore::new(EVALUATIONS as usize));
        Self { inner: Arc::new(Inner { engine, turns, evaluations, pooled, fingerprint: hasher.0.finalize().into(), _clock: clock }) }
    }

    /// Waits until fewer than the allowed number of calls run: the pool itself does not wait, it fails.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.inner.turns.acquire().await.ok()
    }

    /// The same for evaluations, which have slots of their own: a tool call that waits for one holds a slot already, so with the same slots all calls together
    /// could wait for each other.
    pub(crate) async fn evaluation_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.inner.evaluations.acquire().await.ok()
    }

    pub(crate) fn linker(&self) -> Linker<Session> {
        Linker::new(&self.inner.engine)
    }

    /// A store whose guest is bounded in every way that the engine knows.
    pub(crate) fn store(&self, session: Session) -> Store<Session> {
        let Limits { hostcall_fuel, handles, .. } = session.limits;
        let mut store = Store::new(&self.inner.engine, session);
        store.limiter(|session| &mut session.meter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            store.data().tick()?;
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_hostcall_fuel(usize::try_from(hostcall_fuel).unwrap_or(usize::MAX));
        store.set_max_component_handles(handles as usize);
        store
    }

    /// The one place where bytes become native code.
    pub(crate) fn load(&self, code: &Authentic) -> Result<Component, EngineError> {
        #[expect(unsafe_code, reason = "the only way to load compiled code; see the proof that it takes")]
        // SAFETY: `Authentic` exists only for bytes that this product's own compiler answered, either directly or sealed with the host's key
        // and verified before; they were never in the hands of a skill or a registry. Bytes of other settings or versions are refused by the engine.
        let loaded = unsafe { Component::deserialize(&self.inner.engine, code.bytes()) };
        loaded.map_err(|error| EngineError::Load(format!("{error:#}")))
    }
}

fn plain() -> Result<wasmtime::Engine, EngineError> {
    wasmtime::Engine::new(&settings()).map_err(|error| EngineError::Start(format!("{error:#}")))
}

/// Everything that compiled code depends on, and what every engine shares.
fn settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_backtrace_max_frames(None)
        .max_wasm_stack(512 * 1024)
        .async_stack_size(1024 * 1024)
        .memory_init_cow(true);
    config
}

fn pool(instances: u32) -> InstanceAllocationStrategy {
    let Limits { memory, memories, tables, instances: cores, table_elements, .. } = Limits::CEILING;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(cores))
        .total_memories(instances.saturating_mul(memories))
        .total_tables(instances.saturating_mul(tables))
        .total_stacks(instances)
        .max_core_instances_per_component(cores)
        // The limiter of each store is what counts these; here they only must not be in its way.
        .max_memories_per_component(cores)
        .max_memories_per_module(cores)
        .max_tables_per_component(tables)
        .max_tables_per_module(tables)
        .max_memory_size(usize::try_from(memory).unwrap_or(usize::MAX))
        .table_elements(usize::try_from(table_elements).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Counts time in ticks until its sender, or the engine, is gone.
fn clock(engine: &wasmtime::Engine) -> Result<mpsc::Sender<()>, EngineError> {
    let (alive, ended) = mpsc::channel::<()>();
    let engine = engine.weak();
    let count = move || {
        while ended.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    };
    thread::Builder::new().name("wasm-clock".to_owned()).spawn(count).map_err(EngineError::Clock)?;
    Ok(alive)
}

/// Collects what is hashed into a digest that does not depend on the process.
struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
