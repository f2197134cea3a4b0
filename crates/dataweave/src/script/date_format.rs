//! Dates in patterns, with the rules of Java's [`DateTimeFormatter`], in English.
//!
//! [`DateTimeFormatter`]: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/time/format/DateTimeFormatter.html

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{Offset, TimeZone};

use crate::value::Value;
use crate::value::iso;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A part of a pattern.
enum Part {
    Plain(char),
    /// A letter with its number of repetitions.
    Field(char, usize),
}

/// The supported letters.
const LETTERS: &str = "GyuYMLdDEeQqaHkKhmsSAnNXxZOVz";

/// Splits a pattern into parts.
///
/// # Errors
/// The problem of the pattern, as a sentence.
fn parts(pattern: &str) -> Result<Vec<Part>, String> {
    let unsupported = |what| format!("the {what} of the format `{pattern}` is not supported");
    let mut parts = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\'' {
            if chars.next_if_eq(&'\'').is_some() {
                parts.push(Part::Plain('\''));
                continue;
            }
            loop {
                match chars.next() {
                    None => return Err(format!("a quote of the format `{pattern}` is not closed")),
                    Some('\'') if chars.next_if_eq(&'\'').is_none() => break,
                    Some(char) => parts.push(Part::Plain(char)),
                }
            }
        } else if char.is_ascii_alphabetic() {
            let mut count = 1;
            while chars.next_if_eq(&char).is_some() {
                count += 1;
            }
            if !LETTERS.contains(char) || count > 9 {
                return Err(unsupported(format!("letter `{char}`")));
            }
            parts.push(Part::Field(char, count));
        } else if "[]{}#".contains(char) {
            return Err(unsupported(format!("`{char}`")));
        } else {
            parts.push(Part::Plain(char));
        }
    }
    Ok(parts)
}

/// The parts of a date that a value has.
struct Fields {
    date: Option<Date>,
    time: Option<Time>,
    offset: Option<Offset>,
    zone: Option<(TimeZone, String)>,
}

impl Fields {
    fn of(value: &Value) -> Option<Fields> {
        let (date, time, offset) = iso::parts(value)?;
        let zone = match value {
            Value::DateTime(zoned) => {
                let zone = zoned.time_zone();
                let short = zone.to_offset_info(zoned.timestamp());
                Some((zone.clone(), short.abbreviation().to_owned()))
            }
            _ => None,
        };
        Some(Fields {
            date,
            time,
            offset,
            zone,
        })
    }
}

/// The text of a date or time; `None` for other values.
///
/// # Errors
/// If the pattern is invalid, or has a letter for a part that the value lacks.
pub(super) fn format(value: &Value, pattern: &str) -> Result<Option<String>, String> {
    let Some(fields) = Fields::of(value) else {
        return Ok(None);
    };
    let mut text = String::new();
    for part in parts(pattern)? {
        match part {
            Part::Plain(char) => text.push(char),
            Part::Field(letter, count) => match field(&fields, letter, count) {
                Some(shown) => text.push_str(&shown),
                None => {
                    let (kind, field) = (value.kind(), letter.to_string().repeat(count));
                    let what = format!("a {kind} has no text for `{field}`");
                    return Err(format!("{what} of the format `{pattern}`"));
                }
            },
        }
    }
    Ok(Some(text))
}

