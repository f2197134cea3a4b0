//! Runs a timeline: carries out every step at its virtual time, and checks the expectations after it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fusebox_breaker::{
    Call, HoldKind, Mode, Outcome, Phase, Rejection, Settings, Snapshot, Timestamp, Transition,
};

use crate::mapping::Mapped;
use crate::scenario::{Check, Ending, Expect, Ignored, Scenario, StateName, Step};
use crate::subject::{Subject, forced, held_open};

/// The observations of a run, step by step.
pub type Trace = Vec<StepResult>;

/// The observation after one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResult {
    pub step: String,
    pub seen: Observation,
}

/// The state of a breaker on which both implementations must agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    answer: Option<Result<(), Rejection>>,
    phase: Phase,
    mode: Mode,
    hold: Option<HoldKind>,
    generation: u64,
    attempts: u32,
    retry_at: Option<Timestamp>,
    /// Calls and failures in the window of each rule.
    rules: Vec<(u64, u64)>,
    /// Probes in flight, successes and failures.
    probes: Option<(u32, u32, u32)>,
    /// Failures, ignored and late outcomes. The thread-safe breaker does not record a success without effect.
    totals: (u64, u64, u64),
    /// The transitions since the previous step.
    transitions: Vec<Transition>,
}

/// Runs a scenario against a new breaker at time zero.
pub fn replay<S: Subject>(
    scenario: &Scenario,
    mapped: &Mapped,
    subject: S,
) -> Result<Trace, String> {
    let mut replay = Replay {
        mapped,
        subject,
        now: Timestamp::ZERO,
        permits: HashMap::new(),
        settled: HashSet::new(),
        unnamed: Vec::new(),
        reported: 0,
        trace: Vec::new(),
    };
    replay.steps(&scenario.steps, "")?;
    Ok(replay.trace)
}

struct Replay<'a, S: Subject> {
    mapped: &'a Mapped,
    subject: S,
    now: Timestamp,
    permits: HashMap<&'a str, S::Permit>,
    settled: HashSet<&'a str>,
    /// Permits without an id. They are retained, since dropping them would release them.
    unnamed: Vec<S::Permit>,
    /// Number of transitions already in the trace.
    reported: usize,
    trace: Trace,
}

impl<'a, S: Subject> Replay<'a, S> {
    fn steps(&mut self, steps: &'a [Step], within: &str) -> Result<(), String> {
        for (number, step) in (1..).zip(steps) {
            let place = format!("{within}{number}");
            self.step(step, &place)
                .and_then(|()| self.expect_state(step.state()))
                .map_err(|what| match what.strip_prefix(STEP) {
                    Some(_) => what,
                    None => format!("{STEP}{place}: {what}"),
                })?;
        }
        Ok(())
    }

    fn step(&mut self, step: &'a Step, place: &str) -> Result<(), String> {
        let answer = match step {
            Step::Advance { ms, .. } => {
                self.now = self.now + Duration::from_millis(*ms);
                self.subject.tick(self.now);
                None
            }
            Step::WallClockStep { .. } => None,
            Step::Acquire {
                id,
                expect,
                retry_after_ms,
                ..
            } => {
                let permit = self.subject.admit(self.now);
                self.check_answer(&permit, *expect, *retry_after_ms)?;
                Some(permit.map(|permit| {
                    self.settled.remove(id.as_str());
                    self.unnamed.extend(self.permits.insert(id, permit));
                }))
            }
            Step::Complete {
                id,
                outcome,
                duration_ms,
                ..
            } => {
                match self.permits.remove(id.as_str()) {
                    Some(permit) => self.end(permit, *outcome, *duration_ms),
                    // A permit is consumed by its outcome, so a second outcome cannot be recorded.
                    None if self.settled.contains(id.as_str()) => {}
                    None => {
                        return Err(format!(
                            "unknown permit `{id}`; acquire it before completing it"
                        ));
                    }
                }
                self.settled.insert(id);
                None
            }
            Step::Call {
                outcome,
                duration_ms,
                expect,
                times,
                retry_after_ms,
                ..
            } => {
                for time in 1..*times {
                    let answer = self.call(*outcome, *duration_ms, *expect, *retry_after_ms);
                    let answer =
                        answer.map_err(|what| format!("call {time} of {times}: {what}"))?;
                    self.record_step(&format!("{place} call {time}"), Some(answer));
                }
                if *times == 0 {
                    None
                } else {
                    Some(self.call(*outcome, *duration_ms, *expect, *retry_after_ms)?)
                }
            }
            Step::Force { to, .. } => {
                self.force(*to);
                None
            }
            Step::Repeat { times, steps, .. } => {
                for round in 1..=*times {
                    self.steps(steps, &format!("{place} round {round}, "))?;
                }
                None
            }
            Step::Check(check) => {
                self.check(check)?;
                None
            }
        };
        self.record_step(place, answer);
        Ok(())
    }

