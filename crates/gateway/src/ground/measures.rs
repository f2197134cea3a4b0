//! Gauges of a breaker: shares and numbers that go up and down.

use fusebox_breaker::{Snapshot, snapshot::RuleKind};

/// A gauge of a breaker.
pub struct Measure {
    /// The metric's name.
    pub name: &'static str,
    /// The metric's help text.
    pub help: &'static str,
    /// The value; `None` if the breaker has no rule that measures it.
    pub of: fn(&Snapshot) -> Option<f64>,
    /// Combines the values of two breakers that share a label.
    pub both: fn(f64, f64) -> f64,
}

/// All gauges, in the order of the exposition.
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

/// The highest value that the breaker's rules of a kind observe; `None` without such a rule.
fn observed(breaker: &Snapshot, kind: RuleKind) -> Option<f64> {
    let rules = breaker.rules.iter().filter(|rule| rule.rule == kind);
    rules.map(|rule| rule.observed).reduce(f64::max)
}
