//! The key of the cache: what makes an entry ours.

use std::{
    fmt, fs, io,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use infraagent_sandbox::compiled::Seal;
use sha2::Sha256;

use super::Error;

/// Bytes of a key.
const LENGTH: usize = 32;

/// A secret of 32 bytes that never leaves this type: it seals, verifies, and is not printed.
#[derive(Clone)]
pub struct Key {
    mac: Hmac<Sha256>,
}

impl Key {
    /// From a secret kept elsewhere.
    pub fn from_bytes(secret: &[u8; LENGTH]) -> Self {
        // HMAC itself fills a short key with zeros to the size of a block.
        let mut block = [0; 64];
        block[..LENGTH].copy_from_slice(secret);
        Self { mac: Hmac::new(&block.into()) }
    }

    /// The key in `path`, created if there is none. Of several processes that create it at once one wins and all use the same.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Key { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path).map_err(io)?,
            Err(error) => return Err(io(error)),
        }
        let found = fs::symlink_metadata(path).map_err(io)?;
        let mode = found.permissions().mode() & 0o7777;
        if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() || mode & 0o077 != 0 || found.len() != LENGTH as u64 {
            return Err(Error::BadKey { path: path.to_owned(), mode });
        }
        let secret = fs::read(path).map_err(io)?;
        let secret: &[u8; LENGTH] = secret.as_slice().try_into().map_err(|_| Error::BadKey { path: path.to_owned(), mode })?;
        Ok(Self::from_bytes(secret))
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

impl Seal for Key {
    fn seal(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    fn verify(&self, parts: &[&[u8]], seal: &[u8; 32]) -> bool {
        self.over(parts).verify_slice(seal).is_ok()
    }
}

/// Writes a new secret under another name and links it into place: nobody ever sees half a key, and an existing one is never replaced.
fn create(path: &Path) -> io::Result<()> {
    let mut secret = [0; LENGTH];
    getrandom::fill(&mut secret)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(super::TEMPORARY).tempfile_in(directory)?;
    file.write_all(&secret)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}