fn field(fields: &Fields, letter: char, count: usize) -> Option<String> {
    let padded = |number: i64| Some(format!("{number:0count$}"));
    let named = |names: &[&str], at: usize| {
        let name = names[at];
        Some(match count {
            4 => name.to_owned(),
            5 => name[..1].to_owned(),
            _ => name[..3].to_owned(),
        })
    };
    let date = fields.date;
    let time = fields.time;
    match letter {
        'G' => date.map(|_| if count == 4 { "Anno Domini" } else { "AD" }.to_owned()),
        'y' | 'u' => {
            let year = i64::from(date?.year());
            padded(if count == 2 {
                year.rem_euclid(100)
            } else {
                year
            })
        }
        'Y' => {
            let year = week_year(date?);
            padded(if count == 2 {
                year.rem_euclid(100)
            } else {
                year
            })
        }
        'M' | 'L' if count < 3 => padded(date?.month().into()),
        'M' | 'L' => named(&MONTHS, usize::from(date?.month().unsigned_abs()) - 1),
        'd' => padded(date?.day().into()),
        'D' => padded(date?.day_of_year().into()),
        'E' => named(&DAYS, weekday(date?.weekday())),
        'e' if count < 3 => padded((weekday(date?.weekday()) as i64 + 1) % 7 + 1),
        'e' => named(&DAYS, weekday(date?.weekday())),
        'Q' | 'q' => {
            let quarter = (i64::from(date?.month()) + 2) / 3;
            match count {
                1 | 2 => padded(quarter),
                3 => Some(format!("Q{quarter}")),
                _ => {
                    let end = ["st", "nd", "rd", "th"][usize::try_from(quarter - 1).ok()?];
                    Some(format!("{quarter}{end} quarter"))
                }
            }
        }
        'a' => Some(if time?.hour() < 12 { "AM" } else { "PM" }.to_owned()),
        'H' => padded(time?.hour().into()),
        'k' => padded((i64::from(time?.hour()) + 23) % 24 + 1),
        'K' => padded(i64::from(time?.hour()) % 12),
        'h' => padded((i64::from(time?.hour()) + 11) % 12 + 1),
        'm' => padded(time?.minute().into()),
        's' => padded(time?.second().into()),
        'S' => Some(format!("{:09}", time?.subsec_nanosecond())[..count].to_owned()),
        'n' => padded(time?.subsec_nanosecond().into()),
        'A' => padded(nanos_of_day(time?) / 1_000_000),
        'N' => padded(nanos_of_day(time?)),
        'X' | 'x' => {
            let offset = fields.offset?;
            if letter == 'X' && offset.seconds() == 0 {
                return Some("Z".to_owned());
            }
            Some(offset_text(offset, count))
        }
        'Z' => {
            let offset = fields.offset?;
            Some(match count {
                1..=3 => offset_text(offset, 2),
                4 => gmt(offset, true),
                _ => iso::show_offset(offset),
            })
        }
        'O' => Some(gmt(fields.offset?, count == 4)),
        'V' if count == 2 => {
            let (zone, _) = fields.zone.as_ref()?;
            iso::show(&Value::Zone(zone.clone()))
        }
        'z' if count < 4 => fields.zone.as_ref().map(|(_, short)| short.clone()),
        _ => None,
    }
}

/// The year of a date's week, which begins on Sunday and belongs to the year of its Saturday.
fn week_year(date: Date) -> i64 {
    let left = 6 - i64::from(date.weekday().to_sunday_zero_offset());
    let saturday = jiff::Span::new()
        .try_days(left)
        .ok()
        .and_then(|left| date.checked_add(left).ok());
    saturday.unwrap_or(date).year().into()
}

/// The number of days since Monday.
fn weekday(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

fn nanos_of_day(time: Time) -> i64 {
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60;
    (seconds + i64::from(time.second())) * 1_000_000_000 + i64::from(time.subsec_nanosecond())
}

/// An offset as `+01`, `+0130` or `+01:30`, by the number of letters.
fn offset_text(offset: Offset, count: usize) -> String {
    let (sign, hours, minutes, seconds) = iso::split(offset);
    let mut text = format!("{sign}{hours:02}");
    let colon = if matches!(count, 3 | 5) { ":" } else { "" };
    if count > 1 || minutes > 0 {
        text.push_str(&format!("{colon}{minutes:02}"));
    }
    if count > 3 && seconds > 0 {
        text.push_str(&format!("{colon}{seconds:02}"));
    }
    text
}

/// An offset as `GMT+1` or, in long form, `GMT+01:00`.
fn gmt(offset: Offset, long: bool) -> String {
    if offset.seconds() == 0 {
        return "GMT".to_owned();
    }
    let (sign, hours, minutes, _) = iso::split(offset);
    match (long, minutes) {
        (true, _) => format!("GMT{sign}{hours:02}:{minutes:02}"),
        (false, 0) => format!("GMT{sign}{hours}"),
        (false, _) => format!("GMT{sign}{hours}:{minutes:02}"),
    }
}

/// The parts of a date in a text.
#[derive(Default)]
pub(super) struct ParsedDate {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: Option<i64>,
    half_hour: Option<i64>,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    nanos: i64,
    /// The zone, if the text has one.
    pub zone: Option<TimeZone>,
}

impl ParsedDate {
    /// The date, if the text has one; as in Java, a day past the end of its month becomes the last day.
    pub fn date(&self) -> Option<Date> {
        let year = i16::try_from(self.year?).ok()?;
        if let Some(day) = self.day_of_year {
            let first = Date::new(year, 1, 1).ok()?;
            let day = i16::try_from(day).ok()?;
            return first.with().day_of_year(day).build().ok();
        }
        let month = i8::try_from(self.month?).ok()?;
        let day = i8::try_from(self.day.unwrap_or(1)).ok()?;
        let first = Date::new(year, month, 1).ok()?;
        if !(1..=31).contains(&day) {
            return None;
        }
        Date::new(year, month, day.min(first.days_in_month())).ok()
    }

    /// The time of day, if the text has one.
    pub fn time(&self) -> Option<Time> {
        let hour = match (self.hour, self.half_hour, self.afternoon) {
            (Some(hour), ..) => hour,
            (None, Some(hour), afternoon) => hour + if afternoon? { 12 } else { 0 },
            (None, None, _) => return None,
        };
        Time::new(
            i8::try_from(hour).ok()?,
            i8::try_from(self.minute).ok()?,
            i8::try_from(self.second).ok()?,
            i32::try_from(self.nanos).ok()?,
        )
        .ok()
    }
}

/// Reads a text by a pattern; `None`: it does not match.
///
/// # Errors
/// If the pattern is invalid, or has a letter that cannot be read.
pub(super) fn parse(text: &str, pattern: &str) -> Result<Option<ParsedDate>, String> {
    let parts = parts(pattern)?;
    let mut found = ParsedDate::default();
    let mut rest = text;
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Plain(char) => match rest.strip_prefix(*char) {
                Some(after) => rest = after,
                None => return Ok(None),
            },
            Part::Field(letter, count) => {
                // Adjacent numbers are split by the number of letters.
                let glued =
                    matches!(parts.get(at + 1), Some(Part::Field(next, _)) if is_number(*next));
                if !(is_number(*letter) || "EaXxZVz".contains(*letter)) {
                    let what = "no text can be read by";
                    return Err(format!("{what} `{letter}` of the format `{pattern}`"));
                }
                match take(&mut found, *letter, *count, glued, rest) {
                    Some(after) => rest = after,
                    None => return Ok(None),
                }
            }
        }
    }
    Ok(rest.is_empty().then_some(found))
}

