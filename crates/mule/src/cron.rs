//! Schedules as Quartz writes them: six fields or seven, from seconds to years.
//!
//! `SECOND MINUTE HOUR DAY MONTH WEEKDAY [YEAR]`, with `*`, `?`, lists, ranges, steps, names, `L`, `W` and `#`. One of
//! the two kinds of days is `?`. Source: [the cron trigger of
//! Quartz](https://www.quartz-scheduler.org/documentation/quartz-2.3.0/tutorials/crontrigger.html).

use fusebox_dataweave::jiff::civil::{Date, DateTime, Weekday};
use fusebox_dataweave::jiff::tz::{AmbiguousOffset, TimeZone};
use fusebox_dataweave::jiff::{Span, Timestamp};

mod parse;

pub(crate) use parse::parse;

/// The years that an expression may name.
const YEARS: (i16, i16) = (1970, 2099);

/// A schedule: the local times at which something runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// The expression as written.
    pub text: String,
    seconds: Set,
    minutes: Set,
    hours: Set,
    months: Set,
    days: Days,
    /// The years; empty: all.
    years: Vec<i16>,
}

/// Numbers below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Set(u64);

/// The days of a month at which something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Days {
    /// Days of the month, from 1.
    OfMonth(Set),
    /// A number of days before the last day of the month.
    Last(i8),
    /// The workday nearest to a day, within the month.
    Near(i8),
    /// The workday nearest to the day that is a number of days before the last, within the month.
    NearLast(i8),
    /// Days of the week, from 1 for Sunday.
    OfWeek(Set),
    /// The last such day of the week in the month.
    LastOfWeek(i8),
    /// The nth such day of the week in the month.
    NthOfWeek(i8, i8),
}

impl Set {
    fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.0 >> number & 1 == 1)
    }

    fn add(&mut self, number: i8) {
        if let Ok(number) = u32::try_from(number) {
            self.0 |= 1 << number;
        }
    }

    /// The first number from `from` on.
    fn from(self, from: i8) -> Option<i8> {
        (from..64).find(|number| self.has(*number))
    }
}

impl Cron {
    /// The first time after `after` at which it runs, in a zone; `None`: never again.
    ///
    /// A local time that a change of the clocks leaves out is moved by the length of the gap. One that comes twice runs
    /// once, unless the schedule runs in every hour.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(after);
        let from = local
            .with()
            .subsec_nanosecond(0)
            .build()
            .ok()?
            .checked_add(Span::new().seconds(1))
            .ok()?;
        let mut found = self.first_from(from, zone, after);
        // The hour that comes twice.
        let is_hourly = (0..24).all(|hour| self.hours.has(hour));
        let back = zone.following(after).next();
        if let (true, Some(change)) = (is_hourly, back) {
            let changed = change.timestamp();
            let within = found.is_none_or(|found| changed <= found);
            let before = changed.checked_sub(Span::new().nanoseconds(1)).ok()?;
            let is_back = zone.to_offset(before) > change.offset();
            if within && is_back {
                let again = self.first_from(zone.to_datetime(changed), zone, before);
                found = again
                    .filter(|again| found.is_none_or(|it| *again < it))
                    .or(found);
            }
        }
        found
    }

    /// True if there is a day at which it runs.
    pub fn ever_runs(&self) -> bool {
        let begin = DateTime::constant(YEARS.0, 1, 1, 0, 0, 0, 0);
        self.first_local(begin).is_some()
    }

    /// The first time from a local one on that is later than `after`.
    fn first_from(&self, from: DateTime, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut from = from;
        loop {
            let local = self.first_local(from)?;
            let ambiguous = zone.to_ambiguous_timestamp(local);
            let is_twice = matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. });
            let found = ambiguous.compatible().ok()?;
            if found > after {
                return Some(found);
            }
            if is_twice
                && let Ok(later) = ambiguous.later()
                && later > after
            {
                return Some(later);
            }
            from = local.checked_add(Span::new().seconds(1)).ok()?;
        }
    }

    /// The first local time from `from` on.
    fn first_local(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        loop {
            let year = date.year();
            if year > YEARS.1 {
                return None;
            }
            if !self.years.is_empty() && !self.years.contains(&year) {
                date = Date::new(year.checked_add(1)?, 1, 1).ok()?;
                continue;
            }
            if !self.months.has(date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
                continue;
            }
            if self.days.has(date) {
                let (hour, minute, second) = match date == from.date() {
                    true => (from.hour(), from.minute(), from.second()),
                    false => (0, 0, 0),
                };
                if let Some((hour, minute, second)) = self.time(hour, minute, second) {
                    return Some(date.at(hour, minute, second, 0));
                }
            }
            date = date.tomorrow().ok()?;
        }
    }

    /// The first time of a day from a time on.
    fn time(&self, hour: i8, minute: i8, second: i8) -> Option<(i8, i8, i8)> {
        let first = |set: Set| set.from(0);
        let (mut hour, mut minute, mut second) = (hour, minute, second);
        loop {
            let found = self.hours.from(hour)?;
            if found > hour {
                (minute, second) = (0, 0);
            }
            hour = found;
            match self.minutes.from(minute) {
                Some(found) if found > minute => {
                    return Some((hour, found, first(self.seconds)?));
                }
                Some(_) => match self.seconds.from(second) {
                    Some(second) => return Some((hour, minute, second)),
                    None => {
                        (minute, second) = (minute + 1, 0);
                    }
                },
                None => (hour, minute, second) = (hour + 1, 0, 0),
            }
        }
    }
}

impl Days {
    fn has(self, date: Date) -> bool {
        let day = date.day();
        let last = date.days_in_month();
        match self {
            Days::OfMonth(days) => days.has(day),
            Days::Last(less) => day == last - less,
            Days::Near(of) => of <= last && near(date, of) == Some(day),
            Days::NearLast(less) => near(date, last - less) == Some(day),
            Days::OfWeek(days) => days.has(weekday(date)),
            Days::LastOfWeek(of) => weekday(date) == of && day + 7 > last,
            Days::NthOfWeek(of, nth) => weekday(date) == of && (day - 1) / 7 + 1 == nth,
        }
    }
}

/// The day of the week, from 1 for Sunday.
fn weekday(date: Date) -> i8 {
    date.weekday().to_sunday_one_offset()
}

/// The workday nearest to a day, within the month of a date.
fn near(date: Date, day: i8) -> Option<i8> {
    let of = Date::new(date.year(), date.month(), day).ok()?;
    let last = date.days_in_month();
    Some(match of.weekday() {
        Weekday::Saturday if day == 1 => 3,
        Weekday::Saturday => day - 1,
        Weekday::Sunday if day == last => day - 2,
        Weekday::Sunday => day + 1,
        _ => day,
    })
}

#[cfg(test)]
mod tests;
