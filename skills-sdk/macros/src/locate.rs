//! Where the sheet of the skill that is being compiled lies.
//!
//! The nearest `actions.yaml` above the source file, up to the directory of the first `Cargo.toml`: so a package with several skills (examples, tests)
//! works, and a skill never picks up the sheet of the project around it. Editors that cannot tell the source file fall back to the package's directory.

use std::path::{Path, PathBuf};

use proc_macro2::Span;

use crate::sheet::Sheet;

/// A sheet and the files it was read from.
pub(crate) struct Located {
    pub(crate) sheet: Sheet,
    /// Absolute paths, for rebuild tracking.
    pub(crate) files: [PathBuf; 2],
}

/// Finds, reads and parses the sheet for code at `span`.
pub(crate) fn sheet(span: Span) -> syn::Result<Located> {
    let fail = |message: String| syn::Error::new(span, message);
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let source = Span::call_site().unwrap().local_file();
    let file = source.as_deref().and_then(nearest).unwrap_or_else(|| package.join("actions.yaml"));
    let file = std::path::absolute(&file).unwrap_or(file);
    let text = std::fs::read_to_string(&file).map_err(|error| {
        fail(format!(
            "cannot read the action sheet `actions.yaml` ({error}); it belongs beside Cargo.toml, and may be empty: `actions: []`"
        ))
    })?;
    let document = file.with_file_name("SKILL.md");
    if !document.is_file() {
        return Err(fail("there is no `SKILL.md` beside `actions.yaml`; it names and describes the skill".to_owned()));
    }
    let sheet = Sheet::parse(&text).map_err(|error| fail(format!("actions.yaml: {error}")))?;
    Ok(Located { sheet, files: [file, document] })
}

fn nearest(source: &Path) -> Option<PathBuf> {
    let source = std::path::absolute(source).ok()?;
    for directory in source.ancestors().skip(1) {
        let candidate = directory.join("actions.yaml");
        if candidate.is_file() {
            return Some(candidate);
        }
        if directory.join("Cargo.toml").is_file() {
            return None;
        }
    }
    None
}
