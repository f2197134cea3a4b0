//! The health service of gRPC, `grpc.health.v1.Health/Check`: its two messages, written by hand, and what an answer says.

use bytes::{BufMut as _, Bytes, BytesMut};
use fusebox_call::grpc::NAMES;
use http::{HeaderMap, StatusCode};

use crate::message::grpc;

/// The path of the method.
pub const PATH: &str = "/grpc.health.v1.Health/Check";

/// The most bytes of an answer that are read; the right one has seven.
pub const ANSWER_MAX: usize = 4 * 1024;

/// The state of a service that serves.
const SERVING: u64 = 1;

/// The names of the states, by number.
const STATES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// The request's body: one message that names a service; empty: the server as a whole.
pub fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        // Field 1, a text.
        message.put_u8(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut body = BytesMut::with_capacity(5 + message.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.put_slice(&message);
    body.freeze()
}

fn put_varint(to: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        to.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    to.put_u8(number as u8);
}

/// Decides by an answer whether the service serves; `head` and `trailers` are its fields.
///
/// # Errors
/// The reason why it does not, for the log.
pub fn verdict(
    status: StatusCode,
    head: &HeaderMap,
    trailers: Option<&HeaderMap>,
    body: &[u8],
) -> Result<(), String> {
    let code = trailers
        .and_then(grpc::status)
        .or_else(|| grpc::status(head));
    match code {
        Some(0) => {}
        None if status != StatusCode::OK => return Err(format!("status {}", status.as_u16())),
        None => return Err("an answer without a grpc-status".to_owned()),
        Some(12) => {
            return Err("grpc 12 UNIMPLEMENTED: the server has no health service".to_owned());
        }
        Some(code) => {
            let name = NAMES.get(usize::from(code)).copied().unwrap_or_default();
            return Err(format!("grpc {code} {name}"));
        }
    }
    match state(body) {
        Some(SERVING) => Ok(()),
        Some(state) => {
            let name = usize::try_from(state).ok().and_then(|it| STATES.get(it));
            Err(name.map_or_else(|| format!("state {state}"), |name| (*name).to_owned()))
        }
        None => Err("a malformed answer of the health service".to_owned()),
    }
}

/// The state in the body of an answer; `None`: it is not one whole message, or a compressed one, which no request allows.
fn state(body: &[u8]) -> Option<u64> {
    let (head, mut message) = body.split_at_checked(5)?;
    let [0, length @ ..] = head else { return None };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if usize::try_from(length).ok()? != message.len() {
        return None;
    }
    // A state that is 0, the default, is not written.
    let mut state = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => {
                let value = varint(&mut message)?;
                if key >> 3 == 1 {
                    state = value;
                }
            }
            1 => message = message.split_at_checked(8)?.1,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.split_at_checked(length)?.1;
            }
            5 => message = message.split_at_checked(4)?.1,
            _ => return None,
        }
    }
    Some(state)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..10 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn fields(code: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(grpc::STATUS, HeaderValue::from_static(code))])
    }

    #[test]
    fn a_request_names_the_service_or_nothing() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = request(&"x".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn serving_alone_is_good() {
        let says = |body: &[u8]| {
            let head = HeaderMap::new();
            verdict(StatusCode::OK, &head, Some(&fields("0")), body)
        };
        assert_eq!(says(&[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        let bad = |body: &[u8]| says(body).unwrap_err();
        assert_eq!(bad(&[0, 0, 0, 0, 2, 8, 2]), "NOT_SERVING");
        assert_eq!(bad(&[0, 0, 0, 0, 2, 8, 3]), "SERVICE_UNKNOWN");
        assert_eq!(bad(&[0, 0, 0, 0, 2, 8, 9]), "state 9");
        assert_eq!(bad(&[0, 0, 0, 0, 0]), "UNKNOWN");
        let malformed = "a malformed answer of the health service";
        for body in [
            &[][..],
            &[0, 0, 0, 0, 2, 8],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 1, 8],
        ] {
            assert_eq!(bad(body), malformed, "{body:?}");
        }
        // A later version of the message may have more fields.
        let more = [0, 0, 0, 0, 8, 0x12, 2, 0, 0, 0x18, 5, 8, 1];
        assert_eq!(says(&more), Ok(()));
    }

    #[test]
    fn a_status_other_than_ok_is_bad_whatever_the_message_says() {
        let body = [0, 0, 0, 0, 2, 8, 1];
        let trailers = HeaderMap::new();
        let says = |status: u16, head: &HeaderMap| {
            let status = StatusCode::from_u16(status).unwrap();
            verdict(status, head, Some(&trailers), &body).unwrap_err()
        };
        assert_eq!(says(200, &fields("5")), "grpc 5 NOT_FOUND");
        assert!(says(200, &fields("12")).starts_with("grpc 12 UNIMPLEMENTED"));
        assert_eq!(
            says(200, &HeaderMap::new()),
            "an answer without a grpc-status"
        );
        assert_eq!(says(503, &HeaderMap::new()), "status 503");
    }

    proptest! {
        #[test]
        fn no_body_whatever_it_holds_does_harm(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = state(&body);
        }
    }
}
