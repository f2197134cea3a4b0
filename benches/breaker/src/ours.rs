//! Our breaker, once with the time from a tick and once read from the system for each admission and each outcome.

use std::time::Duration;

use fusebox_breaker::{
    Breaker, Compare, Cooldown, HalfOpen, Outcome, Over, Ratio, Rule as TripRule, Settings,
};

use crate::clock::{Clock, System, Tick};
use crate::{Case, Id, Operation, Rule, Run, run, trip};

const HOUR: Duration = Duration::from_secs(3600);

pub fn cases(rule: Rule, operation: Operation, tick: &Tick) -> Vec<Case> {
    let id = |who| Id {
        rule,
        operation,
        who,
    };
    let tick = tick.clone();
    vec![
        Case {
            id: id("fusebox, tick"),
            make: Box::new(move || make(rule, operation, tick.clone())),
        },
        Case {
            id: id("fusebox, Instant"),
            make: Box::new(move || make(rule, operation, System::new())),
        },
    ]
}

fn make(rule: Rule, operation: Operation, clock: impl Clock) -> Run {
    let breaker = Breaker::new("bench", settings(rule, operation)).expect("the settings are sound");
    let op = {
        let (breaker, clock) = (breaker.clone(), clock.clone());
        move |succeeds| ask_and_tell(&breaker, &clock, succeeds)
    };
    match operation {
        Operation::Success | Operation::Failure => run(operation, op),
        Operation::RefusedOpen => {
            trip(&op);
            run(operation, op)
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
fn ask_and_tell(breaker: &Breaker, clock: &impl Clock, succeeds: bool) -> bool {
    match breaker.admit(clock.now()) {
        Ok(permit) => {
            let outcome = if succeeds {
                Outcome::Success
            } else {
                Outcome::Failure
            };
            permit.record(outcome, clock.now());
            true
        }
        Err(_) => false,
    }
}

fn settings(rule: Rule, operation: Operation) -> Settings {
    Settings {
        trip: vec![match rule {
            Rule::Contiguous => TripRule::ConsecutiveFailures {
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
