//! The last failures of one breaker: a ring of fixed size that nothing but a failure touches.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Cause, Timestamp};
use http::HeaderValue;
use parking_lot::Mutex;

/// Number of failures that are kept.
const KEPT: usize = 10;

/// The longest request id in bytes, as clients' longer ones are not taken.
const ID_BYTES_MAX: usize = 128;

/// One failed call, or one failed attempt at an endpoint.
#[derive(Debug, Clone)]
pub struct FailedCall {
    /// The time at which it was judged.
    pub at: Timestamp,
    /// The endpoint's name; `None`: there was none.
    pub endpoint: Option<Arc<str>>,
    /// The answer's status, or the error's name; `None`: neither is known.
    pub cause: Option<Cause>,
    /// The kind of error in the words of the program that reported it; `None`: it named none, or the gateway made the call.
    pub kind: Option<Box<str>>,
    /// The time up to the answer's head, or to the failure without one; `None`: an application reported it without.
    pub duration: Option<Duration>,
    /// The id of the client's request; `None`: no client asked for it.
    pub request_id: Option<RequestId>,
}

/// A request's id in a place of its own, so that it keeps no buffer of a client alive.
#[derive(Debug, Clone, Copy)]
pub struct RequestId {
    bytes: [u8; ID_BYTES_MAX],
    len: usize,
}

impl RequestId {
    /// A copy of an id; a longer one is cut.
    pub fn copy(id: &HeaderValue) -> RequestId {
        let mut bytes = [0; ID_BYTES_MAX];
        let len = id.len().min(ID_BYTES_MAX);
        bytes[..len].copy_from_slice(&id.as_bytes()[..len]);
        RequestId { bytes, len }
    }

    /// The id's text; empty if it is not ASCII, which no id is that was let in.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// The ring. Its memory is taken with the first failure, since most breakers of many keys never have one.
#[derive(Debug, Default)]
pub struct LastFailures(Mutex<Option<Box<Ring>>>);

#[derive(Debug, Default)]
struct Ring {
    kept: [Option<FailedCall>; KEPT],
    /// The place of the next failure.
    next: usize,
}

impl LastFailures {
    /// Notes a failure in the place of the oldest.
    pub fn note(&self, failed: FailedCall) {
        let mut ring = self.0.lock();
        let ring = ring.get_or_insert_default();
        ring.kept[ring.next] = Some(failed);
        ring.next = (ring.next + 1) % KEPT;
    }

    /// Forgets all failures.
    pub fn clear(&self) {
        *self.0.lock() = None;
    }

    /// The failures, newest first.
    pub fn list(&self) -> Vec<FailedCall> {
        let ring = self.0.lock();
        let ring = ring.iter().flat_map(|ring| {
            let (newer, older) = ring.kept.split_at(ring.next);
            newer.iter().rev().chain(older.iter().rev())
        });
        ring.flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_are_kept_newest_first_until_they_are_cleared() {
        let failures = LastFailures::default();
        let note = |second| {
            failures.note(FailedCall {
                at: Timestamp::from_secs(second),
                endpoint: None,
                cause: Some(Cause::Status(503)),
                kind: None,
                duration: None,
                request_id: None,
            });
        };
        let times = || {
            failures
                .list()
                .into_iter()
                .map(|it| it.at)
                .collect::<Vec<_>>()
        };
        let seconds = |range: std::ops::RangeInclusive<u64>| {
            range.rev().map(Timestamp::from_secs).collect::<Vec<_>>()
        };
        assert_eq!(times(), []);
        (1..=3).for_each(note);
        assert_eq!(times(), seconds(1..=3));
        (4..=23).for_each(note);
        assert_eq!(times(), seconds(14..=23));
        failures.clear();
        assert_eq!(times(), []);
        note(24);
        assert_eq!(times(), seconds(24..=24));
    }

    #[test]
    fn a_request_id_is_copied_and_a_longer_one_cut() {
        let id = |text: &str| RequestId::copy(&HeaderValue::from_str(text).unwrap());
        assert_eq!(id("abc").as_str(), "abc");
        assert_eq!(id(&"x".repeat(200)).as_str(), "x".repeat(128));
    }
}
