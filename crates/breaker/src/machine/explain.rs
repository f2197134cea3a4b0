//! Explains a machine: the reason for its state, the distance to a change, and the next one.

use std::fmt;
use std::time::Duration;

use super::{Machine, State};
use crate::outcome::{Hold, HoldKind, Phase};
use crate::rule_kind::RuleKind;
use crate::settings::{Mode, Rule};
use crate::snapshot::{ProbeStatus, RampStatus};
use crate::time::Timestamp;
use crate::transition::Transition;

/// An explanation of a breaker's state, for a person or as data. Its `Display` is the same in sentences.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The time of this explanation: the latest stamp that the breaker accepted, if that is later than the requested
    /// time or the latter is too far ahead.
    pub at: Timestamp,
    /// The requested time. The sentences count from here, as a refusal at this time would.
    pub asked: Timestamp,
    /// The state at that time.
    pub phase: Phase,
    /// The time at which the state began.
    pub since: Timestamp,
    /// The mode: enforced, monitored or disabled.
    pub mode: Mode,
    /// The operator's hold, while it lasts.
    pub hold: Option<Hold>,
    /// The last change with its reason; `None` before the first.
    pub because: Option<Transition>,
    /// The distance of each rule from tripping, in the order of the settings.
    pub rules: Vec<RuleGap>,
    /// The probes, while half-open.
    pub probes: Option<ProbeStatus>,
    /// The ramp after a close, until all calls pass.
    pub ramp: Option<RampStatus>,
    /// The next event.
    pub next: Next,
}

/// The distance of a rule from tripping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleGap {
    /// The kind of the rule.
    pub rule: RuleKind,
    /// The observed value.
    pub observed: f64,
    /// The rule's limit, in the same unit.
    pub threshold: f64,
    /// Calls in the rule's window.
    pub calls: u64,
    /// The reason why it has not tripped.
    pub gap: Gap,
}

/// The reason why a rule has not tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// The observed value is below the limit.
    BelowLimit,
    /// Too few calls for a decision.
    TooFewCalls {
        /// Number of missing calls.
        missing: u64,
    },
    /// The limit is reached, and will be judged with the next failure, or when the next call asks to pass.
    AwaitsJudging,
    /// The rule refuses by chance and never trips.
    NeverTrips,
    /// The rule is judged only while the breaker is closed.
    NotJudged,
}

/// The next event of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// A rule must be met first.
    RuleMet,
    /// The cooldown ends and the next call is a probe.
    CooldownEnds(Timestamp),
    /// The hold ends by itself.
    HoldEnds(Timestamp),
    /// An operator must release the hold.
    Release,
    /// The next call is a probe.
    Probe,
    /// All places are taken; the first is free again by this time at the latest.
    ProbeEnds(Timestamp),
    /// All calls pass again, if nothing fails until then.
    RampEnds(Timestamp),
}

impl Machine {
    /// Explains the state at `now` and the next event. Changes nothing.
    pub fn explain(&self, now: Timestamp) -> Explanation {
        let snapshot = self.snapshot(now);
        let closed = snapshot.phase == Phase::Closed && snapshot.hold.is_none();
        let rules = self.settings.trip.iter().zip(&snapshot.rules);
        let rules = rules
            .map(|(rule, status)| RuleGap {
                rule: status.rule,
                observed: status.observed,
                threshold: status.threshold,
                calls: status.calls,
                gap: match rule {
                    Rule::Adaptive { .. } => Gap::NeverTrips,
                    _ if !closed => Gap::NotJudged,
                    _ if status.calls < u64::from(status.min_calls) => Gap::TooFewCalls {
                        missing: u64::from(status.min_calls) - status.calls,
                    },
                    _ if status.observed < status.threshold => Gap::BelowLimit,
                    _ => Gap::AwaitsJudging,
                },
            })
            .collect();
        let next = match (&snapshot.hold, snapshot.phase) {
            (Some(Hold { until, .. }), _) => until.map_or(Next::Release, Next::HoldEnds),
            (None, Phase::Closed) => match snapshot.ramp {
                Some(ramp) => Next::RampEnds(ramp.ends),
                None => Next::RuleMet,
            },
            (None, Phase::Open) => match self.state {
                State::Open { until } => Next::CooldownEnds(until),
                State::Closed { .. } | State::HalfOpen(_) => Next::Probe,
            },
            (None, Phase::HalfOpen) => snapshot.retry_by.map_or(Next::Probe, Next::ProbeEnds),
        };
        Explanation {
            at: snapshot.at,
            asked: now,
            phase: snapshot.phase,
            since: snapshot.since,
            mode: snapshot.mode,
            hold: snapshot.hold,
            because: snapshot.recent.last().cloned(),
            rules,
            probes: snapshot.probes,
            ramp: snapshot.ramp,
            next,
        }
    }
}

