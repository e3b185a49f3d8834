//! The listener: connections, bodies and answers, each of them bounded, so that who is slow or sends much takes nothing from others.

use std::{io, sync::Arc, time::Duration};

use http::{Method, Request, Response, header::CONTENT_LENGTH};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};

use super::{answer::Answer, desk::Desk, tls::Acceptor};
use crate::operator::Operator;

/// The longest body.
const MAX_BODY: usize = 1 << 20;
/// Who sends more is listened to for so long, without anything being kept: otherwise he would not hear the answer.
const MAX_DISCARDED: usize = 4 << 20;
/// Bytes of all bodies that are held at a time.
const MAX_BODIES: usize = 16 << 20;
/// Connections that are open at a time. More wait until one is closed.
const CONNECTIONS: usize = 512;
/// How long the head of a request may take; also how long a connection may be silent.
const HEAD: Duration = Duration::from_secs(10);
/// How long a body may take.
const BODY: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Where deliveries go.
const PATH: &str = "/webhook/";

/// Serves `POST /webhook/<source>` as long as it is polled; over TLS if there is an acceptor.
///
/// # Errors
///
/// If there is no randomness.
pub async fn serve(listener: TcpListener, tls: Option<Acceptor>, operator: Arc<Operator>) -> io::Result<()> {
    let desk = Arc::new(Desk::new(operator).map_err(|error| io::Error::other(error.to_string()))?);
    let server = Arc::new(Server { desk: Arc::clone(&desk), bytes: Semaphore::new(MAX_BODIES) });
    let _following = desk.follow();
    accept(listener, tls, server).await;
    Ok(())
}

struct Server {
    desk: Arc<Desk>,
    bytes: Semaphore,
}

async fn accept(listener: TcpListener, tls: Option<Acceptor>, server: Arc<Server>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // The peer is gone, or there are no more files: others may close theirs.
                tracing::debug!(%error, "a connection of a webhook could not be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (server, tls) = (Arc::clone(&server), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => server.talk(stream).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                        server.talk(stream).await;
                    }
                }
            }
            drop(permit);
        });
    }
}

impl Server {
    async fn talk(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(|request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, std::convert::Infallible>(server.respond(request).await) }
        });
        let talked = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = talked {
            tracing::debug!(%error, "a connection of a webhook ended");
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answer = self.answer(request).await;
        self.desk.answered(answer);
        answer.response()
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Some(source) = head.uri.path().strip_prefix(PATH).filter(|source| !source.is_empty() && !source.contains('/')) else {
            return Answer::NotFound;
        };
        if head.method != Method::POST {
            return Answer::NotPost;
        }
        let said = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if said.is_some_and(|length| length > MAX_DISCARDED) {
            return Answer::TooLarge;
        }
        let mut held = Vec::new();
        let body = match timeout(BODY, self.read(body, &mut held)).await {
            Ok(Ok(body)) => body,
            Ok(Err(answer)) => return answer,
            Err(_) => return Answer::Incomplete,
        };
        self.desk.deliver(source, &head.headers, &body).await
    }

    /// What is held is paid for with permits, as it comes: a sender that says nothing holds nothing.
    async fn read<'a>(&'a self, mut incoming: Incoming, held: &mut Vec<SemaphorePermit<'a>>) -> Result<Vec<u8>, Answer> {
        let (mut body, mut total) = (Vec::new(), 0_usize);
        while let Some(frame) = incoming.frame().await {
            let Ok(data) = frame.map_err(drop).and_then(|frame| frame.into_data().map_err(drop)) else { return Err(Answer::Incomplete) };
            total += data.len();
            if total > MAX_BODY {
                held.clear();
                body = Vec::new();
                if total > MAX_DISCARDED {
                    break;
                }
                continue;
            }
            let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let paid = self.bytes.try_acquire_many(length).map_err(|_| Answer::Busy { again: Duration::from_secs(1) })?;
            match held.first_mut() {
                Some(first) => first.merge(paid),
                None => held.push(paid),
            }
            body.extend_from_slice(&data);
        }
        if total > MAX_BODY {
            return Err(Answer::TooLarge);
        }
        Ok(body)
    }
}
