//! A breaker with everything that a call needs: a clock and a classifier, so that one line guards a call.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::call::Call;
use crate::call_error::CallError;
use crate::classify::{Classify, ErrorsFail};
use crate::clock::{Clock, MonotonicClock};
use crate::guard::guarded::Guarded;
use crate::settings::{Settings, SettingsErrors};
use crate::time::Timestamp;

pub(crate) mod guarded;

/// Guards calls by a breaker: asks it, makes the call if it may pass, and records its outcome.
///
/// A call that panics counts as [`OnPanic`](crate::OnPanic) says, and the panic continues. A future that is dropped
/// before its end counts as [`OnAbandoned`](crate::OnAbandoned) says: it is ignored unless that is set. So is one that
/// is dropped because its thread panics for a reason of its own. Clones share the breaker and the clock.
///
/// The clock is read only where a time matters: for a breaker that is not closed, for outcomes that may trip or enter a
/// window of time, and where [`Settings`](crate::Settings) have a rule about slow or stalled calls or count abandoned
/// ones. A breaker that stays open for more than a second refuses by [`Clock::coarse`]. A call without such a need is
/// not timed, so its [`Flown`](crate::snapshot::Flown) has no duration.
///
/// All guards share one origin of time, so one breaker may have many, made anywhere and at any time. If one of them
/// gets another [clock](Guard::clock), all callers of its breaker must get it.
///
/// ```
/// use fusebox_breaker::{Guard, Settings};
///
/// let guard = Guard::new("orders", Settings::default())?;
/// let answer = guard.call(|| "42".parse::<u32>());
/// assert_eq!(answer, Ok(42));
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[doc(alias = "CircuitBreaker")]
#[derive(Clone, Debug)]
pub struct Guard<K = ErrorsFail, C = MonotonicClock> {
    breaker: Breaker,
    pub(crate) classifier: K,
    clock: C,
}

impl Guard {
    /// A guard of a new breaker with that name and those settings. It takes every error for a failure.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`].
    pub fn new(name: impl Into<Arc<str>>, settings: Settings) -> Result<Self, SettingsErrors> {
        Breaker::new(name, settings).map(Guard::of)
    }

    /// A guard of that breaker, on the [clock of the process](MonotonicClock), that takes every error for a failure.
    pub fn of(breaker: Breaker) -> Self {
        Guard {
            breaker,
            classifier: ErrorsFail,
            clock: MonotonicClock,
        }
    }
}

impl From<Breaker> for Guard {
    fn from(breaker: Breaker) -> Self {
        Guard::of(breaker)
    }
}

impl<K, C> Guard<K, C> {
    pub(crate) fn assembled(breaker: Breaker, classifier: K, clock: C) -> Self {
        Guard {
            breaker,
            classifier,
            clock,
        }
    }

    /// The same guard with another classifier.
    #[must_use = "it is another guard of the same breaker"]
    pub fn classifier<N>(self, classifier: N) -> Guard<N, C> {
        Guard {
            breaker: self.breaker,
            classifier,
            clock: self.clock,
        }
    }

    /// The same guard with a closure for a classifier. It returns an [`Outcome`](crate::Outcome) or a [`Call`].
    ///
    /// The types of answer and error are inferred from the closure or from the calls that follow:
    ///
    /// ```
    /// use fusebox_breaker::{Guard, Outcome, Settings};
    ///
    /// let guard = Guard::new("orders", Settings::default())?.classify(|result| match result {
    ///     Ok(500..) | Err(_) => Outcome::Failure,
    ///     Ok(_) => Outcome::Success,
    /// });
    /// let answer = guard.call(|| Ok::<u16, std::io::Error>(404));
    /// assert_eq!(answer.ok(), Some(404));
    /// # Ok::<(), fusebox_breaker::SettingsErrors>(())
    /// ```
    #[must_use = "it is another guard of the same breaker"]
    pub fn classify<T, E, O, F>(self, classify: F) -> Guard<F, C>
    where
        F: Fn(&Result<T, E>) -> O,
        O: Into<Call>,
    {
        self.classifier(classify)
    }

