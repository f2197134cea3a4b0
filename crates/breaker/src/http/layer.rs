//! The `tower` layer for HTTP: the permit goes from the request into the response's body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{Begun, Ended, GuardedBody};
use super::classify::{ByHead, ByStatus, ClassifyHttp};
use super::grpc;
use crate::call::Call;
use crate::call_error::{BoxError, Boxed, CallError};
use crate::calling::Calling;
use crate::classify::ErrorsFail;
use crate::clock::{Clock, MonotonicClock};
use crate::guard::Guard;
use crate::guard::guarded::{Guarded, OwnedGuarded};
use crate::refused::Refused;

/// Guards a service whose responses are [`http::Response`]s by a breaker.
///
/// A call lasts until its response's body has ended, in its last frame, its trailers or an error, or is dropped; so a
/// probe's place is held, and a body that is cut is a failure. A response without a body ends at once. [`ByStatus`]
/// describes the outcomes, which [`classify`](BreakerHttpLayer::classify) and
/// [`classifier`](BreakerHttpLayer::classifier) replace. A guard with a classifier of its own judges other calls, so it
/// does not fit here: give the layer the guard without it. A call's duration, for rules about slow calls, is the time
/// to the head.
///
/// The body is wrapped in a [`GuardedBody`], neither boxed nor buffered, so the layer goes before `hyper`'s client,
/// `tonic`'s channel, an `axum` route, or `reqwest` whose responses are mapped by `http::Response::from`. Its error is a
/// `CallError<Boxed>`, and the service inside must be `Clone`, as of a [`BreakerLayer`](crate::BreakerLayer).
///
/// A response that never ends, such as a stream of events, never ends its call either, unless
/// [`settle_after`](BreakerHttpLayer::settle_after) is set.
///
/// ```
/// use fusebox_breaker::{BreakerHttpLayer, Guard, Outcome, Settings};
/// use tower_layer::Layer;
/// # struct Client;
///
/// let guard = Guard::new("orders", Settings::default())?;
/// let service = BreakerHttpLayer::new(guard.clone()).layer(Client);
///
/// let strict = BreakerHttpLayer::new(guard).classify(|status, _headers| match status.as_u16() {
///     404 => Outcome::Ignored,
///     429 | 500.. => Outcome::Failure,
///     _ => Outcome::Success,
/// });
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct BreakerHttpLayer<K = ByStatus, C = MonotonicClock> {
    guard: Guard<K, C>,
    settle_after: Option<Duration>,
}

impl<C> BreakerHttpLayer<ByStatus, C> {
    /// A layer of that guard, which judges [by status](ByStatus); all services made by it share its breaker.
    pub fn new(guard: Guard<ErrorsFail, C>) -> Self {
        BreakerHttpLayer {
            guard: guard.classifier(ByStatus),
            settle_after: None,
        }
    }
}

impl<K, C> BreakerHttpLayer<K, C> {
    /// The same layer with another classifier.
    #[must_use = "it is another layer of the same guard"]
    pub fn classifier<N: ClassifyHttp>(self, classifier: N) -> BreakerHttpLayer<N, C> {
        BreakerHttpLayer {
            guard: self.guard.classifier(classifier),
            settle_after: self.settle_after,
        }
    }

    /// The same layer with a closure that judges heads; it returns an [`Outcome`](crate::Outcome) or a [`Call`].
    /// Trailers, cut bodies and errors are judged as by [`ByStatus`].
    #[must_use = "it is another layer of the same guard"]
    pub fn classify<O, F>(self, head: F) -> BreakerHttpLayer<ByHead<F>, C>
    where
        F: Fn(StatusCode, &HeaderMap) -> O,
        O: Into<Call>,
    {
        self.classifier(ByHead(head))
    }

    /// Ends a call by its head's outcome when its body has flowed for this long after the head; the rest of the body
    /// says nothing. For streams without an end, which otherwise would hold a probe's place. Default: only the body's
    /// end ends the call.
    #[must_use = "it is another layer of the same guard"]
    pub fn settle_after(self, flowed: Duration) -> Self {
        BreakerHttpLayer {
            settle_after: Some(flowed),
            ..self
        }
    }
}

