//! The notation of values on the command line, as in a configuration: durations, ratios and windows.

use std::time::Duration;

use fusebox_breaker::{Over, Ratio};

const NANOS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The longest duration: a year.
const NANOS_MAX: f64 = 366.0 * 24.0 * 3.6e12;

/// Reads a duration above zero, such as `250ms` or `1.5s`.
pub fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|char: char| char.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let (_, nanos) = NANOS.iter().find(|(name, _)| *name == unit.trim())?;
    let number = decimal(number.trim())? * *nanos as f64;
    (1.0..=NANOS_MAX)
        .contains(&number)
        .then(|| Duration::from_nanos(number.round() as u64))
}

/// Writes a duration in the largest unit that needs no fraction.
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let exact = NANOS
        .iter()
        .rev()
        .find(|(_, unit)| nanos.is_multiple_of(u128::from(*unit)));
    match exact {
        Some((name, unit)) if nanos > 0 => format!("{}{name}", nanos / u128::from(*unit)),
        _ => "0s".to_owned(),
    }
}

/// Reads a ratio above 0 % and up to 100 %, such as `50%`, as a number from 0 to 1.
pub fn share(text: &str) -> Option<f64> {
    let percent = decimal(text.strip_suffix('%')?.trim())?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// Reads a ratio above 0 % and up to 100 %.
pub fn ratio(text: &str) -> Option<Ratio> {
    Ratio::new(share(text)?).ok()
}

/// Writes a share in percent with at most two decimals.
pub fn show_share(share: f64) -> String {
    let percent = (share * 10_000.0).round() / 100.0;
    format!("{percent}%")
}

/// Reads a window: a duration or a number of calls, such as `100 calls`.
pub fn over(text: &str) -> Option<Over> {
    match text.strip_suffix("calls") {
        Some(number) => number.trim().parse().ok().map(Over::Calls),
        None => duration(text).map(Over::Time),
    }
}

/// Writes a window.
pub fn show_over(over: Over) -> String {
    match over {
        Over::Time(time) => show_duration(time),
        Over::Calls(calls) => format!("{calls} calls"),
        _ => format!("{over}"),
    }
}

/// Reads a decimal number without sign and exponent.
pub fn decimal(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_they_are_written() {
        for text in ["250ms", "90s", "2m", "1h", "1500us"] {
            let read = duration(text).unwrap();
            assert_eq!(duration(&show_duration(read)), Some(read), "{text}");
        }
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        for text in ["", "5", "s", "-1s", "0s", "1e3s", "5 parsecs", "400h4"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(show_over(over("100 calls").unwrap()), "100 calls");
        assert_eq!(show_share(ratio("12.5%").unwrap().as_f64()), "12.5%");
        assert_eq!(ratio("0%"), None);
        assert_eq!(ratio("101%"), None);
    }
}
