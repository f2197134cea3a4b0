//! A run that goes on when its client leaves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::request::worker::{TaskToken, Worker};

/// A run that goes on to its end when whoever waits for it lets go of it, so that a breaker hears
/// how a call went also from those whose client has lost patience. The worker waits for it.
pub struct Outliving<T: 'static> {
    run: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    limit: Duration,
    token: Option<TaskToken>,
}

impl<T: 'static> Outliving<T> {
    /// A run on a worker, which goes on for `limit` when its client has left.
    pub fn new(
        worker: &Arc<Worker>,
        run: Pin<Box<dyn Future<Output = T> + Send>>,
        limit: Duration,
    ) -> Self {
        Outliving {
            run: Some(run),
            limit,
            token: Some(worker.task_token()),
        }
    }
}

impl<T: 'static> Future for Outliving<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        let run = this
            .run
            .as_mut()
            .expect("a future is not polled again once it has ended");
        let done = std::task::ready!(run.as_mut().poll(cx));
        this.run = None;
        Poll::Ready(done)
    }
}

impl<T: 'static> Drop for Outliving<T> {
    fn drop(&mut self) {
        let limit = self.limit;
        let (Some(run), Some(token)) = (self.run.take(), self.token.take()) else {
            return;
        };
        // Without a runtime the worker itself has ended, and nothing can go on.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Nobody is left to hear of the result, or that it took too long.
                tokio::time::timeout(limit, run).await.ok();
                drop(token);
            });
        }
    }
}
