//! Maps the neutral configuration of a scenario to breaker settings.
//!
//! Some terms have no setting of their own. *Strictly after* a time becomes that time plus a nanosecond: times are
//! whole nanoseconds, so no other moment lies between. *For ever* becomes a hundred years. A rate of slow calls is
//! always compared with `>=`, even if the rate of failures is compared with `>`: then its limit is lowered by a
//! millionth, which makes no difference for windows of fewer than a thousand calls.

use std::num::NonZeroU32;
use std::time::Duration;

use fusebox_breaker::{
    CloseRule, Cooldown, HalfOpen, Mode, OnProbeTimeout, Over, Probes, Ratio, RetryAfter, Rule,
    Settings,
    settings::{Compare, JudgeOn, OnPeriodTimeout, Places, SlowProbes, WindowKind},
};

use crate::scenario::{
    self, AdmitWhenElapsed, CooldownKind, Decide, EvaluateOn, Ignored, LateResults, Policy,
    Scenario, StateName, Step,
};

/// The addition to a time that means *strictly after* it.
const NANOSECOND: Duration = Duration::from_nanos(1);

/// The subtraction from a rate that turns *above* into *at least*.
const RATE_STEP: f64 = 1e-6;

const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The window, in calls, of the observing rule for a rule without a window.
const OBSERVED_CALLS: u32 = 1 << 16;

/// A scenario's configuration, mapped to settings.
#[derive(Debug)]
pub struct Mapped {
    pub settings: Settings,
    pub ignored: Ignored,
    /// Index of the rule whose window includes all calls, if there is one.
    pub calls_seen_by: Option<usize>,
    /// The fewest calls for which a rate is defined.
    pub min_calls: u32,
    /// Index of the rule for slow calls, if there is one.
    pub slow_seen_by: Option<usize>,
    /// The addition to a cooldown after which the first probe passes.
    pub probe_delay: Duration,
    /// True if counts belong to a generation, so that an open period has none.
    pub by_generation: bool,
}

impl Mapped {
    /// The settings under which every call passes and is counted but nothing is decided: monitor mode, in a half-open
    /// period that no answer can end.
    pub fn metrics_only(&self) -> Settings {
        Settings {
            mode: Mode::Monitor,
            retry_after: RetryAfter::Ignore,
            half_open: HalfOpen {
                probes: Probes::Unlimited,
                close: CloseRule::Successes(u32::MAX),
                failures: u32::MAX,
                probe_timeout: FOR_EVER,
                ..HalfOpen::default()
            },
            ..self.settings.clone()
        }
    }
}

/// Maps a scenario's configuration to settings.
pub fn map(scenario: &Scenario) -> Result<Mapped, String> {
    let config = &scenario.config;
    let trip = &config.trip;
    let mut rules = Vec::new();
    // A breaker that trips on slow calls only has no failure rate.
    if config.slow.is_none() || trip.failure_rate.is_some() || !is_rate(trip.policy) {
        rules.push(rule(trip)?);
    }
    let mut slow_seen_by = None;
    if let Some(slow) = &config.slow {
        slow_seen_by = Some(rules.len());
        rules.push(slow_rule(slow, trip)?);
    }
    let mut calls_seen_by = (counts_calls(trip.policy) && slow_seen_by != Some(0)).then_some(0);
    if calls_seen_by.is_none() && asks_for_calls(&scenario.steps) {
        calls_seen_by = Some(rules.len());
        rules.push(observing(trip)?);
    }
    Ok(Mapped {
        settings: Settings {
            trip: rules,
            judge_on: match trip.evaluate_on {
                EvaluateOn::EveryOutcome => JudgeOn::EveryOutcome,
                EvaluateOn::Failure => JudgeOn::Failures,
            },
            compare: compare(trip.compare),
            slow_compare: config
                .slow
                .as_ref()
                .map_or(Compare::Above, |slow| compare(slow.compare)),
            retry_after: if config.cooldown.from_result.0 {
                RetryAfter::Trip
            } else {
                RetryAfter::Ignore
            },
            window: match trip.policy {
                Policy::TumblingWindowRate | Policy::TumblingWindowConsecutive => {
                    WindowKind::Tumbling
                }
                Policy::Consecutive
                | Policy::CountWindowRate
                | Policy::CountWindowCount
                | Policy::TimeWindowRate
                | Policy::TimeWindowCount => WindowKind::Sliding,
            },
            cooldown: cooldown(&config.cooldown)?,
            half_open: half_open(config)?,
            ..Settings::default()
        },
        ignored: config.ignored,
        calls_seen_by,
        min_calls: trip.min_calls.unwrap_or(0),
        slow_seen_by,
        probe_delay: probe_delay(&config.cooldown),
        by_generation: config.late_results == LateResults::DiscardByGeneration,
    })
}

