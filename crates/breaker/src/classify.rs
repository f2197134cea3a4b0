//! Classifiers: the meaning of a call's result for the other side.

use crate::call::Call;
use crate::outcome::Outcome;

/// Turns a call's result into its outcome.
///
/// Every function from `&Result<T, E>` to an [`Outcome`] or a [`Call`] implements it; [`ErrorsFail`] is the default.
pub trait Classify<T, E> {
    /// The outcome, with further facts of the result: a duration that differs from the time that the call took, or the
    /// other side's wish for the next call.
    fn classify(&self, result: &Result<T, E>) -> Call;
}

/// Every error is a failure, everything else a success.
///
/// A refusal by another breaker inside the call is an error like any other here, since an error's own type need not show
/// it. Where breakers are nested, the outer one's classifier judges it as ignored; `BreakerHttpLayer` does so by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorsFail;

impl<T, E> Classify<T, E> for ErrorsFail {
    fn classify(&self, result: &Result<T, E>) -> Call {
        match result {
            Ok(_) => Outcome::Success.into(),
            Err(_) => Outcome::Failure.into(),
        }
    }
}

impl<T, E, F, C> Classify<T, E> for F
where
    F: Fn(&Result<T, E>) -> C,
    C: Into<Call>,
{
    fn classify(&self, result: &Result<T, E>) -> Call {
        self(result).into()
    }
}
