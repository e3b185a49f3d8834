//! Tests that see the product from outside: its layering, and (with a control plane) its behaviour. Nothing here imports the host.

pub mod model_server;