    /// The same guard with another clock.
    #[must_use = "it is another guard of the same breaker"]
    pub fn clock<N: Clock>(self, clock: N) -> Guard<K, N> {
        Guard {
            breaker: self.breaker,
            classifier: self.classifier,
            clock,
        }
    }

    /// The guarded breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}

impl<K, C: Clock> Guard<K, C> {
    /// The time by the guard's clock: the argument of the breaker's own methods, and of
    /// [`Rejection::wait`](crate::Rejection::wait).
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time by the guard's clock, to some milliseconds.
    #[inline]
    pub(crate) fn coarse(&self) -> Timestamp {
        self.clock.coarse()
    }

    /// Makes a call if the breaker lets it pass.
    ///
    /// # Errors
    /// The refusal, or the call's own error.
    #[doc(alias = "execute")]
    #[doc(alias = "run")]
    #[inline]
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>>
    where
        K: Classify<T, E>,
    {
        self.call_by(call, |classifier, result| classifier.classify(result))
    }

    /// Makes a call as [`call`](Guard::call) does, with its result judged by a closure in place of the guard's
    /// classifier. The types are known from the call, so the closure needs none.
    ///
    /// ```
    /// use fusebox_breaker::{Guard, Outcome, Settings};
    ///
    /// let guard = Guard::new("orders", Settings::default())?;
    /// let answer = guard.call_with(
    ///     || "42".parse::<u32>(),
    ///     |result| match result {
    ///         Err(error) if error.to_string().is_empty() => Outcome::Ignored,
    ///         Err(_) => Outcome::Failure,
    ///         Ok(_) => Outcome::Success,
    ///     },
    /// );
    /// assert_eq!(answer.ok(), Some(42));
    /// # Ok::<(), fusebox_breaker::SettingsErrors>(())
    /// ```
    ///
    /// # Errors
    /// The refusal, or the call's own error.
    #[inline]
    pub fn call_with<T, E, O: Into<Call>>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
        classify: impl FnOnce(&Result<T, E>) -> O,
    ) -> Result<T, CallError<E>> {
        self.call_by(call, |_, result| classify(result).into())
    }

    #[inline(always)]
    fn call_by<T, E>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
        classify: impl FnOnce(&K, &Result<T, E>) -> Call,
    ) -> Result<T, CallError<E>> {
        let mut guarded = Guarded::begin(self)?;
        let result = guarded.within(call);
        guarded.end(|classifier| classify(classifier, &result));
        result.map_err(CallError::Failed)
    }

    /// Makes a call if the breaker lets it pass; otherwise `call` is not even asked for its future.
    ///
    /// # Errors
    /// The refusal, or the call's own error.
    pub async fn call_async<T, E, F>(&self, call: impl FnOnce() -> F) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        K: Classify<T, E>,
    {
        let classify = |classifier: &K, result: &Result<T, E>| classifier.classify(result);
        self.call_async_by(call, classify).await
    }

    /// Makes a call as [`call_async`](Guard::call_async) does, with its result judged by a closure in place of the
    /// guard's classifier, see [`call_with`](Guard::call_with).
    ///
    /// # Errors
    /// The refusal, or the call's own error.
    pub async fn call_async_with<T, E, F, O: Into<Call>>(
        &self,
        call: impl FnOnce() -> F,
        classify: impl FnOnce(&Result<T, E>) -> O,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let classify = |_: &K, result: &Result<T, E>| classify(result).into();
        self.call_async_by(call, classify).await
    }

    async fn call_async_by<T, E, F>(
        &self,
        call: impl FnOnce() -> F,
        classify: impl FnOnce(&K, &Result<T, E>) -> Call,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut guarded = Guarded::begin(self)?;
        let mut future = pin!(guarded.within(call));
        let result = poll_fn(|context| guarded.within(|| future.as_mut().poll(context))).await;
        guarded.end(|classifier| classify(classifier, &result));
        result.map_err(CallError::Failed)
    }
}
