//! One run of one agent: dereference, validate, converse, report.
