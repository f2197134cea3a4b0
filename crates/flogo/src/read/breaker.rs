//! The circuit breaker activity: its four modes as settings of the machine.
//!
//! | mode | trips after | rule |
//! |---|---|---|
//! | `a` | contiguous failures | `consecutive_failures: threshold` |
//! | `b` | failures within a period | `failures: threshold, within: period` |
//! | `c` | contiguous failures within a period | `consecutive_failures: threshold, within: period` |
//! | `d` | never; refuses by chance | `adaptive: { memory: threshold }` |
//!
//! Each of a, b and c stays open for exactly `timeout`; then every call is a probe until one reports. Windows and
//! counts survive an open period.

use std::time::Duration;

use fusebox_breaker::{
    CloseRule, Cooldown, HalfOpen, Mode, Over, Probes, Rule, Settings as Machine,
    settings::{History, MAX_FAILURES, MAX_MEMORY},
};
use fusebox_plan::dialect::Notes;

use crate::read::settings::Settings;

const THRESHOLD: i64 = 5;
const PERIOD_SECONDS: i64 = 60;
const TIMEOUT_SECONDS: i64 = 60;
/// The longest duration: beyond any use, and far below an overflow of times.
const SECONDS_MAX: u64 = 100 * 365 * 24 * 3600;

/// The settings of the machine; `None` after an error, which is then in the notes.
pub(crate) fn lower(settings: &Settings<'_>, notes: &mut Notes) -> Option<Machine> {
    let mode = settings.word("mode", &["a", "b", "c", "d"], Some("a"), notes);
    let threshold = threshold(settings, mode, notes);
    let period = seconds(settings, "period", PERIOD_SECONDS, notes);
    let timeout = seconds(settings, "timeout", TIMEOUT_SECONDS, notes);
    let (mode, threshold, period, timeout) = (mode?, threshold?, period?, timeout?);
    let rule = match mode {
        "b" => Rule::Failures {
            threshold,
            over: Over::Time(nonzero(period)),
            full: false,
        },
        "c" => Rule::ConsecutiveFailures {
            threshold,
            within: Some(nonzero(period)),
        },
        "d" => Rule::Adaptive { memory: threshold },
        _ => Rule::ConsecutiveFailures {
            threshold,
            within: None,
        },
    };
    let idle = match mode {
        "d" => None,
        _ if timeout.is_zero() => Some("timeout"),
        "b" | "c" if period.is_zero() => Some("period"),
        _ => None,
    };
    if let Some(key) = idle {
        notes.warn(
            settings.place(key),
            format!("with a {key} of 0 the breaker never rejects a call"),
            "give it some seconds, or remove the breaker",
        );
    }
    Some(Machine {
        trip: vec![rule],
        history: History::Keep,
        cooldown: Cooldown::fixed(nonzero(timeout)),
        half_open: HalfOpen {
            probes: Probes::Unlimited,
            close: CloseRule::Successes(1),
            ..HalfOpen::default()
        },
        mode: if idle.is_some() {
            Mode::Disabled
        } else {
            Mode::Enforce
        },
        ..Machine::default()
    })
}

/// A duration above zero, as the machine requires; whether zero was meant is handled by the mode.
fn nonzero(time: Duration) -> Duration {
    match time {
        Duration::ZERO => Duration::from_secs(1),
        time => time,
    }
}

fn threshold(settings: &Settings<'_>, mode: Option<&str>, notes: &mut Notes) -> Option<u32> {
    let before = notes.errors();
    let threshold = settings.whole("threshold", notes);
    if before != notes.errors() {
        return None;
    }
    let threshold = threshold.unwrap_or(THRESHOLD);
    let max = match mode {
        Some("b" | "c") => MAX_FAILURES,
        Some("d") => MAX_MEMORY,
        _ => u32::MAX,
    };
    let place = settings.place("threshold");
    match u32::try_from(threshold) {
        Ok(threshold) if (1..=max).contains(&threshold) => Some(threshold),
        Ok(threshold) if threshold > max => {
            let what =
                format!("invalid threshold: {threshold} is above this mode's limit of {max}");
            notes.refuse(place, what, "lower it")
        }
        _ => {
            let what = format!("invalid threshold: {threshold} is not from 1 to {max}");
            let mend = "give the number of failures at which the breaker trips";
            notes.refuse(place, what, mend)
        }
    }
}

fn seconds(
    settings: &Settings<'_>,
    key: &str,
    default: i64,
    notes: &mut Notes,
) -> Option<Duration> {
    let before = notes.errors();
    let seconds = settings.whole(key, notes);
    if before != notes.errors() {
        return None;
    }
    match u64::try_from(seconds.unwrap_or(default)) {
        Ok(seconds) => Some(Duration::from_secs(seconds.min(SECONDS_MAX))),
        Err(_) => {
            settings.not_valid(key, "give 0 or more seconds", notes);
            None
        }
    }
}
