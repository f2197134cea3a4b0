//! The breaker as a `tower` layer.
//!
//! Tower asks a service whether it is ready before the request comes. A breaker that passed the question on would poll
//! a service that it may have to refuse, and would keep a probe's place for a request that may never come. So this
//! service is always ready; it asks the breaker when the request has come, and only then polls the service inside.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::call_error::{BoxError, Boxed, CallError};
use crate::calling::Calling;
use crate::classify::{Classify, ErrorsFail};
use crate::clock::{Clock, MonotonicClock};
use crate::guard::Guard;
use crate::guard::guarded::{Guarded, OwnedGuarded};
use crate::refused::Refused;

/// Guards a service by a breaker. A call ends with the service's answer; for an HTTP response, whose body is still to
/// come, use a `BreakerHttpLayer` (feature `http`).
///
/// The error is a `CallError<Boxed>`, whatever the service's own: so other layers may stand outside and inside, as
/// `tower`'s buffer, timeout and load shedding, which pass on any error that can be boxed. From such an error
/// [`Refused::find_in`] finds the refusal.
///
/// The resulting service is always ready and waits for the one inside only when a call may pass, in that call's own
/// future; so the one inside must be `Clone`, as each call has a clone of it. A layer that waits or sheds load by
/// readiness has no effect outside of this one: `load_shed` belongs inside, directly around the service that is not
/// always ready.
///
/// ```
/// use fusebox_breaker::{BreakerLayer, Guard, Settings};
/// use tower_layer::Layer;
/// # struct Client;
///
/// let guard = Guard::new("orders", Settings::default())?;
/// let service = BreakerLayer::new(guard).layer(Client);
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct BreakerLayer<K = ErrorsFail, C = MonotonicClock> {
    guard: Guard<K, C>,
}

impl<K, C> BreakerLayer<K, C> {
    /// A layer of that guard; all services made by it share its breaker.
    pub fn new(guard: Guard<K, C>) -> Self {
        BreakerLayer { guard }
    }
}

impl<S, K: Clone, C: Clone> Layer<S> for BreakerLayer<K, C> {
    type Service = BreakerService<S, K, C>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService {
            inner,
            guard: self.guard.clone(),
        }
    }
}

/// A service behind a breaker. The service inside is polled only for calls that the breaker lets pass.
#[derive(Clone, Debug)]
pub struct BreakerService<S, K = ErrorsFail, C = MonotonicClock> {
    inner: S,
    guard: Guard<K, C>,
}

impl<S, K, C, R> Service<R> for BreakerService<S, K, C>
where
    S: Service<R> + Clone,
    S::Error: Into<BoxError>,
    K: Classify<S::Response, S::Error> + Clone,
    C: Clock + Clone,
{
    type Response = S::Response;
    type Error = CallError<Boxed>;
    type Future = BreakerFuture<S, R, K, C>;

    /// Always ready: a breaker that passed the question on would poll a service that it may have to refuse, and would
    /// keep a probe's place for a request that may never come. The breaker is asked when the request has come, and only
    /// then is the service inside polled, by a clone of its own.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let asked = Guarded::begin(self.guard.clone());
        BreakerFuture::of(asked, &self.inner, request)
    }
}

pin_project! {
    /// The answer of a [`BreakerService`] or a [`KeyedBreakerService`](crate::layers::KeyedBreakerService). Dropped before its end, the call counts as
    /// [`OnAbandoned`](crate::OnAbandoned) says.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct BreakerFuture<S, R, K, C>
    where
        S: Service<R>,
        C: Clock,
    {
        #[pin]
        state: State<S, R, S::Future>,
        guarded: Option<OwnedGuarded<K, C>>,
    }
}

impl<S, R, K, C> BreakerFuture<S, R, K, C>
where
    S: Service<R> + Clone,
    C: Clock,
{
    /// The answer to a request that the breaker admitted or refused.
    pub(crate) fn of(asked: Result<OwnedGuarded<K, C>, Refused>, inner: &S, request: R) -> Self {
        match asked {
            Ok(guarded) => BreakerFuture {
                state: State::Passing {
                    calling: Calling::new(inner.clone(), request),
                },
                guarded: Some(guarded),
            },
            Err(refused) => BreakerFuture {
                state: State::Refused {
                    refused: Some(refused),
                },
                guarded: None,
            },
        }
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, F> {
        Refused { refused: Option<Refused> },
        Passing { #[pin] calling: Calling<S, R, F> },
    }
}

impl<S, R, K, C> Future for BreakerFuture<S, R, K, C>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
    K: Classify<S::Response, S::Error>,
    C: Clock,
{
    type Output = Result<S::Response, CallError<Boxed>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let calling = match this.state.project() {
            StateProjection::Refused { refused } => {
                let refused = refused.take().expect("it is polled once");
                return Poll::Ready(Err(CallError::Rejected(refused)));
            }
            StateProjection::Passing { calling } => calling,
        };
        let result = ready!(Guarded::within_kept(this.guarded, || calling.poll(context)));
        Guarded::end_kept(this.guarded, |classifier| classifier.classify(&result));
        Poll::Ready(result.map_err(|error| CallError::Failed(error).boxed()))
    }
}
