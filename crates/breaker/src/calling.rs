//! A request on its way through a `tower` service: held until the service is ready, then called.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// The answer of a service to a request that waits for it to be ready.
    #[project = CallingProjection]
    pub(crate) enum Calling<S, R, F> {
        Waiting { inner: S, request: Option<R> },
        Called { #[pin] future: F },
    }
}

impl<S: Service<R>, R> Calling<S, R, S::Future> {
    pub fn new(inner: S, request: R) -> Self {
        let request = Some(request);
        Calling::Waiting { inner, request }
    }

    pub fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>> {
        loop {
            match self.as_mut().project() {
                CallingProjection::Waiting { inner, request } => {
                    ready!(inner.poll_ready(context))?;
                    let request = request.take().expect("it waits once, and then calls");
                    let future = inner.call(request);
                    self.set(Calling::Called { future });
                }
                CallingProjection::Called { future } => return future.poll(context),
            }
        }
    }
}
