//! Numbers in patterns, with the rules of Java's [`DecimalFormat`], in English.
//!
//! [`DecimalFormat`]: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/text/DecimalFormat.html

use bigdecimal::RoundingMode;

use crate::value::number::Number;

/// A parsed pattern, such as `#,##0.00`.
struct Format {
    before: String,
    after: String,
    /// The texts around negative numbers, if the pattern has them.
    negative: Option<(String, String)>,
    percent: bool,
    whole_min: usize,
    fraction_min: u16,
    fraction_max: u16,
    /// The number of digits between commas; 0 for no commas.
    group: usize,
}

/// The way of rounding by its name in Java; by default half to even.
///
/// # Errors
/// If there is no way of that name.
pub(super) fn rounding(name: Option<&str>) -> Result<RoundingMode, String> {
    Ok(match name {
        None | Some("HALF_EVEN") => RoundingMode::HalfEven,
        Some("HALF_UP") => RoundingMode::HalfUp,
        Some("HALF_DOWN") => RoundingMode::HalfDown,
        Some("UP") => RoundingMode::Up,
        Some("DOWN") => RoundingMode::Down,
        Some("CEILING") => RoundingMode::Ceiling,
        Some("FLOOR") => RoundingMode::Floor,
        Some(other) => {
            return Err(format!(
                "unknown way of rounding {other:?}; expected UP, DOWN, CEILING, FLOOR, HALF_UP, HALF_DOWN or HALF_EVEN"
            ));
        }
    })
}

/// The text of a number, rounded to the digits of the pattern.
///
/// # Errors
/// If the pattern is invalid.
pub(super) fn format(
    number: &Number,
    pattern: &str,
    rounding: RoundingMode,
) -> Result<String, String> {
    let format = read(pattern)?;
    let hundred = Number::from(100_i64);
    let number = match format.percent {
        true => number.multiply(&hundred).map_err(|it| it.to_string())?,
        false => number.clone(),
    };
    let rounded = number.rounded(format.fraction_max, rounding);
    let digits = rounded.padded(format.fraction_max);
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let mut fraction = fraction.to_owned();
    while fraction.len() > usize::from(format.fraction_min) && fraction.ends_with('0') {
        fraction.pop();
    }
    let mut whole = whole.trim_start_matches('0').to_owned();
    if whole.is_empty() && fraction.is_empty() {
        whole.push('0');
    }
    let whole = format!("{whole:0>width$}", width = format.whole_min);
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && format.group > 0 && left % format.group == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(&fraction);
    }
    Ok(match (number.is_negative(), &format.negative) {
        (false, _) => format!("{}{text}{}", format.before, format.after),
        (true, Some((before, after))) => format!("{before}{text}{after}"),
        (true, None) => format!("-{}{text}{}", format.before, format.after),
    })
}

/// Reads a number by a pattern; `None`: the text does not match.
///
/// # Errors
/// If the pattern is invalid.
pub(super) fn parse(text: &str, pattern: &str) -> Result<Option<Number>, String> {
    let format = read(pattern)?;
    let strip = |text: &str, before: &str, after: &str| {
        let text = text.strip_prefix(before)?.strip_suffix(after)?;
        Some(text.to_owned())
    };
    let text = text.trim();
    let negative = match &format.negative {
        Some((before, after)) => strip(text, before, after),
        None => strip(text, &format!("-{}", format.before), &format.after),
    };
    let (sign, digits) = match (negative, strip(text, &format.before, &format.after)) {
        (Some(digits), _) => ("-", digits),
        (None, Some(digits)) => ("", digits),
        (None, None) => return Ok(None),
    };
    let digits = match format.group {
        0 => digits,
        _ => digits.replace(',', ""),
    };
    let number = Number::parse(&format!("{sign}{digits}"));
    Ok(number.and_then(|number| match format.percent {
        true => number.divide(&Number::from(100_i64)).ok(),
        false => Some(number),
    }))
}

