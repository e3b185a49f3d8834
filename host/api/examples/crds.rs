//! Writes the definitions into `crds/`, one file per kind: `cargo run -p infraagent-api --example crds`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    fs::create_dir_all(&folder)?;
    for definition in infraagent_api::crds() {
        let name = format!("{}.yaml", definition.spec.names.plural);
        let text = serde_saphyr::to_string(&definition).map_err(io::Error::other)?;
        fs::write(folder.join(&name), text)?;
        println!("crds/{name}");
    }
    Ok(())
}
