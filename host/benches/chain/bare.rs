//! The fastest that wasmtime itself can be with the same bytes: the same pool with the same resident pages, and nothing else. No epochs, no limiter, no timeout,
//! no queue, no broker; imports answer constants. Once as the sandbox calls guests (on a fiber of its own, so that host calls can wait), and once without fibers.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, HasSelf, Linker},
};

/// What imports answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constant {
    /// The description of the site.
    pub(crate) site: &'static str,
    /// Of the object that the guest asks for: the name by which it is not found, or its JSON text.
    pub(crate) object: Result<&'static str, &'static str>,
}

macro_rules! variant {
    ($module:ident, $($mode:tt)*) => {
        mod $module {
            wasmtime::component::bindgen!({ path: "../wit", world: "destroyer", exports: { default: $($mode)* } });

            use super::Constant;
            pub(super) use self::exports::infraagent::skill::skill as guest;
            pub(super) use self::infraagent::skill::{kubernetes_read, site, types};

            impl types::Host for Constant {}

            impl site::Host for Constant {
                fn describe(&mut self) -> Result<String, types::Error> {
                    Ok(self.site.to_owned())
                }
            }

            impl kubernetes_read::Host for Constant {
                fn get(&mut self, _: String, _: types::ObjectRef, _: Vec<String>) -> Result<String, types::Error> {
                    match self.object {
                        Ok(text) => Ok(text.to_owned()),
                        Err(missing) => Err(types::Error::NotFound(missing.to_owned())),
                    }
                }

                fn list(&mut self, _: String, _: kubernetes_read::ListQuery) -> Result<kubernetes_read::Page, types::Error> {
                    Err(types::Error::Timeout)
                }

                fn logs(&mut self, _: String, _: String, _: String, _: kubernetes_read::LogQuery) -> Result<kubernetes_read::LogText, types::Error> {
                    Err(types::Error::Timeout)
                }

                fn wait(&mut self, _: String, _: types::ObjectRef, _: kubernetes_read::Condition, _: u32) -> Result<bool, types::Error> {
                    Err(types::Error::Timeout)
                }
            }
        }
    };
}

variant!(plain,);
variant!(fiber, async);

/// A component that is ready to run.
pub(crate) struct Bare {
    engine: Engine,
    plain: plain::DestroyerPre<Constant>,
    fiber: fiber::DestroyerPre<Constant>,
    constant: Constant,
}

impl Bare {
    /// Compiles and links.
    pub(crate) fn new(component: &[u8], constant: Constant) -> anyhow::Result<Self> {
        Self::link(component, constant).map_err(|error| anyhow::anyhow!("the bare engine: {error:#}"))
    }

    fn link(component: &[u8], constant: Constant) -> wasmtime::Result<Self> {
        let engine = engine()?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        plain::types::add_to_linker::<_, HasSelf<Constant>>(&mut linker, |state| state)?;
        plain::site::add_to_linker::<_, HasSelf<Constant>>(&mut linker, |state| state)?;
        plain::kubernetes_read::add_to_linker::<_, HasSelf<Constant>>(&mut linker, |state| state)?;
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        Ok(Self { engine, plain: plain::DestroyerPre::new(pre.clone())?, fiber: fiber::DestroyerPre::new(pre)?, constant })
    }

    /// A fresh store and instance, one tool call, and all of it dropped.
    pub(crate) fn call(&self, tool: &str) -> wasmtime::Result<String> {
        let mut store = Store::new(&self.engine, self.constant);
        let instance = self.plain.instantiate(&mut store)?;
        let call = plain::guest::Invocation { run_id: "run-1".to_owned(), tool: tool.to_owned(), arguments: "{}".to_owned() };
        match instance.infraagent_skill_skill().call_invoke(&mut store, &call)? {
            Ok(output) => Ok(output.content),
            Err(error) => Err(wasmtime::Error::msg(format!("{error:?}"))),
        }
    }

    /// The same on a fiber.
    pub(crate) async fn call_on_fiber(&self, tool: &str) -> wasmtime::Result<String> {
        let mut store = Store::new(&self.engine, self.constant);
        let instance = self.fiber.instantiate_async(&mut store).await?;
        let call = fiber::guest::Invocation { run_id: "run-1".to_owned(), tool: tool.to_owned(), arguments: "{}".to_owned() };
        match instance.infraagent_skill_skill().call_invoke(&mut store, &call).await? {
            Ok(output) => Ok(output.content),
            Err(error) => Err(wasmtime::Error::msg(format!("{error:?}"))),
        }
    }
}

/// What the sandbox's engine has that makes calls faster, and nothing that makes them safer.
fn engine() -> wasmtime::Result<Engine> {
    const KEEP_RESIDENT: usize = 128 * 1024;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(64)
        .total_core_instances(64 * 64)
        .total_memories(64 * 8)
        .total_tables(64 * 64)
        .total_stacks(64)
        .max_core_instances_per_component(64)
        .max_memories_per_component(64)
        .max_tables_per_component(64)
        .max_memory_size(256 << 20)
        .table_elements(20_000)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(None)
        .max_wasm_stack(512 * 1024)
        .async_stack_size(1024 * 1024)
        .memory_init_cow(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}
