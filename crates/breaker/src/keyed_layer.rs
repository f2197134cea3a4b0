//! The breakers of a registry as a `tower` layer: each request is guarded by the breaker of its own key.

use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::call_error::{BoxError, Boxed, CallError};
use crate::classify::{Classify, ErrorsFail};
use crate::clock::{Clock, MonotonicClock};
use crate::guard::guarded::Guarded;
use crate::guards::Guards;
use crate::layer::BreakerFuture;

/// Guards a service by the breakers of a [`Registry`](crate::Registry), one for each key.
///
/// The service inside must be `Clone`, and the one made is always ready, as of a [`BreakerLayer`](crate::BreakerLayer).
///
/// The key is a function of the request. It returns any kind of text: a `String`, an `Arc<str>`, a `&'static str`.
///
/// ```
/// use fusebox_breaker::{Guards, KeyedBreakerLayer, Registry, Settings};
/// use tower_layer::Layer;
/// # struct Client;
/// struct Request {
///     tenant: String,
/// }
///
/// let guards = Guards::new(Registry::new("orders", Settings::default())?);
/// let layer = KeyedBreakerLayer::new(guards, |request: &Request| request.tenant.clone());
/// let service = layer.layer(Client);
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyedBreakerLayer<F, K = ErrorsFail, C = MonotonicClock> {
    guards: Guards<K, C>,
    key: F,
}

impl<F, K, C> KeyedBreakerLayer<F, K, C> {
    /// A layer of those guards; all services made by it share their breakers. `key` gives the key of a request.
    pub fn new<R, T>(guards: Guards<K, C>, key: F) -> Self
    where
        F: Fn(&R) -> T,
        T: AsRef<str>,
    {
        KeyedBreakerLayer { guards, key }
    }
}

impl<S, F: Clone, K: Clone, C: Clone> Layer<S> for KeyedBreakerLayer<F, K, C> {
    type Service = KeyedBreakerService<S, F, K, C>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedBreakerService {
            inner,
            guards: self.guards.clone(),
            key: self.key.clone(),
        }
    }
}

/// A service behind the breakers of a registry. The service inside is polled only for calls that the breaker of their key
/// lets pass.
#[derive(Clone, Debug)]
pub struct KeyedBreakerService<S, F, K = ErrorsFail, C = MonotonicClock> {
    inner: S,
    guards: Guards<K, C>,
    key: F,
}

impl<S, F, K, C, R, T> Service<R> for KeyedBreakerService<S, F, K, C>
where
    S: Service<R> + Clone,
    F: Fn(&R) -> T,
    T: AsRef<str>,
    S::Error: Into<BoxError>,
    K: Classify<S::Response, S::Error> + Clone,
    C: Clock + Clone,
{
    type Response = S::Response;
    type Error = CallError<Boxed>;
    type Future = BreakerFuture<S, R, K, C>;

    /// Always ready, since the breaker to ask is known only with the request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let guard = self.guards.of((self.key)(&request).as_ref());
        BreakerFuture::of(Guarded::begin(guard), &self.inner, request)
    }
}
