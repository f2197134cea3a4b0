//! The other side's wish for the next call, in seconds or as a date.

use std::time::{Duration, SystemTime};

use ::http::HeaderMap;
use ::http::header::{DATE, HeaderName, RETRY_AFTER};

/// `Retry-After` (RFC 9110 section 10.2.3). A date counts from the response's own `Date`, so that the clocks need not
/// agree; without one, from this machine's clock. `None` for an invalid value, and for a time that has passed.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?;
    let after = match value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are an eternity.
        true => Duration::from_secs(value.parse().unwrap_or(u64::MAX)),
        false => {
            let until = httpdate::parse_http_date(value).ok()?;
            let sent = text(headers, &DATE).and_then(|date| httpdate::parse_http_date(date).ok());
            until.duration_since(sent.unwrap_or_else(wall)).ok()?
        }
    };
    (!after.is_zero()).then_some(after)
}

/// The value of a field, trimmed and not empty.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim_ascii();
    (!value.is_empty()).then_some(value)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a date is a wall time; nothing else here reads that clock"
)]
fn wall() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fields: &[(HeaderName, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(name, value.parse().unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates_are_read_and_anything_else_is_no_word() {
        let seconds = |value| told(&[(RETRY_AFTER, value)]).map(|after| after.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 7 "), Some(7));
        assert_eq!(seconds("99999999999999999999999"), Some(u64::MAX));
        for value in [
            "",
            "0",
            "-1",
            "1.5",
            "soon",
            "Fri, 31 Dec 1999 23:59:59 GMT",
        ] {
            assert_eq!(seconds(value), None, "{value}");
        }
        let dated = told(&[
            (DATE, "Fri, 31 Dec 1999 23:58:59 GMT"),
            (RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT"),
        ]);
        assert_eq!(dated, Some(Duration::from_secs(60)));
        let far = told(&[(RETRY_AFTER, "Fri, 31 Dec 9999 23:59:59 GMT")]);
        assert!(far.is_some_and(|after| after > Duration::from_secs(1 << 32)));
    }
}
