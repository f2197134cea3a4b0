//! Refuses settings that cannot work or could never trip, all faults at once.

use std::time::Duration;

use super::{
    CloseRule, Compare, Cooldown, HalfOpen, OnAbandoned, Over, Places, Probes, Rule, Settings,
    SettingsError as Error, SettingsErrors, SlowProbes,
};
use crate::ramp::Ramp;
use crate::ratio::Ratio;

/// The most calls a window of last calls may hold: it keeps one bit for each, 128 KiB at this size.
pub const MAX_CALLS: u32 = 1 << 20;

/// The most failures a rule may count within a time: it keeps the time of each, 80 kB at this size.
pub const MAX_FAILURES: u32 = 10_000;

/// The most outcomes an adaptive rule may weigh: each admission weighs all of them.
pub const MAX_MEMORY: u32 = 1_000;

impl Settings {
    /// Checks that every setting can work, and that every rule can trip.
    ///
    /// # Errors
    /// All faults found, each with its setting and the way to mend it.
    pub fn validate(&self) -> Result<(), SettingsErrors> {
        let mut errors = Vec::new();
        if self.trip.is_empty() {
            errors.push(Error::new(
                "trip",
                "without a rule the breaker could never trip".into(),
                "give at least one, such as consecutive_failures: 5",
            ));
        }
        for rule in &self.trip {
            check_rule(rule, self.compare, &mut errors);
        }
        check_cooldown(&self.cooldown, &mut errors);
        check_half_open(&self.half_open, self.compare, &mut errors);
        if let Some(ramp) = &self.ramp {
            check_ramp(ramp, &mut errors);
        }
        if let OnAbandoned::FailureAfter(after) = self.on_abandoned {
            check_time("on_abandoned", after, &mut errors);
        }
        SettingsErrors::of(errors)
    }
}

fn check_rule(rule: &Rule, compare: Compare, errors: &mut Vec<Error>) {
    let setting = rule.kind().setting();
    match *rule {
        Rule::ConsecutiveFailures { threshold, within } => {
            check_threshold(setting, threshold, errors);
            if let Some(within) = within {
                check_time("trip.within", within, errors);
                check_kept_failures(setting, threshold, errors);
            }
        }
        Rule::Failures {
            threshold,
            over,
            full,
        } => {
            check_threshold(setting, threshold, errors);
            check_over(over, errors);
            match over {
                Over::Time(_) => {
                    check_kept_failures(setting, threshold, errors);
                    if full {
                        errors.push(Error::new(
                            "trip.full",
                            "a window of time is never full".into(),
                            "remove it, or look over a number of calls",
                        ));
                    }
                }
                Over::Calls(calls) if threshold > calls => errors.push(Error::new(
                    setting,
                    format!("{threshold} failures can never be among the last {calls} calls"),
                    "lower the number of failures or raise the number of calls",
                )),
                Over::Calls(_) => {}
            }
        }
        Rule::Stalled { calls, longer_than } => {
            check_threshold(setting, calls, errors);
            check_time("trip.longer_than", longer_than, errors);
        }
        Rule::Adaptive { memory } => {
            if memory == 0 || memory > MAX_MEMORY {
                errors.push(Error::new(
                    "trip.adaptive.memory",
                    format!("a memory of {memory} outcomes is not possible"),
                    "give 1 to 1,000",
                ));
            }
        }
        Rule::SlowRate {
            rate,
            over,
            min_calls,
            ..
        }
        | Rule::FailureRate {
            rate,
            over,
            min_calls,
        } => {
            if let Rule::SlowRate { slower_than, .. } = *rule
                && slower_than.is_zero()
            {
                errors.push(Error::new(
                    "trip.slower_than",
                    "every call is slower than no time".into(),
                    "give a time above zero",
                ));
            }
            check_over(over, errors);
            if let Over::Calls(calls) = over
                && min_calls > calls
            {
                errors.push(Error::new(
                    "trip.min_calls",
                    format!("{min_calls} calls can never be among the last {calls}"),
                    "lower it, or raise the number of calls",
                ));
            }
            if rate == Ratio::ONE && compare == Compare::Above {
                errors.push(Error::new(
                    setting,
                    "no rate is above 100 %, so the rule could never trip".into(),
                    "lower the rate, or compare with >=",
                ));
            }
        }
    }
}

fn check_threshold(setting: &'static str, threshold: u32, errors: &mut Vec<Error>) {
    if threshold == 0 {
        errors.push(Error::new(
            setting,
            "a threshold of 0 failures would be met before any call".into(),
            "give 1 or more",
        ));
    }
}

fn check_kept_failures(setting: &'static str, threshold: u32, errors: &mut Vec<Error>) {
    if threshold > MAX_FAILURES {
        errors.push(Error::new(
            setting,
            format!("{threshold} failures within a time are more than the {MAX_FAILURES} whose times are kept"),
            "lower it, or use failure_rate",
        ));
    }
}

