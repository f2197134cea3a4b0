//! The last use of a key, and the mark of an evicted breaker: one word beside the breaker.
//!
//! A caller finds a breaker without a lock, while another thread may be about to evict it. Both write before they read:
//! the caller takes a handle of the breaker and then reads the word; the registry marks the word and then counts the
//! handles. With a fence on either side at least one of them sees the other, so a breaker that a caller got is in the
//! registry, and no caller got one that has left it.
//!
//! Times are those of the registry's clock, which follows the callers' own and advances by itself with every new key:
//! so keys have an order even while time stands still, and a key that is used again and again is written to only when a
//! newer one was made, or after [`FINE`].

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::machine::is_far;
use crate::time::Timestamp;

/// The mark of a breaker that has left, or is about to.
const GONE: u64 = 1 << 63;

/// The mark of a use without a time since the word was last read.
const UNTIMED: u64 = 1;

/// The lag of a key's time, in nanoseconds, if no key was made meanwhile: half a millisecond.
pub(crate) const FINE: u64 = 1 << 19;

/// The advance of the clock with a new key. A use of a known key lies between two of its steps.
const STEP: u64 = 4;

/// A moment of the registry's clock, in nanoseconds.
pub(crate) type Moment = u64;

/// The clock of a registry: the latest time at which it made a key, or tried to.
#[derive(Debug, Default)]
pub(crate) struct KeyClock(AtomicU64);

impl KeyClock {
    /// Advances to `now`, and at least by a step; by only a step if `now` is too far ahead and so of another clock.
    /// Only under the registry's lock.
    pub fn step(&self, now: Timestamp) -> Moment {
        let read = self.read();
        let next = match read > 0 && is_ahead(now, read) {
            true => read + STEP,
            false => moment(now).max(read + STEP),
        };
        self.0.store(next, Ordering::Relaxed);
        next
    }

    pub fn read(&self) -> Moment {
        self.0.load(Ordering::Relaxed)
    }
}

/// True of a time so far ahead that it must be of another clock.
fn is_ahead(now: Timestamp, last: Moment) -> bool {
    is_far(now, Timestamp::from_nanos(last))
}

fn moment(now: Timestamp) -> Moment {
    now.as_nanos().min(GONE / 2) & !UNTIMED
}

/// The word, in the processor's own memory or in a model of it that tries every interleaving.
pub(crate) trait AtomicWord: Default {
    fn load(&self) -> u64;
    fn raise(&self, to: u64);
    fn set(&self, bits: u64);
    fn clear(&self, bits: u64);
    /// Orders memory: all earlier writes are visible to every thread that passes a later fence, and the reverse.
    fn fence();
}

impl AtomicWord for AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    #[inline]
    fn raise(&self, to: u64) {
        self.fetch_max(to, Ordering::Relaxed);
    }

    #[inline]
    fn set(&self, bits: u64) {
        self.fetch_or(bits, Ordering::Relaxed);
    }

    fn clear(&self, bits: u64) {
        self.fetch_and(!bits, Ordering::Relaxed);
    }

    #[inline]
    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// The last use of a key, and the mark of a breaker that has left.
#[derive(Debug, Default)]
pub(crate) struct LastUse<W = AtomicU64>(W);

impl<W: AtomicWord> LastUse<W> {
    /// Notes a use of the key by a caller that holds the breaker. False: the breaker has left the registry.
    #[inline]
    pub(crate) fn note(&self, now: Timestamp, clock: &KeyClock) -> bool {
        W::fence();
        let word = self.0.load();
        if word & GONE != 0 {
            return false;
        }
        let made = clock.read();
        let asked = moment(now).max(made + STEP / 2);
        let before = word & !UNTIMED;
        if before <= made || asked >= before + FINE {
            let asked = match is_ahead(now, made.max(before)) {
                true => made + STEP / 2,
                false => asked,
            };
            // The mark of one that has left is above all times, and stays.
            self.0.raise(asked);
        }
        true
    }

    /// As [`LastUse::note`], for a caller without a time.
    #[inline]
    pub(crate) fn note_untimed(&self) -> bool {
        W::fence();
        let word = self.0.load();
        if word & (GONE | UNTIMED) == 0 {
            self.0.set(UNTIMED);
        }
        word & GONE == 0
    }

    /// True if the breaker, which the caller holds, is in the registry.
    pub(crate) fn is_here(&self) -> bool {
        W::fence();
        self.0.load() & GONE == 0
    }

    /// The last use; at `now` at the latest.
    pub fn last(&self, now: Moment) -> Moment {
        let word = self.0.load();
        if word & UNTIMED != 0 {
            self.touch(now);
            self.0.clear(UNTIMED);
        }
        self.0.load() & !(GONE | UNTIMED)
    }

    pub fn touch(&self, now: Moment) {
        self.0.raise(now);
    }

    /// Marks the breaker as one that has left, if `in_no_hand` then finds that no caller holds it.
    pub fn leave(&self, in_no_hand: impl FnOnce() -> bool) -> bool {
        self.0.set(GONE);
        W::fence();
        let leaves = in_no_hand();
        if !leaves {
            self.0.clear(GONE);
        }
        leaves
    }
}

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicU64 as Modelled, AtomicUsize};
    use loom::thread;

    use super::*;

    impl AtomicWord for Modelled {
        fn load(&self) -> u64 {
            self.load(Ordering::Relaxed)
        }

        fn raise(&self, to: u64) {
            self.fetch_max(to, Ordering::Relaxed);
        }

        fn set(&self, bits: u64) {
            self.fetch_or(bits, Ordering::Relaxed);
        }

        fn clear(&self, bits: u64) {
            self.fetch_and(!bits, Ordering::Relaxed);
        }

        fn fence() {
            loom::sync::atomic::fence(Ordering::SeqCst);
        }
    }

    /// The relevant part of a breaker: its membership in the registry's set, and its holders.
    #[derive(Default)]
    struct Model {
        asked: LastUse<Modelled>,
        is_gone: AtomicBool,
        hands: AtomicUsize,
    }

    impl Model {
        /// A caller's use of the key; the caller keeps the breaker if it got one.
        fn ask(&self, timed: bool) -> bool {
            if self.is_gone.load(Ordering::Acquire) {
                return false;
            }
            self.hands.fetch_add(1, Ordering::Relaxed);
            let given = match timed {
                true => self
                    .asked
                    .note(Timestamp::from_millis(1), &KeyClock::default()),
                false => self.asked.note_untimed(),
            };
            if !given {
                self.hands.fetch_sub(1, Ordering::Release);
            }
            given
        }

        /// Evicts the breaker if that is possible.
        fn let_go(&self) -> bool {
            let in_no_hand = || self.hands.load(Ordering::Relaxed) == 0;
            let gone = self.asked.leave(in_no_hand);
            if gone {
                self.is_gone.store(true, Ordering::Release);
            }
            gone
        }
    }

    #[test]
    fn a_breaker_that_a_caller_was_given_has_not_left_in_any_interleaving() {
        for timed in [true, false] {
            loom::model(move || {
                let model = Arc::new(Model::default());
                let caller = {
                    let model = model.clone();
                    thread::spawn(move || model.ask(timed))
                };
                let gone = model.let_go();
                let given = caller.join().unwrap();
                assert!(!(gone && given));
            });
        }
    }
}
