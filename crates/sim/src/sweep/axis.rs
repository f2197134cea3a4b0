//! One setting and the values to try for it: `consecutive_failures=3..10`, `over=5s,10s,30s`, `failure_rate=10%..50%`.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use fusebox_breaker::{CloseRule, Cooldown, Over, Probes, Ratio, Rule, Settings};

use crate::words::{self, show_duration, show_over, show_share};

/// The most values of one setting.
const VALUES_MAX: usize = 1_000;

/// The window of a rate rule that the configuration does not have: the configuration's default.
const OVER: Over = Over::Time(Duration::from_secs(10));

/// The fewest calls of a rate rule that the configuration does not have: the configuration's default.
const MIN_CALLS: u32 = 20;

/// A setting with its values, one at least.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The setting that changes.
    pub setting: Setting,
    /// The values in the order in which they were given.
    pub values: Vec<Value>,
}

/// A value of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number of failures, calls or probes.
    Count(u32),
    /// A duration, also of a window.
    Time(Duration),
    /// A ratio of calls.
    Share(Ratio),
    /// A number of calls, for a window.
    Calls(u32),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(count) => count.fmt(f),
            Value::Time(time) => f.write_str(&show_duration(*time)),
            Value::Share(ratio) => f.write_str(&show_share(ratio.as_f64())),
            Value::Calls(calls) => f.write_str(&show_over(Over::Calls(*calls))),
        }
    }
}

/// A setting that can be swept, by its name in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The threshold of `consecutive_failures`.
    ConsecutiveFailures,
    /// The threshold of `failures`.
    Failures,
    /// The limit of `failure_rate`.
    FailureRate,
    /// The limit of `slow_rate`.
    SlowRate,
    /// The time `slower_than` of slow rates.
    SlowerThan,
    /// The time `within` of count rules.
    Within,
    /// The window `over` of rates, and of failures over calls.
    Over,
    /// The minimum `min_calls` of rates.
    MinCalls,
    /// The base of `cooldown`.
    Cooldown,
    /// The `probes` of half-open.
    Probes,
    /// The `successes` of half-open.
    Successes,
}

use Setting as S;

const SETTINGS: [(&str, Setting); 11] = [
    ("consecutive_failures", S::ConsecutiveFailures),
    ("failures", S::Failures),
    ("failure_rate", S::FailureRate),
    ("slow_rate", S::SlowRate),
    ("slower_than", S::SlowerThan),
    ("within", S::Within),
    ("over", S::Over),
    ("min_calls", S::MinCalls),
    ("cooldown", S::Cooldown),
    ("probes", S::Probes),
    ("successes", S::Successes),
];

/// The error of a `--sweep` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisError(String);

impl fmt::Display for AxisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AxisError {}

impl Axis {
    /// Reads `SETTING=RANGE`. A range is a list `5s,10s,30s`, or `FROM..TO` with both ends, or `FROM..TO/STEP`. Without
    /// a step, counts go by 1, ratios by 10 points, and durations and windows by FROM.
    ///
    /// # Errors
    /// An unknown setting, a value of the wrong kind, an empty range, or one of more than 1,000 values.
    pub fn read(text: &str) -> Result<Axis, AxisError> {
        let fault = |what: String| Err(AxisError(what));
        let Some((name, range)) = text.split_once('=') else {
            return fault(format!(
                "`{text}` has no `=`; expected SETTING=RANGE, as in consecutive_failures=3..10"
            ));
        };
        let name = name.trim();
        let Some((_, setting)) = SETTINGS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = SETTINGS.iter().map(|(name, _)| *name).collect();
            return fault(format!(
                "unknown setting `{name}`; expected one of {}",
                known.join(", ")
            ));
        };
        let setting = *setting;
        let value = |text: &str| {
            let text = text.trim();
            setting.value(text).ok_or_else(|| {
                AxisError(format!(
                    "`{text}` is not a value of `{name}`; expected {}",
                    setting.expected()
                ))
            })
        };
        let mut values = Vec::new();
        for part in range.split(',') {
            match part.split_once("..") {
                None => values.push(value(part)?),
                Some((from, rest)) => {
                    let (to, step) = match rest.split_once('/') {
                        Some((to, step)) => (to, Some(value(step)?)),
                        None => (rest, None),
                    };
                    values.extend(spread(value(from)?, value(to)?, step).ok_or_else(|| {
                        AxisError(format!(
                            "`{part}` is not a range of at most {VALUES_MAX} values; expected FROM..TO or FROM..TO/STEP \
                             with FROM the lower end and both of one unit"
                        ))
                    })?);
                }
            }
        }
        if values.len() > VALUES_MAX {
            return fault(format!("`{text}` has more than {VALUES_MAX} values"));
        }
        Ok(Axis { setting, values })
    }
}

