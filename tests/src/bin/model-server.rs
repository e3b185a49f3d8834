//! `model-server --script F [--port N] [--key K]`: the tests' model server as a process of its own, for demos and other clients.
//! Prints its URL, then answers until its standard input is closed.

use std::{io, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, bail};
use infraagent_tests::model_server::{ModelServer, Script};

fn main() -> anyhow::Result<()> {
    let (mut script, mut port, mut key) = (None, 0, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("`{flag}` needs a value"));
        match flag.as_str() {
            "--script" => script = Some(PathBuf::from(value()?)),
            "--port" => port = value()?.parse().context("`--port` needs a number")?,
            "--key" => key = Some(value()?),
            _ => bail!("`{flag}` is not known: write model-server --script FILE [--port N] [--key KEY]"),
        }
    }
    let script = Script::open(&script.context("`--script FILE` is missing")?)?;
    let server = ModelServer::listen(script, SocketAddr::from(([127, 0, 0, 1], port)), key)?;
    println!("{}", server.url());
    // Whoever started it may end in any way: its end of the pipe closes.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    for seen in server.seen() {
        if let Some(why) = seen.refused {
            eprintln!("refused {}: {why}", seen.path);
        }
    }
    Ok(())
}
