//! The breaker shared between threads: a name, listeners, and the core that decides.
//!
//! Transitions are announced after the decision, when the core's lock is free again.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::breaker::builder::Builder;
use crate::breaker::listener::{Listener, Listeners, tell_all};
use crate::call::Call;
use crate::last_use::LastUse;
use crate::machine::{Checked, Grant, Loss, Machine, Settled};
use crate::outcome::{Outcome, Phase, Rejection};
use crate::permit::{OwnedPermit, Permit};
use crate::rare_state::{RareState, RareStateHandle};
use crate::settings::{Settings, SettingsErrors};
use crate::shared::Core;
use crate::state_word::Signal;
use crate::time::Timestamp;
use crate::token::{PlainToken, Token};
use crate::transition::{Transition, Transitions};

pub(crate) mod builder;
mod commands;
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
        Builder::new(name.into(), settings.into())
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

    pub(crate) fn loss(&self, now: Timestamp) -> Loss {
        self.0.core.loss(now)
    }

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
        self.take_back(grant, |machine, grant| machine.record(grant, call, now))
    }

    /// Ends the call of a grant, and wakes waiting callers if that may have freed a probe's place.
    fn take_back(
        &self,
        grant: Grant,
        event: impl FnOnce(&mut Machine, Grant) -> Settled,
    ) -> Settled {
        let was_probe = grant.is_probe();
        let settled = self.with_machine(|machine| event(machine, grant));
        self.announce(&settled.transitions);
        if was_probe {
            self.0.rare.wake();
        }
        settled
    }

    pub(crate) fn extend(&self, grant: &mut Grant, deadline: Timestamp) {
        self.with_machine(|machine| machine.extend(grant, deadline));
    }

    pub(crate) fn panicked(&self, grant: Grant, now: Timestamp) -> Settled {
        self.take_back(grant, |machine, grant| machine.panicked(grant, now))
    }

    pub(crate) fn abandoned(&self, grant: Grant, lasted: Duration, now: Timestamp) -> Settled {
        self.take_back(grant, |machine, grant| {
            machine.abandoned(grant, lasted, now)
        })
    }

    pub(crate) fn waits_since(&self, grant: &mut Grant, start: Timestamp) {
        self.with_machine(|machine| machine.waits_since(grant, start));
    }

    pub(crate) fn answered(&self, grant: &Grant) {
        self.with_machine(|machine| machine.answered(grant));
    }

    #[inline(never)]
    pub(crate) fn drop_token(&self, token: Token) {
        if let Some(grant) = token.into_grant() {
            self.take_back(grant, Machine::drop_grant);
        }
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
