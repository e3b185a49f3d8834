//! TLS of the webhook server, for those who have no Ingress in front of it. The files are read once: exchange them and restart the replicas one after the other.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Makes TLS connections of TCP connections.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// Files that are no certificate or no key of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read as PEM.
    #[error("`{path}` cannot be read as PEM: {message}")]
    Pem {
        /// The file.
        path: String,
        /// Why.
        message: String,
    },
    /// They do not belong together.
    #[error("certificate and key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

impl Acceptor {
    /// From a file of certificates, the server's own first, and a file with its private key; both PEM.
    pub fn open(certificates: &Path, key: &Path) -> Result<Self, Error> {
        let pem = |path: &Path| {
            let path = path.display().to_string();
            move |error: rustls::pki_types::pem::Error| Error::Pem { path, message: error.to_string() }
        };
        let chain =
            CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(pem(certificates))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
        let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_opens_and_what_is_none_says_which_file() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&certificate, pair.cert.pem()).unwrap();
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        Acceptor::open(&certificate, &key).unwrap();
        let swapped = Acceptor::open(&certificate, &certificate).unwrap_err().to_string();
        assert!(swapped.contains("tls.crt"), "{swapped}");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(matches!(Acceptor::open(&certificate, &key), Err(Error::Pair(_))));
        assert!(matches!(Acceptor::open(&folder.path().join("none"), &key), Err(Error::Pem { .. })));
    }
}
