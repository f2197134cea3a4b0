//! The `scheduler` of a flow: a fixed frequency, or a cron expression with its zone.

use std::time::Duration;

use fusebox_dataweave::jiff::tz::{Offset, TimeZone};
use fusebox_plan::dialect::quote;

use super::Lowering;
use super::open::Open;
use crate::app::{Schedule, Source, When};
use crate::cron;

/// The longest period and delay, in seconds; one beyond it is never reached.
const SECONDS_MAX: u64 = 1_000_000_000_000;

impl<'a> Lowering<'a> {
    /// Reads a `scheduler`.
    pub fn scheduler(&mut self, open: &Open<'a>) -> Option<Source> {
        let one_at_a_time = self.flag(open, "disallowConcurrentExecution");
        let strategy = self.open_part(open, "scheduling-strategy");
        let frequency = strategy.and_then(|open| self.open_part(&open, "fixed-frequency"));
        let cron = strategy.and_then(|open| self.open_part(&open, "cron"));
        let (when, overlaps) = match (frequency, cron) {
            (Some(frequency), None) => (self.frequency(&frequency)?, one_at_a_time == Some(false)),
            (None, Some(cron)) => (self.cron(&cron)?, one_at_a_time != Some(true)),
            (Some(_), Some(cron)) => {
                let what = "the scheduler has two strategies";
                self.error(cron.at(), what, "keep one of them");
                return None;
            }
            (None, None) => {
                let inner = strategy.is_some_and(|open| !open.element.children.is_empty());
                if !inner {
                    let what = "the scheduler has no strategy";
                    let mend = "write `<scheduling-strategy><fixed-frequency frequency=\"60000\"/></scheduling-strategy>` into it";
                    self.error(open.at(), what, mend);
                }
                return None;
            }
        };
        Some(Source::Scheduler(Schedule { when, overlaps }))
    }

    fn frequency(&mut self, open: &Open<'a>) -> Option<When> {
        Some(When::Every {
            every: self.period(open, "frequency")?,
            delay: self.period(open, "startDelay")?,
        })
    }

    /// A time of any length: a period without end is a known way to say once.
    fn period(&mut self, open: &Open<'a>, amount: &str) -> Option<Duration> {
        let count = self.whole(open, amount)?;
        let nanos: u128 = match self.word(open, "timeUnit")? {
            "NANOSECONDS" => 1,
            "MICROSECONDS" => 1_000,
            "MILLISECONDS" => 1_000_000,
            "SECONDS" => 1_000_000_000,
            "MINUTES" => 60_000_000_000,
            "HOURS" => 3_600_000_000_000,
            _ => 86_400_000_000_000,
        };
        let nanos = u128::try_from(count).ok()? * nanos;
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
        let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
        Some(Duration::new(seconds.min(SECONDS_MAX), rest))
    }

    fn cron(&mut self, open: &Open<'a>) -> Option<When> {
        let expression = self.text(open, "expression");
        let zone = match self.text(open, "timeZone") {
            None => None,
            Some(written) => {
                let name = written.text.trim();
                let found = zone_of(name);
                if found.is_none() {
                    let what = format!("unknown time zone {}", quote(name));
                    let mend =
                        "write its full name, such as `Europe/Berlin` or `America/Los_Angeles`";
                    self.wrong(written, what, mend);
                    return None;
                }
                found
            }
        };
        let expression = expression?;
        match cron::parse(expression.text) {
            Ok(cron) => Some(When::Cron {
                cron: Box::new(cron),
                zone,
            }),
            Err(what) => {
                let mend =
                    "write one such as `0 0/5 * * * ?`, every five minutes, or `0 0 3 ? * MON-FRI`";
                self.wrong(expression, what, mend);
                None
            }
        }
    }
}

/// The zone with a name of the time zone database, or with a fixed distance from GMT: `GMT+2`, `GMT-03:30`.
fn zone_of(name: &str) -> Option<TimeZone> {
    if let Ok(zone) = TimeZone::get(name) {
        // Names differ by capitals in Java.
        let is_same = zone
            .iana_name()
            .is_none_or(|known| known == name || !known.eq_ignore_ascii_case(name));
        return is_same.then_some(zone);
    }
    let rest = name.strip_prefix("GMT")?;
    let (sign, rest) = match (rest.strip_prefix('+'), rest.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let number = |text: &str, most: i32| {
        let good = (1..=2).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        let number = text.parse::<i32>().ok().filter(|_| good)?;
        (number <= most).then_some(number)
    };
    let seconds = number(hours, 23)? * 3_600 + number(minutes, 59)? * 60;
    Some(TimeZone::fixed(Offset::from_seconds(sign * seconds).ok()?))
}
