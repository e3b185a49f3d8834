//! `size`: what a real skill ships, manifest included.

use crate::{
    guest::Skills,
    measure::Sample,
    table::{Goal, Row},
};

pub(crate) fn run(skills: &Skills) -> Vec<Row> {
    let row = |name: &str, component: &[u8], goal, note| {
        let size = component.len() as f64 / 1000.0;
        Row::new(format!("size: {name}"), Sample { p50: size, p99: size }, None, "KB", goal, note)
    };
    vec![
        row("deployment-pipeline", &skills.pipeline, Goal::AtMost(150.0), "1 KB is 1,000 bytes"),
        row("hello-world", &skills.hello, Goal::Told, ""),
    ]
}
