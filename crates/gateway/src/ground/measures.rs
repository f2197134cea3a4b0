//! What is measured of a breaker as it stands: shares and numbers that go up and down.

use fusebox_breaker::{Snapshot, snapshot::RuleKind};

/// Something measured of a breaker, where there is something to measure.
pub struct Measure {
    /// Its name outside.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// Its value; none where there is nothing to measure.
    pub of: fn(&Snapshot) -> Option<f64>,
    /// What is shown of two breakers without labels of their own.
    pub both: fn(f64, f64) -> f64,
}

/// All of them.
pub const MEASURES: [Measure; 6] = [
    Measure {
        name: "fusebox_breaker_admit_probability",
        help: "The probability with which a call passes now",
        of: |breaker| Some(breaker.admit_probability),
        both: f64::min,
    },
    Measure {
        name: "fusebox_breaker_ramp_ratio",
        help: "The share of calls that passes after a close, until all do",
        of: |breaker| breaker.ramp.map(|ramp| ramp.share),
        both: f64::min,
    },
    Measure {
        name: "fusebox_breaker_failure_ratio",
        help: "The share of failed calls that the rule failure_rate sees",
        of: |breaker| observed(breaker, RuleKind::FailureRate),
        both: f64::max,
    },
    Measure {
        name: "fusebox_breaker_slow_ratio",
        help: "The share of slow calls that the rule slow_rate sees",
        of: |breaker| observed(breaker, RuleKind::SlowRate),
        both: f64::max,
    },
    Measure {
        name: "fusebox_breaker_stalled_calls",
        help: "The calls that have waited for a head for too long, as the rule stalled sees them",
        of: |breaker| observed(breaker, RuleKind::Stalled),
        both: f64::max,
    },
    Measure {
        name: "fusebox_breaker_window_calls",
        help: "The calls in the window of the rate rules",
        of: |breaker| {
            let is_rate = |kind| matches!(kind, RuleKind::FailureRate | RuleKind::SlowRate);
            let rates = breaker.rules.iter().filter(|rule| is_rate(rule.rule));
            rates.map(|rule| rule.calls as f64).reduce(f64::max)
        },
        both: f64::max,
    },
];

/// What a breaker's rules of a kind see at most.
fn observed(breaker: &Snapshot, kind: RuleKind) -> Option<f64> {
    let rules = breaker.rules.iter().filter(|rule| rule.rule == kind);
    rules.map(|rule| rule.observed).reduce(f64::max)
}
