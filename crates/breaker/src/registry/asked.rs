//! When a key was last asked for, and whether its breaker has left the registry: one word beside the breaker.
//!
//! A caller finds a breaker without a lock, while another thread may be about to let it go. Both write before they read:
//! the caller takes hold of the breaker and then reads the word; the registry marks the word and then counts who has hold
//! of the breaker. With a fence on either side at least one of them sees the other, so a breaker that a caller was given
//! is in the registry, and one that has left it was given to nobody.
//!
//! Times are those of the registry's clock, which is the callers' own and moves on by itself with every new key: so keys
//! have an order also where time stands still, and a key that is asked for again and again is written to only when a
//! newer one was made, or after [`FINE`].

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::time::Timestamp;

/// The breaker has left, or is about to.
const GONE: u64 = 1 << 63;

/// Asked for by somebody who told no time, since it was last looked at.
const UNTIMED: u64 = 1;

/// How far a key's time may lag behind, in nanoseconds, where no key was made meanwhile: half a millisecond.
pub(super) const FINE: u64 = 1 << 19;

/// How far the clock moves with a new key. Who asks for a known one is put between two of its steps.
const STEP: u64 = 4;

/// A moment of the registry's clock, in nanoseconds.
pub(crate) type Moment = u64;

/// The clock of a registry: the latest time at which it made a key, or tried to.
#[derive(Debug, Default)]
pub(super) struct KeyClock(AtomicU64);

impl KeyClock {
    /// Moves on to `now`, and at least by a step. Only under the registry's lock.
    pub fn step(&self, now: Timestamp) -> Moment {
        let next = moment(now).max(self.read() + STEP);
        self.0.store(next, Ordering::Relaxed);
        next
    }

    pub fn read(&self) -> Moment {
        self.0.load(Ordering::Relaxed)
    }
}

fn moment(now: Timestamp) -> Moment {
    now.as_nanos().min(GONE / 2) & !UNTIMED
}

#[derive(Debug, Default)]
pub(crate) struct LastAsked(AtomicU64);

impl LastAsked {
    /// Notes that a caller, who has hold of the breaker, asked for its key. False: it has left the registry.
    #[inline]
    pub(super) fn note(&self, now: Timestamp, clock: &KeyClock) -> bool {
        fence(Ordering::SeqCst);
        let word = self.0.load(Ordering::Relaxed);
        if word & GONE != 0 {
            return false;
        }
        let made = clock.read();
        let asked = moment(now).max(made + STEP / 2);
        let before = word & !UNTIMED;
        if before <= made || asked >= before + FINE {
            // The mark of one that has left is above all times, and stays.
            self.0.fetch_max(asked, Ordering::Relaxed);
        }
        true
    }

    /// As [`LastAsked::note`], by somebody who tells no time.
    #[inline]
    pub(super) fn note_untimed(&self) -> bool {
        fence(Ordering::SeqCst);
        let word = self.0.load(Ordering::Relaxed);
        if word & (GONE | UNTIMED) == 0 {
            self.0.fetch_or(UNTIMED, Ordering::Relaxed);
        }
        word & GONE == 0
    }

    /// When it was last asked for; at `now` at the latest.
    pub fn last(&self, now: Moment) -> Moment {
        let word = self.0.load(Ordering::Relaxed);
        if word & UNTIMED != 0 {
            self.touch(now);
            self.0.fetch_and(!UNTIMED, Ordering::Relaxed);
        }
        self.0.load(Ordering::Relaxed) & !(GONE | UNTIMED)
    }

    /// Takes it for asked for at `now`.
    pub fn touch(&self, now: Moment) {
        self.0.fetch_max(now, Ordering::Relaxed);
    }

    /// Marks the breaker as one that has left, where `in_no_hand` then finds that no caller has hold of it.
    pub fn leave(&self, in_no_hand: impl FnOnce() -> bool) -> bool {
        self.0.fetch_or(GONE, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let leaves = in_no_hand();
        if !leaves {
            self.0.fetch_and(!GONE, Ordering::Relaxed);
        }
        leaves
    }
}
