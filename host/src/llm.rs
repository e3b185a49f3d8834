//! Model providers. Wire formats live here only.
