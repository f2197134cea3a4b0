//! The breaker shared between threads: one word for the many, one lock for the few.
//!
//! Almost every call of a healthy system asks a closed breaker and then succeeds; almost every call of a sick one asks
//! an open breaker. Both are answered from one atomic word, which packs the state with its generation, and the time
//! beside it: admitting is one load, refusing is three loads and a comparison, and a success that changes nothing is one
//! load. None of them writes, so they do not slow each other down.
//!
//! Everything else takes a mutex around the pure [`Machine`] for as long as one event takes, some tens of nanoseconds,
//! and publishes the new word before it lets go. That makes the shared breaker exact by construction: the machine's own
//! code decides, in some order that agrees with real time, and nothing else does. Windows are therefore behind the lock
//! too. They can be made lock-free behind this same interface, and then be tested against the machine.
//!
//! Why the short cuts are exact: a word is published inside the lock, so it was the machine's state at the moment it was
//! read, and the caller's answer is the one that the machine would have given at that moment. The time beside the word
//! belongs to it only if the word is the same before and after reading the time: between two different times the word is
//! always made different, generations never come again, and in one generation there is at most one such time.
//!
//! A `std` mutex is enough, as it is never held across a call, a wait or a listener. A panic inside it would be a fault
//! of this crate; the machine is then used as it stands rather than made unusable for all.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::call::Call;
use crate::chance::Chance;
use crate::machine::{Explanation, ForcedTrip, Grant, GrantKind, Machine, Reconfigured, Settled};
use crate::outcome::{Hold, HoldKind, Outcome, Phase, RejectReason, Rejection};
use crate::permit::{OwnedPermit, Permit};
use crate::settings::{Mode, Settings, SettingsError, Watches};
use crate::snapshot::{Saved, Snapshot};
use crate::time::Timestamp;
use crate::transition::{Transition, Transitions};
use crate::word::{Signal, Word};

/// Hears of every transition of a breaker.
///
/// Called in the thread whose call brought the transition about, after the breaker's lock is released, so it may call
/// the breaker; but what it does delays that one call. Transitions of different threads may arrive out of order: their
/// generations tell the order. A panic is caught and changes nothing.
///
/// A listener that answers every transition with another one would never end: past 64 at once on one breaker, further
/// ones are not announced. Those and the caught panics are counted, see [`Breaker::listener_faults`].
pub trait Listener: Send + Sync {
    /// `breaker` has just gone through `transition`.
    fn transition(&self, breaker: &Breaker, transition: &Transition);
}

/// How many announcements of one breaker may run at once, those nested in a listener included.
const ANNOUNCEMENTS: u32 = 64;

/// A circuit breaker, shared by cloning.
///
/// ```
/// use fusebox_breaker::{Breaker, Outcome, Phase, Settings, Timestamp};
///
/// let breaker = Breaker::new("orders", Settings::default()).expect("the defaults are sound");
/// let now = Timestamp::from_millis(0);
/// for _ in 0..5 {
///     let permit = breaker.admit(now).expect("closed");
///     permit.record(Outcome::Failure, now);
/// }
/// let rejection = breaker.admit(now).unwrap_err();
/// assert_eq!(rejection.phase, Phase::Open);
/// assert_eq!(rejection.retry_at, Some(Timestamp::from_millis(30_000)));
/// ```
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

struct Shared {
    word: AtomicU64,
    /// The time that goes with the word: the end of the cooldown or of the hold; the end of time for a hold without one.
    until: AtomicU64,
    machine: Mutex<Machine>,
    name: Arc<str>,
    listener: Option<Arc<dyn Listener>>,
    announcing: AtomicU32,
    listener_faults: AtomicU64,
}

/// Makes a [`Breaker`] with more than a name and settings.
pub struct Builder {
    name: Arc<str>,
    settings: Arc<Settings>,
    seed: Option<u64>,
    chance: Option<Arc<dyn Chance>>,
    listener: Option<Arc<dyn Listener>>,
}

