//! Runs the calls of a log through a breaker on virtual time, and reports how it would have decided.
//!
//! # Order
//! A call asks at its start and has its outcome at its end. Both are put into one order of time: outcomes that fall on
//! the start of a call come before it, since a gateway has them before. Calls that start at the same time keep the
//! order of the log.
//!
//! # Outcomes
//! A call that the replayed breaker refuses has the outcome that the log has for it, so the report can say how many of
//! the refused had failed anyway. A call without one, such as one that the live breaker refused, is unknown; where the
//! replayed breaker admits it, its place is given back and nothing is counted.

mod enough;
mod timeline;
mod trouble;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::machine::{Grant, Machine, SettledAs, Transitions};
use fusebox_breaker::settings::Compare;
use fusebox_breaker::{
    Call as Ended, Cause, Outcome, Phase, Reason, Rule, Settings, SettingsErrors, Timestamp,
};

use enough::Enough;
pub use enough::Judging;
pub use timeline::{Bucket, Timeline};
use trouble::{Recovery, Trouble};

/// The error words of [`Call::code`], by their number.
pub const WORDS: [&str; 8] = [
    "failed",
    "connect",
    "tls",
    "timeout",
    "reset",
    "truncated",
    "protocol",
    "grpc",
];

/// One call of a log, for one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The start, in nanoseconds from any zero.
    pub start: i64,
    /// Nanoseconds from the start to the end, where the outcome is known.
    pub lasted: u64,
    /// Nanoseconds that the rules for slow calls see: to the head of the answer. [`Call::UNTIMED`]: not known.
    pub took: u64,
    /// The outcome in the log.
    pub fact: Fact,
    /// The cause of a failure: a status, or below 100 the number of a word in [`WORDS`].
    pub code: u16,
}

impl Call {
    /// The value of `took` for a call whose duration the log does not have.
    pub const UNTIMED: u64 = u64::MAX;

    fn took(&self) -> Option<Duration> {
        (self.took != Call::UNTIMED).then(|| Duration::from_nanos(self.took))
    }

    fn cause(&self) -> Cause {
        match WORDS.get(usize::from(self.code)) {
            Some(word) => Cause::Word(word),
            None => Cause::Status(self.code),
        }
    }
}

/// The outcome of a call in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The call succeeded.
    Success,
    /// The call failed.
    Failure,
    /// An outcome that the breaker's settings ignore.
    Ignored,
    /// No outcome: the client gave the call up. The breaker's settings say what that means.
    Left,
    /// No outcome: the live breaker refused the call.
    Unknown,
}

/// The extent of a [`Report`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// The time to which all times of the report relate, in nanoseconds of [`Call::start`].
    pub origin: i64,
    /// The seed of the cooldowns' jitter and of ramps.
    pub seed: u64,
    /// The span of the [`Timeline`] in nanoseconds and its buckets; `None`: no timeline, and no [`Judging`].
    pub timeline: Option<(u64, usize)>,
}

/// An opening of the breaker.
#[derive(Clone, Debug, PartialEq)]
pub struct Trip {
    /// The time, in nanoseconds from the origin.
    pub at: u64,
    /// The state before: closed, or half-open for a reopening.
    pub from: Phase,
    /// The reason of the opening.
    pub reason: Reason,
    /// The end of the cooldown, in nanoseconds from the origin.
    pub until: u64,
}

