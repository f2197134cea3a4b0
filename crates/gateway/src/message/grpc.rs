//! gRPC over HTTP: its fields, its statuses, its deadlines (the gRPC protocol over HTTP/2).

use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_call::grpc::NAMES;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The media type of our own answers to gRPC clients.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// The field with a call's status: among the trailers, or in a head that is the whole answer.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The field with the status in words, percent-encoded.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The field with the time that a client gives its call.
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The field with the delay of the next try in milliseconds; negative: there is to be none (gRFC A6).
pub const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The status of a call whose upstream said something that is no status.
const UNKNOWN: u8 = 2;
/// The status of a request that is not as it should be.
pub const INVALID_ARGUMENT: u8 = 3;
/// The status of a call that was not over in time.
pub const DEADLINE_EXCEEDED: u8 = 4;
/// The status of a call that asked for too much.
pub const RESOURCE_EXHAUSTED: u8 = 8;
/// The status of a call without a route.
const UNIMPLEMENTED: u8 = 12;
/// The status of an error of our own.
const INTERNAL: u8 = 13;
/// The status of a call that may succeed later.
pub const UNAVAILABLE: u8 = 14;

/// The facts of a gRPC request that its call depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcRequest {
    /// The time that the client gives the call; `None`: as much as it takes.
    pub timeout: Option<Duration>,
    /// The end of that time; [`Timestamp::MAX`] without one.
    pub deadline: Timestamp,
}

impl GrpcRequest {
    /// The facts of a request that came at that time; `None`: its `grpc-timeout` is malformed.
    pub fn read(headers: &HeaderMap, now: Timestamp) -> Option<GrpcRequest> {
        let timeout = match headers.get(TIMEOUT) {
            Some(value) => Some(read_timeout(value)?),
            None => None,
        };
        Some(GrpcRequest {
            timeout,
            deadline: timeout.map_or(Timestamp::MAX, |timeout| now + timeout),
        })
    }

    /// True once the client's time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.timeout.is_some() && now >= self.deadline
    }

    /// The rest of the client's time; `None`: it gave no bound.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.timeout.map(|_| self.deadline.saturating_since(now))
    }
}

/// The upstream's word about the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushback {
    /// Not before that time has passed.
    After(Duration),
    /// Not at all.
    Never,
}

/// True if a message with these fields is one of gRPC. A call of gRPC-Web is not: it has its trailers within its body.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let Some((start, rest)) = value.and_then(|it| it.split_at_checked(MEDIA_TYPE.len())) else {
        return false;
    };
    start.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The status in a head or in trailers, 0 to 16; `None`: there is no such field. A value that is no status is UNKNOWN, as
/// clients take it.
pub fn status(fields: &HeaderMap) -> Option<u8> {
    let value = fields.get(STATUS)?.to_str().unwrap_or_default();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let code = value
        .parse()
        .ok()
        .filter(|code| is_number && usize::from(*code) < NAMES.len());
    Some(code.unwrap_or(UNKNOWN))
}

/// The word about the next try in a head or in trailers. One that cannot be read asks for no further try (gRFC A6).
pub fn pushback(fields: &HeaderMap) -> Option<Pushback> {
    let millis = fields.get(PUSHBACK)?.to_str().ok();
    let millis = millis.and_then(|it| it.trim().parse::<i64>().ok());
    Some(match millis.map(u64::try_from) {
        Some(Ok(millis)) => Pushback::After(Duration::from_millis(millis)),
        Some(Err(_)) | None => Pushback::Never,
    })
}

/// The names of failures by status, for breakers' reasons and the last failures.
pub const fn cause(code: u8) -> &'static str {
    match code {
        0 => "grpc 0 OK",
        1 => "grpc 1 CANCELLED",
        3 => "grpc 3 INVALID_ARGUMENT",
        4 => "grpc 4 DEADLINE_EXCEEDED",
        5 => "grpc 5 NOT_FOUND",
        6 => "grpc 6 ALREADY_EXISTS",
        7 => "grpc 7 PERMISSION_DENIED",
        8 => "grpc 8 RESOURCE_EXHAUSTED",
        9 => "grpc 9 FAILED_PRECONDITION",
        10 => "grpc 10 ABORTED",
        11 => "grpc 11 OUT_OF_RANGE",
        12 => "grpc 12 UNIMPLEMENTED",
        13 => "grpc 13 INTERNAL",
        14 => "grpc 14 UNAVAILABLE",
        15 => "grpc 15 DATA_LOSS",
        16 => "grpc 16 UNAUTHENTICATED",
        _ => "grpc 2 UNKNOWN",
    }
}

