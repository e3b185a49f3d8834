//! Pre-conditions and filters: CEL, evaluated by a bundled component without imports.