/// The decisions of a breaker over a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The openings in order, reopenings among them.
    pub trips: Vec<Trip>,
    /// The changes of state in order, in nanoseconds from the origin. Closed before the first.
    pub states: Vec<(u64, Phase)>,
    /// Number of calls admitted.
    pub calls: u64,
    /// Of these, the failed ones.
    pub failed: u64,
    /// Of these, the ones without an outcome.
    pub admitted_unknown: u64,
    /// Number of calls refused.
    pub refused: u64,
    /// Of these, the ones that failed in the log.
    pub refused_failed: u64,
    /// Of these, the ones that did not fail in the log.
    pub refused_good: u64,
    /// Calls without an outcome in the log because the live breaker refused them, and refused calls that their clients
    /// gave up.
    pub unknown: u64,
    /// For each trip from the closed state: nanoseconds from the start of the first call of the trouble to the trip.
    pub detected: Vec<u64>,
    /// For each close: nanoseconds from the first call of the calm to the close.
    pub recovered: Vec<u64>,
    /// Failures counted until the breaker first opened; `None`: it never did.
    pub opens_after: Option<u64>,
    /// Events that the breaker took for those of another clock: more than a year after the one before.
    pub far: u64,
    /// For each rule that needs a number of calls: how often it had enough. Only with a timeline.
    pub judging: Vec<Judging>,
    /// Outcomes counted while closed for which no rule had enough calls. Only with a timeline.
    pub unjudged: u64,
    /// Outcomes counted while closed. Only with a timeline.
    pub judged_of: u64,
    /// Calls over time, where asked for.
    pub timeline: Option<Timeline>,
}

impl Report {
    /// All calls of the log.
    pub fn total(&self) -> u64 {
        self.calls + self.refused
    }

    /// The mean of [`Report::detected`].
    pub fn detect(&self) -> Option<u64> {
        mean(&self.detected)
    }

    /// The mean of [`Report::recovered`].
    pub fn recover(&self) -> Option<u64> {
        mean(&self.recovered)
    }

    /// Adds the counts, openings and times of another breaker of the same settings; without its states and timeline.
    pub fn add(&mut self, other: Report) {
        self.trips.extend(other.trips);
        self.calls += other.calls;
        self.failed += other.failed;
        self.admitted_unknown += other.admitted_unknown;
        self.refused += other.refused;
        self.refused_failed += other.refused_failed;
        self.refused_good += other.refused_good;
        self.unknown += other.unknown;
        self.detected.extend(other.detected);
        self.recovered.extend(other.recovered);
    }
}

fn mean(times: &[u64]) -> Option<u64> {
    let sum: u128 = times.iter().copied().map(u128::from).sum();
    let mean = sum.checked_div(times.len() as u128)?;
    u64::try_from(mean).ok()
}

/// Sorts calls into the order in which they ask. Calls of the same start keep their order.
pub fn sort(calls: &mut [Call]) {
    // A log is in order, or nearly so.
    if !calls.is_sorted_by_key(|call| call.start) {
        calls.sort_by_key(|call| call.start);
    }
}

/// Runs [sorted](sort) calls through a fresh breaker.
///
/// # Errors
/// All faults of the settings.
pub fn rerun(
    settings: &Arc<Settings>,
    calls: &[Call],
    extent: Extent,
) -> Result<Report, SettingsErrors> {
    let machine = Machine::new(settings.clone(), extent.seed)?;
    let mut rerun = Rerun {
        machine,
        origin: extent.origin,
        slow: slow_limits(settings),
        watches_flights: settings
            .trip
            .iter()
            .any(|rule| matches!(rule, Rule::Stalled { .. })),
        flying: BinaryHeap::new(),
        deadlines: BinaryHeap::new(),
        order: 0,
        trouble: Trouble::default(),
        recovery: None,
        failures: 0,
        enough: extent.timeline.map(|_| Enough::of(settings)),
        report: Report {
            timeline: extent
                .timeline
                .map(|(span, count)| Timeline::new(span, count)),
            ..Report::default()
        },
    };
    for call in calls {
        rerun.ask(call);
    }
    rerun.settle_until(u64::MAX);
    rerun.report.far = rerun.machine.totals().far_stamps;
    if let Some(enough) = rerun.enough {
        enough.into_report(&mut rerun.report);
    }
    Ok(rerun.report)
}

