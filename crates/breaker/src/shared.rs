//! The machine between threads: a word that is all that most callers need, a log for the outcomes that decide nothing
//! yet, and a lock for everything else.
//!
//! Almost every call of a healthy system asks a closed breaker and then succeeds; almost every call of a sick one asks
//! an open breaker. Both are answered from one atomic word, which packs the state with its generation, and the time
//! beside it: admitting is one load, refusing is three loads and a comparison. None of them writes, so they do not slow
//! each other down. A success that changes nothing is two loads; an outcome that can decide nothing yet is noted in the
//! [`Log`] by one compare-and-swap, and booked with some thirty others at once.
//!
//! Everything else takes the lock around the pure [`Machine`] for as long as one event takes. It shuts the log and
//! books its outcomes before it does anything, and publishes the new word and an empty log before it unlocks.
//!
//! Why that is exact: the machine's own code decides, and nothing else does. Under the lock an event shuts the log,
//! books it, happens, and publishes: the word and what goes beside it first, the log last.
//!
//! - A word was the machine's state at the moment it was read. The value beside it belongs to it only if the word is the
//!   same before and after: between two different times the word is always made different, generations never come
//!   again, and in one generation there is at most one such time.
//! - A caller that finds the log open and *then* the word in the generation of its own permit has found a log of that
//!   generation: not a later one, since a word is published before its log; not an earlier one, since the log was shut
//!   before the permit's word was published. So a success that finds the log quiet is over at the moment of that first load.
//! - A noted outcome is in the log at its swap, which fails unless the log is the one that was read. A log that came
//!   back meanwhile with the same content is as good if generation and settings are the same: the machine has computed
//!   its allowance again. Otherwise it is of another turn and so a different number. The edge and the limit of
//!   slowness were read between load and swap, hence in the same turn.
//! - The outcomes of a log are in the order of their swaps, and none of them could meet a rule, so booking them later, in
//!   that order, has the same effect as booking them at once: a log has the number of misses that it may take, and if a
//!   window forgets by time, a limit (`edge`), which is before it forgets anything. An outcome that finds the log shut
//!   waits for the lock.
//!
//! Calls answered from the word teach the machine no time, so a caller whose clock lags far behind another's is judged
//! by its own time, where the machine alone would have taken the latest it knew. But the first stamp of all, and the
//! first after a reset, always reaches the machine: until then the word says ask. From there on the machine knows which
//! stamps are too far ahead. The words that refuse lead such a stamp to the machine, since for it their time has come;
//! `edge` is at most the time from which on a stamp may be too far; and a call that a closed breaker lets pass changes
//! nothing.
//!
//! A log carries 21 bits of its turn. A thread that stopped between load and swap for exactly a multiple of two million
//! turns, to find the very same log, would be noted in the wrong one.
//!
//! A panic inside the lock would be a fault of this crate; the machine is then used as it stands rather than made
//! unusable for all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::log::{Log, Noted};
use crate::machine::{Grant, GrantKind, Headroom, Latest, Loss, Machine};
use crate::outcome::{HoldKind, Outcome, Phase, RejectReason, Rejection};
use crate::settings::{Mode, Settings, Watches};
use crate::state_word::{Signal, StateWord};
use crate::time::{Timestamp, nanos};
use crate::token::{PlainToken, Token};

mod foldable;
#[cfg(test)]
mod interleavings;

pub(crate) use foldable::Foldable;

/// The primitives of the core: the processor's own, or a model that tries every interleaving.
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
    fn new(foldable: Foldable) -> Self;
    fn with<R>(&self, event: impl FnOnce(&mut Foldable) -> R) -> R;
}

/// The processor's own primitives.
pub(crate) struct Real;

impl Memory for Real {
    type Cell = AtomicU64;
    type Lock = Mutex<Foldable>;
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
impl Lock for Mutex<Foldable> {
    fn new(foldable: Foldable) -> Self {
        Mutex::new(foldable)
    }