    fn call(
        &mut self,
        ending: Ending,
        duration_ms: Option<u64>,
        expect: Option<Expect>,
        retry_after_ms: Option<u64>,
    ) -> Result<Result<(), Rejection>, String> {
        let permit = self.subject.admit(self.now);
        self.check_answer(&permit, expect, retry_after_ms)?;
        Ok(permit.map(|permit| self.end(permit, ending, duration_ms)))
    }

    fn end(&mut self, permit: S::Permit, ending: Ending, duration_ms: Option<u64>) {
        let call = match (ending, self.mapped.ignored) {
            (Ending::Success, _) | (Ending::Ignored, Ignored::CountsAsSuccess) => {
                Call::from(Outcome::Success)
            }
            (Ending::Failure, _) => Call::from(Outcome::Failure),
            (Ending::RetryAfter(after), _) => {
                Call::from(Outcome::Failure).retry_after(after + self.mapped.probe_delay)
            }
            (Ending::Ignored, Ignored::NeutralReleasePermit) => Call::from(Outcome::Ignored),
            (Ending::Cancelled, _) => return self.subject.give_back(permit),
            (Ending::None, _) => return self.unnamed.push(permit),
        };
        let call = match duration_ms {
            Some(ms) => call.lasting(Duration::from_millis(ms)),
            None => call,
        };
        self.subject.record(permit, call, self.now);
    }

    /// Compares the answer to a call with the expected one.
    fn check_answer(
        &self,
        permit: &Result<S::Permit, Rejection>,
        expect: Option<Expect>,
        retry_after_ms: Option<u64>,
    ) -> Result<(), String> {
        match (expect, permit) {
            (Some(Expect::Permit), Err(rejection)) => {
                return Err(format!("expected a permit, but {rejection}"));
            }
            (Some(Expect::Reject), Ok(_)) => {
                return Err("expected a rejection, but the call was admitted".into());
            }
            (None, _) | (Some(Expect::Permit), Ok(_)) | (Some(Expect::Reject), Err(_)) => {}
        }
        let Some(expected) = retry_after_ms else {
            return Ok(());
        };
        let reported = permit
            .as_ref()
            .err()
            .and_then(|rejection| rejection.retry_at)
            .map(|at| at.saturating_since(self.now).as_millis());
        equal("retry_after_ms", reported, Some(u128::from(expected)))
    }

    /// Forces a state. A state that is a hold or a mode of this breaker begins with a reset, since in the libraries it
    /// has its own counts.
    fn force(&mut self, to: StateName) {
        let now = self.now;
        let settings = match to {
            StateName::Disabled => Settings {
                mode: Mode::Disabled,
                ..self.mapped.settings.clone()
            },
            StateName::MetricsOnly => self.mapped.metrics_only(),
            StateName::Closed
            | StateName::Open
            | StateName::HalfOpen
            | StateName::ForcedOpen
            | StateName::Isolated => self.mapped.settings.clone(),
        };
        if self.subject.snapshot(now).mode != settings.mode {
            self.subject.reconfigure(settings, now);
        }
        match to {
            StateName::Closed | StateName::Disabled => self.subject.reset(now),
            StateName::ForcedOpen | StateName::Isolated => self.subject.hold(held_open(), now),
            StateName::HalfOpen => self.half_open(),
            StateName::MetricsOnly => {
                self.subject.reset(now);
                self.half_open();
            }
            StateName::Open => {
                self.subject.release(now);
                self.subject.trip(forced(), now);
            }
        }
    }

    /// Makes the breaker half-open, as the end of a hold does.
    fn half_open(&mut self) {
        self.subject.hold(held_open(), self.now);
        self.subject.release(self.now);
    }

