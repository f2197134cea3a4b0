//! The notation of values: durations `250ms`, sizes `64KiB`, ratios `50%`, windows `100 calls`.
//!
//! Each has a reader, whose error describes the expected notation, and a writer, whose result the reader reads back as
//! the same value.

use std::time::Duration;

use fusebox_breaker::{Over, Ratio};

/// The error of a reader: the expected notation, with an example.
pub type Expected = String;

const NANOS: [(&str, u128); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
const BYTES: [(&str, u128); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];
/// The longest duration in a file: far beyond use, far below overflow.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A duration above zero: a number and one of `ns us ms s m h`.
pub fn duration(text: &str) -> Result<Duration, Expected> {
    match delay(text)? {
        Duration::ZERO => Err("a duration above zero, such as `250ms` or `5s`".to_owned()),
        duration => Ok(duration),
    }
}

/// A duration of zero or more, otherwise like [`duration`].
pub fn delay(text: &str) -> Result<Duration, Expected> {
    let example = "a duration such as `250ms`, `5s` or `1m`";
    let nanos = amount(text, &NANOS, example, |number| {
        format!("a duration with its unit: write `{number}s` or `{number}ms`")
    })?;
    let duration = u64::try_from(nanos).map(Duration::from_nanos);
    match duration {
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        _ => Err("a duration of at most 366 days, such as `5s`".to_owned()),
    }
}

/// Reads a duration in the native notation, such as `250ms`, `5s` or `10m`: a number and one of `ns us ms s m h`, above
/// zero, at most 366 days. `None` for any other text.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(fusebox_plan::read_duration("1.5s"), Some(Duration::from_millis(1500)));
/// assert_eq!(fusebox_plan::read_duration("90"), None);
/// ```
pub fn read_duration(text: &str) -> Option<Duration> {
    duration(text).ok()
}

/// Writes a duration in the largest unit that needs no fraction.
pub fn show_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    show(duration.as_nanos(), &NANOS)
}

/// A size above zero: a number and one of `B KiB MiB GiB KB MB GB`.
pub fn size(text: &str) -> Result<u64, Expected> {
    let example = "a size such as `512B`, `64KiB` or `10MiB`";
    let bytes = amount(text, &BYTES, example, |number| {
        format!("a size with its unit: write `{number}B` or `{number}KiB`")
    })?;
    match u64::try_from(bytes) {
        Ok(0) => Err("a size above zero, such as `512B` or `64KiB`".to_owned()),
        Ok(bytes) if bytes <= 1 << 50 => Ok(bytes),
        _ => Err("a size of at most 1048576GiB".to_owned()),
    }
}

/// Writes a size in the largest binary unit that needs no fraction.
pub fn show_size(bytes: u64) -> String {
    show(u128::from(bytes), &BYTES[..4])
}

/// A rate of bytes: a size and `/s`.
pub fn rate(text: &str) -> Result<u64, Expected> {
    let example = "a rate such as `1KiB/s`";
    let number = text.trim().strip_suffix("/s").ok_or(example)?;
    size(number.trim_end()).map_err(|_| example.to_owned())
}

/// Writes a rate of bytes, such as `1KiB/s`.
pub fn show_rate(bytes: u64) -> String {
    format!("{}/s", show_size(bytes))
}

/// A share in percent, as millionths of the whole: `20%` is 200,000.
fn millionths(text: &str) -> Result<u128, Expected> {
    let example = "a ratio such as `50%`";
    let Some(number) = text.trim().strip_suffix('%') else {
        return Err(match text.trim().parse::<f64>() {
            Ok(number) if number > 0.0 && number <= 1.0 => {
                format!("a ratio in percent: write `{}%`", number * 100.0)
            }
            Ok(number) if number > 1.0 && number <= 100.0 => {
                format!("a ratio in percent: write `{number}%`")
            }
            _ => example.to_owned(),
        });
    };
    let millionths = decimal(number.trim_end(), 10_000).ok_or(example)?;
    if millionths > 1_000_000 {
        return Err("a ratio of at most 100%, such as `50%`".to_owned());
    }
    Ok(millionths)
}

/// A ratio above 0 % and up to 100 %.
pub fn ratio(text: &str) -> Result<Ratio, Expected> {
    let millionths = millionths(text)?;
    Ratio::of(millionths as u32, 1_000_000)
        .map_err(|_| "a ratio above 0%, such as `50%`".to_owned())
}

/// A share from 0 % to 100 %, as a number from 0 to 1.
pub fn share(text: &str) -> Result<f64, Expected> {
    Ok(millionths(text)? as f64 / 1e6)
}

/// Writes a share in percent, such as `12.5%`.
pub fn show_share(share: f64) -> String {
    // A share has at most six decimals (`millionths`), so the rounding is exact.
    let millionths = (share * 1e6).round() as u64;
    let (whole, rest) = (millionths / 10_000, millionths % 10_000);
    if rest == 0 {
        return format!("{whole}%");
    }
    format!("{}%", format!("{whole}.{rest:04}").trim_end_matches('0'))
}

