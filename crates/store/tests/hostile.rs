//! The hostile store injects the planned faults, and no others.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{START, wait};
use fusebox_store::{
    Fault, HostileStore, Limits, ManualClock, MemoryStore, NewObject, ObjectStore, Put, When,
};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

fn store() -> HostileStore<MemoryStore> {
    let clock = Arc::new(ManualClock::new(START));
    HostileStore::new(MemoryStore::new(Limits::default(), clock))
}

fn put(store: &dyn ObjectStore, value: &str) -> bool {
    wait(store.put("p", "k", NewObject::text(value), When::Always)).is_ok()
}

fn inside(store: &HostileStore<MemoryStore>) -> Option<String> {
    let object = wait(store.inner().get("p", "k")).unwrap()?;
    Some(String::from_utf8(object.value.to_vec()).unwrap())
}

#[test]
fn each_fault_does_its_harm_in_the_order_planned() {
    let store = store();
    store.plan([Fault::Fail, Fault::LoseAnswer, Fault::Tear, Fault::Lie]);
    assert!(!put(&store, "one"));
    assert_eq!(inside(&store), None);
    assert!(!put(&store, "two"));
    assert_eq!(inside(&store).as_deref(), Some("two"));
    assert!(!put(&store, "three!"));
    assert_eq!(inside(&store).as_deref(), Some("thr"));
    assert!(put(&store, "four"));
    assert_eq!(inside(&store).as_deref(), Some("thr"));
    assert!(put(&store, "five"));
    assert_eq!(inside(&store).as_deref(), Some("five"));
    assert_eq!(store.calls(), 5);
}

#[test]
fn a_standing_fault_stands_until_it_is_lifted() {
    let store = store();
    store.stand(Fault::Fail);
    assert!((0..10).all(|_| wait(store.get("p", "k")).is_err()));
    store.stand(Fault::None);
    assert!(wait(store.get("p", "k")).is_ok());
}

#[test]
fn a_hanging_operation_continues_when_released() {
    let store = store();
    store.plan([Fault::Hang]);
    let mut context = Context::from_waker(Waker::noop());
    let mut hanging = store.put("p", "k", NewObject::text("v"), When::Always);
    for _ in 0..3 {
        assert!(hanging.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(inside(&store), None);
    store.release();
    let answer = hanging.as_mut().poll(&mut context);
    assert!(
        matches!(answer, Poll::Ready(Ok(Put::Stored { .. }))),
        "{answer:?}"
    );
    assert_eq!(inside(&store).as_deref(), Some("v"));
}
