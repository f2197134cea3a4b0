//! Reads times and durations of logs: RFC 3339, nginx's `$time_local`, and numbers of seconds or smaller units.

/// Nanoseconds of a second.
pub const SECOND: i64 = 1_000_000_000;

/// A time in nanoseconds since 1970. A number counts from any zero: seconds below 10^11, then milliseconds below 10^14,
/// microseconds below 10^17, and nanoseconds.
pub fn moment(text: &[u8]) -> Option<i64> {
    if text.len() > 5 && text[4] == b'-' {
        return rfc3339(text);
    }
    if text.len() > 6 && text[2] == b'/' {
        return local(text);
    }
    let whole = text
        .iter()
        .position(|byte| *byte == b'.')
        .unwrap_or(text.len());
    let power = match whole {
        0..=11 => 9,
        12..=14 => 6,
        15..=17 => 3,
        _ => 0,
    };
    scaled(text, power)
}

/// A decimal number times ten to a power, as a whole number; further digits are cut off.
pub fn scaled(text: &[u8], power: u32) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    let (mut seen, mut left, mut point) = (false, power, false);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' if !point => {
                seen = true;
                value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
            }
            b'0'..=b'9' => {
                seen = true;
                if left > 0 {
                    left -= 1;
                    value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                }
            }
            b'.' if !point => point = true,
            b'e' | b'E' if seen && at > 0 => return exponential(text, power),
            _ => return None,
        }
    }
    let value = value.checked_mul(10_i64.checked_pow(left)?)?;
    seen.then_some(if negative { -value } else { value })
}

/// A number with an exponent, which JSON allows.
fn exponential(text: &[u8], power: u32) -> Option<i64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let value = (number * 10f64.powi(i32::try_from(power).ok()?)).round();
    (value.abs() < 9e18).then_some(value as i64)
}

/// A duration from zero on, times ten to a power.
pub fn span(text: &[u8], power: u32) -> Option<u64> {
    u64::try_from(scaled(text, power)?).ok()
}

/// `2026-11-30T15:47:23.000007Z`, with `T` or a space, any number of decimals, and `Z`, an offset or none, which is UTC.
fn rfc3339(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let separated = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let is_separated = separated
        .iter()
        .all(|(at, byte)| text.get(*at) == Some(byte));
    if !is_separated || !matches!(text.get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let seconds = clock(number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    let mut rest = &text[19..];
    let mut nanos = 0;
    if let [b'.' | b',', fraction @ ..] = rest {
        let count = fraction
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let read = fraction[..count].iter().take(9);
        nanos = read.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        nanos *= 10_i64.pow(9 - u32::try_from(count.clamp(1, 9)).ok()?);
        rest = &fraction[count..];
    }
    let offset = match rest {
        b"" | b"Z" | b"z" => 0,
        rest => offset(rest)?,
    };
    (days * 86_400 + seconds - offset)
        .checked_mul(SECOND)?
        .checked_add(nanos)
}

/// A time of nginx, `10/Oct/2026:13:55:36 +0200`.
fn local(text: &[u8]) -> Option<i64> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let name = text.get(3..6)?;
    let month = MONTHS.chunks(3).position(|month| month == name)?;
    let days = days(
        number(7, 11)?,
        i64::try_from(month).ok()? + 1,
        number(0, 2)?,
    )?;
    let seconds = clock(number(12, 14)?, number(15, 17)?, number(18, 20)?)?;
    let offset = match text.get(20..)?.trim_ascii() {
        b"" => 0,
        rest => offset(rest)?,
    };
    (days * 86_400 + seconds - offset).checked_mul(SECOND)
}

/// Seconds of `+02:00` or `+0200`.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let minutes = match rest {
        [_, _, b':', _, _] => &rest[3..],
        [_, _, _, _] => &rest[2..],
        _ => return None,
    };
    Some(sign * (digits(&rest[..2])? * 3_600 + digits(minutes)? * 60))
}

fn digits(text: &[u8]) -> Option<i64> {
    let all = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    all.then(|| {
        text.iter()
            .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
    })
}

fn clock(hour: i64, minute: i64, second: i64) -> Option<i64> {
    // A leap second is the second after.
    let fits = hour < 24 && minute < 60 && second <= 60;
    fits.then_some(hour * 3_600 + minute * 60 + second)
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leaps + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_a_time_is_the_same_moment() {
        let expected = Some(1_796_053_643 * SECOND);
        for text in [
            "2026-11-30T15:47:23Z",
            "2026-11-30 15:47:23",
            "2026-11-30T17:47:23.000+02:00",
            "30/Nov/2026:15:47:23 +0000",
            "30/Nov/2026:10:17:23 -0530",
            "1796053643",
            "1796053643.000",
            "1796053643000",
            "1796053643000000",
            "1796053643000000000",
            "1.796053643e9",
        ] {
            assert_eq!(moment(text.as_bytes()), expected, "{text}");
        }
        let micros = moment(b"2026-11-30T15:47:23.000007Z").unwrap();
        assert_eq!(micros % SECOND, 7_000);
        assert_eq!(moment(b"2000-02-29T00:00:00Z"), Some(951_782_400 * SECOND));
        assert_eq!(moment(b"1970-01-01T00:00:00Z"), Some(0));
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-11-30",
            "1.2.3",
            "-",
        ] {
            assert_eq!(moment(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_exact_to_the_nanosecond() {
        assert_eq!(span(b"31.204", 6), Some(31_204_000));
        assert_eq!(span(b"0.005", 9), Some(5_000_000));
        assert_eq!(span(b"1.0000000019", 9), Some(1_000_000_001));
        assert_eq!(span(b"-1", 9), None);
        assert_eq!(span(b"5ms", 6), None);
    }
}