    fn check(&self, check: &Check) -> Result<(), String> {
        let snapshot = self.subject.snapshot(self.now);
        let counted = Counts::of(&snapshot, self.mapped);
        let calls =
            || counted.ok_or_else(|| "no rule of this scenario counts all calls".to_owned());
        if let Some(expected) = check.buffered {
            equal("buffered", calls()?.calls, expected)?;
        }
        if let Some(most) = check.buffered_max {
            let calls = calls()?.calls;
            if calls > most {
                return Err(format!(
                    "expected buffered to be at most {most}, it is {calls}"
                ));
            }
        }
        if let Some(expected) = check.requests {
            let out = self.unsettled(snapshot.generation);
            equal("requests", calls()?.calls + out, expected)?;
        }
        if let Some(expected) = check.failures {
            equal("failures", calls()?.failures, expected)?;
        }
        if let Some(expected) = check.failure_rate {
            close_to("failure_rate", calls()?.rate(), expected)?;
        }
        if let Some(expected) = check.slow_rate {
            let slow = self
                .mapped
                .slow_seen_by
                .and_then(|rule| Counts::in_window(&snapshot, rule, self.mapped));
            let slow = slow.ok_or("no rule of this scenario counts slow calls")?;
            close_to("slow_rate", slow.rate(), expected)?;
        }
        if let Some(expected) = &check.generator_attempts {
            equal("generator_attempts", &self.attempts_at_trips(), expected)?;
        }
        Ok(())
    }

    /// Number of permits of a generation without an outcome.
    fn unsettled(&self, generation: u64) -> u64 {
        let permits = self.permits.values().chain(&self.unnamed);
        permits
            .map(|permit| u64::from(S::generation(permit) == generation))
            .sum()
    }

    /// For each trip, the number of trips before it since the last closing.
    fn attempts_at_trips(&self) -> Vec<u32> {
        let trips = self.subject.transitions().into_iter();
        trips
            .filter(|transition| transition.from != Phase::Open && transition.to == Phase::Open)
            .map(|trip| trip.attempts.saturating_sub(1))
            .collect()
    }

    fn expect_state(&self, expected: Option<StateName>) -> Result<(), String> {
        let Some(expected) = expected else {
            return Ok(());
        };
        let snapshot = self.subject.snapshot(self.now);
        let held_open = snapshot
            .hold
            .as_ref()
            .is_some_and(|hold| hold.kind == HoldKind::Open);
        let state = match (snapshot.mode, held_open, snapshot.phase) {
            (Mode::Disabled, _, _) => StateName::Disabled,
            (Mode::Monitor, _, _) => StateName::MetricsOnly,
            (_, true, _) if expected == StateName::Isolated => StateName::Isolated,
            (_, true, _) => StateName::ForcedOpen,
            (_, false, Phase::Closed) => StateName::Closed,
            (_, false, Phase::Open) => StateName::Open,
            (_, false, Phase::HalfOpen) => StateName::HalfOpen,
        };
        if state == expected {
            return Ok(());
        }
        let why = snapshot.reason.map_or_else(
            || "no event yet".to_owned(),
            |reason| format!("last event: {reason}"),
        );
        Err(format!(
            "expected the state {}, it is {} ({why})",
            expected.as_str(),
            state.as_str()
        ))
    }

    fn record_step(&mut self, place: &str, answer: Option<Result<(), Rejection>>) {
        let snapshot = self.subject.snapshot(self.now);
        let transitions = self.subject.transitions().split_off(self.reported);
        self.reported += transitions.len();
        self.trace.push(StepResult {
            step: place.to_owned(),
            seen: Observation {
                answer: answer.map(|answer| answer.map_err(without_estimate)),
                phase: snapshot.phase,
                mode: snapshot.mode,
                hold: snapshot.hold.map(|hold| hold.kind),
                generation: snapshot.generation,
                attempts: snapshot.attempts,
                retry_at: snapshot.retry_by.or(snapshot.retry_at),
                rules: snapshot
                    .rules
                    .iter()
                    .map(|rule| (rule.calls, rule.failures))
                    .collect(),
                probes: snapshot
                    .probes
                    .map(|probes| (probes.in_flight, probes.successes, probes.failures)),
                totals: (
                    snapshot.totals.failures,
                    snapshot.totals.ignored,
                    snapshot.totals.late,
                ),
                transitions,
            },
        });
    }
}

/// The prefix of an error that already names its step.
const STEP: &str = "step ";

/// Numbers of calls and failures.
#[derive(Clone, Copy)]
struct Counts {
    calls: u64,
    failures: u64,
    min_calls: u64,
}

