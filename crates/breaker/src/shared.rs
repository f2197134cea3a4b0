//! The machine between threads: a word that tells most callers all they need, a log for the outcomes that decide nothing
//! yet, and a lock for everything else.
//!
//! Almost every call of a healthy system asks a closed breaker and then succeeds; almost every call of a sick one asks
//! an open breaker. Both are answered from one atomic word, which packs the state with its generation, and the time
//! beside it: admitting is one load, refusing is three loads and a comparison. None of them writes, so they do not slow
//! each other down. An outcome that changes nothing is two loads; one that can decide nothing yet is noted in the
//! [`Log`] by one compare-and-swap.
//!
//! Everything else takes the lock around the pure [`Machine`] for as long as one event takes. It shuts the log and books
//! what was noted there before it does anything, and publishes the new word and an empty log before it lets go.
//!
//! Why that is exact: the machine's own code decides, and nothing else does. A word is published inside the lock, so it
//! was the machine's state at the moment it was read. The time beside the word belongs to it only if the word is the
//! same before and after reading the time: between two different times the word is always made different, generations
//! never come again, and in one generation there is at most one such time. The outcomes of a log are in the order of
//! their swaps, and none of them could meet a rule, so booking them later, in that order, is what booking them at once
//! would have been: a log tells how many failures it may take, and where a window forgets by time, until when
//! (`edge`), which is before it forgets anything. An outcome that finds the log shut waits for the lock.
//!
//! A log carries 22 bits of its generation, and the word is asked for all of them after the log was read. A thread that
//! stopped between there and its swap for exactly a multiple of four million generations, to find the very same log,
//! would be noted in the wrong one.
//!
//! A panic inside the lock would be a fault of this crate; the machine is then used as it stands rather than made
//! unusable for all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::call::Call;
use crate::log::{Log, Noted};
use crate::machine::{Grant, GrantKind, Machine};
use crate::outcome::{HoldKind, Outcome, Phase, RejectReason, Rejection};
use crate::settings::{Mode, Watches};
use crate::time::Timestamp;
use crate::word::{Signal, Word};

#[cfg(test)]
mod interleavings;

/// What the core is made of: the processor's own, or a model of it in which every interleaving can be tried.
pub(crate) trait Memory {
    type Cell: Cell;
    type Lock: Lock;
}

/// A word that threads share.
pub(crate) trait Cell {
    fn new(value: u64) -> Self;
    fn load(&self) -> u64;
    fn store(&self, value: u64);
    fn swap(&self, value: u64) -> u64;
    fn replace(&self, old: u64, new: u64) -> bool;
}

/// A lock around the machine.
pub(crate) trait Lock {
    fn new(machine: Machine) -> Self;
    fn with<R>(&self, event: impl FnOnce(&mut Machine) -> R) -> R;
}

/// The processor's own.
pub(crate) struct Real;

impl Memory for Real {
    type Cell = AtomicU64;
    type Lock = Mutex<Machine>;
}

impl Cell for AtomicU64 {
    fn new(value: u64) -> Self {
        AtomicU64::new(value)
    }

    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    #[inline]
    fn swap(&self, value: u64) -> u64 {
        self.swap(value, Ordering::AcqRel)
    }