impl Builder {
    /// The seed of the jitter, for runs that must repeat. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Another source of random numbers than the seeded one. Default: none.
    pub fn chance(mut self, chance: Arc<dyn Chance>) -> Self {
        self.chance = Some(chance);
        self
    }

    /// Who hears of the transitions. Default: nobody.
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listener = Some(listener);
        self
    }

    /// The breaker, closed.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`].
    pub fn build(self) -> Result<Breaker, Vec<SettingsError>> {
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(&self.name));
        let mut machine = Machine::new(self.settings, seed)?;
        if let Some(chance) = self.chance {
            machine.draw_from(chance);
        }
        let breaker = Breaker(Arc::new(Shared {
            word: AtomicU64::new(Word::new(Signal::Ask, 0).0),
            until: AtomicU64::new(Timestamp::MAX.as_nanos()),
            machine: Mutex::new(machine),
            name: self.name,
            listener: self.listener,
            announcing: AtomicU32::new(0),
            listener_faults: AtomicU64::new(0),
        }));
        breaker.publish(&breaker.machine());
        Ok(breaker)
    }
}

impl Breaker {
    /// A closed breaker of that name.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`].
    pub fn new(name: impl Into<Arc<str>>, settings: Settings) -> Result<Self, Vec<SettingsError>> {
        Breaker::builder(name, settings).build()
    }

    /// A breaker to be given a seed or a listener. Many breakers can share one `Arc<Settings>`.
    pub fn builder(name: impl Into<Arc<str>>, settings: impl Into<Arc<Settings>>) -> Builder {
        Builder {
            name: name.into(),
            settings: settings.into(),
            seed: None,
            chance: None,
            listener: None,
        }
    }

