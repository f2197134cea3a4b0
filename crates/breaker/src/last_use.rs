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

use crate::machine::is_far;
use crate::time::Timestamp;

/// The breaker has left, or is about to.
const GONE: u64 = 1 << 63;

/// Asked for by somebody who told no time, since it was last looked at.
const UNTIMED: u64 = 1;

/// How far a key's time may lag behind, in nanoseconds, where no key was made meanwhile: half a millisecond.
pub(crate) const FINE: u64 = 1 << 19;

/// How far the clock moves with a new key. Who asks for a known one is put between two of its steps.
const STEP: u64 = 4;

/// A moment of the registry's clock, in nanoseconds.
pub(crate) type Moment = u64;

/// The clock of a registry: the latest time at which it made a key, or tried to.
#[derive(Debug, Default)]
pub(crate) struct KeyClock(AtomicU64);

impl KeyClock {
    /// Moves on to `now`, and at least by a step; by no more than that, where `now` is too far ahead and so of another
    /// clock. Only under the registry's lock.
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

/// The word, of the processor's own memory or of a model of it in which every interleaving can be tried.
pub(crate) trait AtomicWord: Default {
    fn load(&self) -> u64;
    fn raise(&self, to: u64);
    fn set(&self, bits: u64);
    fn clear(&self, bits: u64);
    /// All that was written before is seen by whoever comes to a fence later, as is what he wrote.
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

/// When a key was last asked for, and whether its breaker has left.
#[derive(Debug, Default)]
pub(crate) struct LastUse<W = AtomicU64>(W);

impl<W: AtomicWord> LastUse<W> {
    /// Notes that a caller, who has hold of the breaker, asked for its key. False: it has left the registry.
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

    /// As [`LastUse::note`], by somebody who tells no time.
    #[inline]
    pub(crate) fn note_untimed(&self) -> bool {
        W::fence();
        let word = self.0.load();
        if word & (GONE | UNTIMED) == 0 {
            self.0.set(UNTIMED);
        }
        word & GONE == 0
    }

    /// Whether the breaker, of which the caller has hold, is in the registry.
    pub(crate) fn is_here(&self) -> bool {
        W::fence();
        self.0.load() & GONE == 0
    }

    /// When it was last asked for; at `now` at the latest.
    pub fn last(&self, now: Moment) -> Moment {
        let word = self.0.load();
        if word & UNTIMED != 0 {
            self.touch(now);
            self.0.clear(UNTIMED);
        }
        self.0.load() & !(GONE | UNTIMED)
    }

    /// Takes it for asked for at `now`.
    pub fn touch(&self, now: Moment) {
        self.0.raise(now);
    }

    /// Marks the breaker as one that has left, where `in_no_hand` then finds that no caller has hold of it.
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

    /// A breaker as far as it matters: whether the registry's set has it, and who has hold of it.
    #[derive(Default)]
    struct Model {
        asked: LastUse<Modelled>,
        is_gone: AtomicBool,
        hands: AtomicUsize,
    }

    impl Model {
        /// A caller asks for the key, and keeps the breaker if it was given one.
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

        /// The registry lets the breaker go if it can.
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
