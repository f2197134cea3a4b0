//! A run that continues when its client leaves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::request::worker::{TaskToken, Worker};

/// A future that runs to its end after it is dropped, so that a breaker gets the outcome also of calls whose client has
/// lost patience. The worker waits for it.
pub struct Outliving<T: 'static> {
    run: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    limit: Duration,
    token: Option<TaskToken>,
    /// True while the run is to continue without its client; `None`: always.
    condition: Option<Arc<AtomicBool>>,
}

impl<T: 'static> Outliving<T> {
    /// A run on a worker, which continues for at most `limit` after its client has left.
    pub fn new(
        worker: &Arc<Worker>,
        run: Pin<Box<dyn Future<Output = T> + Send>>,
        limit: Duration,
    ) -> Self {
        Outliving {
            run: Some(run),
            limit,
            token: Some(worker.task_token()),
            condition: None,
        }
    }

    /// The same, but it ends with its client while `condition` is false.
    pub fn only_if(mut self, condition: Arc<AtomicBool>) -> Self {
        self.condition = Some(condition);
        self
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
        let condition = self.condition.take();
        if condition.is_some_and(|condition| !condition.load(Ordering::Acquire)) {
            return;
        }
        let (Some(run), Some(token)) = (self.run.take(), self.token.take()) else {
            return;
        };
        // Without a runtime the worker itself has ended, and nothing can continue.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // No client is left to receive the result.
                tokio::time::timeout(limit, run).await.ok();
                drop(token);
            });
        }
    }
}
