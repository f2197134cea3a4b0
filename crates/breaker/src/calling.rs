//! A request on its way through a `tower` service: refused by its breaker, or held until the service is ready, then
//! called.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::clock::Clock;
use crate::guard::guarded::{Guarded, OwnedGuarded};
use crate::refused::Refused;

pin_project! {
    /// The answer to a request that the breaker admitted or refused.
    pub(crate) struct Asked<S, R, K, C>
    where
        S: Service<R>,
        C: Clock,
    {
        #[pin]
        state: State<S, R, S::Future>,
        guarded: Option<OwnedGuarded<K, C>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, F> {
        Refused { refused: Option<Refused> },
        Passing { #[pin] calling: Calling<S, R, F> },
    }
}

/// A service's answer with the call that it ends, or the refusal.
type Answered<'a, T, E, K, C> = Result<(Result<T, E>, &'a mut Option<OwnedGuarded<K, C>>), Refused>;

impl<S, R, K, C> Asked<S, R, K, C>
where
    S: Service<R>,
    C: Clock,
{
    pub fn new(asked: Result<OwnedGuarded<K, C>, Refused>, inner: &S, request: R) -> Self
    where
        S: Clone,
    {
        let (state, guarded) = match asked {
            Ok(guarded) => {
                let calling = Calling::new(inner.clone(), request);
                (State::Passing { calling }, Some(guarded))
            }
            Err(refused) => {
                let refused = Some(refused);
                (State::Refused { refused }, None)
            }
        };
        Asked { state, guarded }
    }

    pub fn poll<'a>(
        self: Pin<&'a mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Answered<'a, S::Response, S::Error, K, C>> {
        let this = self.project();
        let calling = match this.state.project() {
            StateProjection::Refused { refused } => {
                return Poll::Ready(Err(refused.take().expect("it is polled once")));
            }
            StateProjection::Passing { calling } => calling,
        };
        let result = ready!(Guarded::within_kept(this.guarded, || calling.poll(context)));
        Poll::Ready(Ok((result, this.guarded)))
    }
}

pin_project! {
    /// The answer of a service to a request that waits for it to be ready.
    #[project = CallingProjection]
    enum Calling<S, R, F> {
        Waiting { inner: S, request: Option<R> },
        Called { #[pin] future: F },
    }
}

impl<S: Service<R>, R> Calling<S, R, S::Future> {
    fn new(inner: S, request: R) -> Self {
        let request = Some(request);
        Calling::Waiting { inner, request }
    }

    fn poll(
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
