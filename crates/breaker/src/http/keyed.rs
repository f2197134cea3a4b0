//! The HTTP layer with a breaker for each key.

use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::body::GuardedBody;
use super::classify::{ByHead, ByStatus, ClassifyHttp};
use super::layer::BreakerHttpFuture;
use crate::call::Call;
use crate::call_error::{BoxError, Boxed, CallError};
use crate::classify::ErrorsFail;
use crate::clock::{Clock, MonotonicClock};
use crate::guard::guarded::Guarded;
use crate::guards::Guards;

/// Guards an HTTP service by the breakers of a [`Registry`](crate::Registry), one for each key, as a
/// [`BreakerHttpLayer`](super::BreakerHttpLayer) does by one.
///
/// The key is a function of the request. It returns any kind of text.
///
/// ```
/// use fusebox_breaker::{Guards, KeyedBreakerHttpLayer, Registry, Settings};
/// use http::Request;
///
/// let guards = Guards::new(Registry::new("hosts", Settings::default())?);
/// let layer = KeyedBreakerHttpLayer::new(guards, |request: &Request<String>| {
///     request.uri().host().unwrap_or("-").to_owned()
/// });
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyedBreakerHttpLayer<F, K = ByStatus, C = MonotonicClock> {
    guards: Guards<K, C>,
    key: F,
    settle_after: Option<Duration>,
}

impl<F, C> KeyedBreakerHttpLayer<F, ByStatus, C> {
    /// A layer of those guards, which judges [by status](ByStatus); all services made by it share their breakers. `key`
    /// gives the key of a request.
    pub fn new<R, T>(guards: Guards<ErrorsFail, C>, key: F) -> Self
    where
        F: Fn(&R) -> T,
        T: AsRef<str>,
    {
        KeyedBreakerHttpLayer {
            guards: guards.classifier(ByStatus),
            key,
            settle_after: None,
        }
    }
}

impl<F, K, C> KeyedBreakerHttpLayer<F, K, C> {
    /// The same layer with another classifier.
    #[must_use = "it is another layer of the same guards"]
    pub fn classifier<N: ClassifyHttp>(self, classifier: N) -> KeyedBreakerHttpLayer<F, N, C> {
        KeyedBreakerHttpLayer {
            guards: self.guards.classifier(classifier),
            key: self.key,
            settle_after: self.settle_after,
        }
    }

    /// The same layer with a closure that judges heads, see
    /// [`BreakerHttpLayer::classify`](super::BreakerHttpLayer::classify).
    #[must_use = "it is another layer of the same guards"]
    pub fn classify<O, H>(self, head: H) -> KeyedBreakerHttpLayer<F, ByHead<H>, C>
    where
        H: Fn(StatusCode, &HeaderMap) -> O,
        O: Into<Call>,
    {
        self.classifier(ByHead(head))
    }

    /// Ends a call when its body has flowed for this long, see
    /// [`BreakerHttpLayer::settle_after`](super::BreakerHttpLayer::settle_after).
    #[must_use = "it is another layer of the same guards"]
    pub fn settle_after(self, flowed: Duration) -> Self {
        KeyedBreakerHttpLayer {
            settle_after: Some(flowed),
            ..self
        }
    }
}

impl<S, F: Clone, K: Clone, C: Clone> Layer<S> for KeyedBreakerHttpLayer<F, K, C> {
    type Service = KeyedBreakerHttpService<S, F, K, C>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedBreakerHttpService {
            inner,
            guards: self.guards.clone(),
            key: self.key.clone(),
            settle_after: self.settle_after,
        }
    }
}

/// An HTTP service behind the breakers of a registry.
#[derive(Clone, Debug)]
pub struct KeyedBreakerHttpService<S, F, K = ByStatus, C = MonotonicClock> {
    inner: S,
    guards: Guards<K, C>,
    key: F,
    settle_after: Option<Duration>,
}

impl<S, F, K, C, R, T, B> Service<R> for KeyedBreakerHttpService<S, F, K, C>
where
    S: Service<R, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    F: Fn(&R) -> T,
    T: AsRef<str>,
    K: ClassifyHttp + Clone,
    C: Clock + Clone,
{
    type Response = Response<GuardedBody<B, K, C>>;
    type Error = CallError<Boxed>;
    type Future = BreakerHttpFuture<S, R, K, C>;

    /// Always ready, since the breaker to ask is known only with the request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let guard = self.guards.of((self.key)(&request).as_ref());
        let asked = Guarded::begin(guard);
        BreakerHttpFuture::of(asked, &self.inner, request, self.settle_after)
    }
}