/// The values from one to another, both included.
fn spread(from: Value, to: Value, step: Option<Value>) -> Option<Vec<Value>> {
    // Ratios in millionths, times in nanoseconds.
    let parts = |value| match value {
        Value::Count(count) | Value::Calls(count) => u64::from(count),
        Value::Time(time) => u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        Value::Share(ratio) => (ratio.as_f64() * 1e6).round() as u64,
    };
    let (low, high) = (parts(from), parts(to));
    let step = match (step, from) {
        (Some(step), _) => parts(step),
        (None, Value::Count(_)) => 1,
        (None, Value::Share(_)) => 100_000,
        (None, Value::Time(_) | Value::Calls(_)) => low,
    };
    if step == 0 || high < low || (high - low) / step >= VALUES_MAX as u64 {
        return None;
    }
    let of = |number: u64| {
        Some(match from {
            Value::Count(_) => Value::Count(u32::try_from(number).ok()?),
            Value::Calls(_) => Value::Calls(u32::try_from(number).ok()?),
            Value::Time(_) => Value::Time(Duration::from_nanos(number)),
            Value::Share(_) => Value::Share(Ratio::new(number as f64 / 1e6).ok()?),
        })
    };
    if std::mem::discriminant(&from) != std::mem::discriminant(&to) {
        return None;
    }
    let mut numbers: Vec<u64> = (0..=(high - low) / step)
        .map(|count| low + count * step)
        .collect();
    if numbers.last() != Some(&high) {
        numbers.push(high);
    }
    numbers.into_iter().map(of).collect()
}

