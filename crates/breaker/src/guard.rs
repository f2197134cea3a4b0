//! A breaker with all that a call needs: a clock and a classifier, so that one line guards a call.

use std::fmt;
use std::future::Future;

use crate::breaker::Breaker;
use crate::call::Call;
use crate::classify::{Classify, ErrorsFail};
use crate::clock::{Clock, MonotonicClock};
use crate::outcome::Rejection;
use crate::permit::OwnedPermit;
use crate::time::Timestamp;

/// Guards calls by a breaker: asks it, makes the call if it may pass, and records how it ended.
///
/// A call that panics counts as [`OnPanic`](crate::OnPanic) says, and the panic goes on. A future that is dropped before
/// its end counts as [`OnAbandoned`](crate::OnAbandoned) says: it is ignored unless that is set. Clones share the breaker and the clock.
///
/// All guards tell the time from one origin, so one breaker may have many, made anywhere and at any time. Whoever gives one
/// of them another [clock](Guard::clock) gives it to all that speak to its breaker.
///
/// ```
/// use fusebox_breaker::{Breaker, CallError, Guard, Settings};
///
/// let guard = Guard::new(Breaker::new("orders", Settings::default())?);
/// let answer = guard.call(|| "42".parse::<u32>());
/// assert_eq!(answer, Ok(42));
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct Guard<K = ErrorsFail, C = MonotonicClock> {
    breaker: Breaker,
    classifier: K,
    clock: C,
}

/// Why a guarded call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The breaker refused it; it was not made.
    Rejected(Rejection),
    /// It was made, and this is its error.
    Failed(E),
}

impl<E> From<Rejection> for CallError<E> {
    fn from(rejection: Rejection) -> Self {
        CallError::Rejected(rejection)
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Rejected(rejection) => write!(f, "the call was refused: {rejection}"),
            CallError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Rejected(rejection) => Some(rejection),
            CallError::Failed(error) => error.source(),
        }
    }
}

impl Guard {
    /// A guard on the [clock of the process](MonotonicClock) that takes every error for a failure.
    pub fn new(breaker: Breaker) -> Self {
        Guard {
            breaker,
            classifier: ErrorsFail,
            clock: MonotonicClock,
        }
    }
}

impl<K, C> Guard<K, C> {
    pub(crate) fn of(breaker: Breaker, classifier: K, clock: C) -> Self {
        Guard {
            breaker,
            classifier,
            clock,
        }
    }

    /// The same guard with another classifier.
    pub fn classifier<N>(self, classifier: N) -> Guard<N, C> {
        Guard {
            breaker: self.breaker,
            classifier,
            clock: self.clock,
        }
    }

    /// The same guard with another clock.
    pub fn clock<N: Clock>(self, clock: N) -> Guard<K, N> {
        Guard {
            breaker: self.breaker,
            classifier: self.classifier,
            clock,
        }
    }

    /// The breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}

impl<K, C: Clock> Guard<K, C> {
    /// The time by the guard's clock: what a [`Rejection`] is asked with for how long to wait, and what the breaker's own
    /// methods take.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes a call if the breaker lets it pass.
    ///
    /// # Errors
    /// The refusal, or the call's own error.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>>
    where
        K: Classify<T, E>,
    {
        let guarded = self.begin()?;
        let result = call();
        guarded.end(|classifier, result| classifier.classify(result), &result);
        result.map_err(CallError::Failed)
    }

    /// Makes a call if the breaker lets it pass; `call` is not even asked for its future otherwise.
    ///
    /// # Errors
    /// The refusal, or the call's own error.
    pub async fn call_async<T, E, F>(&self, call: impl FnOnce() -> F) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        K: Classify<T, E>,
    {
        let guarded = self.begin()?;
        let result = call().await;
        guarded.end(|classifier, result| classifier.classify(result), &result);
        result.map_err(CallError::Failed)
    }

    fn begin(&self) -> Result<Guarded<&K, &C>, Rejection> {
        Guarded::begin(&self.breaker, &self.classifier, &self.clock)
    }

    #[cfg(feature = "tower")]
    pub(crate) fn begin_owned(&self) -> Result<Guarded<K, C>, Rejection>
    where
        K: Clone,
        C: Clone,
    {
        Guarded::begin(&self.breaker, self.classifier.clone(), self.clock.clone())
    }
}

/// A call under way. Dropped, it was abandoned; dropped by a panic, it panicked. Either counts as the settings say, at
/// the time of the drop.
pub(crate) struct Guarded<K, C: Clock> {
    permit: Option<OwnedPermit>,
    began: Timestamp,
    classifier: K,
    clock: C,
}

impl<K, C: Clock> Guarded<K, C> {
    fn begin(breaker: &Breaker, classifier: K, clock: C) -> Result<Self, Rejection> {
        let began = clock.now();
        Ok(Guarded {
            permit: Some(breaker.admit_owned(began)?),
            began,
            classifier,
            clock,
        })
    }
}

impl<K, C: Clock> Guarded<K, C> {
    pub fn end<T, E>(
        mut self,
        classify: impl FnOnce(&K, &Result<T, E>) -> Call,
        result: &Result<T, E>,
    ) {
        let now = self.clock.now();
        let call = classify(&self.classifier, result);
        if let Some(permit) = self.permit.take() {
            let took = now.saturating_since(self.began);
            let duration = call.duration.or(Some(took));
            permit.record(Call { duration, ..call }, now);
        }
    }
}

impl<K, C: Clock> Drop for Guarded<K, C> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let now = self.clock.now();
        if std::thread::panicking() {
            permit.panicked(now);
        } else {
            permit.abandoned(now.saturating_since(self.began), now);
        }
    }
}