fn check_over(over: Over, errors: &mut Vec<Error>) {
    match over {
        Over::Time(time) => check_time("trip.over", time, errors),
        Over::Calls(calls) => {
            if calls == 0 || calls > MAX_CALLS {
                errors.push(Error::new(
                    "trip.over",
                    format!("a window of {calls} calls is not possible"),
                    "give 1 to 1,048,576 calls, or a time",
                ));
            }
        }
    }
}

fn check_time(setting: &'static str, time: Duration, errors: &mut Vec<Error>) {
    if time.is_zero() {
        errors.push(Error::new(
            setting,
            "a window of zero length never has a call, so the rule could never trip".into(),
            "give a time above zero",
        ));
    }
}

fn check_cooldown(cooldown: &Cooldown, errors: &mut Vec<Error>) {
    if cooldown.base.is_zero() {
        errors.push(Error::new(
            "cooldown.base",
            "a breaker that is open for no time rejects nothing".into(),
            "give a time above zero",
        ));
    }
    if !cooldown.factor.is_finite() || cooldown.factor < 1.0 {
        errors.push(Error::new(
            "cooldown.factor",
            format!("{} would shrink the cooldown", cooldown.factor),
            "give 1 or more",
        ));
    }
    if cooldown.max < cooldown.base {
        errors.push(Error::new(
            "cooldown.max",
            format!("{:?} is below the base {:?}", cooldown.max, cooldown.base),
            "raise it to the base or above",
        ));
    }
    if !(0.0..=1.0).contains(&cooldown.jitter) {
        errors.push(Error::new(
            "cooldown.jitter",
            format!("{} is not a share of the cooldown", cooldown.jitter),
            "give 0 to 1 (0.2 is 20 %)",
        ));
    }
}

fn check_ramp(ramp: &Ramp, errors: &mut Vec<Error>) {
    if ramp.over.is_zero() {
        errors.push(Error::new(
            "ramp.over",
            "a ramp over no time lets every call pass at once".into(),
            "give a time above zero, or remove the ramp",
        ));
    }
    if ramp.from == Ratio::ONE {
        errors.push(Error::new(
            "ramp.from",
            "a ramp from 100 % lets every call pass at once".into(),
            "lower it, or remove the ramp",
        ));
    }
}

fn check_half_open(half_open: &HalfOpen, compare: Compare, errors: &mut Vec<Error>) {
    match half_open.close {
        CloseRule::Successes(0) => errors.push(Error::new(
            "half_open.successes",
            "0 successes would close without a probe".into(),
            "give 1 or more",
        )),
        CloseRule::FailureRate { over: 0, .. } => errors.push(Error::new(
            "half_open.over",
            "0 answers decide nothing".into(),
            "give 1 or more calls",
        )),
        CloseRule::FailureRate { rate, .. } if rate == Ratio::ONE && compare == Compare::Above => {
            errors.push(Error::new(
                "half_open.failure_rate",
                "no rate is above 100 %, so failing probes could never reopen".into(),
                "lower the rate, or compare with >=",
            ));
        }
        CloseRule::Successes(_) | CloseRule::FailureRate { .. } => {}
    }
    match half_open.close {
        _ if half_open.failures == 0 => errors.push(Error::new(
            "half_open.failures",
            "0 failures would reopen without a probe".into(),
            "give 1 or more",
        )),
        CloseRule::FailureRate { .. } if half_open.failures > 1 => errors.push(Error::new(
            "half_open.failures",
            "the failure rate decides, so a number of failures would never count".into(),
            "remove one of the two",
        )),
        CloseRule::Successes(_) | CloseRule::FailureRate { .. } => {}
    }
    if half_open.probe_timeout.is_zero() {
        errors.push(Error::new(
            "half_open.probe_timeout",
            "a probe with no time can never answer, so the breaker could never close".into(),
            "give a time above zero",
        ));
    }
    check_period(half_open, errors);
    check_places(half_open, errors);
    if let Some(slow) = &half_open.slow {
        check_slow_probes(half_open, slow, compare, errors);
    }
}

fn check_period(half_open: &HalfOpen, errors: &mut Vec<Error>) {
    if half_open.period_timeout.is_some_and(|time| time.is_zero()) {
        errors.push(Error::new(
            "half_open.period_timeout",
            "a half-open period of no time lets no probe answer".into(),
            "give a time above zero, or remove it",
        ));
    }
}