/// The gRPC status of our own answer with an HTTP status. A client's mistake has no status of a failing server, so that a
/// breaker before us does not open by it.
pub fn code_of(status: StatusCode) -> u8 {
    match status.as_u16() {
        404 | 405 | 501 => UNIMPLEMENTED,
        413 | 429 | 431 => RESOURCE_EXHAUSTED,
        400..=499 => INVALID_ARGUMENT,
        504 => DEADLINE_EXCEEDED,
        502 | 503 => UNAVAILABLE,
        500..=599 => INTERNAL,
        _ => UNKNOWN,
    }
}

/// The end of the names of binary metadata, whose values are base64.
const BINARY: &str = "-bin";

/// True if all binary metadata is base64, as servers demand. Several values may stand in one field, with commas between
/// them.
pub fn is_metadata_sound(headers: &HeaderMap) -> bool {
    let binary = headers
        .iter()
        .filter(|(name, _)| name.as_str().ends_with(BINARY));
    let mut values = binary.flat_map(|(_, value)| value.as_bytes().split(|byte| *byte == b','));
    values.all(|value| is_base64(value.trim_ascii()))
}

/// True for base64 with or without its padding.
fn is_base64(value: &[u8]) -> bool {
    let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &value[..value.len() - padding];
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let is_whole = match padding {
        0 => digits.len() % 4 != 1,
        1 | 2 => value.len().is_multiple_of(4),
        _ => false,
    };
    is_whole && digits.iter().all(is_digit)
}

/// A number as a field's value.
pub fn number(number: u64) -> HeaderValue {
    HeaderValue::from(number)
}

/// A text as the value of [`MESSAGE`]: all but visible ASCII and the space is percent-encoded, and `%` itself.
pub fn message(text: &str) -> HeaderValue {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => encoded.push_str("%25"),
            b' '..=b'~' => encoded.push(byte as char),
            _ => write!(encoded, "%{byte:02X}").expect("a String takes any text"),
        }
    }
    HeaderValue::from_str(&encoded).expect("only visible ASCII was written")
}

/// A client's time limit: at most 8 digits and a unit. `None`: it is malformed.
pub fn read_timeout(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    let is_number = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A time limit in the finest unit that takes at most 8 digits, rounded up: the upstream's clock does not end before
/// ours.
pub fn write_timeout(timeout: Duration) -> HeaderValue {
    const DIGITS: u128 = 99_999_999;
    let nanos = timeout.as_nanos();
    let units: [(u128, char); 6] = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
        (3_600_000_000_000, 'H'),
    ];
    let fitting = units
        .iter()
        .map(|(size, unit)| (nanos.div_ceil(*size), unit));
    let (number, unit) = fitting
        .into_iter()
        .find(|(number, _)| *number <= DIGITS)
        .unwrap_or((DIGITS, &'H'));
    let text = format!("{number}{unit}");
    HeaderValue::from_str(&text).expect("digits and a letter are a field value")
}