impl Setting {
    /// The name in a configuration.
    pub fn as_str(self) -> &'static str {
        let found = SETTINGS.iter().find(|(_, setting)| *setting == self);
        found.map_or("", |(name, _)| name)
    }

    /// True for a setting that is a rule of its own.
    pub fn is_rule(self) -> bool {
        matches!(
            self,
            S::ConsecutiveFailures | S::Failures | S::FailureRate | S::SlowRate
        )
    }

    fn expected(self) -> &'static str {
        match self {
            S::FailureRate | S::SlowRate => "a ratio such as 50%",
            S::SlowerThan | S::Within | S::Cooldown => "a duration such as 10s",
            S::Over => "a duration such as 10s, or a number such as `100 calls`",
            S::ConsecutiveFailures | S::Failures | S::MinCalls | S::Probes | S::Successes => {
                "a number above zero"
            }
        }
    }

    fn value(self, text: &str) -> Option<Value> {
        match self {
            S::FailureRate | S::SlowRate => words::ratio(text).map(Value::Share),
            S::SlowerThan | S::Within | S::Cooldown => words::duration(text).map(Value::Time),
            S::Over => words::over(text).map(|over| match over {
                Over::Calls(calls) => Value::Calls(calls),
                Over::Time(time) => Value::Time(time),
                _ => Value::Time(Duration::ZERO),
            }),
            S::ConsecutiveFailures | S::Failures | S::MinCalls | S::Probes | S::Successes => text
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .map(Value::Count),
        }
    }

    /// Puts a value into settings: into every rule that it belongs to. A rule that is not there is added, with the other
    /// values of the combination or the defaults.
    pub(super) fn apply(
        self,
        value: Value,
        all: &[(Setting, &Value)],
        settings: &mut Settings,
    ) -> Result<(), String> {
        let mut used = false;
        for rule in &mut settings.trip {
            used |= self.set(value, rule);
        }
        match (self, value) {
            (S::Cooldown, Value::Time(base)) => {
                let cooldown = &mut settings.cooldown;
                *cooldown = match *cooldown == Cooldown::fixed(cooldown.base) {
                    true => Cooldown::fixed(base),
                    false => Cooldown {
                        base,
                        max: cooldown.max.max(base),
                        ..*cooldown
                    },
                };
                used = true;
            }
            (S::Probes, Value::Count(count)) => {
                let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
                settings.half_open.probes = Probes::Limited(count);
                used = true;
            }
            (S::Successes, Value::Count(count)) => {
                settings.half_open.close = CloseRule::Successes(count);
                used = true;
            }
            _ => {}
        }
        if used {
            return Ok(());
        }
        let other = |setting: Setting| {
            let found = all.iter().find(|(other, _)| *other == setting);
            found.map(|(_, value)| **value)
        };
        settings.trip.push(self.added(value, other)?);
        Ok(())
    }

    /// Sets the value in a rule; false if it is none of the rule's.
    fn set(self, value: Value, rule: &mut Rule) -> bool {
        match (self, value, rule) {
            (
                S::ConsecutiveFailures,
                Value::Count(count),
                Rule::ConsecutiveFailures { threshold, .. },
            )
            | (S::Failures, Value::Count(count), Rule::Failures { threshold, .. }) => {
                *threshold = count;
            }
            (S::FailureRate, Value::Share(share), Rule::FailureRate { rate, .. })
            | (S::SlowRate, Value::Share(share), Rule::SlowRate { rate, .. }) => *rate = share,
            (S::SlowerThan, Value::Time(time), Rule::SlowRate { slower_than, .. }) => {
                *slower_than = time;
            }
            (
                S::Within,
                Value::Time(time),
                Rule::ConsecutiveFailures {
                    within: Some(within),
                    ..
                },
            ) => {
                *within = time;
            }
            (
                S::Within,
                Value::Time(time),
                Rule::Failures {
                    over: over @ Over::Time(_),
                    ..
                },
            ) => {
                *over = Over::Time(time);
            }
            (
                S::Over,
                Value::Calls(calls),
                Rule::Failures {
                    over: over @ Over::Calls(_),
                    ..
                },
            ) => {
                *over = Over::Calls(calls);
            }
            (
                S::Over,
                value,
                Rule::FailureRate {
                    over, min_calls, ..
                }
                | Rule::SlowRate {
                    over, min_calls, ..
                },
            ) => match value {
                Value::Time(time) => *over = Over::Time(time),
                Value::Calls(calls) => {
                    // Over n calls the default of `min_calls` is n, and it is never more.
                    let was_default = matches!(*over, Over::Calls(n) if n == *min_calls);
                    *min_calls = if was_default {
                        calls
                    } else {
                        calls.min(*min_calls)
                    };
                    *over = Over::Calls(calls);
                }
                Value::Count(_) | Value::Share(_) => return false,
            },
            (
                S::MinCalls,
                Value::Count(count),
                Rule::FailureRate { min_calls, .. } | Rule::SlowRate { min_calls, .. },
            ) => *min_calls = count,
            _ => return false,
        }
        true
    }

    /// The rule that a value alone makes, or the reason why it makes none.
    fn added(self, value: Value, other: impl Fn(Setting) -> Option<Value>) -> Result<Rule, String> {
        let over = match other(S::Over) {
            Some(Value::Time(time)) => Over::Time(time),
            Some(Value::Calls(calls)) => Over::Calls(calls),
            _ => OVER,
        };
        let min_calls = match (other(S::MinCalls), over) {
            (Some(Value::Count(count)), _) => count,
            (_, Over::Calls(calls)) => calls,
            _ => MIN_CALLS,
        };
        match (self, value) {
            (S::ConsecutiveFailures, Value::Count(threshold)) => Ok(Rule::ConsecutiveFailures {
                threshold,
                within: None,
            }),
            (S::FailureRate, Value::Share(rate)) => Ok(Rule::FailureRate {
                rate,
                over,
                min_calls,
            }),
            (S::Failures, Value::Count(threshold)) => match other(S::Within) {
                Some(Value::Time(time)) => Ok(Rule::Failures {
                    threshold,
                    over: Over::Time(time),
                    full: false,
                }),
                _ => Err("the breaker has no rule `failures`; add --sweep within=60s".to_owned()),
            },
            (S::SlowRate, Value::Share(rate)) => match other(S::SlowerThan) {
                Some(Value::Time(slower_than)) => Ok(Rule::SlowRate {
                    rate,
                    slower_than,
                    over,
                    min_calls,
                }),
                _ => Err(
                    "the breaker has no rule `slow_rate`; add --sweep slower_than=2s".to_owned(),
                ),
            },
            _ => Err(format!(
                "the breaker has no rule with `{}`; name one that has it, such as --sweep {}",
                self.as_str(),
                match self {
                    S::Within => "failures=10..50/10",
                    S::SlowerThan => "slow_rate=80%",
                    _ => "failure_rate=50%",
                }
            )),
        }
    }
}