impl<S, K: Clone, C: Clone> Layer<S> for BreakerHttpLayer<K, C> {
    type Service = BreakerHttpService<S, K, C>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerHttpService {
            inner,
            guard: self.guard.clone(),
            settle_after: self.settle_after,
        }
    }
}

/// An HTTP service behind a breaker. The service inside is polled only for calls that the breaker lets pass.
#[derive(Clone, Debug)]
pub struct BreakerHttpService<S, K = ByStatus, C = MonotonicClock> {
    inner: S,
    guard: Guard<K, C>,
    settle_after: Option<Duration>,
}

impl<S, K, C, R, B> Service<R> for BreakerHttpService<S, K, C>
where
    S: Service<R, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    K: ClassifyHttp + Clone,
    C: Clock + Clone,
{
    type Response = Response<GuardedBody<B, K, C>>;
    type Error = CallError<Boxed>;
    type Future = BreakerHttpFuture<S, R, K, C>;

    /// Always ready: the breaker is asked when the request has come.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let asked = Guarded::begin(self.guard.clone());
        BreakerHttpFuture::of(asked, &self.inner, request, self.settle_after)
    }
}

pin_project! {
    /// The response of a [`BreakerHttpService`] or a [`KeyedBreakerHttpService`](super::KeyedBreakerHttpService). Dropped
    /// before the head has come, the call counts as [`OnAbandoned`](crate::OnAbandoned) says.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct BreakerHttpFuture<S, R, K, C>
    where
        S: Service<R>,
        C: Clock,
    {
        #[pin]
        state: State<S, R, S::Future>,
        guarded: Option<OwnedGuarded<K, C>>,
        settle_after: Option<Duration>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, F> {
        Refused { refused: Option<Refused> },
        Passing { #[pin] calling: Calling<S, R, F> },
    }
}

impl<S, R, K, C> BreakerHttpFuture<S, R, K, C>
where
    S: Service<R> + Clone,
    C: Clock,
{
    pub(super) fn of(
        asked: Result<OwnedGuarded<K, C>, Refused>,
        inner: &S,
        request: R,
        settle_after: Option<Duration>,
    ) -> Self {
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
        BreakerHttpFuture {
            state,
            guarded,
            settle_after,
        }
    }
}

impl<S, R, K, C, B> Future for BreakerHttpFuture<S, R, K, C>
where
    S: Service<R, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    K: ClassifyHttp,
    C: Clock,
{
    type Output = Result<Response<GuardedBody<B, K, C>>, CallError<Boxed>>;

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
        let guarded = this.guarded.take();
        Poll::Ready(match result {
            Ok(response) => Ok(begun(response, guarded, *this.settle_after)),
            Err(error) => {
                let error = error.into();
                if let Some(mut guarded) = guarded {
                    guarded.end(|classifier| classifier.error(&*error));
                }
                Err(CallError::Failed(error).boxed())
            }
        })
    }
}

/// The response whose head has come, with its call in its body.
fn begun<B: Body, K: ClassifyHttp, C: Clock>(
    response: Response<B>,
    guarded: Option<OwnedGuarded<K, C>>,
    settle_after: Option<Duration>,
) -> Response<GuardedBody<B, K, C>> {
    let (parts, body) = response.into_parts();
    let (begun, guarded) = match guarded {
        None => (None, None),
        Some(mut guarded) => {
            let (status, headers) = (parts.status, &parts.headers);
            let mut head = guarded.look(|classifier| classifier.head(status, headers));
            let took = guarded.answered(settle_after.is_some());
            head.duration = head.duration.or(took);
            let begun = Begun {
                head,
                owes_grpc_status: grpc::is_owed(headers),
                settle_after,
            };
            match body.is_end_stream() {
                true => {
                    guarded.end(|classifier| begun.end(classifier, Ended::Well(None)));
                    (None, None)
                }
                false => (Some(begun), Some(guarded)),
            }
        }
    };
    Response::from_parts(parts, GuardedBody::new(body, begun, guarded))
}