    /// The name given at its making.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Asks whether a call may pass.
    ///
    /// # Errors
    /// The refusal, with its reason and the time to return.
    #[inline]
    pub fn admit(&self, now: Timestamp) -> Result<Permit<'_>, Rejection> {
        self.admit_grant(now).map(|grant| Permit::new(self, grant))
    }

    /// Asks whether a call may pass, for a permit that is moved elsewhere.
    ///
    /// # Errors
    /// The refusal, with its reason and the time to return.
    #[inline]
    pub fn admit_owned(&self, now: Timestamp) -> Result<OwnedPermit, Rejection> {
        self.admit_grant(now)
            .map(|grant| OwnedPermit::new(self.clone(), grant))
    }

    /// Asks whether a call would pass, for callers that keep no permit and [`report`](Breaker::report) the outcome.
    /// No probe's place is taken, so every caller passes as long as one is free.
    ///
    /// # Errors
    /// The refusal, with its reason and the time to return.
    pub fn check(&self, now: Timestamp) -> Result<(), Rejection> {
        if let Some(answer) = self.answer_from_word(now) {
            return answer.map(|_| ());
        }
        let checked = self.with_machine(|machine| machine.check(now));
        self.announce(&checked.transitions);
        checked.result
    }

    /// Takes an outcome from a caller without a permit, and returns the last transition that this brought about.
    /// While open it changes nothing; after the cooldown it counts as a probe's answer.
    pub fn report(&self, call: impl Into<Call>, now: Timestamp) -> Option<Transition> {
        self.report_settled(call, now).transitions.into_last()
    }

    /// As [`Breaker::report`], returning also as what the outcome was counted.
    pub fn report_settled(&self, call: impl Into<Call>, now: Timestamp) -> Settled {
        let call = call.into();
        if call.outcome == Outcome::Success
            && self.word().signal() == (Signal::Closed { quiet: true })
        {
            return Settled::success();
        }
        let settled = self.with_machine(|machine| machine.report(call, now));
        self.announce(&settled.transitions);
        settled
    }

    /// Holds the breaker open or closed by an operator's word, until it ends, is released, or is replaced by another.
    pub fn hold(&self, hold: Hold, now: Timestamp) -> Transition {
        self.change(|machine| machine.hold(hold, now))
            .expect("a hold is always a transition")
    }

    /// Ends the hold: one held open goes on half-open, one held closed goes on closed with empty windows.
    /// Nothing happens without a hold.
    pub fn release(&self, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.release(now))
    }

    /// Begins anew: closed, windows empty, no hold.
    pub fn reset(&self, now: Timestamp) -> Transition {
        self.change(|machine| machine.reset(now))
            .expect("a reset is always a transition")
    }

    /// Trips the breaker as a rule would: it opens for a cooldown and comes back by itself.
    /// While it is open already, or held, nothing happens.
    pub fn trip(&self, trip: ForcedTrip, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.trip(trip, now))
    }

    /// Begins the ramp of the settings anew, see [`Machine::begin_ramp`].
    pub fn begin_ramp(&self, now: Timestamp) {
        self.with_machine(|machine| machine.begin_ramp(now));
    }

    /// Carries out what time alone has decided, for a caller that wants the listener to hear of it when no call comes.
    pub fn tick(&self, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.tick(now))
    }

    /// Takes new settings, and says what was kept and what was cleared.
    ///
    /// # Errors
    /// All faults of the new settings; the old ones then stay in force.
    pub fn reconfigure(
        &self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Reconfigured, Vec<SettingsError>> {
        let reconfigured = self.with_machine(|machine| machine.reconfigure(settings, now))?;
        self.announce(&reconfigured.transitions);
        Ok(reconfigured)
    }

    /// What [`Breaker::reconfigure`] would do, without doing it.
    ///
    /// # Errors
    /// All faults of the new settings.
    pub fn would_reconfigure(
        &self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Reconfigured, Vec<SettingsError>> {
        self.machine().would_reconfigure(settings, now)
    }

    /// Why open, why still closed, when next: for a person, or as data. Nothing is changed by looking.
    pub fn explain(&self, now: Timestamp) -> Explanation {
        self.machine().explain(now)
    }

    /// Everything at `now`. Nothing is changed by looking.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.machine().snapshot(now)
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.machine().settings().clone()
    }

    /// What is to outlive the process.
    pub fn saved(&self, now: Timestamp) -> Saved {
        self.machine().saved(now)
    }

    /// Takes up what an earlier process left, see [`Machine::restore`].
    pub fn restore(&self, saved: &Saved, now: Timestamp) -> Transition {
        self.change(|machine| machine.restore(saved, now))
            .expect("a restore is always a transition")
    }

    /// Whether nothing would be lost with this breaker: closed, no hold, nothing in its windows.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.machine().is_idle(now)
    }

    /// Whether nobody but its registry has it in hand.
    pub(crate) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// How often the listener panicked or could not be called.
    pub fn listener_faults(&self) -> u64 {
        self.0.listener_faults.load(Ordering::Relaxed)
    }

    #[inline]
    fn admit_grant(&self, now: Timestamp) -> Result<Grant, Rejection> {
        match self.answer_from_word(now) {
            Some(answer) => answer,
            None => self.admit_by_machine(now),
        }
    }

    #[cold]
    fn admit_by_machine(&self, now: Timestamp) -> Result<Grant, Rejection> {
        let admission = self.with_machine(|machine| machine.admit(now));
        self.announce(&admission.transitions);
        admission.result
    }

    /// The machine's answer as far as the word alone tells it.
    #[inline]
    fn answer_from_word(&self, now: Timestamp) -> Option<Result<Grant, Rejection>> {
        let word = self.word();
        let grant = |kind| {
            Some(Ok(Grant {
                generation: word.generation(),
                kind,
            }))
        };
        let until = || {
            let until = Timestamp::from_nanos(self.0.until.load(Ordering::Acquire));
            (self.word() == word && now < until).then_some(until)
        };
        match word.signal() {
            Signal::Closed { .. } => grant(GrantKind::Call),
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

    /// Whether an outcome is a success that changes nothing, told by the word alone.
    #[inline]
    pub(crate) fn takes_quietly(&self, grant: &Grant, outcome: Outcome) -> bool {
        let quiet = Word::new(Signal::Closed { quiet: true }, grant.generation);
        outcome == Outcome::Success && grant.kind == GrantKind::Call && self.word() == quiet
    }

    #[inline(never)]
    pub(crate) fn settle(&self, grant: Grant, call: Call, now: Timestamp) -> Settled {
        let settled = self.with_machine(|machine| machine.record(grant, call, now));
        self.announce(&settled.transitions);
        settled
    }

    pub(crate) fn extend(&self, grant: &mut Grant, deadline: Timestamp) {
        self.with_machine(|machine| machine.extend(grant, deadline));
    }

    pub(crate) fn panicked(&self, grant: Grant, now: Timestamp) -> Settled {
        let settled = self.with_machine(|machine| machine.panicked(grant, now));
        self.announce(&settled.transitions);
        settled
    }

    pub(crate) fn answered(&self, grant: &Grant) {
        self.with_machine(|machine| machine.answered(grant));
    }

    #[inline(never)]
    pub(crate) fn drop_grant(&self, grant: Grant) {
        let settled = self.with_machine(|machine| {
            if std::thread::panicking() {
                machine.panicked(grant, Timestamp::ZERO)
            } else {
                machine.drop_grant(grant)
            }
        });
        self.announce(&settled.transitions);
    }

    #[inline]
    fn word(&self) -> Word {
        Word(self.0.word.load(Ordering::Acquire))
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0
            .machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One event, and the word that tells of it, before anyone else can have another.
    fn with_machine<R>(&self, event: impl FnOnce(&mut Machine) -> R) -> R {
        let mut machine = self.machine();
        let result = event(&mut machine);
        self.publish(&machine);
        result
    }

    fn change(&self, event: impl FnOnce(&mut Machine) -> Transitions) -> Option<Transition> {
        let transitions = self.with_machine(event);
        self.announce(&transitions);
        transitions.into_last()
    }

    /// Publishes what callers may know without the lock, which must be held. Writes only what changed.
    fn publish(&self, machine: &Machine) {
        let (signal, until) = signal_of(machine);
        let word = Word::new(signal, machine.generation());
        let shared = &*self.0;
        if let Some(until) = until.map(Timestamp::as_nanos)
            && shared.until.load(Ordering::Relaxed) != until
        {
            // A reader takes the time for the word's only if the word did not change meanwhile; so it must change.
            let asks = Word::new(Signal::Ask, machine.generation());
            shared.word.store(asks.0, Ordering::Release);
            shared.until.store(until, Ordering::Release);
        }
        if self.word() != word {
            shared.word.store(word.0, Ordering::Release);
        }
    }

    fn announce(&self, transitions: &Transitions) {
        let Some(listener) = &self.0.listener else {
            return;
        };
        for transition in transitions.iter() {
            let others = self.0.announcing.fetch_add(1, Ordering::Relaxed);
            let heard = others < ANNOUNCEMENTS
                && catch_unwind(AssertUnwindSafe(|| listener.transition(self, transition))).is_ok();
            self.0.announcing.fetch_sub(1, Ordering::Relaxed);
            if !heard {
                self.0.listener_faults.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.0.name)
            .field("word", &self.word().signal())
            .field("generation", &self.word().generation())
            .finish_non_exhaustive()
    }
}

/// What callers may know of a machine without asking it, and the time that goes with it where one does.
/// That time is the same throughout a generation; words without one leave the last one standing.
fn signal_of(machine: &Machine) -> (Signal, Option<Timestamp>) {
    let phase = machine.frozen_phase();
    let mode = machine.settings().mode;
    match (mode, machine.placed_hold(), phase) {
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
            let quiet = machine.success_changes_nothing();
            let signal = match machine.settings().watches() {
                _ if !machine.admits_by_state() => Signal::Ask,
                Watches::Durations => Signal::Timed,
                Watches::Outcomes | Watches::Flights => Signal::Closed { quiet },
            };
            (signal, None)
        }
        (Mode::Enforce, None, Phase::Open) => (Signal::Open, machine.open_until()),
        (Mode::Enforce | Mode::Monitor, None, Phase::Open | Phase::HalfOpen) => (Signal::Ask, None),
    }
}
