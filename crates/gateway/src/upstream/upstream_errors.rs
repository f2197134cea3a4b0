//! Errors of one upstream: counted by kind, and logged at a bounded rate.
//!
//! Every place that decides that a call to an upstream failed reports it here, once per call. Counting and the log's
//! limit are atomics that only a failure touches.

mod certificate;
mod failure;
mod http2;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::CallError;

use crate::ground::meter::Counter;

pub use certificate::{CertificateWish, self_signed, watching};
pub use failure::UpstreamError;
pub use http2::{is_stream_reset, is_unprocessed};

/// The shortest time between two warnings about one upstream and kind.
const WARNED_EVERY: Duration = Duration::from_secs(10);

/// The kinds of errors between the gateway and an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No TCP connection, or none through the proxy.
    Connect,
    /// The upstream's name could not be looked up.
    Dns,
    /// No TLS session, or one that the upstream ended with an alert.
    Tls,
    /// No head, or no more of the body, within the time.
    Timeout,
    /// The connection ended before the response's head.
    Reset,
    /// The connection ended within the response's body.
    Truncated,
    /// The response was not HTTP.
    Protocol,
    /// A limit of our own: the response was over it, or we had nothing left to connect with.
    Limit,
    /// The client's fault, not the upstream's.
    Client,
}

impl ErrorKind {
    /// All kinds, in the order of their counters.
    pub const ALL: [ErrorKind; 9] = [
        ErrorKind::Connect,
        ErrorKind::Dns,
        ErrorKind::Tls,
        ErrorKind::Timeout,
        ErrorKind::Reset,
        ErrorKind::Truncated,
        ErrorKind::Protocol,
        ErrorKind::Limit,
        ErrorKind::Client,
    ];

    /// The word for metrics and logs: `connect`, `dns`, `tls`, `timeout`, `reset`, `truncated`, `protocol`, `limit` or
    /// `client`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Connect => "connect",
            ErrorKind::Dns => "dns",
            ErrorKind::Tls => "tls",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Reset => "reset",
            ErrorKind::Truncated => "truncated",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Limit => "limit",
            ErrorKind::Client => "client",
        }
    }

    /// The error's name in failure expressions, which do not distinguish lookups or our limits.
    pub const fn as_call_error(self) -> CallError {
        match self {
            ErrorKind::Connect | ErrorKind::Dns => CallError::Connect,
            ErrorKind::Tls => CallError::Tls,
            ErrorKind::Timeout => CallError::Timeout,
            ErrorKind::Reset | ErrorKind::Client => CallError::Reset,
            ErrorKind::Truncated => CallError::Truncated,
            ErrorKind::Protocol | ErrorKind::Limit => CallError::Protocol,
        }
    }
}

/// The errors of one upstream since the start of the process; kept over reloads by the upstream's name.
#[derive(Debug)]
pub struct UpstreamErrors {
    upstream: Arc<str>,
    kinds: [KindErrors; ErrorKind::ALL.len()],
}

#[derive(Debug, Default)]
struct KindErrors {
    count: Counter,
    /// The nanosecond from which the next error is logged as a warning.
    next: AtomicU64,
    /// Errors since the last warning.
    suppressed: AtomicU64,
}

impl KindErrors {
    /// Counts an error. `Some`: log a warning, with the number of suppressed errors before it.
    fn count(&self, now: Timestamp) -> Option<u64> {
        self.count.add();
        let next = self.next.load(Ordering::Relaxed);
        let later = (now + WARNED_EVERY).as_nanos();
        let due = now.as_nanos() >= next
            && self
                .next
                .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if due {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl UpstreamErrors {
    /// Counters at zero for the upstream of that name.
    pub fn new(upstream: Arc<str>) -> Arc<UpstreamErrors> {
        Arc::new(UpstreamErrors {
            upstream,
            kinds: Default::default(),
        })
    }

    /// The upstream's name.
    pub fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    pub fn count(&self, kind: ErrorKind) -> u64 {
        self.kinds[kind as usize].count.get()
    }

    /// Counts an error at `now` and logs it: each at debug; the first of its kind at once as a warning, then at most
    /// one in ten seconds, with the number of those between. A client's fault is logged as information instead of a
    /// warning.
    pub fn note(&self, error: &UpstreamError, now: Timestamp) {
        let (upstream, kind) = (&*self.upstream, error.kind.as_str());
        let what = match error.kind {
            ErrorKind::Client => "ended by its client's fault",
            ErrorKind::Limit => "ended at a limit of ours",
            _ => "failed",
        };
        tracing::debug!(
            upstream,
            kind,
            "a call to upstream {upstream} {what}: {error}"
        );
        let Some(suppressed) = self.kinds[error.kind as usize].count(now) else {
            return;
        };
        let more = Suppressed(suppressed);
        if error.kind == ErrorKind::Client {
            tracing::info!(
                upstream,
                kind,
                suppressed,
                "a call to upstream {upstream} {what}: {error}{more}"
            );
        } else {
            tracing::warn!(
                upstream,
                kind,
                suppressed,
                "a call to upstream {upstream} {what}: {error}{more}"
            );
        }
    }
}

/// The number of errors suppressed since the last warning.
struct Suppressed(u64);

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, "; {more} more of this kind since the last such line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn the_first_error_is_warned_of_at_once_and_then_one_in_ten_seconds() {
        let kind = KindErrors::default();
        assert_eq!(kind.count(at(0)), Some(0));
        for second in 1..10 {
            assert_eq!(kind.count(at(second)), None);
        }
        assert_eq!(kind.count(at(10)), Some(9));
        assert_eq!(kind.count(at(12)), None);
        assert_eq!(kind.count(at(100)), Some(1));
        assert_eq!(kind.count.get(), 13);
    }

    #[test]
    fn kinds_are_counted_apart() {
        let errors = UpstreamErrors::new("orders".into());
        errors.note(&UpstreamError::new(ErrorKind::Dns, "name not found"), at(0));
        for kind in ErrorKind::ALL {
            assert_eq!(errors.count(kind), u64::from(kind == ErrorKind::Dns));
            assert_eq!(ErrorKind::ALL[kind as usize], kind);
        }
    }
}