/// The error for a well-formed scenario that cannot be run.
fn cannot(what: &str) -> String {
    format!("the breaker cannot {what}")
}

fn needs<T>(value: Option<T>, path: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("config.{path} is missing"))
}

fn ratio(share: f64, path: &str) -> Result<Ratio, String> {
    Ratio::new(share).map_err(|error| format!("config.{path}: {error}"))
}

fn failure_rate(trip: &scenario::Trip) -> Result<Ratio, String> {
    let path = "trip.failure_rate";
    ratio(needs(trip.failure_rate, path)?, path)
}

fn compare(compare: scenario::Compare) -> Compare {
    match compare {
        scenario::Compare::AtLeast => Compare::AtLeast,
        scenario::Compare::Above => Compare::Above,
    }
}

fn rule(trip: &scenario::Trip) -> Result<Rule, String> {
    let threshold = || needs(trip.threshold, "trip.threshold");
    let failures = || needs(trip.failures, "trip.failures");
    Ok(match trip.policy {
        Policy::Consecutive => Rule::ConsecutiveFailures {
            threshold: threshold()?,
            within: None,
        },
        Policy::TumblingWindowConsecutive => Rule::ConsecutiveFailures {
            threshold: threshold()?,
            within: Some(window_time(trip)? + NANOSECOND),
        },
        Policy::CountWindowCount => Rule::Failures {
            threshold: failures()?,
            over: window_calls(trip)?,
            full: false,
        },
        Policy::TimeWindowCount => Rule::Failures {
            threshold: failures()?,
            over: Over::Time(window_time(trip)?),
            full: false,
        },
        Policy::CountWindowRate | Policy::TimeWindowRate | Policy::TumblingWindowRate => {
            let (over, min_calls) = rate_window(trip)?;
            Rule::FailureRate {
                rate: failure_rate(trip)?,
                over,
                min_calls,
            }
        }
    })
}

/// The rule for slow calls, with the window of the failure rule.
fn slow_rule(slow: &scenario::Slow, trip: &scenario::Trip) -> Result<Rule, String> {
    if trip.policy == Policy::Consecutive {
        return Err("config.slow: consecutive failures have no window for slow calls".into());
    }
    let (over, min_calls) = rate_window(trip)?;
    Ok(Rule::SlowRate {
        rate: slow_limit(slow, trip)?,
        slower_than: Duration::from_millis(slow.duration_ms),
        over,
        min_calls,
    })
}

fn slow_limit(slow: &scenario::Slow, trip: &scenario::Trip) -> Result<Ratio, String> {
    let sliver = match trip.compare {
        scenario::Compare::AtLeast => 0.0,
        scenario::Compare::Above => RATE_STEP,
    };
    ratio(slow.rate - sliver, "slow.rate")
}

fn is_rate(policy: Policy) -> bool {
    match policy {
        Policy::CountWindowRate | Policy::TimeWindowRate | Policy::TumblingWindowRate => true,
        Policy::Consecutive
        | Policy::CountWindowCount
        | Policy::TimeWindowCount
        | Policy::TumblingWindowConsecutive => false,
    }
}

