//! Periods: calendar years, months and days, and an exact time.

use std::fmt;

use jiff::{SignedDuration, Span};

/// A period, `P1Y2M3D` or `PT1H30M`: the sum of its parts, each of which may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// Years of the calendar.
    pub years: i32,
    /// Months of the calendar.
    pub months: i32,
    /// Calendar days, which may have other than 24 hours.
    pub days: i32,
    /// The exact time in addition.
    pub time: SignedDuration,
}

impl Period {
    /// Makes a period of an exact time.
    pub fn of(time: SignedDuration) -> Period {
        Period {
            time,
            ..Period::default()
        }
    }

    /// True if the period is only an exact time.
    pub fn is_exact(&self) -> bool {
        self.years == 0 && self.months == 0 && self.days == 0
    }

    /// Reads an ISO 8601 period: `P1Y2M3W4DT5H6M7.5S`, with at least one part. `None` for other texts and out of range.
    pub fn parse(text: &str) -> Option<Period> {
        let (sign, text) = match text.strip_prefix('-') {
            Some(text) => (-1, text),
            None => (1, text),
        };
        let text = text.strip_prefix('P')?;
        let (date, time) = match text.split_once('T') {
            Some((_, "")) => return None,
            Some((date, time)) => (date, time),
            None => (text, ""),
        };
        if date.is_empty() && time.is_empty() {
            return None;
        }
        let mut period = Period::default();
        for (count, unit) in parts(date, "YMWD")? {
            let count = count.parse::<i32>().ok()?.checked_mul(sign)?;
            let (part, count) = match unit {
                'Y' => (&mut period.years, count),
                'M' => (&mut period.months, count),
                'W' => (&mut period.days, count.checked_mul(7)?),
                _ => (&mut period.days, count),
            };
            *part = part.checked_add(count)?;
        }
        for (count, unit) in parts(time, "HMS")? {
            let part = match unit {
                'H' => SignedDuration::try_from_hours(count.parse().ok()?)?,
                'M' => SignedDuration::try_from_mins(count.parse().ok()?)?,
                _ => seconds(count)?,
            };
            let part = if sign < 0 { part.checked_neg()? } else { part };
            period.time = period.time.checked_add(part)?;
        }
        Some(period)
    }

    /// The sum of two periods; `None` if it is out of range.
    pub fn plus(&self, other: &Period) -> Option<Period> {
        Some(Period {
            years: self.years.checked_add(other.years)?,
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            time: self.time.checked_add(other.time)?,
        })
    }

    /// The negated period; `None` if it is out of range.
    pub fn negated(&self) -> Option<Period> {
        Some(Period {
            years: self.years.checked_neg()?,
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            time: self.time.checked_neg()?,
        })
    }

    /// The years and months as a span; `None` if they are out of a calendar's range.
    pub(crate) fn calendar(&self) -> Option<Span> {
        // Java adds years and months as one, before the days.
        let months = i64::from(self.years) * 12 + i64::from(self.months);
        Span::new().try_months(months).ok()
    }
}

/// The counts and units of the date or time part; units must be in order.
fn parts<'a>(mut text: &'a str, units: &str) -> Option<Vec<(&'a str, char)>> {
    let mut parts = Vec::new();
    let mut left = units;
    while !text.is_empty() {
        let at = text.find(|char: char| char.is_ascii_alphabetic())?;
        let unit = text[at..].chars().next()?;
        let (_, after) = left.split_once(unit)?;
        left = after;
        parts.push((&text[..at], unit));
        text = &text[at + 1..];
    }
    Some(parts)
}

/// Reads seconds with up to nine digits of fraction.
fn seconds(text: &str) -> Option<SignedDuration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = super::iso::fraction(fraction)? * if whole.starts_with('-') { -1 } else { 1 };
    let whole = match whole {
        "" => return None,
        "-" => 0,
        whole => whole.parse().ok()?,
    };
    SignedDuration::from_secs(whole).checked_add(SignedDuration::from_nanos(nanos.into()))
}

/// The form of Java's `Period` and `Duration`: `P1Y2M3D`, `PT8952H`, `PT0S`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        for (count, unit) in [(self.years, 'Y'), (self.months, 'M'), (self.days, 'D')] {
            if count != 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        if self.time.is_zero() {
            return f.write_str(if self.is_exact() { "T0S" } else { "" });
        }
        f.write_str("T")?;
        let seconds = self.time.as_secs();
        for (count, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M')] {
            if count != 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        let (seconds, nanos) = (seconds % 60, self.time.subsec_nanos());
        if nanos != 0 {
            let sign = if self.time.is_negative() { "-" } else { "" };
            let fraction = format!("{:09}", nanos.unsigned_abs());
            let fraction = fraction.trim_end_matches('0');
            write!(f, "{sign}{}.{fraction}S", seconds.unsigned_abs())
        } else if seconds != 0 {
            write!(f, "{seconds}S")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_periods_and_back() {
        for (text, plain) in [
            ("P1Y2M3D", "P1Y2M3D"),
            ("P2W", "P14D"),
            ("PT36H", "PT36H"),
            ("PT90M", "PT1H30M"),
            ("PT0.5S", "PT0.5S"),
            ("PT-0.5S", "PT-0.5S"),
            ("-PT1H", "PT-1H"),
            ("P1DT2H", "P1DT2H"),
            ("PT0S", "PT0S"),
        ] {
            let period = Period::parse(text).map(|period| period.to_string());
            assert_eq!(period.as_deref(), Some(plain), "{text}");
        }
        for text in [
            "", "P", "PT", "1D", "P1", "PD", "P1D2Y", "PT1.5H", "P1H", "PT1.S",
        ] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
        assert_eq!(Period::parse("P99999999999Y"), None);
    }
}
