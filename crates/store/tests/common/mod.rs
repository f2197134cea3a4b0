//! What the tests share: waiting without a runtime, and a fresh store of each kind.
#![allow(dead_code, reason = "each test uses a part of it")]

use fusebox_store::{
    EmbeddedOptions, EmbeddedStore, HostileStore, Limits, ManualClock, MemoryStore, ObjectStore,
    WallTime,
};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// Waits for a future on this thread. No runtime: the store must not need one.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
        std::thread::park();
    }
}

/// A store, its clock, and its directory if it has one.
pub struct Bed {
    pub store: Box<dyn ObjectStore>,
    pub clock: Arc<ManualClock>,
    _directory: Option<tempfile::TempDir>,
}

pub const START: WallTime = WallTime(1_700_000_000_000);

pub fn memory(limits: Limits) -> Bed {
    let clock = Arc::new(ManualClock::new(START));
    Bed {
        store: Box::new(MemoryStore::new(limits, clock.clone())),
        clock,
        _directory: None,
    }
}

pub fn hostile(limits: Limits) -> Bed {
    let clock = Arc::new(ManualClock::new(START));
    let inner = MemoryStore::new(limits, clock.clone());
    Bed {
        store: Box::new(HostileStore::new(inner)),
        clock,
        _directory: None,
    }
}

pub fn embedded(limits: Limits) -> Bed {
    let clock = Arc::new(ManualClock::new(START));
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        limits,
        clock: clock.clone(),
        ..EmbeddedOptions::default()
    };
    let (store, _) = EmbeddedStore::open(directory.path(), options).unwrap();
    Bed {
        store: Box::new(store),
        clock,
        _directory: Some(directory),
    }
}