    fn with<R>(&self, event: impl FnOnce(&mut Foldable) -> R) -> R {
        event(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Set in an edge that no window needs: outcomes without a known time may be noted. For its sake an edge may be a
/// nanosecond too early, and a horizon a nanosecond too late, at which a stamp is still not too far ahead.
const TIMELESS: u64 = 1;

pub(crate) struct Core<M: Memory = Real> {
    word: M::Cell,
    /// The value that goes with the word. With one that refuses, or that holds the breaker closed, a time: the end of
    /// the cooldown or of the hold, the end of time for a hold without one. With one that times its calls, the
    /// nanoseconds from which a call is slow.
    beside: M::Cell,
    log: M::Cell,
    /// The time until which the log takes outcomes. Within a turn it only grows, and one that is read too early or too
    /// late does no harm: the machine takes a time that lags for the latest it has seen. Beside a folded machine it is
    /// the [horizon](Latest::horizon) of the machine's latest time, which is stored nowhere else. Its lowest bit is
    /// [`TIMELESS`].
    edge: M::Cell,
    machine: M::Lock,
}

impl<M: Memory> Core<M> {
    pub fn new(machine: Machine) -> Self {
        let latest = machine.latest();
        let core = Core {
            word: M::Cell::new(StateWord::new(Signal::Ask, 0).0),
            beside: M::Cell::new(0),
            log: M::Cell::new(Log::SHUT.0),
            edge: M::Cell::new(0),
            machine: M::Lock::new(Foldable::new(machine)),
        };
        M::Lock::with(&core.machine, |foldable| {
            core.publish_foldable(foldable, latest, 0)
        });
        core
    }

    #[inline]
    pub fn word(&self) -> StateWord {
        StateWord(self.word.load())
    }

    /// A token for a call, if the word lets calls pass and nothing more is needed of them.
    #[inline]
    pub fn admit_token(&self, now: Timestamp) -> Option<Token> {
        let word = self.word();
        word.is_closed().then(|| Token::by(word, now))
    }

    /// The same if the time at which the call begins is not needed either: for callers that have not read a clock.
    #[inline]
    pub fn undated_token(&self) -> Option<Token> {
        let word = self.word();
        let undated = word.is_closed() && !word.is_timed();
        undated.then(|| Token::by(word, Timestamp::ZERO))
    }

    /// The token of a call that began at an unknown time, if calls pass.
    pub fn untimed(&self) -> Option<PlainToken> {
        let word = self.word();
        word.is_closed().then(|| PlainToken {
            word: StateWord::new(Signal::Closed, word.generation()),
            time: Timestamp::ZERO,
        })
    }

    /// The end of the cooldown, if it is still ahead.
    #[inline]
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let word = self.word();
        word.is_open().then(|| self.until(word, now)).flatten()
    }

    /// The time that goes with that word, if it is still ahead.
    #[inline]
    fn until(&self, word: StateWord, now: Timestamp) -> Option<Timestamp> {
        let until = Timestamp::from_nanos(self.beside.load());
        (self.word() == word && now < until).then_some(until)
    }

    /// Runs one event, and publishes the result before the next event can begin.
    pub fn with<R>(&self, event: impl FnOnce(&mut Machine) -> R) -> R {
        self.machine
            .with(|foldable| self.with_machine(foldable.unfold(self.folded_at()), event))
    }

    /// The latest time of a folded machine, for the holder of the lock; for others it is only a hint.
    fn folded_at(&self) -> Latest {
        Latest::of_horizon(Timestamp::from_nanos(self.edge.load() & !TIMELESS))
    }

    /// Takes the first stamp, if that is all that a folded machine lacks to let calls pass: it stays folded then.
    pub fn begin(&self, now: Timestamp) {
        self.machine.with(|foldable| {
            if let Foldable::Folded(folded) = &*foldable
                && !self.folded_at().has_begun()
            {
                let mut machine = folded.unfold(Latest::default());
                machine.see(now);
                self.publish_foldable(foldable, machine.latest(), Log(self.log.load()).turn());
            }
        });
    }

    fn with_machine<R>(&self, machine: &mut Machine, event: impl FnOnce(&mut Machine) -> R) -> R {
        let log = Log(self.log.swap(Log::SHUT.0));
        machine.catch_up_with(log);
        let turn = |machine: &Machine| (machine.generation(), Arc::as_ptr(machine.settings()));
        let before = turn(machine);
        let result = event(machine);
        let goes_on = before == turn(machine);
        self.publish(machine, log.turn() + u64::from(!goes_on));
        result
    }

    /// Reads the machine. A folded one stays so: a copy is unfolded, with the noted outcomes.
    pub fn look<R>(&self, event: impl FnOnce(&Machine) -> R) -> R {
        self.machine.with(|foldable| match foldable {
            Foldable::Whole(machine) => self.with_machine(machine, |machine| event(machine)),
            Foldable::Folded(folded) => {
                let mut machine = folded.unfold(self.folded_at());
                machine.catch_up_with(Log(self.log.load()));
                event(&machine)
            }
        })
    }

    /// The loss if the machine were dropped at `now`. For a folded one that is the noted outcomes, if there are any.
    pub fn loss(&self, now: Timestamp) -> Loss {
        self.machine.with(|foldable| match foldable {
            Foldable::Whole(machine) => self.with_machine(machine, |machine| machine.loss(now)),
            Foldable::Folded(folded) => {
                let log = Log(self.log.load());
                let (failures, slows) = log.runs();
                if failures.count() + slows.count() == 0 {
                    return Loss::Nothing;
                }
                let mut machine = folded.unfold(self.folded_at());
                machine.catch_up_with(log);
                machine.loss(now)
            }
        })
    }

    pub fn settings(&self) -> Arc<Settings> {
        self.machine.with(|foldable| foldable.settings().clone())
    }

    /// Folds the machine, if at `now` there is no state in it.
    pub fn rest(&self, now: Timestamp) {
        self.machine.with(|foldable| {
            if let Foldable::Whole(machine) = foldable {
                let log = Log(self.log.swap(Log::SHUT.0));
                machine.catch_up_with(log);
                let latest = machine.latest();
                foldable.fold(now);
                self.publish_foldable(foldable, latest, log.turn());
            }
        });
    }

    /// Publishes a folded machine with the allowance of the unfolded one, if no window needs the edge for itself:
    /// outcomes noted by then are booked in the time at which that begins.
    fn publish_foldable(&self, foldable: &Foldable, latest: Latest, turn: u64) {
        match foldable {
            Foldable::Whole(machine) => self.publish(machine, turn),
            Foldable::Folded(folded) => {
                let machine = folded.unfold(latest);
                let headroom = machine.headroom().filter(|headroom| headroom.timeless);
                let timeless = if headroom.is_some() { TIMELESS } else { 0 };
                self.publish_word(&machine);
                self.edge.store(latest.horizon().as_nanos() | timeless);
                self.publish_log(&machine, headroom, turn);
            }
        }
    }

    /// The machine's answer to a call as far as the word alone has it.
    pub fn answer(&self, now: Timestamp) -> Option<Result<Token, Rejection>> {
        let word = self.word();
        let grant = |kind| {
            let generation = word.generation();
            Some(Ok(Token::of(Grant { generation, kind })))
        };
        let refused = |reason, phase, retry_at| Some(Err(Rejection::at(reason, phase, retry_at)));
        match word.signal() {
            Signal::Closed | Signal::Timed => Some(Ok(Token::by(word, now))),
            Signal::Disabled => grant(GrantKind::Untracked),
            Signal::HeldClosed => self.until(word, now).and_then(|_| grant(GrantKind::Held)),
            Signal::Open => self
                .until(word, now)
                .and_then(|until| refused(RejectReason::BreakerOpen, Phase::Open, Some(until))),
            Signal::HeldOpen(phase) => self.until(word, now).and_then(|until| {
                let ends = (until != Timestamp::MAX).then_some(until);
                refused(RejectReason::HeldOpen, phase, ends)
            }),
            Signal::Ask => None,
        }
    }

    /// The same, if at most the first stamp is missing.
    pub fn first_answer(&self, now: Timestamp) -> Option<Result<Token, Rejection>> {
        if self.word().signal() == Signal::Ask && !self.folded_at().has_begun() {
            self.begin(now);
        }
        self.answer(now)
    }

    /// True if an outcome of a call admitted by that word leaves everything as it is.
    #[inline]
    pub fn ignores(&self, admitted: StateWord, outcome: Outcome) -> bool {
        outcome == Outcome::Success && Log(self.log.load()).is_quiet() && self.word() == admitted
    }

    /// Notes an outcome that decides nothing yet; true if that was possible.
    #[inline]
    pub fn takes(
        &self,
        plain: PlainToken,
        outcome: Outcome,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> bool {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            Outcome::Ignored => return false,
        };
        if Log(self.log.load()).is_wide() {
            return self.takes_timed(plain, failed, duration, now);
        }
        self.notes(plain, now, |log| log.note(failed))
    }

    /// As [`takes`](Core::takes), for a caller that has not read a clock: only if the note needs no time.
    #[inline]
    pub fn takes_undated(&self, plain: PlainToken, outcome: Outcome) -> bool {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            Outcome::Ignored => return false,
        };
        loop {
            let log = Log(self.log.load());
            match log.note(failed) {
                Noted::Ask | Noted::Full => return false,
                _ if self.word().generation() != plain.word.generation() => return false,
                Noted::Nothing => return true,
                Noted::As(_) if self.edge.load() & TIMELESS == 0 => return false,
                Noted::As(noted) if self.log.replace(log.0, noted.0) => return true,
                Noted::As(_) => {}
            }
        }
    }

    #[inline(never)]
    fn takes_timed(
        &self,
        plain: PlainToken,
        failed: bool,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> bool {
        let Some(took) = duration.map(nanos).or_else(|| plain.lasted(now)) else {
            return false;
        };
        self.notes(plain, now, |log| {
            log.note_timed(failed, took >= self.beside.load())
        })
    }

    /// Books the noted outcomes, so that there is room again.
    #[inline(never)]
    fn book(&self, now: Timestamp) {
        self.with(|machine| machine.see(now));
    }

    #[inline(always)]
    fn notes(&self, plain: PlainToken, now: Timestamp, note: impl Fn(Log) -> Noted) -> bool {
        loop {
            let log = Log(self.log.load());
            match note(log) {
                Noted::Ask => return false,
                Noted::Full => self.book(now),
                _ if self.word().generation() != plain.word.generation() => return false,
                Noted::Nothing => return true,
                Noted::As(_) if now.as_nanos() >= self.edge.load() => return false,
                Noted::As(noted) if self.log.replace(log.0, noted.0) => return true,
                Noted::As(_) => {}
            }
        }
    }

    /// Publishes the facts for callers without the lock, which must be held. The log comes last: a caller that finds it
    /// open finds all else as it belongs to it, or newer.
    fn publish(&self, machine: &Machine, turn: u64) {
        self.publish_word(machine);
        let headroom = machine.headroom();
        let edge = match headroom {
            Some(headroom) if headroom.timeless => headroom.edge.as_nanos() | TIMELESS,
            Some(headroom) => headroom.edge.as_nanos() & !TIMELESS,
            None => machine.latest().horizon().as_nanos(),
        };
        if self.edge.load() != edge {
            self.edge.store(edge);
        }
        self.publish_log(machine, headroom, turn);
    }

    fn publish_log(&self, machine: &Machine, headroom: Option<Headroom>, turn: u64) {
        let allowed = headroom.map(|headroom| machine.allows(headroom));
        self.log.store(Log::empty(turn, allowed).0);
    }

    fn publish_word(&self, machine: &Machine) {
        let (signal, beside) = signal_of(machine);
        let word = StateWord::new(signal, machine.generation());
        if let Some(beside) = beside
            && self.beside.load() != beside
        {
            // A reader takes the time for the word's only if the word did not change meanwhile; so it must change.
            let asks = StateWord::new(Signal::Ask, machine.generation());
            self.word.store(asks.0);
            self.beside.store(beside);
        }
        if self.word() != word {
            self.word.store(word.0);
        }
    }
}

/// The signal for callers, and the value beside it. A time is the same throughout a generation; words without a value
/// beside them leave the last one standing.
fn signal_of(machine: &Machine) -> (Signal, Option<u64>) {
    let phase = machine.frozen_phase();
    let settings = machine.settings();
    if !machine.latest().has_begun() {
        return (Signal::Ask, None);
    }
    match (settings.mode, machine.placed_hold(), phase) {
        (Mode::Disabled, None, _) => (Signal::Disabled, None),
        (Mode::Monitor | Mode::Disabled, Some(_), _) => (Signal::Ask, None),
        (Mode::Enforce, Some(hold), _) => {
            let signal = match hold.kind {
                HoldKind::Open => Signal::HeldOpen(phase),
                HoldKind::Closed => Signal::HeldClosed,
            };
            (
                signal,
                Some(hold.until.unwrap_or(Timestamp::MAX).as_nanos()),
            )
        }
        (Mode::Enforce | Mode::Monitor, None, Phase::Closed) => match settings.watches() {
            _ if !machine.admits_by_state() => (Signal::Ask, None),
            Watches::Durations => (Signal::Timed, settings.slow_from()),
            Watches::Outcomes if settings.wants_starts() => (Signal::Timed, None),
            Watches::Outcomes | Watches::Flights => (Signal::Closed, None),
        },
        (Mode::Enforce, None, Phase::Open) => {
            (Signal::Open, machine.open_until().map(Timestamp::as_nanos))
        }
        (Mode::Enforce | Mode::Monitor, None, Phase::Open | Phase::HalfOpen) => (Signal::Ask, None),
    }
}
