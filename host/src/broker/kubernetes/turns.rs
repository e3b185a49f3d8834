//! How many requests are on their way to the API server at a time.
//!
//! Each of them has a connection of its own (HTTP/1), which stays open afterwards: some forty kilobytes of buffers and TLS. Without a bound a thousand runs that
//! write their records in the same second leave a thousand connections behind, and the API server is no faster for it.
//!
//! # Caveats
//!
//! * The wait is part of the time that a request may take. A request that is given up while it waits is never sent.
//! * A turn ends when the answer begins, so while long answers are read there may be a few connections more.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use kube::client::{Body, ClientBuilder, DynBody};
use tokio::sync::Semaphore;
use tower::{BoxError, Layer, Service};

/// How many requests of one client are on their way at a time.
pub(crate) const SIDE_BY_SIDE: usize = 32;

/// A client that sends at most [`SIDE_BY_SIDE`] requests at a time, in the order in which they were asked for. Not for watches, which never end, and not for
/// Leases, which cannot wait.
pub(crate) fn client(config: kube::Config) -> Result<kube::Client, kube::Error> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&Turns(Arc::new(Semaphore::new(SIDE_BY_SIDE)))).build())
}

struct Turns(Arc<Semaphore>);

impl<S> Layer<S> for Turns {
    type Service = InTurn<S>;

    fn layer(&self, inner: S) -> InTurn<S> {
        InTurn { inner, turns: Arc::clone(&self.0) }
    }
}

/// Sends when it is its turn.
struct InTurn<S> {
    inner: S,
    turns: Arc<Semaphore>,
}

impl<S> Service<Request<Body>> for InTurn<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (turns, answer) = (Arc::clone(&self.turns), self.inner.call(request));
        Box::pin(async move {
            let _turn = turns.acquire_owned().await?;
            // Nothing is sent before this is polled.
            answer.await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::BoxFuture;
    use tokio::sync::watch;

    use super::*;

    /// Answers nothing until the door opens, and counts who stands before it.
    #[derive(Clone)]
    struct Behind {
        door: watch::Receiver<bool>,
        inside: Arc<AtomicUsize>,
    }

    impl Service<Request<Body>> for Behind {
        type Response = Response<Box<DynBody>>;
        type Error = BoxError;
        type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            let Self { mut door, inside } = self.clone();
            Box::pin(async move {
                inside.fetch_add(1, Ordering::SeqCst);
                door.wait_for(|open| *open).await?;
                Err("nothing here".into())
            })
        }
    }

    #[tokio::test]
    async fn no_more_requests_than_turns_are_sent_and_one_that_was_given_up_never_is() {
        let (open, door) = watch::channel(false);
        let inside = Arc::new(AtomicUsize::new(0));
        let mut service = Turns(Arc::new(Semaphore::new(3))).layer(Behind { door, inside: Arc::clone(&inside) });
        let mut ask = || {
            let answer = service.call(Request::new(Body::empty()));
            tokio::spawn(async move { answer.await.map(drop) })
        };
        let mut tasks: Vec<_> = (0..10).map(|_| ask()).collect();
        while inside.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(inside.load(Ordering::SeqCst), 3, "the others wait");
        let given_up = tasks.pop().unwrap();
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        open.send_replace(true);
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap_err().to_string(), "nothing here");
        }
        assert_eq!(inside.load(Ordering::SeqCst), 9);
    }
}
