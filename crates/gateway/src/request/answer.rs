//! Answers of the gateway's own: refusals, errors, fixed responses. Each gives its reason, and the time to come back
//! (I12).

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use fusebox_breaker::{Rejection, Timestamp};
use fusebox_plan::CallError;
use fusebox_plan::plan::Respond;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::message::body::Body;
use crate::message::fields::FUSEBOX_REASON;
use crate::message::request_body::ClientFault;
use crate::upstream::bulkhead::Full;
use crate::upstream::sending::Failed;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Bytes that most bodies of ours fit into.
const BODY: usize = 192;

/// The body of a refusal to make a call.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
    breaker: &'a str,
    retry_after: u64,
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let mut text = Vec::with_capacity(BODY);
    serde_json::to_writer(&mut text, body).expect("it is texts and numbers by name");
    let mut response = Response::new(Body::fixed(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, CLOSE);
    response
}

/// Refuses a request with `status` and closes the connection, since the bytes behind it cannot be trusted.
pub fn refused(status: StatusCode, why: &str) -> Response<Body> {
    closing(json(status, &serde_json::json!({ "error": why })))
}

/// The answer to a path without a route: 404.
pub fn no_route() -> Response<Body> {
    json(
        StatusCode::NOT_FOUND,
        &serde_json::json!({ "error": "no route takes this host and path" }),
    )
}

/// The answer to a method that the path's route does not take: 405. `allow` lists the methods that it takes.
pub fn wrong_method(allow: &HeaderValue) -> Response<Body> {
    let body = serde_json::json!({ "error": "this path does not take this method" });
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &body);
    response.headers_mut().insert(ALLOW, allow.clone());
    response
}

/// The gateway's own answer to `OPTIONS *`: 204.
pub fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The answer that a route's `respond` gives.
pub fn fixed(respond: &Respond) -> Response<Body> {
    let mut response = Response::new(Body::fixed(respond.body.clone()));
    *response.status_mut() = respond.status;
    response.headers_mut().clone_from(&respond.headers);
    response
}

/// The breaker rejected the call: 503, with the reason and the real time of the next try.
///
/// `fallback` is the time to wait where the breaker itself has no end to announce, as for a hold without an end.
pub fn breaker_refused(
    breaker: &str,
    rejection: &Rejection,
    now: Timestamp,
    fallback: Duration,
) -> Response<Body> {
    let seconds = Rejection::whole_seconds(rejection.wait(now).unwrap_or(fallback));
    let reason = rejection.reason.as_str();
    let phase = rejection.phase.as_str();
    let body = Refusal {
        error: &["breaker \"", breaker, "\" refused the call: ", reason].concat(),
        breaker,
        retry_after: seconds,
    };
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &body);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    headers.insert(FUSEBOX_REASON, reason_value(reason, breaker, phase));
    response
}

/// The field `Fusebox-Reason` of a breaker's refusal.
pub fn reason_of(breaker: &str, rejection: &Rejection) -> HeaderValue {
    reason_value(rejection.reason.as_str(), breaker, rejection.phase.as_str())
}

/// The bulkhead of an upstream or a route (`kind`) was full: 503, with the reason; another try may succeed at any time.
pub fn bulkhead_full(kind: &str, name: &str, full: Full) -> Response<Body> {
    let reason = full.as_str();
    let body = Refusal {
        error: &[
            "the bulkhead of ",
            kind,
            " \"",
            name,
            "\" refused the call: ",
            reason,
        ]
        .concat(),
        breaker: name,
        retry_after: 1,
    };
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &body);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert(FUSEBOX_REASON, quoted(reason, kind, name, &[]));
    response
}

/// `breaker_open; breaker="orders"; state=open`, the name as a quoted string (RFC 9110, section
/// 5.6.4) with everything outside visible ASCII percent-encoded.
fn reason_value(reason: &str, breaker: &str, phase: &str) -> HeaderValue {
    quoted(reason, "breaker", breaker, &["; state=", phase])
}

fn quoted(reason: &str, kind: &str, name: &str, rest: &[&str]) -> HeaderValue {
    let mut text = String::with_capacity(128);
    for part in [reason, "; ", kind, "=\""] {
        text.push_str(part);
    }
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(byte as char);
            }
            0x20..=0x7e => text.push(byte as char),
            _ => write!(text, "%{byte:02X}").expect("a String takes any text"),
        }
    }
    text.push('"');
    rest.iter().for_each(|part| text.push_str(part));
    HeaderValue::try_from(text).expect("only visible ASCII was written")
}

/// The upstream failed: 502, or 504 after a timeout.
fn upstream_failed(upstream: &str, error: CallError) -> Response<Body> {
    let what = match error {
        CallError::Connect => "could not be reached",
        CallError::Tls => "could not be trusted: the TLS handshake failed",
        CallError::Timeout => "did not answer in time",
        CallError::Reset | CallError::Truncated => "closed the connection",
        CallError::Protocol => "did not answer in HTTP/1.1",
    };
    let mut response = unanswered(upstream, what, error.as_str());
    if error == CallError::Timeout {
        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    }
    response
}

