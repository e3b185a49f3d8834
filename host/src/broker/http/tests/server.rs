//! Servers on this machine that answer what a test wants and remember what they were asked, byte for byte.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Makes an answer of the head of a request.
type Make = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// What a server does once it has read the head of a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// These bytes, made of the head of the request.
    With(Arc<Make>),
    /// A head, and then a byte now and then, for ever.
    Drip,
    /// A head, and then a body without an end.
    Endless,
    /// Nothing.
    Silence,
}

impl Reply {
    pub(super) fn fixed(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::With(Arc::new(move |_| answer.clone()))
    }

    /// 200 with this body.
    pub(super) fn ok(body: &str) -> Self {
        Self::fixed(answer(200, "content-type: text/plain\r\n", body))
    }
}

pub(super) fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// A server until it is dropped.
pub(super) struct Server {
    pub(super) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<u32>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn plain(reply: Reply) -> Self {
        Self::start(reply, None).await
    }

    pub(super) async fn encrypted(reply: Reply, identity: &Identity) -> Self {
        Self::start(reply, Some(identity.server(None))).await
    }

    /// A server that talks only to those who show a certificate of this authority.
    pub(super) async fn mutual(reply: Reply, identity: &Identity, clients: &Authority) -> Self {
        Self::start(reply, Some(identity.server(Some(clients)))).await
    }

    async fn start(reply: Reply, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heads, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<u32>>::default());
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let (kept, counted) = (Arc::clone(&heads), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                let (reply, kept, acceptor) = (reply.clone(), Arc::clone(&kept), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, reply, kept).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, reply, kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, heads, connections, task }
    }

    /// The heads of all requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The head of the only request.
    pub(super) fn head(&self) -> String {
        let heads = self.heads();
        assert_eq!(heads.len(), 1, "{heads:?}");
        heads[0].clone()
    }

    pub(super) fn connections(&self) -> u32 {
        *self.connections.lock().unwrap()
    }

    /// `http://127.0.0.1:port`.
    pub(super) fn origin(&self) -> String {
        format!("http://{}:{}", IpAddr::from(Ipv4Addr::LOCALHOST), self.port)
    }

    pub(super) fn named(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.port)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, reply: Reply, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            // A greeting of TLS.
            Ok(0x16) if head.is_empty() => {
                let _ = stream.write_all(answer(400, "", "").as_bytes()).await;
                return;
            }
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap().push(head.clone());
    let open = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n";
    match reply {
        Reply::With(make) => {
            let _ = stream.write_all(&make(&head)).await;
            let _ = stream.shutdown().await;
        }
        Reply::Drip => {
            let mut sent = stream.write_all(open.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                sent = stream.write_all(b".").await;
                let _ = stream.flush().await;
            }
        }
        Reply::Endless => {
            let mut sent = stream.write_all(open.as_bytes()).await;
            while sent.is_ok() {
                sent = stream.write_all(&[b'x'; 4096]).await;
            }
        }
        Reply::Silence => tokio::time::sleep(Duration::from_secs(3600)).await,
    }
}

/// An authority of its own.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

/// From when until when, in days from now.
pub(super) type Days = (i64, i64);

fn params(names: &[&str], (from, until): Days) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("authority"));
    let now = std::time::SystemTime::now();
    let day = |days: i64| {
        let distance = Duration::from_secs(days.unsigned_abs() * 86_400);
        if days < 0 { now - distance } else { now + distance }
    };
    (params.not_before, params.not_after) = (day(from).into(), day(until).into());
    params
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[], (-400, 400));
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub(super) fn issue(&self, names: &[&str], days: Days) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names, days);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], key }
    }
}

impl Identity {
    pub(super) fn self_signed(names: &[&str], days: Days) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, days).self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().clone()], key }
    }

    /// Certificate and key in PEM.
    pub(super) fn pem(&self) -> (String, String) {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let body: Vec<String> = self.chain.iter().map(|der| BASE64_STANDARD.encode(der)).collect();
        (format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", body[0]), self.key.serialize_pem())
    }

    fn server(&self, clients: Option<&Authority>) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate()).unwrap();
                builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap())
            }
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        builder.with_single_cert(self.chain.clone(), key).unwrap()
    }
}
