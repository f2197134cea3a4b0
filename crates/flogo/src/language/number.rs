//! Numbers and their texts, by the rules of Go's `strconv`.

use std::sync::Arc;

/// The fault of a text that is not a number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NumberFault<T> {
    /// The result in Go code that ignores the fault: the nearest number for a text out of range, otherwise 0.
    pub nearest: T,
    /// Go's function, the text, and the fault.
    pub message: String,
}

/// Parses a decimal integer with an optional sign, like `strconv.Atoi`.
pub(crate) fn read_int(text: &str) -> Result<i64, NumberFault<i64>> {
    int("Atoi", text)
}

/// Parses the same like `strconv.ParseInt`, with its message.
pub(crate) fn read_long(text: &str) -> Result<i64, NumberFault<i64>> {
    int("ParseInt", text)
}

fn int(function: &str, text: &str) -> Result<i64, NumberFault<i64>> {
    let fault = |nearest, what| NumberFault {
        nearest,
        message: format!("strconv.{function}: parsing {text:?}: {what}"),
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault(0, "invalid syntax"));
    }
    let nearest = if text.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    text.parse()
        .map_err(|_| fault(nearest, "value out of range"))
}

/// Parses a number like `strconv.ParseFloat`: decimal or hexadecimal, `_` between digits, infinities and `NaN` in any
/// case.
pub(crate) fn read_float(text: &str) -> Result<f64, NumberFault<f64>> {
    let fault = |nearest, what| NumberFault {
        nearest,
        message: format!("strconv.ParseFloat: parsing {text:?}: {what}"),
    };
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return Ok(sign * f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::NAN);
    }
    let magnitude = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => hexadecimal(&unsigned[2..]),
        _ => decimal(unsigned),
    };
    match magnitude {
        None => Err(fault(0.0, "invalid syntax")),
        Some(infinite) if infinite.is_infinite() => {
            Err(fault(sign * infinite, "value out of range"))
        }
        Some(magnitude) => Ok(sign * magnitude),
    }
}

fn decimal(text: &str) -> Option<f64> {
    let plain = without_underscores(text, false)?;
    let digits_first = plain.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    plain.parse().ok().filter(|_| digits_first)
}

/// Removes underscores, each of which must stand between digits.
fn without_underscores(text: &str, after_prefix: bool) -> Option<String> {
    if !text.contains('_') {
        return Some(text.to_owned());
    }
    let mut before = if after_prefix { b'0' } else { b'!' };
    let bytes = text.as_bytes();
    let radix = if after_prefix { 16 } else { 10 };
    let digit = |byte: u8| char::from(byte).is_digit(radix);
    for (at, &byte) in bytes.iter().enumerate() {
        if byte == b'_' && !(digit(before) && bytes.get(at + 1).is_some_and(|&next| digit(next))) {
            return None;
        }
        before = byte;
    }
    Some(text.replace('_', ""))
}

/// Parses the part after `0x` of a hexadecimal number, whose exponent is a power of two and required.
fn hexadecimal(text: &str) -> Option<f64> {
    let plain = without_underscores(text, true)?;
    let at = plain.find(['p', 'P'])?;
    let (digits, exponent) = (&plain[..at], &plain[at + 1..]);
    let exponent = read_int(exponent)
        .map_or_else(|fault| (fault.nearest != 0).then_some(fault.nearest), Some)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut sticky = false;
    let mut scale = 0_i64;
    for (at, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        let fractional = at >= whole.len();
        if mantissa >> 58 == 0 {
            mantissa = mantissa * 16 + digit;
            scale -= if fractional { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            scale += if fractional { 0 } else { 4 };
        }
    }
    if mantissa == 0 {
        return Some(0.0);
    }
    // A bit below the last one decides ties, as the dropped digits would.
    let exact = (mantissa | u64::from(sticky)) as f64;
    let power = exponent.saturating_add(scale).clamp(-2000, 2000) as i32;
    // In two halves, since the whole power may exceed a float's range.
    let half = power / 2;
    Some(exact * 2_f64.powi(half) * 2_f64.powi(power - half))
}

/// Formats a float in decimals, never with an exponent, like `strconv.FormatFloat(…, 'f', -1, 64)`.
pub(crate) fn plain(float: f64) -> String {
    if float.is_nan() {
        "NaN".to_owned()
    } else if float.is_infinite() {
        if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        // Rust's shortest form has no exponent either.
        format!("{float}")
    }
}

/// Formats a float like Go's `encoding/json`: the shortest text, with an exponent only below 1e-6 and from 1e21. `None`
/// for values that JSON does not have.
pub(crate) fn for_json(float: f64) -> Option<String> {
    if !float.is_finite() {
        return None;
    }
    let size = float.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{float:e}");
        // Go writes a sign, and at least two digits, for a large exponent.
        return Some(match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent:0>2}")
            }
            _ => text,
        });
    }
    Some(plain(float))
}

/// Rounds a float to a whole number, towards zero. Out of range the result is the smallest number, as on Go's amd64.
pub(crate) fn truncate(float: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&float) {
        float as i64
    } else {
        i64::MIN
    }
}

/// The whole number of a number text, like `json.Number.Int64`.
pub(crate) fn num_int(text: &Arc<str>) -> i64 {
    read_long(text).unwrap_or_else(|fault| fault.nearest)
}

/// The float of a number text, like `json.Number.Float64`.
pub(crate) fn num_float(text: &Arc<str>) -> f64 {
    read_float(text).unwrap_or_else(|fault| fault.nearest)
}
