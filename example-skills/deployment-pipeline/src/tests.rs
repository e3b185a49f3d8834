//! The tools on a fake host: no cluster, no WebAssembly.

mod acting;
mod causes;
mod looking;
mod world;
