//! Our breaker, once with the time from a tick and once read from the system for each admission and each outcome.

use std::time::Duration;

use fusebox_breaker::{
    Breaker, Cooldown, HalfOpen, Outcome, Over, Permit, Ramp, Ratio, Rule as TripRule, Settings,
    Timestamp, settings::Compare,
};

use crate::clock::{Clock, System, Tick};
use crate::{Case, Id, Operation, Rule, Run, refusals, run, successes, trip};

const HOUR: Duration = Duration::from_secs(3600);

pub fn cases(rule: Rule, operation: Operation, tick: &Tick) -> Vec<Case> {
    if rule == Rule::Own {
        return match operation {
            Operation::Success => own(tick),
            _ => Vec::new(),
        };
    }
    let id = |who| Id {
        rule,
        operation,
        who,
    };
    let (tick, other) = (tick.clone(), tick.clone());
    let mut cases = vec![
        Case {
            id: id("fusebox, tick"),
            make: Box::new(move || make::<Records>(rule, operation, tick.clone())),
        },
        Case {
            id: id("fusebox, Instant"),
            make: Box::new(move || make::<Records>(rule, operation, System::new())),
        },
    ];
    if matches!(operation, Operation::Success | Operation::Failure) {
        cases.insert(
            1,
            Case {
                id: id("fusebox, tick, conclude"),
                make: Box::new(move || make::<Concludes>(rule, operation, other.clone())),
            },
        );
    }
    cases
}

/// The last of the two steps.
trait Tell: 'static {
    fn tell(permit: Permit<'_>, outcome: Outcome, now: Timestamp);
}

/// By the method that returns a transition.
struct Records;

/// By the one that returns nothing.
struct Concludes;

impl Tell for Records {
    #[inline(always)]
    fn tell(permit: Permit<'_>, outcome: Outcome, now: Timestamp) {
        permit.record(outcome, now);
    }
}

impl Tell for Concludes {
    #[inline(always)]
    fn tell(permit: Permit<'_>, outcome: Outcome, now: Timestamp) {
        permit.conclude(outcome, now);
    }
}

fn make<T: Tell>(rule: Rule, operation: Operation, clock: impl Clock) -> Run {
    let breaker = breaker(rule, operation);
    let op = {
        let (breaker, clock) = (breaker.clone(), clock.clone());
        move |succeeds| ask_and_tell::<T>(&breaker, &clock, succeeds)
    };
    match operation {
        // As a program would: where the outcome is told, it is known.
        Operation::Success => Box::new(move |times| {
            successes(times, || ask_and_tell::<T>(&breaker, &clock, true));
        }),
        Operation::Failure => run(operation, op),
        Operation::RefusedOpen => {
            trip(&op);
            Box::new(move |times| refusals(times, || ask_and_tell::<T>(&breaker, &clock, true)))
        }
        Operation::RefusedHalfOpen => {
            trip(&op);
            clock.pass(Duration::from_millis(20));
            let probe = breaker
                .admit_owned(clock.now())
                .expect("the cooldown is over");
            run(operation, move |succeeds| {
                // The probe stays in flight for as long as there are refusals.
                let _held = &probe;
                op(succeeds)
            })
        }
    }
}

#[inline(always)]
fn ask_and_tell<T: Tell>(breaker: &Breaker, clock: &impl Clock, succeeds: bool) -> bool {
    match breaker.admit(clock.now()) {
        Ok(permit) => {
            let outcome = if succeeds {
                Outcome::Success
            } else {
                Outcome::Failure
            };
            T::tell(permit, outcome, clock.now());
            true
        }
        Err(_) => false,
    }
}

/// A ramp so long that all shares but the first are far away.
const RAMP: Ramp = Ramp {
    over: Duration::from_secs(1_000_000_000),
    from: Ratio::percent(99),
};

/// Successes by the rules and ways that no peer has.
fn own(tick: &Tick) -> Vec<Case> {
    let case = |who, make: fn(Tick) -> Run| {
        let tick = tick.clone();
        Case {
            id: Id {
                rule: Rule::Own,
                operation: Operation::Success,
                who,
            },
            make: Box::new(move || make(tick.clone())),
        }
    };
    vec![
        case("a permit that owns its breaker", |tick| {
            let breaker = breaker(Rule::Contiguous, Operation::Success);
            run(Operation::Success, move |_| {
                let permit = breaker.admit_owned(tick.now()).expect("it is closed");
                permit.record(Outcome::Success, tick.now());
                true
            })
        }),
        case("slow calls of 100", |tick| {
            by(tick, slow(Over::Calls(100)), None)
        }),
        case("slow calls in 10 s", |tick| {
            by(tick, slow(Over::Time(Duration::from_secs(10))), None)
        }),
        case("stalled calls", |tick| {
            let rule = TripRule::Stalled {
                calls: 1_000,
                longer_than: Duration::from_secs(5),
            };
            by(tick, rule, None)
        }),
        case("adaptive, of 5", |tick| {
            by(tick, TripRule::Adaptive { memory: 5 }, None)
        }),
        case("in a ramp, failures in a row", |tick| {
            let rule = settings(Rule::Contiguous, Operation::Success).trip[0];
            by(tick, rule, Some(RAMP))
        }),
    ]
}

fn slow(over: Over) -> TripRule {
    TripRule::SlowRate {
        rate: Ratio::ONE,
        slower_than: Duration::from_secs(2),
        over,
        min_calls: 100,
    }
}

/// Asks and tells by that rule; what a ramp refuses is told nothing.
fn by(tick: Tick, rule: TripRule, ramp: Option<Ramp>) -> Run {
    let settings = Settings {
        trip: vec![rule],
        ramp,
        ..Settings::default()
    };
    let breaker = Breaker::new("bench", settings).expect("the settings are sound");
    breaker.begin_ramp(tick.now());
    run(Operation::Success, move |succeeds| {
        ask_and_tell::<Records>(&breaker, &tick, succeeds);
        true
    })
}

fn breaker(rule: Rule, operation: Operation) -> Breaker {
    Breaker::new("bench", settings(rule, operation)).expect("the settings are sound")
}

pub(crate) fn settings(rule: Rule, operation: Operation) -> Settings {
    Settings {
        trip: vec![match rule {
            Rule::Contiguous | Rule::Own => TripRule::ConsecutiveFailures {
                threshold: 1_000,
                within: None,
            },
            Rule::Calls => TripRule::FailureRate {
                rate: Ratio::ONE,
                over: Over::Calls(100),
                min_calls: 100,
            },
            Rule::Time => TripRule::FailureRate {
                rate: Ratio::ONE,
                over: Over::Time(Duration::from_secs(10)),
                min_calls: 100,
            },
        }],
        compare: Compare::AtLeast,
        cooldown: Cooldown::fixed(match operation {
            Operation::RefusedHalfOpen => Duration::from_millis(5),
            Operation::Success | Operation::Failure | Operation::RefusedOpen => HOUR,
        }),
        half_open: HalfOpen {
            probe_timeout: HOUR,
            ..HalfOpen::default()
        },
        ..Settings::default()
    }
}
