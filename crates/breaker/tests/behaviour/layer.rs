//! The tower layers: the service inside hears nothing of a call that the breaker refuses.

use std::future::{Future, Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use fusebox_breaker::{
    Boxed, BreakerLayer, CallError, ErrorsFail, Guard, Guards, KeyedBreakerLayer, Phase, Registry,
    layers::BreakerService, machine::SettledAs,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::kit::{at, breaker, in_a_row, tripped};
use crate::ways_in::{Hand, now_or_never};

/// Whose the request is, and whether it goes well.
type Request = (&'static str, bool);

/// Counts how often it is asked; is never ready where it hangs.
#[derive(Clone, Default)]
struct Inner {
    polled: Arc<AtomicU32>,
    called: Arc<AtomicU32>,
    hangs: bool,
}

impl Service<Request> for Inner {
    type Response = ();
    type Error = &'static str;
    type Future = Ready<Result<(), &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.polled.fetch_add(1, Ordering::Relaxed);
        if self.hangs {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn call(&mut self, (_, goes_well): Request) -> Self::Future {
        self.called.fetch_add(1, Ordering::Relaxed);
        ready(if goes_well { Ok(()) } else { Err("down") })
    }
}

fn passes(call: impl Future<Output = Result<(), CallError<Boxed>>>) -> bool {
    matches!(now_or_never(call), Some(Ok(())))
}

fn is_down(call: impl Future<Output = Result<(), CallError<Boxed>>>) -> bool {
    let Some(Err(CallError::Failed(error))) = now_or_never(call) else {
        return false;
    };
    error.to_string() == "down"
}

type Guarded = BreakerService<Inner, ErrorsFail, Arc<Hand>>;

fn service(guard: &Guard<ErrorsFail, Arc<Hand>>, inner: &Inner) -> Guarded {
    BreakerLayer::new(guard.clone()).layer(inner.clone())
}

#[test]
fn a_refused_call_never_polls_the_service_inside() {
    let guard = Guard::of(breaker(in_a_row(1))).clock(Arc::new(Hand::default()));
    let inner = Inner::default();
    let mut service = service(&guard, &inner);
    assert!(passes(service.call(("acme", true))));
    assert!(is_down(service.call(("acme", false))));
    assert_eq!(inner.polled.load(Ordering::Relaxed), 2);
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let refused = now_or_never(service.call(("acme", true)));
    assert!(matches!(refused, Some(Err(CallError::Rejected(_)))));
    assert_eq!(inner.polled.load(Ordering::Relaxed), 2);
    assert_eq!(inner.called.load(Ordering::Relaxed), 2);
}

#[test]
fn a_probe_dropped_while_the_service_inside_is_not_ready_gives_its_place_back() {
    let clock = Arc::new(Hand::default());
    let guard = Guard::of(tripped(in_a_row(1), 0)).clock(clock.clone());
    clock.set(1_000);
    let hangs = Inner {
        hangs: true,
        ..Inner::default()
    };
    assert!(now_or_never(service(&guard, &hangs).call(("acme", true))).is_none());
    let last = *guard.breaker().snapshot(at(1_000)).outcomes.last().unwrap();
    assert_eq!(last.counted, SettledAs::Ignored);
    assert!(passes(
        service(&guard, &Inner::default()).call(("acme", true))
    ));
    assert_eq!(guard.breaker().snapshot(at(1_000)).phase, Phase::Closed);
}

/// Guards whose breakers trip at the first failure, and their clock.
fn guards(max_keys: usize) -> (Guards<ErrorsFail, Arc<Hand>>, Arc<Hand>) {
    let registry = Registry::builder("tenants", in_a_row(1)).max_keys(max_keys);
    let clock = Arc::new(Hand::default());
    let guards = Guards::new(registry.build().unwrap()).clock(clock.clone());
    (guards, clock)
}

fn tenant(request: &Request) -> &'static str {
    request.0
}

#[test]
fn each_request_is_guarded_by_the_breaker_of_its_own_key() {
    let (guards, _) = guards(10);
    let inner = Inner::default();
    let mut service = KeyedBreakerLayer::new(guards.clone(), tenant).layer(inner.clone());
    assert!(is_down(service.call(("acme", false))));
    assert!(passes(service.call(("other", true))));
    assert_eq!(inner.polled.load(Ordering::Relaxed), 2);
    let mut context = Context::from_waker(Waker::noop());
    let ready = service.poll_ready(&mut context);
    assert!(ready.is_ready());
    let refused = now_or_never(service.call(("acme", true)));
    let Some(Err(CallError::Rejected(rejection))) = refused else {
        panic!("refused: {refused:?}");
    };
    assert_eq!(rejection.retry_after(guards.now()), Some(1));
    assert_eq!(inner.polled.load(Ordering::Relaxed), 2);
    assert_eq!(inner.called.load(Ordering::Relaxed), 2);
    assert_eq!(guards.registry().len(), 2);
}

#[test]
fn a_keyed_probe_dropped_while_the_service_inside_is_not_ready_gives_its_place_back() {
    let (guards, clock) = guards(10);
    let _ = guards.of("acme").call(|| Err::<(), _>("down"));
    clock.set(1_000);
    let layer = KeyedBreakerLayer::new(guards.clone(), tenant);
    let hangs = Inner {
        hangs: true,
        ..Inner::default()
    };
    assert!(now_or_never(layer.layer(hangs).call(("acme", true))).is_none());
    let breaker = guards.registry().get("acme").unwrap();
    let last = *breaker.snapshot(at(1_000)).outcomes.last().unwrap();
    assert_eq!(last.counted, SettledAs::Ignored);
    let mut service = layer.layer(Inner::default());
    assert!(passes(service.call(("acme", true))));
    assert_eq!(breaker.snapshot(at(1_000)).phase, Phase::Closed);
}

#[test]
fn a_key_is_not_forgotten_while_its_call_is_under_way() {
    let (guards, _) = guards(1);
    let layer = KeyedBreakerLayer::new(guards.clone(), tenant);
    let hangs = Inner {
        hangs: true,
        ..Inner::default()
    };
    let under_way = layer.layer(hangs).call(("acme", true));
    let mut service = layer.layer(Inner::default());
    for _ in 0..3 {
        assert!(passes(service.call(("other", true))));
    }
    assert!(guards.registry().contains("acme"));
    drop(under_way);
    for _ in 0..3 {
        assert!(passes(service.call(("other", true))));
    }
    assert!(guards.registry().contains("other"));
}
