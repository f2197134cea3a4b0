//! gRPC over HTTP: its status comes in a field of the head or, as a rule, of the trailers.

use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::{CONTENT_TYPE, HeaderName};

use super::retry_after::text;
use crate::call::Call;
use crate::cause::Cause;
use crate::outcome::Outcome;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The field with the delay of the next try, in milliseconds.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// True if the response is one of gRPC. That of gRPC-Web has its trailers within its body, which is not read.
fn is_grpc(headers: &HeaderMap) -> bool {
    text(headers, &CONTENT_TYPE)
        .and_then(|value| value.strip_prefix("application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// True if a response with this head must have its status in trailers.
pub(super) fn is_owed(head: &HeaderMap) -> bool {
    is_grpc(head) && !head.contains_key(&STATUS)
}

/// The outcome by the status in these fields; `None` without such a field.
pub(super) fn judge(fields: &HeaderMap) -> Option<Call> {
    let status = fields.get(&STATUS)?;
    let status = status.to_str().ok().and_then(|status| status.parse().ok());
    let call = match status {
        Some(1) => Outcome::Ignored.into(),
        Some(code) => match fault(code) {
            Some(cause) => failed(cause),
            None => Outcome::Success.into(),
        },
        None => failed("grpc-status unreadable"),
    };
    let pushback = text(fields, &PUSHBACK).and_then(|millis| millis.parse().ok());
    Some(match pushback {
        Some(millis @ 1..) => call.retry_after(Duration::from_millis(millis)),
        Some(0) | None => call,
    })
}

/// A response of gRPC that ended without a status.
pub(super) fn without_status() -> Call {
    failed("grpc-status missing")
}

fn failed(cause: &'static str) -> Call {
    Call::from(Outcome::Failure).because(Cause::Word(cause))
}

/// The codes of the other side's own trouble. All others are successes or the caller's fault: a wrong argument, a
/// missing object, a missing permission, a method that is not implemented.
fn fault(code: u32) -> Option<&'static str> {
    Some(match code {
        2 => "UNKNOWN",
        4 => "DEADLINE_EXCEEDED",
        8 => "RESOURCE_EXHAUSTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        17.. => "grpc-status out of range",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_status_is_a_failure_where_it_tells_of_the_other_sides_trouble() {
        let judged = |code: &str| judge(&fields(&[(STATUS, code)])).unwrap().outcome;
        for code in ["2", "4", "8", "13", "14", "15", "17", "", "OK"] {
            assert_eq!(judged(code), Outcome::Failure, "{code}");
        }
        for code in ["0", "3", "5", "6", "7", "9", "10", "11", "12", "16"] {
            assert_eq!(judged(code), Outcome::Success, "{code}");
        }
        assert_eq!(judged("1"), Outcome::Ignored);
        assert_eq!(judge(&HeaderMap::new()), None);
    }

    #[test]
    fn a_pushback_is_a_word_about_when_to_return() {
        let told = |millis| judge(&fields(&[(STATUS, "14"), (PUSHBACK, millis)]));
        let after = |millis| told(millis).unwrap().retry_after;
        assert_eq!(after("1500"), Some(Duration::from_millis(1_500)));
        assert_eq!([after("-1"), after("0"), after("x")], [None; 3]);
    }

    #[test]
    fn grpc_is_told_by_its_content_type_and_grpc_web_is_not_it() {
        let is = |value| is_grpc(&fields(&[(CONTENT_TYPE, value)]));
        assert!(is("application/grpc") && is("application/grpc+proto") && is("application/grpc;x"));
        assert!(!is("application/grpc-web+proto") && !is("application/json") && !is(""));
    }
}
