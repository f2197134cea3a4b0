//! The tower layer: the service inside hears nothing of a call that the breaker refuses.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use fusebox_breaker::{
    BreakerLayer, BreakerService, CallError, ErrorsFail, Guard, Phase, SettledAs,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::kit::{at, breaker, in_a_row, tripped};
use crate::ways_in::{Hand, now_or_never};

/// Counts how often it is asked; answers `Err` to `false`, and is never ready where it hangs.
#[derive(Clone, Default)]
struct Inner {
    polled: Arc<AtomicU32>,
    called: Arc<AtomicU32>,
    hangs: bool,
}

impl Service<bool> for Inner {
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

    fn call(&mut self, request: bool) -> Self::Future {
        self.called.fetch_add(1, Ordering::Relaxed);
        ready(if request { Ok(()) } else { Err("down") })
    }
}

type Guarded = BreakerService<Inner, ErrorsFail, Arc<Hand>>;

fn service(guard: &Guard<ErrorsFail, Arc<Hand>>, inner: &Inner) -> Guarded {
    BreakerLayer::new(guard.clone()).layer(inner.clone())
}

#[test]
fn a_refused_call_never_polls_the_service_inside() {
    let guard = Guard::new(breaker(in_a_row(1))).clock(Arc::new(Hand::default()));
    let inner = Inner::default();
    let mut service = service(&guard, &inner);
    assert_eq!(now_or_never(service.call(true)), Some(Ok(())));
    assert_eq!(
        now_or_never(service.call(false)),
        Some(Err(CallError::Failed("down")))
    );
    assert_eq!(inner.polled.load(Ordering::Relaxed), 2);
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let refused = now_or_never(service.call(true));
    assert!(matches!(refused, Some(Err(CallError::Rejected(_)))));
    assert_eq!(inner.polled.load(Ordering::Relaxed), 2);
    assert_eq!(inner.called.load(Ordering::Relaxed), 2);
}

#[test]
fn a_probe_dropped_while_the_service_inside_is_not_ready_gives_its_place_back() {
    let clock = Arc::new(Hand::default());
    let guard = Guard::new(tripped(in_a_row(1), 0)).clock(clock.clone());
    clock.set(1_000);
    let hangs = Inner {
        hangs: true,
        ..Inner::default()
    };
    assert_eq!(now_or_never(service(&guard, &hangs).call(true)), None);
    let last = *guard.breaker().snapshot(at(1_000)).outcomes.last().unwrap();
    assert_eq!(last.counted, SettledAs::Ignored);
    assert_eq!(
        now_or_never(service(&guard, &Inner::default()).call(true)),
        Some(Ok(()))
    );
    assert_eq!(guard.breaker().snapshot(at(1_000)).phase, Phase::Closed);
}
