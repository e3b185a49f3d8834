//! One question and its reply, on a connection of their own.
//!
//! Models take minutes, and a thousand runs wait at once; so while one waits, next to nothing is kept: the question is sent and forgotten, and no buffer for the
//! reply is there before its first byte. Only then hyper begins, which reads replies as strictly as anywhere else. What hyper would ask is dropped: it was asked.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, response::Parts};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, error::Elapsed, timeout_at},
};

use super::connect::Stream;
use crate::USER_AGENT;

/// What goes wrong between a question and its reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It could not be sent, or nothing came back.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came back is no reply.
    #[error(transparent)]
    Reply(#[from] hyper::Error),
    /// It took too long.
    #[error(transparent)]
    Late(#[from] Elapsed),
}

/// A question as it is sent.
pub(super) fn question<'h>(to: &Uri, headers: impl IntoIterator<Item = &'h (HeaderName, HeaderValue)>, body: &str) -> Vec<u8> {
    let authority = to.authority().map_or("", |authority| authority.as_str());
    let path = to.path_and_query().map_or("/", |path| path.as_str());
    let length = body.len();
    let mut out = format!("POST {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {USER_AGENT}\r\naccept: */*\r\ncontent-length: {length}\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.as_bytes());
    out
}

/// Sends the question, and waits for the reply to begin.
pub(super) async fn send(mut stream: Box<dyn Stream>, question: Vec<u8>) -> Result<Begun, Error> {
    let mut first = [0];
    let read = {
        let (mut from, mut to) = tokio::io::split(&mut stream);
        let writing = async {
            to.write_all(&question).await?;
            to.flush().await
        };
        tokio::select! {
            // Who answers before he has read everything reads no further.
            biased;
            read = from.read(&mut first) => Ok(read?),
            written = writing => Err(written),
        }
    };
    drop(question);
    let read = match read {
        Ok(read) => read,
        // Who closed the door may have said why.
        Err(written) => stream.read(&mut first).await.map_err(|error| written.err().unwrap_or(error))?,
    };
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed without an answer").into());
    }
    Ok(Begun { first: Some(first), rest: TokioIo::new(stream), asked: false, reader: None })
}

/// A connection on which a reply has begun. For hyper: what it writes is dropped, and what it reads is there as soon as it has asked.
pub(super) struct Begun {
    first: Option<[u8; 1]>,
    rest: TokioIo<Box<dyn Stream>>,
    asked: bool,
    reader: Option<Waker>,
}

/// A reply. Its body is none if it has more bytes than there was room for.
pub(super) struct Reply {
    pub(super) head: Parts,
    pub(super) body: Result<Option<Vec<u8>>, Error>,
}

impl Begun {
    /// Reads the reply until then. Of its body there is room for as many bytes as `room` says of its status; if that is none, nothing of it is read.
    pub(super) async fn read(self, room: impl Fn(StatusCode) -> usize, until: Instant) -> Result<Reply, Error> {
        let (mut sender, connection) = http1::handshake(self).await?;
        // How a reply ends depends on the method.
        let mut asked = Request::new(Empty::<Bytes>::new());
        *asked.method_mut() = Method::POST;
        let reply = async {
            let response = timeout_at(until, sender.send_request(asked)).await??;
            let (head, body) = response.into_parts();
            let body = timeout_at(until, collect(body, room(head.status))).await.map_err(Error::from).and_then(|read| Ok(read?));
            Ok(Reply { head, body })
        };
        // What goes wrong with the connection is told to whoever reads from it.
        let connection = async {
            let _ = connection.await;
            std::future::pending().await
        };
        tokio::select! {
            biased;
            reply = reply => reply,
            reply = connection => reply,
        }
    }
}

async fn collect(mut body: Incoming, room: usize) -> hyper::Result<Option<Vec<u8>>> {
    let mut all = Vec::new();
    if room == 0 {
        return Ok(None);
    }
    while let Some(frame) = body.frame().await.transpose()? {
        let Ok(chunk) = frame.into_data() else { continue };
        if chunk.len() > room - all.len() {
            return Ok(None);
        }
        all.extend_from_slice(&chunk);
    }
    Ok(Some(all))
}

impl Read for Begun {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        // A reply to nothing would be an error.
        if !self.asked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match self.first.take() {
            Some(first) => room.put_slice(&first),
            None => ready!(Pin::new(&mut self.rest).poll_read(cx, room))?,
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Begun {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
