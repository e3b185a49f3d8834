//! Skills of the repository as components, built once per process by the program itself.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
};

use crate::{binary, repository};

/// Path of the component of a skill in `example-skills/`.
///
/// # Panics
///
/// If it does not build.
pub fn skill(name: &str) -> PathBuf {
    built("example-skills", name)
}

/// Path of the component of a skill that only tests use, in `tests/guests/`.
///
/// # Panics
///
/// If it does not build.
pub fn guest(name: &str) -> PathBuf {
    built("tests/guests", name)
}

fn built(parent: &str, name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(name) {
        return path.clone();
    }
    let folder = std::env::current_exe().expect("a path").parent().expect("a folder").join("skills");
    std::fs::create_dir_all(&folder).expect("writable");
    let path = folder.join(format!("{name}.{}.wasm", std::process::id()));
    let output = Command::new(binary())
        .args(["skill", "build"])
        .arg(repository().join(parent).join(name))
        .arg("-o")
        .arg(&path)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{name} does not build: {}", String::from_utf8_lossy(&output.stderr));
    built.insert(name.to_owned(), path.clone());
    path
}
