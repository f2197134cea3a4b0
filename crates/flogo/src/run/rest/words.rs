//! Faults of calls in Go's words, which flows compare and show.

use std::error::Error as _;
use std::io;

use fusebox_gateway::parts::{Cut, ErrorKind, NoAnswer, NoConnection, Unconnected};
use fusebox_plan::CallError;
use fusebox_plan::plan::Endpoint;

use super::{ANSWER_MAX, REQUESTS_MAX};
use crate::Fault;

/// The fault of a service without an answer. `op` is the method in the form of Go's messages. Until the answer has
/// begun, the fault is a network fault.
pub fn fault(op: &str, none: &NoAnswer) -> Fault {
    use fusebox_gateway::parts::Fault as Cause;
    let cause: Fault = match &none.fault {
        Cause::Refused(refusal) => Fault::plain(refusal.to_string()),
        full @ Cause::Full(..) => Fault::plain(full.to_string()),
        Cause::Unsendable(why) => Fault::plain(&**why),
        Cause::Unconnected(failed) if failed.why == Unconnected::Exhausted => {
            return Fault::plain("the gateway has no connection to spare");
        }
        Cause::Unconnected(failed) => unconnected(failed, &none.request.endpoint),
        Cause::Cut(end) => Fault::plain(cut(end)),
        Cause::Timeout => "net/http: timeout awaiting response headers".into(),
        Cause::Malformed | Cause::HeadTooLarge => {
            "net/http: HTTP/1.x transport connection broken: malformed HTTP response".into()
        }
        Cause::Location(bad) => {
            let (location, why) = (&bad.location, &bad.why);
            Fault::plain(format!(
                "failed to parse Location header {location:?}: {why}"
            ))
        }
        Cause::Redirects(location) => {
            let cause = Fault::plain(format!("stopped after {REQUESTS_MAX} redirects"));
            return Fault::network(op, location, cause);
        }
        Cause::Broken(_) | Cause::BrokenHeld(_) | Cause::CutGzip => {
            return Fault::plain("unexpected EOF");
        }
        Cause::NoGzip => return Fault::plain("gzip: invalid header"),
        Cause::Silent(waited) => {
            let waited = waited.as_secs_f64();
            let fault = format!("the answer's body has not gone on for {waited} s");
            return Fault::plain(fault);
        }
        Cause::TooLarge => {
            let fault = format!("the answer's body is larger than {ANSWER_MAX} bytes");
            return Fault::plain(fault);
        }
    };
    Fault::network(op, &none.request.url(), cause)
}

fn cut(end: &Cut) -> String {
    if end.why.kind == ErrorKind::Tls {
        return format!("remote error: tls: {}", end.why.word);
    }
    let io = end.error.source();
    let io = io.and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            format!("read: {}", words(error))
        }
        _ => "EOF".into(),
    }
}

fn unconnected(failed: &NoConnection, endpoint: &Endpoint) -> Fault {
    let host = match failed.address {
        Some(address) => address.to_string(),
        None => format!("{}:{}", endpoint.host, endpoint.port),
    };
    let error = &failed.error;
    match failed.why {
        Unconnected::Upstream(CallError::Tls) => Fault::plain(format!("tls: {}", words(error))),
        _ if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() => {
            Fault::plain(format!("dial tcp {host}: i/o timeout"))
        }
        _ => match (failed.address, error.raw_os_error()) {
            (None, _) => Fault::lookup(&endpoint.host),
            (Some(address), Some(number)) => Fault::dial(address, number, &words(error)),
            (Some(_), None) => Fault::plain(format!("dial tcp {host}: {}", words(error))),
        },
    }
}

/// A system's message without its number, in lower case at the beginning.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusebox_breaker::{Phase, RejectReason, Rejection};
    use fusebox_gateway::parts::{Outbound, Refusal};
    use http::{HeaderMap, Method};

    #[test]
    fn a_breaker_that_refuses_is_an_error_of_the_network() {
        let none = NoAnswer {
            request: Outbound {
                method: Method::GET,
                endpoint: Endpoint::new(false, "pets", 8081),
                target: "/pet/1".into(),
                headers: HeaderMap::new(),
                body: None,
            },
            fault: fusebox_gateway::parts::Fault::Refused(Refusal {
                breaker: "G/Pets".into(),
                rejection: Rejection::new(RejectReason::BreakerOpen, Phase::Open),
                retry_after: Some(12),
            }),
        };
        let fault = fault("Get", &none);
        assert!(fault.is_network());
        assert_eq!(
            &*fault.message,
            "Get \"http://pets:8081/pet/1\": breaker `G/Pets` refused the call: the breaker is open and its cooldown has \
             not ended; retry in 12 s"
        );
    }
}
