//! With peers that are really there.

use std::net::SocketAddr;

use rustls::{RootCertStore, ServerConfig, client::WebPkiServerVerifier, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A peer that greets everybody over TLS, and what it takes to believe him.
async fn peer(names: &[&str]) -> (SocketAddr, Arc<dyn ServerCertVerifier>) {
    let made = rcgen::generate_simple_self_signed(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let (provider, certificate) = (Arc::new(ring::default_provider()), made.cert.der().clone());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build().unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(config)));
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                let _ = tls.write_all(b"hello").await;
            }
        }
    });
    (address, verifier)
}

/// A proxy that sends everybody to the peer, and tells what it was asked.
async fn proxy(peer: SocketAddr) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(tcp.read_u8().await.unwrap());
            }
            tell.send(String::from_utf8(asked).unwrap()).unwrap();
            tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut there = TcpStream::connect(peer).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut tcp, &mut there).await;
        }
    });
    (address, told)
}

async fn greeting(connector: &Connector, to: &str) -> Result<String, BoxError> {
    let mut greeting = [0; 5];
    connector.connect(&to.parse().unwrap()).await?.read_exact(&mut greeting).await?;
    Ok(String::from_utf8(greeting.to_vec())?)
}

fn nobody() -> Matcher {
    Matcher::builder().build()
}

#[tokio::test]
async fn with_tls_only_a_peer_is_connected_to_that_is_believed() {
    let (address, verifier) = peer(&["127.0.0.1"]).await;
    let to = format!("https://{address}/v1/messages");
    let connector = Connector::secure(Arc::clone(&verifier), nobody()).unwrap();
    assert_eq!(greeting(&connector, &to).await.unwrap(), "hello");

    let (_, another) = peer(&["127.0.0.1"]).await;
    let error = greeting(&Connector::secure(another, nobody()).unwrap(), &to).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");

    let (misnamed, verifier) = peer(&["model.test"]).await;
    let error = greeting(&Connector::secure(verifier, nobody()).unwrap(), &format!("https://{misnamed}/")).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_sees_nothing_else() {
    let (address, verifier) = peer(&["model.test", "127.0.0.1"]).await;
    let (through, mut told) = proxy(address).await;
    let proxies = Matcher::builder().https(format!("http://somebody:secret@{through}")).no("127.0.0.1").build();
    let connector = Connector::secure(verifier, proxies).unwrap();
    assert_eq!(greeting(&connector, "https://model.test/v1/messages").await.unwrap(), "hello");
    let asked = told.recv().await.unwrap();
    assert!(asked.starts_with("CONNECT model.test:443 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_ascii_lowercase().contains("proxy-authorization: basic c29tzwjvzhk6c2vjcmv0"), "{asked}");
    assert!(!asked.contains("messages"), "{asked}");

    // Whom `NO_PROXY` names is asked directly.
    assert_eq!(greeting(&connector, &format!("https://{address}/")).await.unwrap(), "hello");
    assert!(told.try_recv().is_err());
}
