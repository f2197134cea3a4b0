//! The error of a guarded call: refused, or made and failed.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

use crate::refused::Refused;

/// Any error, as `tower` passes errors on.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The reason why a guarded call gave no answer.
///
/// Its text has the refusal with the breaker's name and reason; for a failed call it says no more than that, and the
/// call's own error is its [`source`](Error::source), so that a report of the whole chain says everything once.
///
/// It is an `Error` if `E` is one. With a boxed one, an `anyhow::Error` or a text it becomes one by
/// [`boxed`](CallError::boxed), which is what the `tower` layers return.
///
/// ```
/// use fusebox_breaker::{CallError, Guard, Settings};
/// use std::error::Error;
///
/// fn answer(guard: &Guard) -> Result<u32, Box<dyn Error + Send + Sync>> {
///     Ok(guard.call(|| "forty-two".parse::<u32>())?)
/// }
///
/// let error = answer(&Guard::new("orders", Settings::default())?).unwrap_err();
/// assert_eq!(error.to_string(), "the call failed");
/// let cause = error.source().expect("the call's own error");
/// assert!(cause.is::<std::num::ParseIntError>());
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The breaker refused the call; it was not made.
    Rejected(Refused),
    /// The call was made and failed with this error.
    Failed(E),
}

impl<E> CallError<E> {
    /// The refusal, if it is one.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            CallError::Rejected(refused) => Some(refused),
            CallError::Failed(_) => None,
        }
    }

    /// The call's own error, if the call was made.
    pub fn into_failed(self) -> Option<E> {
        match self {
            CallError::Rejected(_) => None,
            CallError::Failed(error) => Some(error),
        }
    }

    /// The same with the call's own error boxed, whatever its type; a boxed one is not boxed again.
    pub fn boxed(self) -> CallError<Boxed>
    where
        E: Into<BoxError>,
    {
        match self {
            CallError::Rejected(refused) => CallError::Rejected(refused),
            CallError::Failed(error) => CallError::Failed(Boxed(error.into())),
        }
    }
}

impl<E> From<Refused> for CallError<E> {
    fn from(refused: Refused) -> Self {
        CallError::Rejected(refused)
    }
}

impl<E> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Rejected(refused) => refused.fmt(f),
            CallError::Failed(_) => f.write_str("the call failed"),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CallError::Rejected(_) => None,
            CallError::Failed(error) => Some(error),
        }
    }
}

/// A call's own error in a box.
///
/// It does not implement `Error` itself, but holds one: `error.downcast_ref::<hyper::Error>()` asks for its type, and
/// [`into_inner`](Boxed::into_inner) returns it.
pub struct Boxed(BoxError);

impl Boxed {
    /// The boxed error itself.
    pub fn into_inner(self) -> BoxError {
        self.0
    }
}

impl Deref for Boxed {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl From<Boxed> for BoxError {
    fn from(boxed: Boxed) -> Self {
        boxed.0
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for CallError<Boxed> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CallError::Rejected(_) => None,
            CallError::Failed(error) => Some(&*error.0),
        }
    }
}

impl Refused {
    /// The refusal in an error or one of its sources: in a [`BoxError`](crate::BoxError) that comes out of a `tower`
    /// stack, whatever layers wrapped it. Only the caller knows the `E` of a guard's own error `CallError<E>`, so use
    /// [`CallError::refused`] for that one, or make it [`boxed`](CallError::boxed) first.
    pub fn find_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Refused> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(CallError::Rejected(refused)) = error.downcast_ref::<CallError<Boxed>>() {
                return Some(refused);
            }
            if let Some(refused) = error.downcast_ref::<Refused>() {
                return Some(refused);
            }
            next = error.source();
        }
        None
    }
}
