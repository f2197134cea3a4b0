//! Our ordinary ways of calling: a call that does nothing through a guard or a layer, by the system's clock, and the steps
//! through a registry.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fusebox_breaker::{
    BreakerLayer, CallError, Guard, Guards, KeyedBreakerLayer, Outcome, Registry,
};
use tower::{Layer, Service};

use crate::clock::{Clock, Tick};
use crate::ours::settings;
use crate::peers::{Failed, answer};
use crate::{Case, Id, Operation, Rule, Run, run, run_here, trip};

/// A way of calling, and its making for a rule and an operation.
type Way = (&'static str, fn(Rule, Operation) -> Run);

const WAYS: [Way; 4] = [
    ("fusebox, Guard::call", call),
    ("fusebox, Guard::call_async", call_async),
    ("fusebox, BreakerLayer", layer),
    ("fusebox, KeyedBreakerLayer", keyed_layer),
];

/// Registries with so many keys, by the tick.
const KEYS: [(&str, usize); 2] = [
    ("fusebox, tick, Registry of 1", 1),
    ("fusebox, tick, Registry of 10,000", 10_000),
];

pub fn cases(rule: Rule, operation: Operation, tick: &Tick) -> Vec<Case> {
    if rule == Rule::Own || operation == Operation::RefusedHalfOpen {
        return Vec::new();
    }
    let case = |(who, make): Way| Case {
        id: Id {
            rule,
            operation,
            who,
        },
        make: Box::new(move || make(rule, operation)),
    };
    let mut cases: Vec<_> = WAYS.into_iter().map(case).collect();
    // Of many keys the same ones would fail each time, and to trip them all takes long.
    if operation == Operation::Success {
        cases.extend(KEYS.map(|(who, keys)| {
            let tick = tick.clone();
            Case {
                id: Id {
                    rule,
                    operation,
                    who,
                },
                make: Box::new(move || registry(rule, operation, keys, tick.clone())),
            }
        }));
    }
    cases
}

fn guard(rule: Rule, operation: Operation) -> Guard {
    Guard::new("bench", settings(rule, operation)).expect("the settings are sound")
}

fn registry_of(rule: Rule, operation: Operation) -> Registry {
    Registry::new("bench", settings(rule, operation)).expect("the settings are sound")
}

fn passed<T, E>(result: &Result<T, CallError<E>>) -> bool {
    !matches!(result, Err(CallError::Rejected(_)))
}

fn tripped(operation: Operation, op: impl Fn(bool) -> bool + Send + Sync + 'static) -> Run {
    if operation == Operation::RefusedOpen {
        trip(&op);
    }
    run(operation, op)
}

fn call(rule: Rule, operation: Operation) -> Run {
    let guard = guard(rule, operation);
    tripped(operation, move |succeeds| {
        passed(&guard.call(|| answer(succeeds)))
    })
}

fn call_async(rule: Rule, operation: Operation) -> Run {
    let guard = guard(rule, operation);
    tripped(operation, move |succeeds| {
        passed(&at_once(guard.call_async(|| ready(answer(succeeds)))))
    })
}

/// The innermost service: answers at once.
#[derive(Clone)]
struct Inner;

impl Service<bool> for Inner {
    type Response = ();
    type Error = Failed;
    type Future = Ready<Result<(), Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, succeeds: bool) -> Self::Future {
        ready(answer(succeeds))
    }
}

fn layer(rule: Rule, operation: Operation) -> Run {
    let service = BreakerLayer::new(guard(rule, operation)).layer(Inner);
    of_service(operation, service)
}

fn keyed_layer(rule: Rule, operation: Operation) -> Run {
    let guards = Guards::new(registry_of(rule, operation));
    let layer = KeyedBreakerLayer::new(guards, |_: &bool| "tenant-7");
    of_service(operation, layer.layer(Inner))
}

fn of_service<S, E>(operation: Operation, service: S) -> Run
where
    S: Service<bool, Response = (), Error = CallError<E>> + Clone + Send + Sync + 'static,
{
    let ask_and_tell = |service: &RefCell<S>, succeeds| {
        let mut service = service.borrow_mut();
        let mut context = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut context).is_ready());
        passed(&at_once(service.call(succeeds)))
    };
    if operation == Operation::RefusedOpen {
        let service = RefCell::new(service.clone());
        trip(|succeeds| ask_and_tell(&service, succeeds));
    }
    Box::new(move |times| {
        // A service is cloned for each caller, as a server does for each connection.
        let service = RefCell::new(service.clone());
        run_here(operation, times, |succeeds| {
            ask_and_tell(&service, succeeds)
        });
    })
}

/// To find a key's breaker, to ask and to tell; of several keys another one each time.
fn registry(rule: Rule, operation: Operation, keys: usize, clock: Tick) -> Run {
    let registry = Arc::new(registry_of(rule, operation));
    let keys: Vec<String> = (0..keys).map(|key| format!("tenant-{key:05}")).collect();
    let ask_and_tell = {
        let registry = registry.clone();
        move |key: &str, succeeds| {
            let now = clock.now();
            let breaker = registry.get_or_create(key, now);
            let Ok(permit) = breaker.admit(now) else {
                return false;
            };
            let outcome = match succeeds {
                true => Outcome::Success,
                false => Outcome::Failure,
            };
            permit.conclude(outcome, clock.now());
            true
        }
    };
    for key in &keys {
        assert!(ask_and_tell(key, true));
    }
    Box::new(move |times| {
        let next = std::cell::Cell::new(0);
        run_here(operation, times, |succeeds| {
            // A step that visits all of them, far apart.
            next.set((next.get() + 7_919) % keys.len());
            ask_and_tell(&keys[next.get()], succeeds)
        });
    })
}

fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the call does nothing"),
    }
}
