//! The breaker shared between threads: a name, listeners, and the core that decides.
//!
//! Transitions are announced after the decision, when the core's lock is free again.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::breaker::listener::{Listener, Listeners, OnRefused, shared, tell_all};
use crate::call::Call;
use crate::chance::Chance;
use crate::clock;
use crate::last_use::LastUse;
use crate::machine::{
    Checked, Explanation, ForcedTrip, Grant, Loss, Machine, Reconfigured, Settled,
};
use crate::outcome::{Hold, Outcome, Phase, Rejection};
use crate::permit::{OwnedPermit, Permit};
use crate::rare_state::{RareState, RareStateHandle};
use crate::refused::Refused;
use crate::settings::{Settings, SettingsErrors};
use crate::shared::Core;
use crate::snapshot::{Saved, Snapshot};
use crate::state_word::Signal;
use crate::time::Timestamp;
use crate::token::{PlainToken, Token};
use crate::transition::{Transition, Transitions};

pub(crate) mod listener;

/// The most announcements of one breaker at once, those nested in a listener included.
const ANNOUNCEMENTS: u16 = 64;

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
#[doc(alias = "CircuitBreaker")]
#[doc(alias = "circuit breaker")]
#[derive(Clone)]
pub struct Breaker(pub(crate) Arc<Inner>);

/// A panic leaves a breaker as the last event left it: listeners are called without its lock, and their panics are
/// caught.
impl UnwindSafe for Breaker {}

/// The same as for [`UnwindSafe`].
impl RefUnwindSafe for Breaker {}

pub(crate) struct Inner {
    pub(crate) core: Core,
    name: Arc<str>,
    listeners: Option<Listeners>,
    /// The last use of its key, in a registry.
    last_use: LastUse,
    announcing: AtomicU16,
    /// The position of the key in its name, in a registry.
    key_at: u16,
    pub(crate) rare: RareStateHandle,
}

/// The answer of the slower path. Not a `Result`, which the compiler would build in the place of the quick answer's,
/// hence in memory.
struct SlowAdmission {
    token: Token,
    refused: Option<Rejection>,
}

/// Builds a [`Breaker`] with more than a name and settings.
pub struct Builder {
    name: Arc<str>,
    settings: Arc<Settings>,
    seed: Option<u64>,
    chance: Option<Arc<dyn Chance>>,
    listeners: Vec<Arc<dyn Listener>>,
    shared_listeners: Option<Listeners>,
    key_at: u16,
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

    /// Adds a listener, called after those added earlier. Default: none.
    #[doc(alias = "on_state_transition")]
    pub fn listener(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Adds a closure that is called for every transition, see [`Listener::transition`].
    ///
    /// ```
    /// use fusebox_breaker::{Breaker, Settings};
    ///
    /// let breaker = Breaker::builder("orders", Settings::default())
    ///     .on_transition(|breaker, transition| println!("{}: {transition}", breaker.name()))
    ///     .on_refused(|_, refused| println!("{refused}"))
    ///     .build()?;
    /// # Ok::<(), fusebox_breaker::SettingsErrors>(())
    /// ```
    pub fn on_transition(
        self,
        hears: impl Fn(&Breaker, &Transition) + Send + Sync + 'static,
    ) -> Self {
        self.listener(Arc::new(hears))
    }

    /// Adds a closure that is called for every refused call, see [`Listener::refused`].
    pub fn on_refused(self, hears: impl Fn(&Breaker, &Refused) + Send + Sync + 'static) -> Self {
        self.listener(Arc::new(OnRefused(hears)))
    }

    /// Sets the listeners of a registry in place of its own.
    pub(crate) fn shared_listeners(mut self, listeners: Option<Listeners>) -> Self {
        self.shared_listeners = listeners;
        self
    }

    /// Marks the breaker as one of a registry; its name from that byte on is its key.
    pub(crate) fn keyed_from(mut self, key_at: u16) -> Self {
        self.key_at = key_at;
        self
    }

    /// The finished breaker, closed.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`].
    pub fn build(self) -> Result<Breaker, SettingsErrors> {
        clock::begin();
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(&self.name));
        let mut machine = Machine::new(self.settings, seed)?;
        if let Some(chance) = self.chance {
            machine.draw_from(chance);
        }
        Ok(Breaker(Arc::new(Inner {
            core: Core::new(machine),
            name: self.name,
            listeners: self.shared_listeners.or_else(|| shared(self.listeners)),
            last_use: LastUse::default(),
            announcing: AtomicU16::new(0),
            key_at: self.key_at,
            rare: RareStateHandle::default(),
        })))
    }
}