fn read(pattern: &str) -> Result<Format, String> {
    let mut chars = pattern.chars().peekable();
    let wrong = |what: &str| format!("{what} in the format `{pattern}`");
    let mut percent = false;
    let mut around = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, stop: &str| {
        let mut text = String::new();
        while let Some(char) = chars.next_if(|char| !stop.contains(*char)) {
            match char {
                '\'' if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                '\'' => loop {
                    match chars.next() {
                        None => return Err(wrong("a quote is not closed")),
                        Some('\'') => break,
                        Some(char) => text.push(char),
                    }
                },
                '%' => {
                    percent = true;
                    text.push('%');
                }
                '¤' | '‰' => return Err(wrong(&format!("`{char}` is not supported"))),
                _ => text.push(char),
            }
        }
        Ok(text)
    };
    let before = around(&mut chars, "#0,.;")?;
    let mut digits = String::new();
    while let Some(char) = chars.next_if(|char| "#0,.".contains(*char)) {
        digits.push(char);
    }
    if chars.peek() == Some(&'E') {
        return Err(wrong("an exponent is not supported"));
    }
    let after = around(&mut chars, "#0,.;")?;
    let negative = match chars.next() {
        None => None,
        Some(';') => {
            let before = around(&mut chars, "#0,.;")?;
            while chars.next_if(|char| "#0,.".contains(*char)).is_some() {}
            Some((before, around(&mut chars, ";")?))
        }
        Some(_) => return Err(wrong("digits stand twice")),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let group = whole.rsplit_once(',').map_or(0, |(_, last)| last.len());
    let whole = whole.replace(',', "");
    let ordered = !whole.contains("0#") && !fraction.contains("#0");
    if !ordered || fraction.contains(['.', ',']) || (whole.is_empty() && fraction.is_empty()) {
        return Err(wrong("`#`, `0`, `,` and `.` do not stand as they must"));
    }
    let count = |text: &str, digit: char| text.chars().filter(|char| *char == digit).count();
    let mut whole_min = count(&whole, '0');
    let mut fraction_min = count(fraction, '0');
    if whole_min == 0 && fraction_min == 0 && digits.contains('.') {
        // Java requires one digit then: before the point, if there is room.
        if whole.is_empty() {
            fraction_min = 1;
        } else {
            whole_min = 1;
        }
    }
    let short = |length: usize| u16::try_from(length.min(300)).unwrap_or_default();
    Ok(Format {
        before,
        after,
        negative,
        percent,
        whole_min: whole_min.min(300),
        fraction_min: short(fraction_min),
        fraction_max: short(fraction.len()),
        group,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn patterns_write_as_java_does() {
        for (pattern, number, text) in [
            ("#,##0.00", "1234567.885", "1,234,567.88"),
            ("#,##0.00", "1234567.895", "1,234,567.90"),
            ("#,##0.00", "0.5", "0.50"),
            ("#,##0.00", "-12", "-12.00"),
            ("0", "2.5", "2"),
            ("0", "3.5", "4"),
            ("#", "0", "0"),
            ("#.##", "0.5", "0.5"),
            ("#.00", "0.5", ".50"),
            (".##", "0", ".0"),
            ("00000", "42", "00042"),
            ("0%", "0.256", "26%"),
            ("$#,###", "1234", "$1,234"),
            ("0.0;(0.0)", "-1.25", "(1.2)"),
            ("0.0 'per cent'", "1", "1.0 per cent"),
        ] {
            let number = Number::parse(number).unwrap();
            let formatted = format(&number, pattern, RoundingMode::HalfEven).unwrap();
            assert_eq!(formatted, text, "{pattern} {number}");
            if !matches!(pattern, "0" | "#" | "0%") {
                assert!(parse(text, pattern).unwrap().is_some(), "{pattern} {text}");
            }
        }
        for pattern in ["", "abc", "0#", "0.#0", "#.#.#", "0E0", "'x"] {
            assert!(
                format(&Number::from(1_i64), pattern, RoundingMode::HalfEven).is_err(),
                "{pattern}"
            );
        }
    }
}
