//! Refusals of requests whose heads hyper could not read, counted and logged as all others.

use std::net::SocketAddr;

use http::StatusCode;

use crate::ground::access_log::Note;
use crate::request::answer;
use crate::request::worker::Worker;

/// The answer to a head that hyper could not read. `read` is its beginning, and `refusal` the status of hyper's own
/// answer, if it made one.
pub fn unread(
    worker: &Worker,
    error: &hyper::Error,
    read: &[u8],
    refusal: Option<StatusCode>,
    peer: SocketAddr,
) -> Option<Vec<u8>> {
    let (status, why) = match refusal {
        Some(StatusCode::URI_TOO_LONG) => {
            (StatusCode::URI_TOO_LONG, "the target is too long".to_owned())
        }
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request's head is larger than `limits.head`, or has more fields than `limits.fields`"
                .to_owned(),
        ),
        Some(status) if is_hello(read) => (
            status,
            "a TLS handshake came to a port that speaks plain HTTP: the listener has no `tls`".to_owned(),
        ),
        Some(_) if has_other_version(read) => (
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "the version is not HTTP/1.1 or HTTP/1.0".to_owned(),
        ),
        Some(status) => (status, format!("the request's head cannot be read: {error}")),
        // An answer is on its way already.
        None => return None,
    };
    Some(refuse(worker, status, &why, peer))
}

/// Counts and logs a request whose head could not be read, and makes its answer.
pub fn refuse(worker: &Worker, status: StatusCode, why: &str, peer: SocketAddr) -> Vec<u8> {
    let meter = worker.meter();
    meter.requests.add();
    meter.requests_refused.add();
    meter.requests_ended.add();
    let id = worker.ids.request_id();
    if let Some(log) = worker.access_log.running() {
        Note::unread(log, worker.index, peer.ip(), &id, status, why);
    }
    let request_id = id.to_str().unwrap_or_default();
    let number = status.as_u16();
    tracing::debug!(request_id, %peer, status = number, reason = why, "request refused");
    answer::unread(status, why, &id, worker.clock().wall_millis())
}

/// True if the bytes of an unreadable head begin a TLS handshake: a record of the content type "handshake", whose
/// version is 3.x in every version of TLS.
fn is_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 3, ..])
}

/// True if a request line is well-formed up to its version, which is not one that we speak.
fn has_other_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let version = line.and_then(|line| line.rsplit(|byte| *byte == b' ').next());
    let Some(version) = version.and_then(|it| it.strip_prefix(b"HTTP/")) else {
        return false;
    };
    matches!(version, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
        && !matches!(version, b"1.0" | b"1.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_told_from_a_malformed_line() {
        for other in [
            "GET / HTTP/1.2\r\n",
            "GET / HTTP/3.0",
            "GET /a b HTTP/0.9\r\nhost: a",
        ] {
            assert!(has_other_version(other.as_bytes()), "{other}");
        }
        for no in [
            "GET / HTTP/1.1\r\n",
            "GET /HTTP/2.0\r\n",
            "GET / HTTP/12\r\n",
            "GET / http/2.0",
            "",
        ] {
            assert!(!has_other_version(no.as_bytes()), "{no}");
        }
    }
}