/// The trailers that end a call of ours whose client has no more time.
pub fn too_late() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(STATUS, number(u64::from(DEADLINE_EXCEEDED)));
    trailers.insert(MESSAGE, message("the call's deadline has passed"));
    trailers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn grpc_is_told_by_its_content_type_and_grpc_web_is_not_it() {
        for value in [
            "application/grpc",
            "Application/GRPC",
            "application/grpc+proto",
            "application/grpc;charset=utf-8",
        ] {
            assert!(is_grpc(&fields(CONTENT_TYPE, value)), "{value}");
        }
        for value in [
            "application/grpc-web+proto",
            "application/grpcx",
            "application/json",
            "",
        ] {
            assert!(!is_grpc(&fields(CONTENT_TYPE, value)), "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn binary_metadata_is_base64_with_or_without_padding() {
        for value in [
            "", "YQ", "YQ==", "YWI=", "YWJj", "YQ==,YWI", "+/+/", "a, b ",
        ] {
            let name = HeaderName::from_static("x-bin");
            let is_sound = is_metadata_sound(&fields(name, value));
            assert_eq!(is_sound, value != "a, b ", "{value:?}");
        }
        for value in ["Y", "YQ=", "YQ===", "Y!Q=", "YWJj=", "=", "Y=Q="] {
            let field = |name| is_metadata_sound(&fields(HeaderName::from_static(name), value));
            assert!(!field("x-bin") && field("x-text"), "{value:?}");
        }
    }

    #[test]
    fn a_status_that_is_none_is_unknown() {
        let read = |value| status(&fields(STATUS, value));
        assert_eq!(
            [read("0"), read("14"), read("16")],
            [Some(0), Some(14), Some(16)]
        );
        for bad in ["", "17", "-1", "+1", "OK", "1 ", "99999999999"] {
            assert_eq!(read(bad), Some(UNKNOWN), "{bad:?}");
        }
        assert_eq!(status(&HeaderMap::new()), None);
    }

    #[test]
    fn a_pushback_that_is_negative_or_unreadable_forbids_a_repeat() {
        let read = |value| pushback(&fields(PUSHBACK, value));
        assert_eq!(
            read("1500"),
            Some(Pushback::After(Duration::from_millis(1_500)))
        );
        assert_eq!(read("0"), Some(Pushback::After(Duration::ZERO)));
        for never in ["-1", "soon", "", "1.5"] {
            assert_eq!(read(never), Some(Pushback::Never), "{never:?}");
        }
        assert_eq!(pushback(&HeaderMap::new()), None);
    }

    #[test]
    fn a_timeout_is_at_most_eight_digits_and_a_unit() {
        let read = |value: &str| read_timeout(&HeaderValue::from_str(value).unwrap());
        assert_eq!(read("1S"), Some(Duration::from_secs(1)));
        assert_eq!(read("999m"), Some(Duration::from_millis(999)));
        assert_eq!(read("2M"), Some(Duration::from_secs(120)));
        assert_eq!(
            read("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3_600))
        );
        assert_eq!(
            [read("5u"), read("5n")].map(|it| it.unwrap().as_nanos()),
            [5_000, 5]
        );
        for bad in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "123456789S",
            "1.5S",
            "1 S",
            "1SS",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn our_own_answers_have_a_status_that_fits() {
        let code = |status| code_of(StatusCode::from_u16(status).unwrap());
        let expected = [
            (400, 3),
            (404, 12),
            (405, 12),
            (408, 3),
            (413, 8),
            (421, 3),
            (431, 8),
            (500, 13),
            (501, 12),
            (502, 14),
            (503, 14),
            (504, 4),
        ];
        for (status, right) in expected {
            assert_eq!(code(status), right, "{status}");
        }
    }

    #[test]
    fn a_message_is_visible_ascii() {
        assert_eq!(message("100 % of \"é\"\n"), "100 %25 of \"%C3%A9\"%0A");
    }

    proptest! {
        #[test]
        fn a_timeout_that_is_written_is_read_and_never_shorter(nanos in 0u64..u64::MAX) {
            let timeout = Duration::from_nanos(nanos);
            let read = read_timeout(&write_timeout(timeout)).unwrap();
            prop_assert!(read >= timeout);
            // Eight digits are written, and the next coarser unit is up to a thousand times as long: an error of 10^-5.
            prop_assert!(read.as_secs_f64() <= timeout.as_secs_f64() * 1.000_011 + 1e-9);
        }

        #[test]
        fn no_field_whatever_it_holds_does_harm(value in "[ -~]{0,20}") {
            for name in [STATUS, PUSHBACK, TIMEOUT, CONTENT_TYPE] {
                let fields = fields(name, &value);
                let _ = (is_grpc(&fields), status(&fields), pushback(&fields));
                let _ = GrpcRequest::read(&fields, Timestamp::ZERO);
            }
        }
    }
}
