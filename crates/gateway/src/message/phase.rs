//! The state of one client's connection, with the time of its last change.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Context;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Limits;
use futures_util::task::AtomicWaker;

use crate::ground::access_log::slot::NoteSlot;

/// The state of a connection and the time of its last change: one word, written by its own worker.
#[derive(Debug)]
pub struct Phase {
    word: AtomicU64,
    /// Number of users that keep it busy: the request, and its body, which may flow on after the answer.
    users: AtomicU32,
    /// True once the client has closed its side during a request: nothing more comes from it.
    left: AtomicBool,
    /// The tasks to wake then: a body that waits for more, and a call that may be given up.
    body: AtomicWaker,
    caller: AtomicWaker,
    /// True while the client of a stream may owe a part of its body.
    owes: AtomicBool,
    /// True once a body has broken off whose end is that of the connection.
    is_broken_off: AtomicBool,
    /// The note of the present exchange, for the access log.
    pub noted: NoteSlot,
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
            owes: AtomicBool::new(false),
            is_broken_off: AtomicBool::new(false),
            noted: NoteSlot::default(),
        }
    }

    /// True once the client has closed its side during a request; wakes `cx` when it does. The bytes that it still owed
    /// will not come. It may still read, so it gets its answer.
    pub fn is_left(&self, cx: &Context<'_>) -> bool {
        self.body.register(cx.waker());
        self.has_left()
    }

    /// The same for the call that is made for the client.
    pub fn is_left_by_caller(&self, cx: &Context<'_>) -> bool {
        self.caller.register(cx.waker());
        self.has_left()
    }

    /// The same without a wake-up.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Notes that the client has closed its side, or that its connection has broken.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
        self.body.wake();
        self.caller.wake();
    }

    /// Notes whether the client of a stream may owe a part of its body.
    pub fn owes_body(&self, owes: bool) {
        self.owes.store(owes, Ordering::Relaxed);
    }

    /// True while the client of a stream may owe a part of its body.
    pub fn is_body_owed(&self) -> bool {
        self.owes.load(Ordering::Relaxed)
    }

    /// Notes that a body has broken off whose end is that of the connection.
    pub fn break_off(&self) {
        self.is_broken_off.store(true, Ordering::Relaxed);
    }

    /// True once a body has broken off whose end is that of the connection, which must not end as after a whole one.
    pub fn is_broken_off(&self) -> bool {
        self.is_broken_off.load(Ordering::Relaxed)
    }

    /// Notes a user, a request or its body: the connection has no time limit of its own until each user has called
    /// [`Phase::idle`].
    pub fn busy(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
        self.word.store(BUSY, Ordering::Relaxed);
    }

    /// Notes the end of a user.
    pub fn idle(&self, now: Timestamp) {
        if self.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.word.store(word(IDLE, now), Ordering::Relaxed);
        }
    }

    /// True while nothing has come yet.
    pub fn is_fresh(&self) -> bool {
        self.kind() == FRESH
    }

    /// True while no request has begun.
    pub fn is_waiting(&self) -> bool {
        matches!(self.kind(), FRESH | IDLE)
    }

    fn kind(&self) -> u64 {
        self.word.load(Ordering::Relaxed) % (1 << KIND_BITS)
    }

    /// True while a request or its body is being served.
    pub fn is_busy(&self) -> bool {
        self.kind() == BUSY
    }

    /// Notes that bytes came; if none were expected, a head begins.
    pub fn bytes(&self, now: Timestamp) {
        if self.is_waiting() {
            self.word.store(word(HEAD, now), Ordering::Relaxed);
        }
    }

    /// The time limit of the present state, and true if the client should get an answer that says so.
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