impl Breaker {
    /// A closed breaker of that name.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`].
    pub fn new(name: impl Into<Arc<str>>, settings: Settings) -> Result<Self, SettingsErrors> {
        Breaker::builder(name, settings).build()
    }

    /// A builder for a breaker with a seed or a listener. Many breakers can share one `Arc<Settings>`.
    pub fn builder(name: impl Into<Arc<str>>, settings: impl Into<Arc<Settings>>) -> Builder {
        Builder {
            name: name.into(),
            settings: settings.into(),
            seed: None,
            chance: None,
            listeners: Vec::new(),
            shared_listeners: None,
            key_at: 0,
        }
    }

    /// The name given at creation.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Asks whether a call may pass. Keep the permit for as long as the call lasts.
    ///
    /// # Errors
    /// The refusal, with its reason and the time to return. It is not counted, see [`refused`](Breaker::refused).
    #[doc(alias = "try_acquire_permission")]
    #[doc(alias = "allow")]
    #[must_use = "the permit must be kept for as long as the call lasts; dropped at once, the call is ignored"]
    #[inline]
    pub fn admit(&self, now: Timestamp) -> Result<Permit<'_>, Rejection> {
        self.admit_token(now).map(|token| Permit::new(self, token))
    }

    /// Asks whether a call may pass, for a permit that is moved elsewhere.
    ///
    /// # Errors
    /// The refusal, with its reason and the time to return. It is not counted, see [`refused`](Breaker::refused).
    #[must_use = "the permit must be kept for as long as the call lasts; dropped at once, the call is ignored"]
    #[inline]
    pub fn admit_owned(&self, now: Timestamp) -> Result<OwnedPermit, Rejection> {
        self.admit_token(now)
            .map(|token| OwnedPermit::new(self.clone(), token))
    }

    /// True if a call that asked at `now` might become a probe. This is only a hint, since the state may change before
    /// the call asks; for a breaker that is closed and counts nothing but rows it is one load. For callers that must do
    /// something before they may probe.
    #[inline]
    pub fn may_probe(&self, now: Timestamp) -> bool {
        match self.0.core.word().signal() {
            Signal::Closed | Signal::Timed | Signal::HeldClosed | Signal::Disabled => false,
            Signal::Open | Signal::HeldOpen(_) => true,
            Signal::Ask => self
                .0
                .core
                .look(|machine| machine.phase(now) != Phase::Closed),
        }
    }

    /// Asks whether a call would pass, for callers that keep no permit and [`report`](Breaker::report) the outcome.
    /// No probe's place is taken, so every caller passes as long as one is free.
    ///
    /// # Errors
    /// The refusal, with its reason and the time to return.
    #[doc(alias = "is_call_permitted")]
    #[doc(alias = "can_execute")]
    pub fn check(&self, now: Timestamp) -> Result<(), Rejection> {
        self.check_by(now, |machine| machine.check(now))
    }

    /// As [`check`](Breaker::check), for callers whose rejections by chance concern only the call itself.
    pub(crate) fn check_with_luck(&self, now: Timestamp) -> Result<(), Rejection> {
        self.check_by(now, |machine| machine.check_with_luck(now))
    }

    #[inline]
    fn check_by(
        &self,
        now: Timestamp,
        check: impl FnOnce(&mut Machine) -> Checked,
    ) -> Result<(), Rejection> {
        if let Some(answer) = self.0.core.answer(now) {
            return answer.map(|_| ());
        }
        let checked = self.with_machine(check);
        self.announce(&checked.transitions);
        checked.result
    }

    /// Takes an outcome from a caller without a permit, and returns the last transition that it caused. While open it
    /// changes nothing; after the cooldown it counts as a probe's answer.
    pub fn report(&self, call: impl Into<Call>, now: Timestamp) -> Option<Transition> {
        self.report_settled(call, now).transitions.into_last()
    }

    /// As [`Breaker::report`]; also returns how the outcome was counted.
    pub fn report_settled(&self, call: impl Into<Call>, now: Timestamp) -> Settled {
        let call = call.into();
        if call.is_plain()
            && let Some(plain) = self.0.core.untimed()
            && self.0.core.takes(plain, call.outcome, call.duration, now)
        {
            return Settled::of(call.outcome);
        }
        let settled = self.with_machine(|machine| machine.report(call, now));
        self.announce(&settled.transitions);
        settled
    }

    /// Holds the breaker open or closed by an operator's command, until the hold ends, is released, or is replaced.
    #[doc(alias = "force_open")]
    #[doc(alias = "isolate")]
    #[doc(alias = "disable")]
    pub fn hold(&self, hold: Hold, now: Timestamp) -> Transition {
        self.change(|machine| machine.hold(hold, now))
            .expect("a hold is always a transition")
    }

    /// Ends the hold: a breaker held open continues half-open, one held closed continues closed with empty windows.
    /// Nothing happens without a hold.
    pub fn release(&self, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.release(now))
    }

    /// Starts again: closed, windows empty, no hold. The clock starts again too: the next stamp is taken as the first
    /// one, even if it is earlier than all before.
    pub fn reset(&self, now: Timestamp) -> Transition {
        self.change(|machine| machine.reset(now))
            .expect("a reset is always a transition")
    }

    /// Trips the breaker as a rule would: it opens for a cooldown and comes back by itself.
    /// While it is open already, or held, nothing happens.
    pub fn trip(&self, trip: ForcedTrip, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.trip(trip, now))
    }

    /// Starts the ramp of the settings again, see [`Machine::begin_ramp`].
    pub fn begin_ramp(&self, now: Timestamp) {
        self.with_machine(|machine| machine.begin_ramp(now));
    }

    /// Carries out decisions of time alone, for a caller that wants the listener's events even without calls.
    pub fn tick(&self, now: Timestamp) -> Option<Transition> {
        let transitions = self.with_machine(|machine| machine.tick(now));
        self.announce(&transitions);
        transitions.into_last()
    }

    /// Takes new settings, and reports which state was kept and which was cleared.
    ///
    /// # Errors
    /// All faults of the new settings; the old ones then stay in force.
    pub fn reconfigure(
        &self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Reconfigured, SettingsErrors> {
        let reconfigured = self.with_machine(|machine| machine.reconfigure(settings, now))?;
        self.0.rare.wake();
        self.announce(&reconfigured.transitions);
        Ok(reconfigured)
    }

    /// The result that [`Breaker::reconfigure`] would have, without a change.
    ///
    /// # Errors
    /// All faults of the new settings.
    pub fn would_reconfigure(
        &self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Reconfigured, SettingsErrors> {
        self.0
            .core
            .look(|machine| machine.would_reconfigure(settings, now))
    }

    /// Explains why the breaker is open or still closed, and when that changes: for a person, or as data. Changes
    /// nothing.
    pub fn explain(&self, now: Timestamp) -> Explanation {
        self.0.core.look(|machine| machine.explain(now))
    }

    /// The whole state at `now`. Changes nothing.
    #[doc(alias = "state")]
    #[doc(alias = "metrics")]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let mut snapshot = self.0.core.look(|machine| machine.snapshot(now));
        snapshot.totals.refused = self.0.rare.get().map_or(0, RareState::refused);
        snapshot
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.core.settings()
    }

    /// The part of the state that outlives the process.
    pub fn saved(&self, now: Timestamp) -> Saved {
        self.0.core.look(|machine| machine.saved(now))
    }

    /// Restores the state that an earlier process left, see [`Machine::restore`].
    pub fn restore(&self, saved: &Saved, now: Timestamp) -> Transition {
        self.change(|machine| machine.restore(saved, now))
            .expect("a restore is always a transition")
    }

    /// True if nothing would be lost with this breaker: closed, no hold, nothing in its windows.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.0.core.look(|machine| machine.is_idle(now))
    }

    /// Frees the memory of a breaker without any state: no transition since it was made, windows empty, no call watched
    /// in flight, no source of chance of its own. Only the [last outcomes](crate::Snapshot::outcomes) and the usual
    /// duration of a success are forgotten. Any other breaker stays as it is; one that has tripped keeps its history. A
    /// [`Registry`](crate::Registry) calls this by itself when it grows.
    pub fn rest(&self, now: Timestamp) {
        self.0.core.rest(now);
    }

    /// The loss if the breaker were evicted at `now`.
    pub(crate) fn loss(&self, now: Timestamp) -> Loss {
        self.0.core.loss(now)
    }

    /// The last use of its key.
    #[inline]
    pub(crate) fn last_use(&self) -> &LastUse {
        &self.0.last_use
    }

    /// The breaker's key in a registry.
    #[inline]
    pub(crate) fn key(&self) -> &str {
        &self.0.name[usize::from(self.0.key_at)..]
    }

    /// True if both are the same breaker.
    pub(crate) fn is(&self, other: &Breaker) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Number of handles to this breaker.
    pub(crate) fn hands(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Number of times that a listener panicked or could not be called; counted up to 2^32 - 1.
    pub fn listener_faults(&self) -> u64 {
        let faults = self.0.rare.get().map(RareState::listener_faults);
        faults.unwrap_or(0).into()
    }

    /// Decides first, and in registers alone, the case of almost every call, of a healthy system and of a sick one.
    #[inline]
    pub(crate) fn admit_token(&self, now: Timestamp) -> Result<Token, Rejection> {
        if let Some(token) = self.0.core.admit_token(now) {
            return Ok(token);
        }
        if let Some(until) = self.0.core.open_until(now) {
            return Err(Rejection::until(until));
        }
        let admission = self.ask(now);
        match admission.refused {
            Some(rejection) => Err(rejection),
            None => Ok(admission.token),
        }
    }

    #[inline(never)]
    fn ask(&self, now: Timestamp) -> SlowAdmission {
        let answer = self.0.core.first_answer(now).unwrap_or_else(|| {
            let admission = self.with_machine(|machine| machine.admit(now));
            self.announce(&admission.transitions);
            admission.result.map(Token::of)
        });
        match answer {
            Ok(token) => SlowAdmission {
                token,
                refused: None,
            },
            Err(rejection) => SlowAdmission {
                token: Token::default(),
                refused: Some(rejection),
            },
        }
    }

    #[inline(always)]
    pub(crate) fn record(
        &self,
        mut token: Token,
        call: Call,
        now: Timestamp,
    ) -> Option<Transition> {
        match token.plain() {
            Some(plain) if call.is_plain() => {
                if self.0.core.ignores(plain.word, call.outcome) {
                    return None;
                }
                match call.duration {
                    None => self.record_brief(plain, call.outcome, now),
                    duration => self.record_plain(plain, call.outcome, duration, now),
                }
            }
            _ => self.record_any(token.take(), call.again(), now),
        }
    }

    /// As [`record`](Breaker::record), for callers that do not need the transition: without one to return there is none
    /// to drop.
    #[inline(always)]
    pub(crate) fn conclude(&self, mut token: Token, call: Call, now: Timestamp) {
        match token.plain() {
            Some(plain) if call.is_plain() => {
                if self.0.core.ignores(plain.word, call.outcome) {
                    return;
                }
                self.conclude_plain(plain, call.outcome, call.duration, now);
            }
            _ => self.conclude_any(token.take(), call.again(), now),
        }
    }

    #[inline(never)]
    fn conclude_plain(
        &self,
        plain: PlainToken,
        outcome: Outcome,
        duration: Option<Duration>,
        now: Timestamp,
    ) {
        if !self.0.core.takes(plain, outcome, duration, now) {
            self.conclude_any(plain.into(), Call::of(outcome, duration), now);
        }
    }

    #[inline(never)]
    fn conclude_any(&self, token: Token, call: Call, now: Timestamp) {
        self.settle_any(token, call, now);
    }

    #[inline(always)]
    pub(crate) fn settle(&self, mut token: Token, call: Call, now: Timestamp) -> Settled {
        match token.plain() {
            Some(plain) if call.is_plain() => {
                if self.0.core.ignores(plain.word, call.outcome) {
                    return Settled::of(call.outcome);
                }
                self.settle_plain(plain, call.outcome, call.duration, now)
            }
            _ => self.settle_any(token.take(), call.again(), now),
        }
    }

    /// Records the commonest outcome that must be remembered, with all arguments in registers.
    #[inline(never)]
    fn record_brief(
        &self,
        plain: PlainToken,
        outcome: Outcome,
        now: Timestamp,
    ) -> Option<Transition> {
        if self.0.core.takes(plain, outcome, None, now) {
            return None;
        }
        self.record_deciding(plain, outcome, None, now)
    }

    #[inline(never)]
    fn record_plain(
        &self,
        plain: PlainToken,
        outcome: Outcome,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> Option<Transition> {
        if self.0.core.takes(plain, outcome, duration, now) {
            return None;
        }
        self.record_deciding(plain, outcome, duration, now)
    }

    /// Kept out of line, so that its caller needs little stack of its own.
    #[inline(never)]
    fn record_deciding(
        &self,
        plain: PlainToken,
        outcome: Outcome,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> Option<Transition> {
        self.record_any(plain.into(), Call::of(outcome, duration), now)
    }

    #[inline(never)]
    fn settle_plain(
        &self,
        plain: PlainToken,
        outcome: Outcome,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> Settled {
        if self.0.core.takes(plain, outcome, duration, now) {
            return Settled::of(outcome);
        }
        let call = Call::of(outcome, duration);
        self.settle_any(plain.into(), call, now)
    }

    #[inline(never)]
    fn record_any(&self, token: Token, call: Call, now: Timestamp) -> Option<Transition> {
        self.settle_any(token, call, now).transitions.into_last()
    }

    /// Records the outcome of a call whose token is not spent.
    #[inline(never)]
    fn settle_any(&self, token: Token, call: Call, now: Timestamp) -> Settled {
        let Some(grant) = token.into_grant() else {
            return Settled::of(Outcome::Ignored);
        };
        let probe = grant.is_probe();
        let settled = self.with_machine(|machine| machine.record(grant, call, now));
        self.announce(&settled.transitions);
        self.freed(probe);
        settled
    }

    pub(crate) fn extend(&self, grant: &mut Grant, deadline: Timestamp) {
        self.with_machine(|machine| machine.extend(grant, deadline));
    }

    pub(crate) fn panicked(&self, grant: Grant, now: Timestamp) -> Settled {
        let probe = grant.is_probe();
        let settled = self.with_machine(|machine| machine.panicked(grant, now));
        self.announce(&settled.transitions);
        self.freed(probe);
        settled
    }

    pub(crate) fn abandoned(&self, grant: Grant, lasted: Duration, now: Timestamp) -> Settled {
        let probe = grant.is_probe();
        let settled = self.with_machine(|machine| machine.abandoned(grant, lasted, now));
        self.announce(&settled.transitions);
        self.freed(probe);
        settled
    }

    pub(crate) fn waits_since(&self, grant: &mut Grant, start: Timestamp) {
        self.with_machine(|machine| machine.waits_since(grant, start));
    }

    pub(crate) fn answered(&self, grant: &Grant) {
        self.with_machine(|machine| machine.answered(grant));
    }

    #[inline(never)]
    pub(crate) fn drop_token(&self, token: Token) {
        let Some(grant) = token.into_grant() else {
            return;
        };
        let probe = grant.is_probe();
        let settled = self.with_machine(|machine| machine.drop_grant(grant));
        self.announce(&settled.transitions);
        self.freed(probe);
    }

    pub(crate) fn with_machine<R>(&self, event: impl FnOnce(&mut Machine) -> R) -> R {
        let (result, calls) = self
            .0
            .core
            .with(|machine| (event(machine), machine.take_calls()));
        if calls.demanded {
            self.tell(|listener| listener.demanded(self));
        }
        if calls.stirred {
            self.tell(|listener| listener.stirred(self));
        }
        result
    }

    /// Runs a command. Even without a transition it may let calls pass, so all waiting calls check again.
    pub(crate) fn change(
        &self,
        event: impl FnOnce(&mut Machine) -> Transitions,
    ) -> Option<Transition> {
        let transitions = self.with_machine(event);
        self.0.rare.wake();
        self.announce(&transitions);
        transitions.into_last()
    }

    fn announce(&self, transitions: &Transitions) {
        if !transitions.is_empty() {
            self.0.rare.wake();
        }
        for transition in transitions.iter() {
            self.tell(|listener| listener.transition(self, transition));
        }
    }

    pub(crate) fn tell(&self, word: impl Fn(&dyn Listener)) {
        let Some(listeners) = self.listeners() else {
            return;
        };
        let others = self.0.announcing.fetch_add(1, Ordering::Relaxed);
        let faults = match others < ANNOUNCEMENTS {
            true => tell_all(listeners, word),
            false => 1,
        };
        self.0.announcing.fetch_sub(1, Ordering::Relaxed);
        self.count_listener_faults(faults);
    }

    pub(crate) fn listeners(&self) -> Option<&Listeners> {
        self.0.listeners.as_ref()
    }

    pub(crate) fn count_listener_faults(&self, faults: usize) {
        (0..faults).for_each(|_| self.0.rare.get_or_make().count_listener_fault());
    }

    /// Wakes waiting calls, since a probe's place may be free.
    fn freed(&self, was_probe: bool) {
        if was_probe {
            self.0.rare.wake();
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.0.name)
            .field("word", &self.0.core.word().signal())
            .field("generation", &self.0.core.word().generation())
            .finish_non_exhaustive()
    }
}
