//! Reads our own access log, as docs/access-log.md has it.

use std::borrow::Cow;

use super::json::{bare, items, members, text_of};
use super::time::{moment, span};
use super::{End, Line, Unreadable, status};

/// The flags of a request that the breaker refused.
const REFUSED: [&[u8]; 2] = [b"\"CBO\"", b"\"CBH\""];

/// The flags of a request that reached no upstream: refused by a bulkhead, malformed, or without a route.
const LOCAL: [&[u8]; 3] = [b"\"BHF\"", b"\"BR\"", b"\"NR\""];

/// One attempt of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt<'a> {
    /// The endpoint's authority.
    pub endpoint: Cow<'a, str>,
    /// Nanoseconds to the head of the answer, or to the failure.
    pub took: u64,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// The error, if there was one.
    pub error: Option<Cow<'a, str>>,
    /// True if the live breaker ignored its outcome.
    pub ignored: bool,
    /// True if the live breaker took its outcome for a failure.
    pub failed: bool,
    /// The upstream, if it is another than the line's.
    pub upstream: Option<Cow<'a, str>>,
}

pub fn read(line: &[u8]) -> Result<Line<'_>, Unreadable> {
    let mut read = Line::default();
    let (mut at, mut flags) = (None, &b"[]"[..]);
    let mut headers = None;
    members(line, |name, value| match name {
        b"ts" => at = moment(bare(value)),
        b"route" => read.route = text_of(value),
        b"method" => read.method = text_of(value),
        b"path" => read.path = text_of(value),
        b"status" => read.status = status(value),
        b"duration_ms" => read.lasted = span(value, 6),
        b"upstream" => read.upstream = text_of(value),
        b"endpoint" => read.endpoint = text_of(value),
        b"attempts" => read.attempts = Some(value),
        b"flags" => flags = value,
        b"headers" => headers = Some(value),
        b"client_subject" => read.client_subject = text_of(value),
        b"grpc_status" => read.grpc_status = grpc(value),
        _ => {}
    })?;
    read.at = at.ok_or(Unreadable::Fact("ts"))?;
    if read.lasted.is_none() {
        return Err(Unreadable::Fact("duration_ms"));
    }
    if let Some(headers) = headers {
        members(headers, |name, value| {
            if let Some(value) = text_of(value) {
                read.headers.push((super::text(name), value));
            }
        })?;
    }
    let mut left = false;
    items(flags, |flag| {
        if REFUSED.contains(&flag) {
            read.end = Some(End::Refused);
        } else if LOCAL.contains(&flag) && read.end.is_none() {
            read.end = Some(End::Local);
        }
        left |= flag == b"\"DC\"";
        read.is_tunnel |= flag == b"\"UG\"";
    })?;
    if left && read.end.is_none() {
        read.end = Some(End::Left);
    }
    Ok(read)
}

/// Reads the attempts of a line into a list, which is cleared first.
///
/// # Errors
/// If they are not a list of attempts.
pub fn attempts<'a>(array: &'a [u8], into: &mut Vec<Attempt<'a>>) -> Result<(), Unreadable> {
    into.clear();
    let mut result = Ok(());
    items(array, |item| {
        let mut attempt = Attempt::default();
        let read = members(item, |name, value| match name {
            b"endpoint" => attempt.endpoint = text_of(value).unwrap_or_default(),
            b"ms" => attempt.took = span(value, 6).unwrap_or(0),
            b"status" => attempt.status = status(value),
            b"error" => attempt.error = text_of(value),
            b"outcome" => {
                attempt.ignored = value == b"\"ignored\"";
                attempt.failed = value == b"\"failure\"";
            }
            b"upstream" => attempt.upstream = text_of(value),
            _ => {}
        });
        match read {
            Ok(()) => into.push(attempt),
            Err(error) => result = Err(error),
        }
    })?;
    result
}

pub fn grpc(value: &[u8]) -> Option<u8> {
    let code = status(value)?;
    u8::try_from(code).ok().filter(|code| *code <= 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"ts":"2026-11-30T15:47:23.000007Z","route":"orders","method":"GET","path":"/api/orders/7","status":200,"duration_ms":31.204,"bytes_in":0,"bytes_out":512,"client":"192.0.2.7","request_id":"5f0c","upstream":"orders","endpoint":"10.0.0.2:8081","attempts":[{"endpoint":"10.0.0.1:8081","ms":0.412,"status":null,"error":"connect","outcome":"failure"},{"endpoint":"10.0.0.2:8081","ms":5.100,"status":200,"error":null,"outcome":"success"}],"breaker":"orders","state":"closed","generation":4,"reason":null,"fallback":null,"flags":[],"protocol":"HTTP/1.1","headers":{"x-tenant":"acme"}}"#;

    #[test]
    fn a_line_of_ours_is_read_with_its_attempts() {
        let line = read(LINE.as_bytes()).unwrap();
        assert_eq!(line.at, 1_796_053_643_000_007_000);
        assert_eq!(line.lasted, Some(31_204_000));
        assert_eq!(line.upstream.as_deref(), Some("orders"));
        assert_eq!(line.status, Some(200));
        assert_eq!(line.end, None);
        assert_eq!(line.headers, [("x-tenant".into(), "acme".into())]);
        let mut read = Vec::new();
        attempts(line.attempts.unwrap(), &mut read).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].error.as_deref(), Some("connect"));
        assert!(read[0].failed && read[0].status.is_none());
        assert_eq!((read[1].took, read[1].status), (5_100_000, Some(200)));
    }

    #[test]
    fn flags_say_who_ended_the_request() {
        let end = |flags: &str| {
            let line = LINE.replace("\"flags\":[]", &format!("\"flags\":[{flags}]"));
            read(line.as_bytes()).unwrap().end
        };
        assert_eq!(end(r#""CBO","FB""#), Some(End::Refused));
        assert_eq!(end(r#""CBH""#), Some(End::Refused));
        assert_eq!(end(r#""BHF""#), Some(End::Local));
        assert_eq!(end(r#""DC""#), Some(End::Left));
        assert_eq!(end(r#""UT""#), None);
    }
}
