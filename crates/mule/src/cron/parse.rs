//! Reading of an expression, with all that Quartz refuses.

use super::{Cron, Days, Set, YEARS};

/// The problem of an expression.
type Problem = String;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A field of an expression.
struct Field {
    name: &'static str,
    from: i16,
    to: i16,
    /// The names of its values, the first of `from`.
    names: &'static [&'static str],
}

const fn field(name: &'static str, from: i16, to: i16, names: &'static [&'static str]) -> Field {
    Field {
        name,
        from,
        to,
        names,
    }
}

const SECOND: Field = field("a second", 0, 59, &[]);
const MINUTE: Field = field("a minute", 0, 59, &[]);
const HOUR: Field = field("an hour", 0, 23, &[]);
const DAY: Field = field("a day of the month", 1, 31, &[]);
const MONTH: Field = field("a month", 1, 12, &MONTHS);
const WEEKDAY: Field = field("a day of the week", 1, 7, &WEEKDAYS);
const YEAR: Field = field("a year", YEARS.0, YEARS.1, &[]);

/// Reads an expression.
///
/// # Errors
/// The first problem, without an end mark.
pub(crate) fn parse(text: &str) -> Result<Cron, Problem> {
    let upper = text.to_ascii_uppercase();
    let fields: Vec<&str> = upper.split_whitespace().collect();
    let [second, minute, hour, day, month, weekday, years @ ..] = &fields[..] else {
        return Err(format!(
            "a cron expression has six fields or seven, from seconds to years, and this one has {}",
            fields.len()
        ));
    };
    let years = match years {
        [] | ["*"] => Vec::new(),
        [years] => YEAR.values(years)?,
        more => {
            return Err(format!(
                "a cron expression has six fields or seven, from seconds to years, and this one has {}",
                6 + more.len()
            ));
        }
    };
    let cron = Cron {
        text: text.trim().to_owned(),
        seconds: SECOND.set(second)?,
        minutes: MINUTE.set(minute)?,
        hours: HOUR.set(hour)?,
        months: MONTH.set(month)?,
        days: days(day, weekday)?,
        years,
    };
    match cron.ever_runs() {
        true => Ok(cron),
        false => Err("no month and year that it names has such a day".to_owned()),
    }
}

/// The two fields of days, of which one is `?`.
fn days(day: &str, weekday: &str) -> Result<Days, Problem> {
    match (day, weekday) {
        ("?", "?") => Err(
            "the day of the month and the day of the week are both `?`, and one of them must be given"
                .to_owned(),
        ),
        ("?", weekday) => of_week(weekday),
        (day, "?") => of_month(day),
        _ => Err(
            "the day of the month and the day of the week are both given, and one of them must be `?`"
                .to_owned(),
        ),
    }
}

fn of_month(text: &str) -> Result<Days, Problem> {
    if text.contains('L') && text.contains(',') {
        return Err("`L` must be the only day of the month".to_owned());
    }
    if text.contains('W') && text.contains(',') {
        return Err("`W` must be the only day of the month".to_owned());
    }
    if let Some(rest) = text.strip_prefix('L') {
        let (rest, near) = match rest.strip_suffix('W') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let less = match rest.strip_prefix('-') {
            _ if rest.is_empty() => 0,
            Some(less) => match less.parse::<i8>() {
                Ok(less) if (0..=30).contains(&less) => less,
                _ => {
                    return Err(format!(
                        "`{text}`: after `L-` comes a number of days from 0 to 30"
                    ));
                }
            },
            None => return Err(format!("`{text}` is not a day of the month")),
        };
        return Ok(match near {
            true => Days::NearLast(less),
            false => Days::Last(less),
        });
    }
    if let Some(day) = text.strip_suffix('W') {
        let day = DAY.value(day)?;
        return Ok(Days::Near(small(day)));
    }
    DAY.set(text).map(Days::OfMonth)
}

fn of_week(text: &str) -> Result<Days, Problem> {
    if text.contains('L') && text.contains(',') {
        return Err("`L` must be the only day of the week".to_owned());
    }
    if text == "L" {
        return WEEKDAY.set("SAT").map(Days::OfWeek);
    }
    if let Some(day) = text.strip_suffix('L') {
        let day = WEEKDAY.value(day)?;
        return Ok(Days::LastOfWeek(small(day)));
    }
    if let Some((day, nth)) = text.split_once('#') {
        if nth.contains('#') || text.contains(',') {
            return Err("`#` must be the only day of the week".to_owned());
        }
        let day = WEEKDAY.value(day)?;
        return match nth.parse::<i8>() {
            Ok(nth) if (1..=5).contains(&nth) => Ok(Days::NthOfWeek(small(day), nth)),
            _ => Err(format!("`{text}`: after `#` comes a number from 1 to 5")),
        };
    }
    WEEKDAY.set(text).map(Days::OfWeek)
}

fn small(number: i16) -> i8 {
    i8::try_from(number).unwrap_or(i8::MAX)
}

impl Field {
    fn set(&self, text: &str) -> Result<Set, Problem> {
        let mut set = Set::default();
        for value in self.values(text)? {
            set.add(small(value));
        }
        Ok(set)
    }

    /// The values of a list of numbers, names, ranges and steps.
    fn values(&self, text: &str) -> Result<Vec<i16>, Problem> {
        let mut values = Vec::new();
        for part in text.split(',') {
            self.part(part, &mut values)?;
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn part(&self, part: &str, values: &mut Vec<i16>) -> Result<(), Problem> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.step(part, step)?)),
            None => (part, None),
        };
        let (from, to) = match range {
            "" if step.is_some() => (self.from, self.to),
            "*" => (self.from, self.to),
            "?" => {
                return Err(format!(
                    "`?` is for the day of the month or the day of the week, and not for {}",
                    self.name
                ));
            }
            range => match range.split_once('-') {
                Some((from, to)) => (self.value(from)?, self.value(to)?),
                None => {
                    let from = self.value(range)?;
                    (from, if step.is_some() { self.to } else { from })
                }
            },
        };
        let step = step.unwrap_or(1);
        if from <= to {
            values.extend((from..=to).step_by(step));
            return Ok(());
        }
        if self.from == YEAR.from {
            return Err(format!("`{part}`: the first year is after the last"));
        }
        // A range over the end: from Friday to Monday.
        let length = self.to - self.from + 1;
        let around = (from..=to + length).step_by(step);
        values.extend(around.map(|it| if it > self.to { it - length } else { it }));
        Ok(())
    }

    fn step(&self, part: &str, step: &str) -> Result<usize, Problem> {
        let most = match self.from {
            from if from == YEAR.from => self.to - self.from,
            _ => self.to,
        };
        match step.parse::<i16>() {
            Ok(step) if (1..=most).contains(&step) => Ok(usize::try_from(step).unwrap_or(1)),
            _ => Err(format!(
                "`{part}`: the step of {} is a number from 1 to {most}",
                self.name
            )),
        }
    }

    fn value(&self, text: &str) -> Result<i16, Problem> {
        if let Some(at) = self.names.iter().position(|name| *name == text) {
            return Ok(self.from + i16::try_from(at).unwrap_or(0));
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<i16>().ok().filter(|_| digits);
        match number.filter(|number| (self.from..=self.to).contains(number)) {
            Some(number) => Ok(number),
            None => Err(format!(
                "`{text}` is not {}, which is a number from {} to {}{}",
                self.name,
                self.from,
                self.to,
                match self.names {
                    [first, .., last] => format!(" or a name from {first} to {last}"),
                    _ => String::new(),
                }
            )),
        }
    }
}
