//! `cache`: a skill from the compile cache (read, verify the seal, load, link) against compiling it.

use std::{fs, time::Instant};

use infraagent::skill::cache::Cache;
use infraagent_sandbox::{
    engine::{Engine, EngineConfig},
    instance::Skill,
};

use crate::{
    guest::{self, Skills},
    measure::{Sample, micros},
    table::{Goal, Row},
};

pub(crate) fn run(skills: &Skills, quick: bool) -> anyhow::Result<Vec<Row>> {
    let engine = Engine::new(EngineConfig::default())?;
    let folder = skills.scratch.join("cache");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let cache = Cache::open(&folder)?;
    let mut rows = Vec::new();
    for (name, component) in [("hello-world", &skills.hello), ("deployment-pipeline", &skills.pipeline)] {
        let (mut loads, mut compiles) = (Vec::new(), Vec::new());
        for _ in 0..if quick { 3 } else { 12 } {
            let admitted = guest::admit(component)?;
            let started = Instant::now();
            let code = engine.compile_trusted(component)?;
            Skill::load(&engine, admitted, &code)?;
            compiles.push(micros(started));
            cache.keep(guest::admit(component)?.digest(), &engine, &code)?;
            for _ in 0..20 {
                let admitted = guest::admit(component)?;
                let started = Instant::now();
                let code = cache.find(admitted.digest(), &engine).ok_or_else(|| anyhow::anyhow!("what was kept is not found"))?;
                Skill::load(&engine, admitted, &code)?;
                loads.push(micros(started));
            }
        }
        let note = "find, verify, load, link; against compiling on one core";
        rows.push(Row::new(format!("cache: {name}"), Sample::of(loads), Some(Sample::of(compiles)), "us", Goal::Cheaper(50.0), note));
    }
    Ok(rows)
}