/// A breaker in the middle of a log.
struct Rerun {
    machine: Machine,
    origin: i64,
    /// The durations from which a call is slow, by the rules, and their comparison.
    slow: (Vec<Duration>, Compare),
    /// True if a rule judges calls in flight, so that the head of an answer matters.
    watches_flights: bool,
    flying: BinaryHeap<Reverse<Flying>>,
    /// The deadlines of probes.
    deadlines: BinaryHeap<Reverse<u64>>,
    /// Number of calls that have flown.
    order: u64,
    trouble: Trouble,
    /// Set from a trip to the next close.
    recovery: Option<Recovery>,
    failures: u64,
    enough: Option<Enough>,
    report: Report,
}

/// A call in flight, by the time of its next event.
struct Flying {
    at: u64,
    order: u64,
    start: u64,
    /// The end, while the next event is the head of the answer.
    end: Option<u64>,
    call: Call,
    grant: Grant,
}

impl Rerun {
    /// Nanoseconds from the origin; a start before it counts as the origin.
    fn since_origin(&self, start: i64) -> u64 {
        start.saturating_sub(self.origin).try_into().unwrap_or(0)
    }

    fn ask(&mut self, call: &Call) {
        let start = self.since_origin(call.start);
        self.settle_until(start);
        let admission = self.machine.admit(Timestamp::from_nanos(start));
        self.note(&admission.transitions);
        let admitted = admission.result.is_ok();
        if let Some(timeline) = &mut self.report.timeline {
            timeline.note(start, call.fact, admitted);
        }
        if self.recovery.is_some() {
            let bad = self.bad(call);
            self.recovery
                .iter_mut()
                .for_each(|recovery| recovery.see(start, bad));
        }
        let report = &mut self.report;
        report.unknown += u64::from(call.fact == Fact::Unknown);
        match admission.result {
            Ok(grant) => {
                report.calls += 1;
                report.admitted_unknown += u64::from(call.fact == Fact::Unknown);
                self.fly(grant, *call, start);
            }
            Err(_) => {
                report.refused += 1;
                match call.fact {
                    Fact::Failure => report.refused_failed += 1,
                    Fact::Success | Fact::Ignored => report.refused_good += 1,
                    Fact::Left => report.unknown += 1,
                    Fact::Unknown => {}
                }
            }
        }
    }

    fn fly(&mut self, grant: Grant, call: Call, start: u64) {
        if let Some(deadline) = grant.deadline() {
            self.deadlines.push(Reverse(deadline.as_nanos()));
        }
        let end = start.saturating_add(call.lasted);
        let head = start.saturating_add(call.took);
        let answers_first = self.watches_flights && head < end;
        self.order += 1;
        self.flying.push(Reverse(Flying {
            at: if answers_first { head } else { end },
            order: self.order,
            start,
            end: answers_first.then_some(end),
            call,
            grant,
        }));
    }

    /// Carries out all that happens up to a time, in order.
    fn settle_until(&mut self, now: u64) {
        loop {
            let next = self.flying.peek().map(|Reverse(flying)| flying.at);
            let due = self.deadlines.peek().map(|Reverse(at)| *at);
            match (next, due) {
                (_, Some(due)) if due <= now && next.is_none_or(|next| due < next) => {
                    self.deadlines.pop();
                    let transitions = self.machine.tick(Timestamp::from_nanos(due));
                    self.note(&transitions);
                }
                (Some(next), _) if next <= now => {
                    if let Some(Reverse(flying)) = self.flying.pop() {
                        self.land(flying);
                    }
                }
                _ => return,
            }
        }
    }