/// The answer to a request without a response from its upstream. The party at fault determines the status.
pub fn not_sent(upstream: &str, failed: Failed) -> Response<Body> {
    match failed {
        Failed::Upstream(error) => upstream_failed(upstream, error),
        Failed::Client(fault) => client_failed(fault),
        // A caller that knows the breaker gives a better answer for a probe that gave way.
        Failed::Ours | Failed::GaveWay => exhausted(),
        Failed::GivenUp => closing(unanswered(
            upstream,
            "did not answer before its client closed the connection",
            "client",
        )),
        // The rest of the body is not read.
        Failed::Unfinished => closing(unanswered(
            upstream,
            "ended the connection before the request's body was complete",
            "client",
        )),
        Failed::NotGrpc => {
            let mut response = unanswered(
                upstream,
                "speaks gRPC, and the request is none: expected POST with the content type application/grpc",
                "client",
            );
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            response
        }
        Failed::Stale => unanswered(
            upstream,
            "closed an idle connection as the request went out; it may have been executed",
            "reset",
        ),
        Failed::Limit => unanswered(
            upstream,
            "sent an answer whose head is over this gateway's limits",
            "limit",
        ),
    }
}

fn unanswered(upstream: &str, what: &str, reason: &str) -> Response<Body> {
    let body = serde_json::json!({
        "error": format!("upstream \"{upstream}\" {what}"),
        "upstream": upstream,
        "reason": reason,
    });
    json(StatusCode::BAD_GATEWAY, &body)
}

/// The client's body was at fault; the upstream's breaker ignores the call.
pub fn client_failed(fault: ClientFault) -> Response<Body> {
    let (status, why) = match fault {
        ClientFault::Malformed => (
            StatusCode::BAD_REQUEST,
            "the request's body is not what its head says",
        ),
        ClientFault::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "the request's body came too slowly",
        ),
        ClientFault::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request's body is too large",
        ),
        // For the log and the metrics, as nginx has it: the client is gone.
        ClientFault::Left => (
            StatusCode::from_u16(499).expect("499 is within 100..=999"),
            "the client left within the request's body",
        ),
    };
    refused(status, why)
}

/// The gateway has no connection left for an upstream: 503, a passing shortage of our own.
pub fn exhausted() -> Response<Body> {
    let body = serde_json::json!({
        "error": "the gateway has no connection to spare",
        "retry_after": 1,
    });
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &body);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert(FUSEBOX_REASON, HeaderValue::from_static("connections_full"));
    response
}

/// An error of the gateway's own: 500. The log has the details.
pub fn our_fault() -> Response<Body> {
    let body = serde_json::json!({ "error": "the gateway failed to carry the request" });
    json(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// The answer to a connection over `limits.connections`, as bytes for the socket, since no request is read.
pub fn too_many_connections() -> Bytes {
    Bytes::from_static(
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nFusebox-Reason: connections_full\r\n\
          Content-Type: application/json\r\nContent-Length: 50\r\nConnection: close\r\n\r\n\
          {\"error\":\"too many connections\",\"retry_after\":1}\r\n",
    )
}

/// The answer to a request that hyper could not read, as bytes for the socket: with the id that its log line has, at a
/// time in milliseconds since the Unix epoch.
pub fn unread(status: StatusCode, why: &str, id: &HeaderValue, millis: u64) -> Vec<u8> {
    let body = serde_json::json!({ "error": why }).to_string();
    let now = std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis);
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\
         date: {}\r\nx-request-id: ",
        status.as_str(),
        status.canonical_reason().unwrap_or("Refused"),
        body.len(),
        httpdate::fmt_http_date(now),
    )
    .into_bytes();
    answer.extend_from_slice(id.as_bytes());
    answer.extend_from_slice(b"\r\n\r\n");
    answer.extend_from_slice(body.as_bytes());
    answer
}

#[cfg(test)]
mod tests {
    use fusebox_breaker::{Phase, RejectReason};

    use super::*;

    /// The seconds in the field and in the body of a refusal that lasts for `left`, with a fallback of 2.5 s.
    #[track_caller]
    fn retry_after(left: Option<Duration>) -> String {
        let now = Timestamp::from_secs(7);
        let mut rejection = Rejection::new(RejectReason::BreakerOpen, Phase::Open);
        rejection.retry_at = left.map(|left| now + left);
        let answer = breaker_refused("orders", &rejection, now, Duration::from_millis(2_500));
        let field = answer.headers()[RETRY_AFTER].to_str().unwrap().to_owned();
        let Body::Fixed(Some(body)) = answer.into_body() else {
            panic!("a refusal has a body of its own");
        };
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["retry_after"].to_string(), field);
        field
    }

    #[test]
    fn who_waits_as_long_as_a_refusal_says_does_not_come_too_early() {
        for (micros, seconds) in [
            (0, "1"),
            (400, "1"),
            (1_000_000, "1"),
            (1_000_400, "2"),
            (2_000_001, "3"),
        ] {
            assert_eq!(
                retry_after(Some(Duration::from_micros(micros))),
                seconds,
                "{micros} µs"
            );
        }
        assert_eq!(retry_after(None), "3", "the fallback");
    }

    #[test]
    fn a_breakers_name_cannot_break_out_of_the_reason() {
        let value = reason_value("breaker_open", "a\"; x=\\é\n", "open");
        assert_eq!(
            value,
            "breaker_open; breaker=\"a\\\"; x=\\\\%C3%A9%0A\"; state=open"
        );
    }

    #[test]
    fn raw_answers_say_their_own_length() {
        let id = HeaderValue::from_static("7");
        let unread = unread(StatusCode::BAD_REQUEST, "a \"quoted\" é", &id, 0);
        for raw in [&too_many_connections()[..], &unread] {
            let text = std::str::from_utf8(raw).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let head = head.to_ascii_lowercase();
            assert!(
                head.contains(&format!("content-length: {}\r\n", body.len())),
                "{text}"
            );
        }
    }
}