/// The window of a rate, and the fewest calls for a decision, which cannot exceed the calls in the window.
fn rate_window(trip: &scenario::Trip) -> Result<(Over, u32), String> {
    Ok(match trip.policy {
        Policy::CountWindowRate | Policy::CountWindowCount => {
            let calls = needs(trip.window_calls, "trip.window_calls")?;
            (
                Over::Calls(calls),
                trip.min_calls.unwrap_or(calls).min(calls),
            )
        }
        Policy::Consecutive => (Over::Calls(OBSERVED_CALLS), OBSERVED_CALLS),
        Policy::TimeWindowRate | Policy::TimeWindowCount => {
            (Over::Time(window_time(trip)?), trip.min_calls.unwrap_or(0))
        }
        // A tumbling window is cleared after its time is over, not exactly at its end.
        Policy::TumblingWindowRate | Policy::TumblingWindowConsecutive => (
            Over::Time(window_time(trip)? + NANOSECOND),
            trip.min_calls.unwrap_or(0),
        ),
    })
}

fn window_time(trip: &scenario::Trip) -> Result<Duration, String> {
    needs(trip.window_ms, "trip.window_ms").map(Duration::from_millis)
}

fn window_calls(trip: &scenario::Trip) -> Result<Over, String> {
    needs(trip.window_calls, "trip.window_calls").map(Over::Calls)
}

/// True if the rule's own window includes every call, so that it gives the number of calls.
fn counts_calls(policy: Policy) -> bool {
    match policy {
        Policy::CountWindowRate
        | Policy::CountWindowCount
        | Policy::TimeWindowRate
        | Policy::TumblingWindowRate => true,
        Policy::Consecutive | Policy::TimeWindowCount | Policy::TumblingWindowConsecutive => false,
    }
}

fn asks_for_calls(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Check(check) => check.asks_for_calls(),
        Step::Repeat { steps, .. } => asks_for_calls(steps),
        Step::Advance { .. }
        | Step::WallClockStep { .. }
        | Step::Acquire { .. }
        | Step::Complete { .. }
        | Step::Call { .. }
        | Step::Force { .. } => false,
    })
}

/// A rule that counts all calls but can never trip.
fn observing(trip: &scenario::Trip) -> Result<Rule, String> {
    let (over, _) = rate_window(trip)?;
    Ok(Rule::FailureRate {
        rate: Ratio::ONE,
        over,
        min_calls: match over {
            Over::Calls(calls) => calls,
            _ => u32::MAX,
        },
    })
}

fn cooldown(config: &scenario::Cooldown) -> Result<Cooldown, String> {
    let (base, factor, max) = match config.kind {
        CooldownKind::Fixed => (needs(config.ms, "cooldown.ms")?, 1.0, config.max_ms),
        CooldownKind::Exponential => (
            needs(config.initial_ms, "cooldown.initial_ms")?,
            needs(config.multiplier, "cooldown.multiplier")?,
            config.max_ms,
        ),
    };
    let more = probe_delay(config);
    Ok(Cooldown {
        base: Duration::from_millis(base) + more,
        factor,
        max: max.map_or(FOR_EVER, Duration::from_millis) + more,
        jitter: 0.0,
    })
}

/// The time from the end of a cooldown to the first probe that passes.
fn probe_delay(config: &scenario::Cooldown) -> Duration {
    match config.admit_when_elapsed {
        AdmitWhenElapsed::After => NANOSECOND,
        AdmitWhenElapsed::At | AdmitWhenElapsed::Timer => Duration::ZERO,
    }
}

