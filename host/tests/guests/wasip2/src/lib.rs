//! A skill as a crate would write it that knows nothing of the sandbox: it uses the standard library.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use skills_sdk::prelude::*;

skills_sdk::skill! { tools: [look_around, shout, trip, leave] }

/// No arguments.
#[args]
pub struct Nothing {}

/// Says what clock, environment and filesystem are like.
#[tool]
pub fn look_around(_cx: &Cx<Self>, _args: Nothing) -> Result<Output> {
    // Seeded with random numbers of the host.
    let mut letters: HashMap<char, u32> = HashMap::new();
    for letter in "mississippi".chars() {
        *letters.entry(letter).or_default() += 1;
    }
    let started = Instant::now();
    thread::sleep(Duration::from_millis(20));
    println!("printed \u{1b}[31min red");
    eprintln!("and on standard error");
    let error = |result: std::io::Result<()>| result.err().map(|error| error.kind().to_string());
    let found = json!({
        "letters": letters.get(&'s'),
        "slept": started.elapsed() >= Duration::from_millis(20),
        "unix": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        "variables": env::vars().count(),
        "arguments": env::args().count(),
        "read": error(fs::read("/etc/passwd").map(drop)),
        "relative": error(fs::read("Cargo.toml").map(drop)),
        "write": error(fs::write("/tmp/loot", "loot")),
        "list": error(fs::read_dir("/").map(drop)),
    });
    Output::new(&found, "looked around")
}

/// Prints more than anybody reads.
#[tool]
pub fn shout(_cx: &Cx<Self>, _args: Nothing) -> Result<Output> {
    for line in 0..10_000 {
        println!("{line:080}");
    }
    Output::new(&json!({}), "shouted")
}

/// Panics.
#[tool]
pub fn trip(_cx: &Cx<Self>, _args: Nothing) -> Result<Output> {
    let pods: Vec<u32> = Vec::new();
    Output::new(&json!(pods.first().expect("there is no such pod")), "never")
}

/// Says that all is well, in the way of programs.
#[tool]
pub fn leave(_cx: &Cx<Self>, _args: Nothing) -> Result<Output> {
    std::process::exit(0)
}
