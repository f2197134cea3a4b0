//! The state of one client's connection: what it waits for, and since when.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Context;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Limits;
use futures_util::task::AtomicWaker;

/// What a connection waits for, and since when: one word, written by its own worker.
#[derive(Debug)]
pub struct Phase {
    word: AtomicU64,
    /// What keeps it busy: the request, and its body, which may flow on after the answer.
    users: AtomicU32,
    /// The client has closed its side while it was served: nothing more comes from it.
    left: AtomicBool,
    /// Whom that concerns: a body that waits for more, and a call that may be given up.
    body: AtomicWaker,
    caller: AtomicWaker,
}

const KIND_BITS: u32 = 2;
const FRESH: u64 = 0;
const IDLE: u64 = 1;
const HEAD: u64 = 2;
const BUSY: u64 = 3;

impl Phase {
    pub fn new(now: Timestamp) -> Phase {
        Phase {
            word: AtomicU64::new(word(FRESH, now)),
            users: AtomicU32::new(0),
            left: AtomicBool::new(false),
            body: AtomicWaker::new(),
            caller: AtomicWaker::new(),
        }
    }

    /// Whether the client has closed its side while it was served; wakes `cx` when it does. What it
    /// still owed will not come. Whether it still reads cannot be known: it gets its answer.
    pub fn is_left(&self, cx: &Context<'_>) -> bool {
        self.body.register(cx.waker());
        self.has_left()
    }

    /// The same for the call that is made for the client.
    pub fn is_left_by_caller(&self, cx: &Context<'_>) -> bool {
        self.caller.register(cx.waker());
        self.has_left()
    }

    /// The same without waiting for it.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// The client has closed its side, or its connection has broken.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
        self.body.wake();
        self.caller.wake();
    }

    /// A request or its body is being served: the connection has no time limit of its own until
    /// everybody who said so has called [`Phase::idle`].
    pub fn busy(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
        self.word.store(BUSY, Ordering::Relaxed);
    }

    /// The request or its body has been served.
    pub fn idle(&self, now: Timestamp) {
        if self.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.word.store(word(IDLE, now), Ordering::Relaxed);
        }
    }

    /// Nothing has come yet.
    pub fn is_fresh(&self) -> bool {
        self.kind() == FRESH
    }

    /// No request is begun.
    pub fn is_waiting(&self) -> bool {
        matches!(self.kind(), FRESH | IDLE)
    }

    fn kind(&self) -> u64 {
        self.word.load(Ordering::Relaxed) % (1 << KIND_BITS)
    }

    /// A request or its body is being served.
    pub fn is_busy(&self) -> bool {
        self.kind() == BUSY
    }

    /// Bytes came; where none were expected a head begins.
    pub fn bytes(&self, now: Timestamp) {
        if self.is_waiting() {
            self.word.store(word(HEAD, now), Ordering::Relaxed);
        }
    }

    /// When the connection has waited too long, and whether the client deserves to hear why.
    pub fn deadline(&self, limits: &Limits) -> Option<(Timestamp, bool)> {
        let word = self.word.load(Ordering::Relaxed);
        let since = Timestamp::from_millis(word >> KIND_BITS);
        match word % (1 << KIND_BITS) {
            FRESH => Some((since + limits.first_byte_timeout, false)),
            IDLE => Some((since + limits.keep_alive_timeout, false)),
            HEAD => Some((since + limits.head_timeout, true)),
            _ => None,
        }
    }
}

fn word(kind: u64, since: Timestamp) -> u64 {
    ((since.as_nanos() / 1_000_000) << KIND_BITS) | kind
}
