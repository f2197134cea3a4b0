//! Helpers of the tests: waiting without a runtime, and a new store of each kind.
#![allow(dead_code, reason = "each test uses a part of it")]

use fusebox_store::testing::Server;
use fusebox_store::{
    EmbeddedOptions, EmbeddedStore, HostileStore, Limits, ManualClock, MemoryStore, ObjectStore,
    ValkeyOptions, ValkeyStore, WallTime,
};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// Waits for a future on this thread, without a runtime, since the store must not need one.
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

/// A store with its clock and its storage.
pub struct Bed {
    pub store: Box<dyn ObjectStore>,
    pub clock: Arc<ManualClock>,
    _ground: Ground,
}

/// The storage of a store, removed after it.
#[allow(dead_code, reason = "held for what its end does")]
pub enum Ground {
    None,
    Directory(tempfile::TempDir),
    Server(Server),
}

pub const START: WallTime = WallTime(1_700_000_000_000);

pub fn memory(limits: Limits) -> Bed {
    let clock = Arc::new(ManualClock::new(START));
    Bed {
        store: Box::new(MemoryStore::new(limits, clock.clone())),
        clock,
        _ground: Ground::None,
    }
}

pub fn hostile(limits: Limits) -> Bed {
    let clock = Arc::new(ManualClock::new(START));
    let inner = MemoryStore::new(limits, clock.clone());
    Bed {
        store: Box::new(HostileStore::new(inner)),
        clock,
        _ground: Ground::None,
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
        _ground: Ground::Directory(directory),
    }
}

pub fn valkey(limits: Limits) -> Bed {
    let clock = Arc::new(ManualClock::new(START));
    let server = Server::start();
    let mut options = patient(&server.url());
    options.limits = limits;
    options.clock = Some(clock.clone());
    Bed {
        store: Box::new(ValkeyStore::open(options).unwrap()),
        clock,
        _ground: Ground::Server(server),
    }
}

/// Options for tests without deliberate delays, on a machine that may be slow.
pub fn patient(url: &str) -> ValkeyOptions {
    let mut options = ValkeyOptions::parse(url).unwrap();
    options.timeout = Duration::from_secs(30);
    options.connect_timeout = Duration::from_secs(30);
    options
}