fn is_number(letter: char) -> bool {
    "yuMLdDHkKhmsSn".contains(letter)
}

/// Reads a field and returns the rest of the text; `None`: the text does not match.
fn take<'a>(
    found: &mut ParsedDate,
    letter: char,
    count: usize,
    glued: bool,
    text: &'a str,
) -> Option<&'a str> {
    match letter {
        'M' | 'L' if count > 2 => {
            let (month, rest) = name(text, &MONTHS, count)?;
            found.month = Some(month as i64 + 1);
            return Some(rest);
        }
        'E' => return name(text, &DAYS, count).map(|(_, rest)| rest),
        'a' => {
            found.afternoon = Some(match text.get(..2)?.to_ascii_uppercase().as_str() {
                "AM" => false,
                "PM" => true,
                _ => return None,
            });
            return Some(&text[2..]);
        }
        'X' | 'x' | 'Z' => {
            let (offset, rest) = offset(text)?;
            found.zone = Some(offset.to_time_zone());
            return Some(rest);
        }
        'V' | 'z' => {
            let end = text
                .find(|char: char| !(char.is_ascii_alphanumeric() || "/_+-:".contains(char)))
                .unwrap_or(text.len());
            found.zone = iso::zone(&text[..end]);
            return found.zone.is_some().then(|| &text[end..]);
        }
        _ => {}
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (least, most) = match (letter, count) {
        ('S', _) => (count, count),
        (_, 1) if glued => (1, 1),
        (_, 1) => (1, 19),
        ('y' | 'u', 4) if !glued => (4, 9),
        _ => (count, count),
    };
    let length = digits.min(most);
    if length < least {
        return None;
    }
    let (digits, rest) = text.split_at(length);
    let number = digits.parse::<i64>().ok()?;
    match letter {
        'y' | 'u' if count == 2 => found.year = Some(2000 + number),
        'y' | 'u' => found.year = Some(number),
        'M' | 'L' => found.month = Some(number),
        'd' => found.day = Some(number),
        'D' => found.day_of_year = Some(number),
        'H' => found.hour = Some(number),
        'k' if (1..=24).contains(&number) => found.hour = Some(number % 24),
        'K' if number < 12 => found.half_hour = Some(number),
        'h' if (1..=12).contains(&number) => found.half_hour = Some(number % 12),
        'm' => found.minute = number,
        's' => found.second = number,
        'S' => found.nanos = iso::fraction(digits).unwrap_or_default().into(),
        'n' => found.nanos = number,
        _ => return None,
    }
    Some(rest)
}

/// Reads a name, in full or by its first three letters, in any case; returns its index.
fn name<'a>(text: &'a str, names: &[&str], count: usize) -> Option<(usize, &'a str)> {
    let length = |name: &str| if count == 4 { name.len() } else { 3 };
    names.iter().enumerate().find_map(|(at, name)| {
        let length = length(name);
        let there = text.get(..length)?;
        there
            .eq_ignore_ascii_case(&name[..length])
            .then(|| (at, &text[length..]))
    })
}

/// Reads an offset: `Z`, `+01`, `+0100`, `+01:00`.
fn offset(text: &str) -> Option<(Offset, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((Offset::UTC, rest));
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, rest) = iso::digits(text.strip_prefix(['+', '-'])?, 2)?;
    let after = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = iso::digits(after, 2).unwrap_or((0, rest));
    if hours > 18 || minutes > 59 {
        return None;
    }
    let offset =
        Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok()?;
    Some((offset, rest))
}
