//! A wire that can be cut: TCP connections pass through it to one address until it is told otherwise.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A wire to one address.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// A wire to a TCP port of the loopback interface, at a free port. It needs the runtime of the caller, and ends with it.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (whole, is_whole) = watch::channel(true);
        let accepting = tokio::spawn(async move {
            let passing = Arc::new(Mutex::new(tokio::task::JoinSet::new()));
            while let Ok((near, _)) = listener.accept().await {
                let mut whole = is_whole.clone();
                if !*whole.borrow() {
                    continue;
                }
                let mut passing = passing.lock().unwrap_or_else(PoisonError::into_inner);
                while passing.try_join_next().is_some() {}
                passing.spawn(async move { pass(near, port, &mut whole).await });
            }
        });
        Self { address, whole, accepting }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection, and every further one at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets new connections through.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn pass(mut near: TcpStream, port: u16, whole: &mut watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.wait_for(|whole| !*whole) => {}
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
