//! A wire to the API server that can be cut: in one direction, in the other, or altogether.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    task::JoinHandle,
};

/// What happens to what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// It arrives.
    Whole,
    /// Requests arrive, the first byte of an answer cuts the connection.
    LosesAnswers,
    /// The first byte of a request cuts the connection, and does not arrive.
    LosesRequests,
}

/// Between a client and the API server. Dropping it leaves nobody who listens.
pub(super) struct Proxy {
    port: u16,
    wire: Arc<AtomicU8>,
    listener: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn before(config: &kube::Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = format!("{}:{}", config.cluster_url.host().unwrap(), config.cluster_url.port_u16().unwrap());
        let wire = Arc::new(AtomicU8::new(Wire::Whole as u8));
        let state = Arc::clone(&wire);
        let listener = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, server.clone(), Arc::clone(&state)));
            }
        });
        Self { port, wire, listener }
    }

    /// The same cluster, behind this wire.
    pub(super) fn config(&self, config: &kube::Config) -> kube::Config {
        let mut config = config.clone();
        config.cluster_url = format!("https://127.0.0.1:{}", self.port).parse().unwrap();
        config
    }

    pub(super) fn is(&self, wire: Wire) {
        self.wire.store(wire as u8, Ordering::SeqCst);
    }

    /// Nobody listens any more, and every connection is cut.
    pub(super) async fn cut(self) {
        self.listener.abort();
        let _ = self.listener.await;
    }
}

async fn carry(client: TcpStream, server: String, wire: Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Whichever direction ends first ends both.
    tokio::select! {
        () = pass(from_client, to_server, &wire, Wire::LosesRequests) => {}
        () = pass(from_server, to_client, &wire, Wire::LosesAnswers) => {}
    }
}

async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, wire: &AtomicU8, loses: Wire) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if wire.load(Ordering::SeqCst) == loses as u8 || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