/// A window: a duration, or `n calls`.
pub fn over(text: &str) -> Result<Over, Expected> {
    let example = "a window such as `10s` or `100 calls`";
    let trimmed = text.trim();
    if let Some(number) = trimmed
        .strip_suffix("calls")
        .or_else(|| trimmed.strip_suffix("call"))
    {
        let calls: u32 = number.trim_end().parse().map_err(|_| example)?;
        if calls == 0 || calls > CALLS_MAX {
            return Err(format!("a window of 1 to {CALLS_MAX} calls"));
        }
        return Ok(Over::Calls(calls));
    }
    if let Ok(number) = trimmed.parse::<u32>() {
        return Err(format!(
            "a window with its unit: write `{number}s` or `{number} calls`"
        ));
    }
    duration(text)
        .map(Over::Time)
        .map_err(|_| example.to_owned())
}

/// The most calls in a window.
pub const CALLS_MAX: u32 = 1_000_000;

/// Writes a window, such as `10s` or `100 calls`.
pub fn show_over(over: Over) -> String {
    match over {
        Over::Time(time) => show_duration(time),
        Over::Calls(calls) => format!("{calls} calls"),
        // Every window that can be written is of a kind above.
        _ => format!("{over:?}"),
    }
}

/// A number with its unit, `1.5s`, in the smallest of the units. `bare` makes the error for a number alone.
fn amount(
    text: &str,
    units: &[(&str, u128)],
    example: &str,
    bare: impl FnOnce(&str) -> Expected,
) -> Result<u128, Expected> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    if unit.is_empty() && !number.is_empty() {
        return Err(bare(number));
    }
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start());
    let amount = factor.and_then(|(_, factor)| decimal(number, *factor));
    amount.ok_or_else(|| example.to_owned())
}

/// A decimal number times `factor`, exactly; `None` if the result is not whole or the text is not a number.
fn decimal(text: &str, factor: u128) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let dotted = text.contains('.');
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (dotted && fraction.is_empty()) {
        return None;
    }
    if whole.len() + fraction.len() > 18 {
        return None;
    }
    let scale = 10u128.pow(fraction.len() as u32);
    let number: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = number * factor;
    scaled.is_multiple_of(scale).then_some(scaled / scale)
}

fn show(amount: u128, units: &[(&str, u128)]) -> String {
    units
        .iter()
        .rev()
        .find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor))
        .map_or_else(
            || format!("0{}", units[0].0),
            |(name, factor)| format!("{}{name}", amount / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_need_their_unit_and_say_so() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(
            duration("30").unwrap_err(),
            "a duration with its unit: write `30s` or `30ms`"
        );
        for bad in [
            "",
            "s",
            "-1s",
            "0s",
            "1e3s",
            "1 year",
            "5.s",
            ".5s",
            "999999h",
            "1.0000000001s",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ratios_are_percents_up_to_100() {
        assert_eq!(ratio("50%"), Ok(Ratio::percent(50)));
        assert_eq!(share("12.5%"), Ok(0.125));
        assert_eq!(
            ratio("101%").unwrap_err(),
            "a ratio of at most 100%, such as `50%`"
        );
        assert_eq!(ratio("0.5").unwrap_err(), "a ratio in percent: write `50%`");
        assert_eq!(ratio("50").unwrap_err(), "a ratio in percent: write `50%`");
        assert!(ratio("0%").is_err());
        assert_eq!(share("0%"), Ok(0.0));
    }

    #[test]
    fn windows_are_times_or_calls() {
        assert_eq!(over("100 calls"), Ok(Over::Calls(100)));
        assert_eq!(over("10s"), Ok(Over::Time(Duration::from_secs(10))));
        assert_eq!(
            over("100").unwrap_err(),
            "a window with its unit: write `100s` or `100 calls`"
        );
        assert!(over("0 calls").is_err());
    }

    proptest! {
        #[test]
        fn written_values_are_read_back(
            nanos in 1u64..=31_622_400_000_000_000,
            bytes in 1u64..=1 << 50,
            millionths in 1u64..=1_000_000,
            calls in 1u32..=CALLS_MAX,
        ) {
            let time = Duration::from_nanos(nanos);
            prop_assert_eq!(duration(&show_duration(time)), Ok(time));
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
            prop_assert_eq!(rate(&show_rate(bytes)), Ok(bytes));
            let part = millionths as f64 / 1e6;
            prop_assert_eq!(share(&show_share(part)), Ok(part));
            prop_assert_eq!(over(&show_over(Over::Calls(calls))), Ok(Over::Calls(calls)));
            prop_assert_eq!(over(&show_over(Over::Time(time))), Ok(Over::Time(time)));
        }
    }
}
