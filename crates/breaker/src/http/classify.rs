//! The meaning of a response for the other side, by its head, its trailers and its end.

use std::error::Error;
use std::io;

use ::http::{HeaderMap, StatusCode};

use super::{grpc, retry_after::retry_after};
use crate::call::Call;
use crate::cause::Cause;
use crate::outcome::Outcome;
use crate::refused::Refused;

/// Judges the calls of a [`BreakerHttpLayer`](super::BreakerHttpLayer).
///
/// [`ByStatus`] is the default. A closure over the head is enough for most other needs, see
/// [`BreakerHttpLayer::classify`](super::BreakerHttpLayer::classify); all methods but the first have the defaults of
/// `ByStatus`. An implementation should leave to `ByStatus` what it has no opinion on:
///
/// ```
/// use std::error::Error;
///
/// use fusebox_breaker::layers::ByStatus;
/// use fusebox_breaker::{BreakerHttpLayer, Call, ClassifyHttp, Guard, Outcome, Settings};
/// use http::{HeaderMap, StatusCode};
/// # #[derive(Debug)] struct Overloaded;
/// # impl std::fmt::Display for Overloaded { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("overloaded") } }
/// # impl Error for Overloaded {}
///
/// /// Ignores what a limit of our own sheds, such as `tower`'s `Overloaded`.
/// #[derive(Clone, Copy)]
/// struct OwnLimits;
///
/// impl ClassifyHttp for OwnLimits {
///     fn head(&self, status: StatusCode, headers: &HeaderMap) -> Call {
///         ByStatus.head(status, headers)
///     }
///
///     fn error(&self, error: &(dyn Error + 'static)) -> Call {
///         if error.is::<Overloaded>() {
///             return Outcome::Ignored.into();
///         }
///         ByStatus.error(error)
///     }
/// }
///
/// let guard = Guard::new("orders", Settings::default())?;
/// let layer = BreakerHttpLayer::new(guard).classifier(OwnLimits);
/// # assert_eq!(OwnLimits.error(&Overloaded).outcome, Outcome::Ignored);
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
pub trait ClassifyHttp {
    /// The outcome by the head, if the body ends well.
    fn head(&self, status: StatusCode, headers: &HeaderMap) -> Call;

    /// The outcome of a response that ended well, given that by its head. Default: the head's, unless that is a success
    /// and `grpc-status` says otherwise, or is missing where it had to come.
    fn end(&self, head: Call, end: HttpEnd<'_>) -> Call {
        if head.outcome != Outcome::Success {
            return head;
        }
        match end.trailers.and_then(grpc::judge) {
            Some(judged) => judged,
            None if end.owes_grpc_status => grpc::without_status(),
            None => head,
        }
    }

    /// The outcome of a response whose body ended in an error. Default: a failure, unless the head was ignored.
    fn cut(&self, head: Call) -> Call {
        match head.outcome {
            Outcome::Ignored => head,
            Outcome::Success | Outcome::Failure => {
                Call::from(Outcome::Failure).because(head.cause.unwrap_or(Cause::Word("truncated")))
            }
        }
    }

    /// The outcome of a call without a response. Default: a failure; but a refusal by another breaker further inside says
    /// nothing about this one's other side, so it is ignored.
    fn error(&self, error: &(dyn Error + 'static)) -> Call {
        if Refused::find_in(error).is_some() {
            return Outcome::Ignored.into();
        }
        Call::from(Outcome::Failure).because(Cause::Word(cause_of(error)))
    }
}

/// The end of a response that ended well.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HttpEnd<'a> {
    /// The trailers, if there are any.
    pub trailers: Option<&'a HeaderMap>,
    /// True if the response is one of gRPC whose head had no `grpc-status`.
    pub owes_grpc_status: bool,
}

impl<'a> HttpEnd<'a> {
    pub(super) fn new(trailers: Option<&'a HeaderMap>, owes_grpc_status: bool) -> Self {
        HttpEnd {
            trailers,
            owes_grpc_status,
        }
    }
}

/// Judges by status: 500 and above is a failure, everything else a success.
///
/// - `Retry-After` of a 429 or 503, in seconds or as a date, is passed to the breaker, which heeds it as
///   [`Settings::retry_after`](crate::Settings::retry_after) says.
/// - `grpc-status`, in the head or in trailers: 2, 4, 8, 13, 14 and 15 are failures, 1 (cancelled) is ignored, all others
///   are successes; a response of gRPC without one failed. `grpc-retry-pushback-ms` is passed on as `Retry-After` is.
/// - A body that ends in an error is a failure, as is a call without a response.
/// - The reason of a trip names the causes: a status (`503`), gRPC's code (`UNAVAILABLE`), `truncated` for a body that ended
///   in an error; without a response `refused`, `reset`, `timeout` and `truncated` where the system says so, else
///   `no response`.
/// - A body that is dropped before its end is ignored: its caller left. After a long wait for the other side it counts
///   as [`OnAbandoned`](crate::OnAbandoned) says.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByStatus;

impl ClassifyHttp for ByStatus {
    fn head(&self, status: StatusCode, headers: &HeaderMap) -> Call {
        let call = match grpc::judge(headers) {
            _ if status.as_u16() >= 500 => {
                Call::from(Outcome::Failure).because(Cause::Status(status.as_u16()))
            }
            Some(judged) => judged,
            None => Outcome::Success.into(),
        };
        let tells = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        match retry_after(headers).filter(|_| tells) {
            Some(after) => call.retry_after(after),
            None => call,
        }
    }
}

/// Judges the head by a closure over status and fields, and all else as [`ByStatus`] does.
#[derive(Clone, Copy, Debug)]
pub struct ByHead<F>(pub(super) F);

impl<F, O> ClassifyHttp for ByHead<F>
where
    F: Fn(StatusCode, &HeaderMap) -> O,
    O: Into<Call>,
{
    fn head(&self, status: StatusCode, headers: &HeaderMap) -> Call {
        (self.0)(status, headers).into()
    }
}

/// The cause of a call without a response and without a better one, such as a timeout of `tower`'s.
const NO_RESPONSE: &str = "no response";

/// A word for the reason of a trip: by the error of the system among the error's sources, else `no response`.
fn cause_of(error: &(dyn Error + 'static)) -> &'static str {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::ConnectionRefused => "refused",
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
                io::ErrorKind::TimedOut => "timeout",
                io::ErrorKind::UnexpectedEof => "truncated",
                _ => NO_RESPONSE,
            };
        }
        next = error.source();
    }
    NO_RESPONSE
}
