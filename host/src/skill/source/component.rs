//! A skill that was found: what it says of itself, and where its code is.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use infraagent_sandbox::{
    admission,
    manifest::{self, MAX_COMPONENT, Manifest, ManifestError},
};

use crate::skill::{
    declarative,
    folder::{self, Folder},
};

/// A skill. Cheap to clone, and small: many agents that use one skill share what there is of it, and code in files is read when it is loaded.
#[derive(Clone)]
pub struct Component {
    /// Where it was found, for people.
    pub shown: Arc<str>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// What it says of itself.
    pub manifest: Arc<Manifest>,
    /// What is run.
    pub code: Code,
}

/// Where the code of a skill is.
#[derive(Clone)]
pub enum Code {
    /// A component, in memory.
    Bytes(Arc<[u8]>),
    /// A component in a file; it is run only if it still has the skill's digest.
    File(Arc<Path>),
    /// There is none: the manifest says which of the bundled components run it.
    Bundled,
}

/// Why a file is no skill.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("cannot read `{path}`: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("`{path}` is no skill: {source}", path = path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<ManifestError>,
    },
    /// It is a folder of a skill without code, and something is wrong with it.
    #[error("`{path}` is no skill: {source}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: Box<folder::Error>,
    },
    /// It was exchanged since it was looked at.
    #[error("`{path}` changed while it was looked at: it should be `{expected}` and is `{found}`", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The digest that was found first.
        expected: String,
        /// The digest that it has now.
        found: String,
    },
}

impl Component {
    /// A component in memory that was found at `shown`.
    pub fn of(shown: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Self, ManifestError> {
        let bytes = bytes.into();
        let manifest = Arc::new(manifest::read(&bytes)?);
        Ok(Self { shown: shown.into(), digest: admission::digest(&bytes), manifest, code: Code::Bytes(bytes) })
    }

    /// A skill without code that was found at `shown`.
    pub fn without_code(shown: &str, folder: &Folder) -> Result<Self, folder::Error> {
        let manifest = Arc::new(declarative::manifest(folder)?);
        Ok(Self { shown: shown.into(), digest: declarative::digest(&manifest), manifest, code: Code::Bundled })
    }

    /// Reads a component from a file, and keeps its bytes; or a skill without code from a folder.
    pub fn read(path: &Path) -> Result<Self, Unusable> {
        if path.is_dir() {
            let found = Folder::read_without_code(path).and_then(|folder| Self::without_code(&path.display().to_string(), &folder));
            return found.map_err(|source| Unusable::Folder { path: path.to_owned(), source: Box::new(source) });
        }
        let bytes = read(path)?;
        Self::of(&path.display().to_string(), bytes)
            .map_err(|source| Unusable::Manifest { path: path.to_owned(), source: Box::new(source) })
    }

    /// The same skill with its code left in the file that it was read from.
    pub(super) fn left_in(self, path: &Path) -> Self {
        let code = match self.code {
            Code::Bytes(_) | Code::File(_) => Code::File(path.into()),
            Code::Bundled => Code::Bundled,
        };
        Self { code, ..self }
    }

    /// The components that make up the skill. Blocks: it may read a file.
    pub fn units(&self) -> Result<Vec<Unit>, Unusable> {
        let Self { shown, digest, manifest, code } = self;
        let whole = |bytes| vec![Unit { component: bytes, code: None }];
        match code {
            Code::Bytes(bytes) => Ok(whole(Arc::clone(bytes))),
            Code::File(path) => {
                let bytes = read(path)?;
                match admission::digest(&bytes) {
                    found if found == *digest => Ok(whole(bytes.into())),
                    found => Err(Unusable::Changed { path: path.to_path_buf(), expected: digest.clone(), found }),
                }
            }
            Code::Bundled => {
                let unit = |part: declarative::Part| {
                    let component =
                        part.bytes().map_err(|source| Unusable::Manifest { path: shown.as_ref().into(), source: Box::new(source) })?;
                    Ok(Unit { component: component.into(), code: Some(part.generic.component) })
                };
                declarative::parts(manifest).into_iter().map(unit).collect()
            }
        }
    }
}

/// One component of a skill, with its manifest.
#[derive(Debug, Clone)]
pub struct Unit {
    /// What is admitted.
    pub component: Arc<[u8]>,
    /// The same code without the manifest, where many skills have it in common, so that it is compiled once for all of them.
    pub code: Option<&'static [u8]>,
}

/// Never more than a component may have.
fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    let fail = |source| Unusable::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(fail)?.len();
    if size > MAX_COMPONENT as u64 {
        let source = Box::new(ManifestError::ComponentTooLarge(usize::try_from(size).unwrap_or(usize::MAX)));
        return Err(Unusable::Manifest { path: path.to_owned(), source });
    }
    fs::read(path).map_err(fail)
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shown, digest, manifest, code } = self;
        f.debug_struct("Component").field("shown", shown).field("digest", digest).field("name", &manifest.name).field("code", code).finish()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Bundled => f.write_str("bundled components"),
        }
    }
}
