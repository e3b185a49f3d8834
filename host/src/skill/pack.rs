//! Joins a component and what its folder says into the one file that is shipped, and asks for the admission verdict at once.

use infraagent_sandbox::manifest::{self, Manifest, ManifestError, ToolDescription};

use super::{
    folder::{self, Folder},
    verdict::Verdict,
};
use crate::cel::Evaluator;

/// A skill, ready to ship.
#[derive(Debug)]
pub struct Package {
    /// The component with its manifest.
    pub bytes: Vec<u8>,
    /// The manifest.
    pub manifest: Manifest,
    /// What this host thinks of it.
    pub verdict: Verdict,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// The component.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Joins them. A verdict against the package is an answer, not an error: the caller shows every reason.
pub async fn join(component: &[u8], source: &Folder, tools: Vec<ToolDescription>, evaluator: &Evaluator) -> Result<Package, Error> {
    let manifest = source.manifest(tools)?;
    let bytes = manifest::append(component, &manifest)?;
    let verdict = Verdict::on(&bytes, evaluator).await;
    Ok(Package { bytes, manifest, verdict })
}
