//! Skills: package format, sources, checks.