impl Counts {
    /// The answers of the probes while half-open, otherwise the counts of the window. The window is kept while open,
    /// unless counts belong to a generation.
    fn of(snapshot: &Snapshot, mapped: &Mapped) -> Option<Counts> {
        if snapshot.mode == Mode::Monitor {
            return Counts::in_window(snapshot, mapped.calls_seen_by?, mapped);
        }
        if let Some(probes) = snapshot.probes {
            return Some(Counts {
                calls: (probes.successes + probes.failures).into(),
                failures: probes.failures.into(),
                min_calls: probes.needed.into(),
            });
        }
        if mapped.by_generation && snapshot.phase == Phase::Open {
            return Some(Counts {
                calls: 0,
                failures: 0,
                min_calls: mapped.min_calls.into(),
            });
        }
        Counts::in_window(snapshot, mapped.calls_seen_by?, mapped)
    }

    fn in_window(snapshot: &Snapshot, rule: usize, mapped: &Mapped) -> Option<Counts> {
        let rule = snapshot.rules.get(rule)?;
        Some(Counts {
            calls: rule.calls,
            failures: rule.failures,
            min_calls: mapped.min_calls.into(),
        })
    }

    /// The failure rate, or -1 while there are too few calls, as the format defines.
    fn rate(self) -> f64 {
        if self.calls == 0 || self.calls < self.min_calls {
            -1.0
        } else {
            self.failures as f64 / self.calls as f64
        }
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, expected: T) -> Result<(), String> {
    if seen == expected {
        Ok(())
    } else {
        Err(format!(
            "expected {what} to be {expected:?}, it is {seen:?}"
        ))
    }
}

fn close_to(what: &str, seen: f64, expected: f64) -> Result<(), String> {
    if (seen - expected).abs() < 1e-9 {
        Ok(())
    } else {
        Err(format!("expected {what} to be {expected}, it is {seen}"))
    }
}

/// A rejection without the part that depends on the usual duration of a success, which may differ between the
/// implementations.
fn without_estimate(mut rejection: Rejection) -> Rejection {
    rejection.retry_at = rejection.retry_by.or(rejection.retry_at);
    rejection
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::map;
    use crate::subject::PureMachine;
    use fusebox_breaker::{
        Hold,
        machine::{ForcedTrip, Grant},
    };
    use serde::Deserialize as _;
    use serde_json::json;

    /// A breaker that ignores outcomes, forced states and time.
    struct Inert(PureMachine);

    impl Subject for Inert {
        type Permit = Grant;

        fn admit(&mut self, _: Timestamp) -> Result<Grant, Rejection> {
            self.0.admit(Timestamp::ZERO)
        }
        fn record(&mut self, _: Grant, _: Call, _: Timestamp) {}
        fn give_back(&mut self, _: Grant) {}
        fn hold(&mut self, _: Hold, _: Timestamp) {}
        fn release(&mut self, _: Timestamp) {}
        fn trip(&mut self, _: ForcedTrip, _: Timestamp) {}
        fn reset(&mut self, _: Timestamp) {}
        fn tick(&mut self, _: Timestamp) {}
        fn reconfigure(&mut self, _: Settings, _: Timestamp) {}
        fn generation(permit: &Grant) -> u64 {
            permit.generation()
        }
        fn snapshot(&self, _: Timestamp) -> Snapshot {
            self.0.snapshot(Timestamp::ZERO)
        }
        fn transitions(&self) -> Vec<Transition> {
            Vec::new()
        }
    }

    #[test]
    fn a_breaker_that_does_nothing_fails_at_the_first_step_that_shows_it() {
        let steps = [
            (
                json!({ "op": "call", "outcome": "failure", "state": "open" }),
                "open",
            ),
            (
                json!({ "op": "force", "to": "isolated", "state": "isolated" }),
                "isolated",
            ),
            (
                json!({ "op": "force", "to": "disabled", "state": "disabled" }),
                "disabled",
            ),
            (
                json!({ "op": "check", "generator_attempts": [0] }),
                "generator_attempts",
            ),
        ];
        for (step, reported) in steps {
            let scenario = Scenario::deserialize(json!({
                "config": {
                    "trip": { "policy": "consecutive", "threshold": 1 },
                    "cooldown": { "kind": "fixed", "ms": 1 },
                    "half_open": { "max_calls": 1, "decide": "first_probe" },
                },
                "steps": [{ "op": "advance", "ms": 1, "state": "closed" }, step],
            }))
            .expect("a scenario");
            let mapped = map(&scenario).expect("it can be run");
            let inert = Inert(PureMachine::new(mapped.settings.clone()).expect("sound settings"));
            let failed = replay(&scenario, &mapped, inert).expect_err("nothing happens");
            assert!(
                failed.starts_with("step 2: ") && failed.contains(reported),
                "{failed}"
            );
        }
    }
}