fn half_open(config: &scenario::Config) -> Result<HalfOpen, String> {
    let half_open = &config.half_open;
    let close = close(half_open, &config.trip)?;
    let on_period_timeout = match half_open.after_max_wait {
        Some(StateName::Open) | None => OnPeriodTimeout::Open,
        Some(StateName::Closed) => OnPeriodTimeout::Close,
        Some(state) => {
            return Err(cannot(&format!(
                "go to {} when a half-open period has lasted too long",
                state.as_str()
            )));
        }
    };
    let probes = match half_open.max_calls {
        None => Probes::Unlimited,
        Some(calls) => Probes::Limited(
            NonZeroU32::new(calls)
                .ok_or("config.half_open.max_calls: 0 probes could never close the breaker")?,
        ),
    };
    let slow = match (&config.slow, half_open.decide) {
        (Some(slow), Decide::RateOverProbes) => Some(SlowProbes {
            rate: slow_limit(slow, &config.trip)?,
            slower_than: Duration::from_millis(slow.duration_ms),
        }),
        _ => None,
    };
    let never_reopens = never_reopens(half_open);
    Ok(HalfOpen {
        probes,
        close,
        failures: failures(half_open)?,
        probe_timeout: FOR_EVER,
        on_probe_timeout: OnProbeTimeout::Replace,
        in_a_row: never_reopens,
        places: permit_policy(half_open, close),
        slow,
        period_timeout: half_open
            .max_wait_ms
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis),
        on_period_timeout,
    })
}

/// True if a failed probe only restarts the count of successes.
fn never_reopens(config: &scenario::HalfOpen) -> bool {
    config.decide == Decide::ConsecutiveSuccesses && config.open_on_first_failure == Some(false)
}

/// The policy for permits of a half-open period. Where the permits suffice for a decision, each is spent by its call.
/// Libraries that count successes among a number of calls, or failures, free a permit with each result.
fn permit_policy(config: &scenario::HalfOpen, close: CloseRule) -> Places {
    let needed = match (config.decide, close) {
        (Decide::RateOverProbes, CloseRule::FailureRate { over, .. }) => over,
        (Decide::ConsecutiveSuccesses, CloseRule::Successes(successes)) => successes,
        _ => return Places::Freed,
    };
    let enough = config.max_calls.is_some_and(|calls| calls >= needed);
    if enough && !never_reopens(config) {
        Places::Spent
    } else {
        Places::Freed
    }
}

fn close(config: &scenario::HalfOpen, trip: &scenario::Trip) -> Result<CloseRule, String> {
    Ok(match config.decide {
        Decide::FirstProbe | Decide::FirstResult => CloseRule::Successes(1),
        Decide::ConsecutiveSuccesses => {
            CloseRule::Successes(needs(config.close_after, "half_open.close_after")?)
        }
        Decide::RateOverProbes => {
            let after = needs(
                config.decide_after.or(config.max_calls),
                "half_open.decide_after",
            )?;
            CloseRule::FailureRate {
                rate: failure_rate(trip)?,
                // A period cannot have more answers than permits.
                over: config.max_calls.map_or(after, |calls| after.min(calls)),
            }
        }
        Decide::SuccessRatio => {
            CloseRule::Successes(needs(config.successes, "half_open.successes")?)
        }
        Decide::FailureCount => CloseRule::Successes(needs(
            config.close_after_successes,
            "half_open.close_after_successes",
        )?),
    })
}

/// Number of failed probes that reopen. For a ratio of successes, the number after which too few can still succeed.
fn failures(config: &scenario::HalfOpen) -> Result<u32, String> {
    Ok(match config.decide {
        Decide::SuccessRatio => {
            let successes = needs(config.successes, "half_open.successes")?;
            let of = needs(config.of, "half_open.of")?;
            let spare = of.checked_sub(successes);
            spare.ok_or("config.half_open.successes exceeds config.half_open.of, so the breaker could never close")? + 1
        }
        Decide::FailureCount => needs(config.open_after, "half_open.open_after")?,
        Decide::ConsecutiveSuccesses if never_reopens(config) => u32::MAX,
        Decide::RateOverProbes
        | Decide::ConsecutiveSuccesses
        | Decide::FirstProbe
        | Decide::FirstResult => 1,
    })
}
