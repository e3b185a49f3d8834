//! The keys that sign and verify the head of a record: Ed25519, in PEM files that other tools read too.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding},
};

use super::chain;

/// A key file is a few hundred bytes.
const MAX_FILE: u64 = 16 * 1024;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot use the audit key `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could read or change it.
    #[error("the audit key `{}` has mode {mode:04o}: others could read it or change it; run `chmod 600 {}`", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a private key.
    #[error("`{}` is not an Ed25519 private key in PKCS#8 PEM", .0.display())]
    NotPrivate(PathBuf),
    /// Not a public key.
    #[error("`{}` is not an Ed25519 public key in PEM{hint}", path.display(), hint = if *private { ": it is a private key, give the file that ends in `.pub`" } else { "" })]
    NotPublic {
        /// The file.
        path: PathBuf,
        /// It holds a private key.
        private: bool,
    },
    /// The two files do not belong together.
    #[error("`{}` is not the public half of `{}`: move one of them away", public.display(), path.display())]
    Mismatch {
        /// The private key.
        path: PathBuf,
        /// The public key.
        public: PathBuf,
    },
    /// No randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// The key that signs.
pub struct AuditKey(SigningKey);

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AuditKey").field(&self.id()).finish()
    }
}

impl AuditKey {
    /// A new key that is kept nowhere.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// From PKCS#8 PEM. None if it is something else.
    pub fn from_pem(pem: &str) -> Option<Self> {
        SigningKey::from_pkcs8_pem(pem).map(Self).ok()
    }

    /// The private and the public half in PEM. None if they cannot be encoded.
    pub fn to_pem(&self) -> Option<(String, String)> {
        let private = self.0.to_pkcs8_pem(LineEnding::LF).ok()?;
        Some((private.to_string(), self.0.verifying_key().to_public_key_pem(LineEnding::LF).ok()?))
    }

    /// Reads the key (PKCS#8 PEM), or makes one that only its owner can read. The public half is put beside it, as `<file>.pub`, if it is not there.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let key = match File::open(path) {
            Ok(file) => Self::read(path, file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                let pem = key.0.to_pkcs8_pem(LineEnding::LF).map_err(|_| Error::NotPrivate(path.to_owned()))?;
                create(path, pem.as_bytes(), 0o600).map_err(io)?;
                key
            }
            Err(source) => return Err(io(source)),
        };
        let public = public_path(path);
        if public.exists() {
            if PublicKey::load(&public)? != key.public() {
                return Err(Error::Mismatch { path: path.to_owned(), public });
            }
        } else {
            let pem = key.0.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|_| Error::NotPrivate(path.to_owned()))?;
            create(&public, pem.as_bytes(), 0o644).map_err(|source| Error::Io { path: public, source })?;
        }
        Ok(key)
    }

    fn read(path: &Path, file: File) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        // Of the opened file, so that it cannot be exchanged in between.
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o7777;
        if mode & 0o027 != 0 {
            return Err(Error::Open { path: path.to_owned(), mode });
        }
        let mut pem = String::new();
        file.take(MAX_FILE).read_to_string(&mut pem).map_err(io)?;
        SigningKey::from_pkcs8_pem(&pem).map(Self).map_err(|_| Error::NotPrivate(path.to_owned()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Which key it is: see [`PublicKey::id`].
    pub fn id(&self) -> String {
        self.public().id()
    }

    /// The signature of a text, in base64.
    pub(crate) fn sign(&self, text: &str) -> String {
        BASE64_STANDARD.encode(self.0.sign(text.as_bytes()).to_bytes())
    }
}

/// The key that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a public key (SubjectPublicKeyInfo PEM).
    pub fn load(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut pem = String::new();
        File::open(path).map_err(io)?.take(MAX_FILE).read_to_string(&mut pem).map_err(io)?;
        let private = pem.contains("PRIVATE KEY");
        VerifyingKey::from_public_key_pem(&pem).map(Self).map_err(|_| Error::NotPublic { path: path.to_owned(), private })
    }

    /// From SubjectPublicKeyInfo PEM.
    pub fn from_pem(pem: &str) -> Option<Self> {
        VerifyingKey::from_public_key_pem(pem).map(Self).ok()
    }

    /// The first 16 hexadecimal digits of the SHA-256 of the key's 32 bytes.
    pub fn id(&self) -> String {
        chain::sha256(self.0.as_bytes()).chars().take(16).collect()
    }

    /// Whether the signature (base64) is this key's for the text.
    pub(crate) fn verifies(&self, text: &str, signature: &str) -> bool {
        BASE64_STANDARD
            .decode(signature)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .is_some_and(|signature| self.0.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

/// Where the public half lies.
pub fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// A new file that is on disk when this returns.
fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is worse than none.
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let made = AuditKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(AuditKey::load_or_create(&path).unwrap().id(), made.id());
        assert_eq!(PublicKey::load(&public_path(&path)).unwrap(), made.public());
        assert_eq!(made.id().len(), 16);
        fs::remove_file(public_path(&path)).unwrap();
        let _ = AuditKey::load_or_create(&path).unwrap();
        assert_eq!(PublicKey::load(&public_path(&path)).unwrap(), made.public());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let _ = AuditKey::load_or_create(&path).unwrap();
        for mode in [0o604, 0o620, 0o644, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = AuditKey::load_or_create(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(AuditKey::load_or_create(&path).is_ok());
    }

    #[test]
    fn files_that_are_not_what_they_should_be_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let _ = AuditKey::load_or_create(&one).unwrap();
        let _ = AuditKey::load_or_create(&two).unwrap();
        assert!(PublicKey::load(&one).unwrap_err().to_string().contains(".pub"));
        fs::copy(public_path(&two), public_path(&one)).unwrap();
        assert!(matches!(AuditKey::load_or_create(&one), Err(Error::Mismatch { .. })));
        fs::write(&two, "nonsense").unwrap();
        assert!(matches!(AuditKey::load_or_create(&two), Err(Error::NotPrivate(_))));
    }

    #[test]
    fn only_the_right_key_verifies_the_right_text() {
        let (key, other) = (AuditKey::generate().unwrap(), AuditKey::generate().unwrap());
        let signature = key.sign("text");
        assert!(key.public().verifies("text", &signature));
        assert!(!key.public().verifies("texT", &signature));
        assert!(!other.public().verifies("text", &signature));
        assert!(!key.public().verifies("text", "not base64"));
    }
}
