//! Waiting for what happens in another thread or process, never for time to pass.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use std::sync::atomic::{AtomicU64, Ordering};

/// How long an event may take before a test gives up: far more than it should, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `see` gives something.
///
/// # Panics
/// If it gives nothing within [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, mut see: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = see() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Polls until `holds` does.
///
/// # Panics
/// If it does not within [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}

/// A door that threads wait at until the test opens it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<Door>, Condvar)>);

#[derive(Debug, Default)]
struct Door {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// Lets everybody pass from now on.
    pub fn open(&self) {
        self.lock().open = true;
        self.0.1.notify_all();
    }

    /// How many wait at it now.
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Waits until it is open; a test that never opens it fails.
    pub fn pass(&self) {
        let mut door = self.lock();
        door.waiting += 1;
        let (mut door, timeout) = self
            .0
            .1
            .wait_timeout_while(door, PATIENCE, |door| !door.open)
            .unwrap_or_else(PoisonError::into_inner);
        door.waiting -= 1;
        assert!(!timeout.timed_out(), "nobody opened the gate");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Door> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that a test turns while others read it: a status, a mode, a count.
#[derive(Debug, Clone, Default)]
pub struct Dial(Arc<AtomicU64>);

impl Dial {
    /// A dial at `value`.
    pub fn at(value: u64) -> Dial {
        Dial(Arc::new(AtomicU64::new(value)))
    }

    /// Turns it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }

    /// Adds one and gives what it was.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// Where it stands.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