/// Places that are used up must be enough for a decision.
fn check_places(half_open: &HalfOpen, errors: &mut Vec<Error>) {
    let in_a_row = half_open.in_a_row;
    if in_a_row && matches!(half_open.close, CloseRule::FailureRate { .. }) {
        errors.push(Error::new(
            "half_open.in_a_row",
            "the failure rate decides, so a row of successes would never count".into(),
            "remove one of the two",
        ));
    }
    if half_open.places == Places::Freed {
        return;
    }
    let decides = match half_open.close {
        CloseRule::FailureRate { over, .. } => over,
        CloseRule::Successes(successes) => successes
            .saturating_add(half_open.failures)
            .saturating_sub(1),
    };
    match half_open.probes {
        Probes::Unlimited => errors.push(Error::new(
            "half_open.places",
            "without a limit of probes no place is ever used up".into(),
            "give a number of probes, or remove it",
        )),
        Probes::Limited(_) if in_a_row && half_open.failures > 1 => errors.push(Error::new(
            "half_open.places",
            "a row of successes may begin anew after the places are used up".into(),
            "remove one of places and in_a_row",
        )),
        Probes::Limited(limit) if limit.get() < decides => errors.push(Error::new(
            "half_open.places",
            format!("{limit} answers may be too few for a decision, which needs up to {decides}"),
            "raise the number of probes to that",
        )),
        Probes::Limited(_) => {}
    }
}

fn check_slow_probes(
    half_open: &HalfOpen,
    slow: &SlowProbes,
    compare: Compare,
    errors: &mut Vec<Error>,
) {
    if matches!(half_open.close, CloseRule::Successes(_)) {
        errors.push(Error::new(
            "half_open.slow_rate",
            "a share of slow probes is judged when a number of probes has answered".into(),
            "add failure_rate and over, which say how many",
        ));
    }
    if slow.slower_than.is_zero() {
        errors.push(Error::new(
            "half_open.slower_than",
            "every call is slower than no time".into(),
            "give a time above zero",
        ));
    }
    if slow.rate == Ratio::ONE && compare == Compare::Above {
        errors.push(Error::new(
            "half_open.slow_rate",
            "no rate is above 100 %, so slow probes could never reopen".into(),
            "lower the rate, or compare with >=",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings named by the errors of the defaults with one change.
    fn faults(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = Settings::default();
        change(&mut settings);
        match settings.validate() {
            Ok(()) => Vec::new(),
            Err(errors) => errors.iter().map(Error::setting).collect(),
        }
    }

    fn rule(rule: Rule) -> Vec<&'static str> {
        faults(|settings| settings.trip = vec![rule])
    }

    fn failure_rate(rate: Ratio, over: Over, min_calls: u32) -> Rule {
        Rule::FailureRate {
            rate,
            over,
            min_calls,
        }
    }

    #[test]
    fn the_defaults_are_sound() {
        assert!(faults(|_| {}).is_empty());
    }

    #[test]
    fn rules_that_could_never_trip_are_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(faults(|s| s.trip.clear()), ["trip"]);
        assert_eq!(
            rule(Rule::ConsecutiveFailures {
                threshold: 0,
                within: Some(Duration::ZERO)
            }),
            ["trip.consecutive_failures", "trip.within"]
        );
        assert_eq!(
            rule(Rule::Failures {
                threshold: 6,
                over: Over::Calls(5),
                full: false
            }),
            ["trip.failures"]
        );
        assert_eq!(
            rule(Rule::Failures {
                threshold: MAX_FAILURES + 1,
                over: Over::Time(second),
                full: true
            }),
            ["trip.failures", "trip.full"]
        );
        assert_eq!(
            rule(failure_rate(Ratio::percent(50), Over::Calls(10), 11)),
            ["trip.min_calls"]
        );
        for calls in [0, MAX_CALLS + 1] {
            assert_eq!(
                rule(failure_rate(Ratio::percent(50), Over::Calls(calls), 0)),
                ["trip.over"]
            );
        }
        assert_eq!(
            faults(|s| {
                s.compare = Compare::Above;
                s.trip = vec![failure_rate(Ratio::ONE, Over::Time(second), 1)];
            }),
            ["trip.failure_rate"]
        );
    }

    #[test]
    fn all_faults_are_told_at_once_and_each_says_how_to_mend_it() {
        let settings = Settings {
            cooldown: Cooldown {
                base: Duration::ZERO,
                factor: f64::NAN,
                max: Duration::ZERO,
                jitter: 1.5,
            },
            half_open: HalfOpen {
                close: CloseRule::Successes(0),
                probe_timeout: Duration::ZERO,
                ..HalfOpen::default()
            },
            ..Settings::default()
        };
        let errors = settings.validate().unwrap_err();
        assert_eq!(errors.len(), 5);
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.to_string(), lines.join("\n"), "a fault a line");
        assert!(errors.iter().all(|error| !error.mend().is_empty()));
        assert_eq!(
            errors[2].to_string(),
            "cooldown.jitter: 1.5 is not a share of the cooldown; give 0 to 1 (0.2 is 20 %)"
        );
    }

    #[test]
    fn a_half_open_period_that_could_not_decide_is_refused() {
        let close = |rate, over| CloseRule::FailureRate { rate, over };
        assert_eq!(
            faults(|s| s.half_open.close = close(Ratio::ONE, 0)),
            ["half_open.over"]
        );
        assert_eq!(
            faults(|s| {
                s.compare = Compare::Above;
                s.half_open.close = close(Ratio::ONE, 4);
            }),
            ["half_open.failure_rate"]
        );
    }
}
