//! Reads an upstream's `Retry-After`: the time of its next call (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

/// The time after which an answer asks to be called again; `wall` is our own time, in milliseconds since the Unix
/// epoch.
///
/// The field is a number of seconds, or a date in any of the three forms of HTTP. A date is compared with the answer's
/// own `Date`, so that two clocks that differ do no harm; without one with `wall`. A past date gives zero. The first
/// valid field counts.
pub fn read(headers: &HeaderMap, wall: u64) -> Option<Duration> {
    let mut fields = headers.get_all(RETRY_AFTER).iter();
    fields.find_map(|field| {
        let text = field.to_str().ok()?.trim();
        seconds(text).or_else(|| {
            let at = httpdate::parse_http_date(text).ok()?;
            let now = headers.get(DATE).and_then(date);
            let now = now.unwrap_or_else(|| UNIX_EPOCH + Duration::from_millis(wall));
            Some(at.duration_since(now).unwrap_or_default())
        })
    })
}

/// A number too large to count is the largest duration.
fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

fn date(field: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(field.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's own examples.
    const WALL: u64 = 784_111_777_000;

    fn asked(fields: &[(&str, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        read(&headers, WALL).map(|after| after.as_secs())
    }

    #[test]
    fn seconds_are_seconds_however_many() {
        assert_eq!(asked(&[("retry-after", "120")]), Some(120));
        assert_eq!(asked(&[("retry-after", "0")]), Some(0));
        let beyond = asked(&[("retry-after", "99999999999999999999999")]);
        assert_eq!(beyond, Some(u64::MAX));
    }

    #[test]
    fn a_date_in_any_form_is_held_against_the_answers_own() {
        for at in [
            "Sun, 06 Nov 1994 08:50:37 GMT",
            "Sunday, 06-Nov-94 08:50:37 GMT",
            "Sun Nov  6 08:50:37 1994",
        ] {
            assert_eq!(asked(&[("retry-after", at)]), Some(60), "{at}");
            let its_own = ("date", "Sun, 06 Nov 1994 08:50:27 GMT");
            assert_eq!(asked(&[("retry-after", at), its_own]), Some(10), "{at}");
            let unreadable = ("date", "yesterday");
            assert_eq!(asked(&[("retry-after", at), unreadable]), Some(60), "{at}");
        }
    }

    #[test]
    fn a_date_that_has_passed_is_zero() {
        let past = "Sun, 06 Nov 1994 08:49:36 GMT";
        assert_eq!(asked(&[("retry-after", past)]), Some(0));
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        for bad in [
            "",
            "soon",
            "-5",
            "+5",
            "1.5",
            "5 s",
            "0x10",
            "é",
            "Sun, 32 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(asked(&[("retry-after", bad)]), None, "{bad:?}");
        }
        assert_eq!(asked(&[]), None);
        let second = asked(&[("retry-after", "soon"), ("retry-after", "7")]);
        assert_eq!(second, Some(7));
    }

    proptest! {
        #[test]
        fn no_field_whatever_it_holds_does_harm(value in "[ -~]{0,40}", date in "[ -~]{0,40}", wall: u64) {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(&value).unwrap());
            headers.insert(DATE, HeaderValue::from_str(&date).unwrap());
            let _ = read(&headers, wall % (1 << 50));
        }
    }
}