    #[inline]
    fn replace(&self, old: u64, new: u64) -> bool {
        self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// A `std` mutex is enough, as it is never held across a call, a wait or a listener.
impl Lock for Mutex<Machine> {
    fn new(machine: Machine) -> Self {
        Mutex::new(machine)
    }

    fn with<R>(&self, event: impl FnOnce(&mut Machine) -> R) -> R {
        event(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct Core<M: Memory = Real> {
    word: M::Cell,
    /// The time that goes with the word: the end of the cooldown or of the hold; the end of time for a hold without one.
    until: M::Cell,
    log: M::Cell,
    /// Until when the log takes outcomes. Within a generation it only moves on, and one that is read too early or too
    /// late is no harm: the machine takes a time that lags for the latest it has seen.
    edge: M::Cell,
    machine: M::Lock,
}

impl<M: Memory> Core<M> {
    pub fn new(machine: Machine) -> Self {
        let core = Core {
            word: M::Cell::new(Word::new(Signal::Ask, 0).0),
            until: M::Cell::new(Timestamp::MAX.as_nanos()),
            log: M::Cell::new(Log::SHUT.0),
            edge: M::Cell::new(0),
            machine: M::Lock::new(machine),
        };
        core.with(|_| ());
        core
    }

    #[inline]
    pub fn word(&self) -> Word {
        Word(self.word.load())
    }

    /// The generation, where the word says that calls pass and that nothing more is to be known of them.
    #[inline]
    pub fn closed(&self) -> Option<u64> {
        let word = self.word();
        word.is_closed().then(|| word.generation())
    }

    /// One event, and what others may know of it, before anyone else can have another.
    pub fn with<R>(&self, event: impl FnOnce(&mut Machine) -> R) -> R {
        self.machine.with(|machine| {
            let log = Log(self.log.swap(Log::SHUT.0));
            machine.catch_up_with(log.outcomes());
            let result = event(machine);
            self.publish(machine);
            result
        })
    }

    /// The machine's answer to a call as far as the word alone tells it.
    #[inline]
    pub fn answer(&self, now: Timestamp) -> Option<Result<Grant, Rejection>> {
        let word = self.word();
        let grant = |kind| {
            Some(Ok(Grant {
                generation: word.generation(),
                kind,
            }))
        };
        let until = || {
            let until = Timestamp::from_nanos(self.until.load());
            (self.word() == word && now < until).then_some(until)
        };
        match word.signal() {
            Signal::Closed => grant(GrantKind::Call),
            Signal::Timed => grant(GrantKind::Timed(now)),
            Signal::Disabled => grant(GrantKind::Untracked),
            Signal::HeldClosed => until().and_then(|_| grant(GrantKind::Held)),
            Signal::Open => until().map(|until| {
                Err(Rejection {
                    reason: RejectReason::BreakerOpen,
                    phase: Phase::Open,
                    retry_at: Some(until),
                })
            }),
            Signal::HeldOpen(phase) => until().map(|until| {
                Err(Rejection {
                    reason: RejectReason::HeldOpen,
                    phase,
                    retry_at: (until != Timestamp::MAX).then_some(until),
                })
            }),
            Signal::Ask => None,
        }
    }

    /// Takes an outcome that decides nothing, and says whether it could.
    #[inline]
    pub fn takes(&self, grant: &Grant, call: &Call, now: Timestamp) -> bool {
        if !matches!(grant.kind, GrantKind::Call) || call.retry_after.is_some() {
            return false;
        }
        match call.outcome {
            Outcome::Success if Log(self.log.load()).is_quiet(grant.generation) => {
                self.word().generation() == grant.generation
            }
            Outcome::Success => self.notes(grant.generation, false, now),
            Outcome::Failure => self.notes(grant.generation, true, now),
            Outcome::Ignored => false,
        }
    }

    fn notes(&self, generation: u64, failed: bool, now: Timestamp) -> bool {
        loop {
            let log = self.log.load();
            match Log(log).note(generation, failed) {
                Noted::Ask => return false,
                _ if self.word().generation() != generation => return false,
                Noted::Nothing => return true,
                Noted::As(_) if now.as_nanos() >= self.edge.load() => return false,
                Noted::As(noted) if self.log.replace(log, noted.0) => return true,
                Noted::As(_) => {}
            }
        }
    }

    /// Publishes what callers may know without the lock, which must be held. Writes only what changed.
    fn publish(&self, machine: &Machine) {
        let (signal, until) = signal_of(machine);
        let word = Word::new(signal, machine.generation());
        if let Some(until) = until.map(Timestamp::as_nanos)
            && self.until.load() != until
        {
            // A reader takes the time for the word's only if the word did not change meanwhile; so it must change.
            let asks = Word::new(Signal::Ask, machine.generation());
            self.word.store(asks.0);
            self.until.store(until);
        }
        if self.word() != word {
            self.word.store(word.0);
        }
        if let Some(slack) = machine.slack() {
            let edge = slack.edge.as_nanos();
            if self.edge.load() != edge {
                self.edge.store(edge);
            }
            let quiet = machine.success_changes_nothing();
            let log = Log::empty(machine.generation(), slack.failures, quiet);
            self.log.store(log.0);
        }
    }
}

/// What callers may know of a machine without asking it, and the time that goes with it where one does.
/// That time is the same throughout a generation; words without one leave the last one standing.
fn signal_of(machine: &Machine) -> (Signal, Option<Timestamp>) {
    let phase = machine.frozen_phase();
    let settings = machine.settings();
    match (settings.mode, machine.placed_hold(), phase) {
        (Mode::Disabled, None, _) => (Signal::Disabled, None),
        (Mode::Monitor | Mode::Disabled, Some(_), _) => (Signal::Ask, None),
        (Mode::Enforce, Some(hold), _) => {
            let signal = match hold.kind {
                HoldKind::Open => Signal::HeldOpen(phase),
                HoldKind::Closed => Signal::HeldClosed,
            };
            (signal, Some(hold.until.unwrap_or(Timestamp::MAX)))
        }
        (Mode::Enforce | Mode::Monitor, None, Phase::Closed) => {
            let signal = match settings.watches() {
                _ if !machine.admits_by_state() => Signal::Ask,
                Watches::Durations => Signal::Timed,
                Watches::Outcomes | Watches::Flights => Signal::Closed,
            };
            (signal, None)
        }
        (Mode::Enforce, None, Phase::Open) => (Signal::Open, machine.open_until()),
        (Mode::Enforce | Mode::Monitor, None, Phase::Open | Phase::HalfOpen) => (Signal::Ask, None),
    }
}