/// A duration for people: in whole seconds from ten on, in whole milliseconds from one on.
fn rounded(duration: Duration) -> Duration {
    let unit = match duration.as_millis() {
        0 => return duration,
        1..10_000 => 1_000_000,
        _ => 1_000_000_000,
    };
    let nanos = duration.as_nanos() / unit * unit;
    u64::try_from(nanos).map_or(duration, Duration::from_nanos)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ago = rounded(self.at.saturating_since(self.since));
        write!(f, "{} for {ago:?}", self.phase)?;
        if self.mode != Mode::Enforce {
            write!(f, ", mode {}", self.mode.as_str())?;
        }
        if let Some(because) = &self.because {
            write!(f, "; last change: {because}")?;
        }
        if let Some(hold) = &self.hold {
            let kind = match hold.kind {
                HoldKind::Open => "open, every call is refused",
                HoldKind::Closed => "closed, every call passes",
            };
            write!(f, "; held {kind}, by {}: {}", hold.by, hold.reason)?;
        }
        if self.phase == Phase::Closed && self.hold.is_none() {
            for rule in &self.rules {
                write!(f, "; {rule}")?;
            }
        }
        if let Some(probes) = &self.probes {
            let ProbeStatus {
                in_flight,
                successes,
                failures,
                needed,
                ..
            } = probes;
            write!(
                f,
                "; {in_flight} probes in flight, {successes} succeeded and {failures} failed, {needed} decide"
            )?;
        }
        if let Some(ramp) = &self.ramp {
            write!(
                f,
                "; in its ramp, {:.1}% of the calls pass",
                ramp.share * 100.0
            )?;
        }
        let in_time = |at: Timestamp| rounded(at.saturating_since(self.asked));
        match self.next {
            Next::RuleMet => f.write_str("; stays so until a rule is met")?,
            Next::CooldownEnds(at) => write!(f, "; the cooldown ends in {:?}", in_time(at))?,
            Next::HoldEnds(at) => write!(f, "; the hold ends in {:?}", in_time(at))?,
            Next::Release => f.write_str("; stays so until an operator releases it")?,
            Next::Probe => f.write_str("; the next call is a probe")?,
            Next::ProbeEnds(at) => {
                write!(
                    f,
                    "; another probe may go in {:?} at the latest",
                    in_time(at)
                )?;
            }
            Next::RampEnds(at) => write!(f, "; all calls pass in {:?}", in_time(at))?,
        }
        self.hint_at_the_clock(f)
    }
}

/// The most by which the requested time may be behind the latest stamp before it looks like that of another clock.
/// Callers that share a clock lag by the time from reading it to the event.
const LAG_MAX: Duration = Duration::from_secs(60);

impl Explanation {
    /// Writes a hint that the requested time and the breaker's stamps are of two clocks, if they are that far apart.
    fn hint_at_the_clock(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (behind, ahead) = (self.at - self.asked, self.asked - self.at);
        let (apart, way) = match behind > LAG_MAX {
            true => (behind, "after"),
            // A time that is ahead is the moment itself, unless it is refused.
            false if !ahead.is_zero() => (ahead, "before"),
            false => return Ok(()),
        };
        write!(
            f,
            "; the last stamp was {apart:?} {way} this time, as of another clock: give all stamps by one clock, and reset"
        )
    }
}

impl fmt::Display for RuleGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuleGap {
            rule,
            observed,
            threshold,
            calls,
            ..
        } = self;
        match self.gap {
            Gap::NeverTrips => write!(f, "{rule} refuses {:.1}% of the calls", observed * 100.0),
            Gap::TooFewCalls { missing } => {
                write!(
                    f,
                    "{rule} has seen {calls} calls and waits for {missing} more"
                )
            }
            Gap::BelowLimit | Gap::AwaitsJudging | Gap::NotJudged => {
                let rounded = |number: f64| (number * 1e4).round() / 1e4;
                write!(
                    f,
                    "{rule} at {} of {}",
                    rounded(*observed),
                    rounded(*threshold)
                )
            }
        }
    }
}