    fn land(&mut self, flying: Flying) {
        if let Some(end) = flying.end {
            self.machine.answered(&flying.grant);
            let ends = Flying {
                at: end,
                end: None,
                ..flying
            };
            return self.flying.push(Reverse(ends));
        }
        let Flying {
            at,
            start,
            call,
            grant,
            ..
        } = flying;
        let now = Timestamp::from_nanos(at);
        let ended = |outcome| {
            let ended = Ended::from(outcome);
            call.took().map_or(ended, |took| ended.lasting(took))
        };
        let was_closed = self.machine.phase(now) == Phase::Closed;
        let settled = match call.fact {
            Fact::Success => self.machine.record(grant, ended(Outcome::Success), now),
            Fact::Failure => {
                let failure = ended(Outcome::Failure).because(call.cause());
                self.machine.record(grant, failure, now)
            }
            Fact::Ignored => self.machine.record(grant, Outcome::Ignored, now),
            Fact::Left => {
                let lasted = Duration::from_nanos(call.lasted);
                self.machine.abandoned(grant, lasted, now)
            }
            // Its place is free again, and nothing is known.
            Fact::Unknown => self.machine.record(grant, Outcome::Ignored, now),
        };
        let failed = settled.counted == SettledAs::Failure;
        self.report.failed += u64::from(failed || call.fact == Fact::Failure);
        let counts = matches!(settled.counted, SettledAs::Success | SettledAs::Failure);
        if counts {
            self.failures += u64::from(failed);
            if was_closed {
                self.trouble.see(start, failed || self.is_slow(&call));
                if let Some(enough) = &mut self.enough {
                    enough.see(at);
                }
            }
        }
        self.note(&settled.transitions);
    }

    /// Takes over what an event changed.
    fn note(&mut self, transitions: &Transitions) {
        for transition in transitions.iter() {
            let at = transition.at.as_nanos();
            self.report.states.push((at, transition.to));
            match transition.to {
                Phase::Open => {
                    let until = transition.retry_at.map_or(at, Timestamp::as_nanos);
                    if transition.from == Phase::Closed {
                        let begun = self.trouble.begun().or_else(|| self.oldest_in_flight());
                        let begun = begun.unwrap_or(at);
                        self.report.detected.push(at.saturating_sub(begun));
                        self.recovery = Some(Recovery::default());
                    }
                    self.report.opens_after.get_or_insert(self.failures);
                    self.report.trips.push(Trip {
                        at,
                        from: transition.from,
                        reason: transition.reason.clone(),
                        until,
                    });
                }
                Phase::Closed => {
                    if let Some(recovery) = self.recovery.take() {
                        let calm = recovery.begun().unwrap_or(at);
                        self.report.recovered.push(at.saturating_sub(calm));
                    }
                }
                Phase::HalfOpen => {}
            }
            self.trouble = Trouble::default();
            if let Some(enough) = &mut self.enough {
                enough.begin();
            }
        }
    }

    /// The start of the longest call in flight: the trouble of a trip by stalled calls.
    fn oldest_in_flight(&self) -> Option<u64> {
        self.flying.iter().map(|Reverse(flying)| flying.start).min()
    }

    /// True if the call is against the upstream; `None`: not known.
    fn bad(&self, call: &Call) -> Option<bool> {
        match call.fact {
            Fact::Failure => Some(true),
            Fact::Success => Some(self.is_slow(call)),
            Fact::Ignored | Fact::Left | Fact::Unknown => None,
        }
    }

    fn is_slow(&self, call: &Call) -> bool {
        let (limits, compare) = &self.slow;
        let Some(took) = call.took().filter(|_| !limits.is_empty()) else {
            return false;
        };
        limits.iter().any(|limit| match compare {
            Compare::AtLeast => took >= *limit,
            Compare::Above => took > *limit,
        })
    }
}

fn slow_limits(settings: &Settings) -> (Vec<Duration>, Compare) {
    let limits = settings.trip.iter().filter_map(|rule| match rule {
        Rule::SlowRate { slower_than, .. } => Some(*slower_than),
        _ => None,
    });
    (limits.collect(), settings.slow_compare)
}

impl Flying {
    fn key(&self) -> (u64, u64) {
        (self.at, self.order)
    }
}

impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Flying {}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
