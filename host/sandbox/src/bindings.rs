//! Types and traits generated from `wit/`. The largest world is generated; which interfaces an instance gets is decided when its linker is made.
#![expect(unreachable_pub, reason = "generated")]

pub mod skill {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "destroyer",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

pub mod description {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "describer",
        exports: { default: async },
    });
}

pub mod evaluator {
    wasmtime::component::bindgen!({
        path: "../guests/cel/wit",
        world: "evaluator",
        exports: { default: async },
    });
}
