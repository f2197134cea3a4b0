//! Short words for the tests: times in milliseconds, a breaker by its settings, calls that end at once.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox_breaker::{
    Breaker, CloseRule, Cooldown, HalfOpen, Hold, HoldKind, Listener, Outcome, OwnedPermit, Phase,
    Probes, Rejection, Rule, Settings, Timestamp, Transition,
};

pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Trips at `threshold` failures in a row, open for exactly a second, one probe of at most 500 ms.
pub fn in_a_row(threshold: u32) -> Settings {
    Settings {
        trip: vec![Rule::ConsecutiveFailures {
            threshold,
            within: None,
        }],
        cooldown: Cooldown::fixed(ms(1_000)),
        half_open: HalfOpen {
            probe_timeout: ms(500),
            ..HalfOpen::default()
        },
        ..Settings::default()
    }
}

pub fn by_rule(rule: Rule) -> Settings {
    Settings {
        trip: vec![rule],
        ..in_a_row(1)
    }
}

/// Trips at the first failure, then sends so many probes at once and wants so many successes.
pub fn probing(probes: u32, successes: u32) -> Settings {
    let mut settings = in_a_row(1);
    settings.half_open.probes = limited(probes);
    settings.half_open.close = CloseRule::Successes(successes);
    settings
}

pub fn limited(probes: u32) -> Probes {
    Probes::Limited(NonZeroU32::new(probes).unwrap())
}

pub fn breaker(settings: Settings) -> Breaker {
    Breaker::builder("orders", settings)
        .seed(7)
        .build()
        .unwrap()
}

/// One failure at `millis` on a breaker that trips at the first.
pub fn tripped(settings: Settings, millis: u64) -> Breaker {
    let breaker = breaker(settings);
    let transition = fail(&breaker, millis).expect("trips at the first failure");
    assert_eq!(transition.to, Phase::Open);
    breaker
}

pub fn call(breaker: &Breaker, outcome: Outcome, millis: u64) -> Option<Transition> {
    let permit = breaker.admit(at(millis)).expect("passes");
    permit.record(outcome, at(millis))
}

pub fn fail(breaker: &Breaker, millis: u64) -> Option<Transition> {
    call(breaker, Outcome::Failure, millis)
}

pub fn succeed(breaker: &Breaker, millis: u64) -> Option<Transition> {
    call(breaker, Outcome::Success, millis)
}

pub fn admit(breaker: &Breaker, millis: u64) -> OwnedPermit {
    breaker.admit_owned(at(millis)).expect("passes")
}

pub fn refused(breaker: &Breaker, millis: u64) -> Rejection {
    breaker.admit(at(millis)).expect_err("is refused")
}

pub fn phase(breaker: &Breaker, millis: u64) -> Phase {
    breaker.snapshot(at(millis)).phase
}

pub fn hold(kind: HoldKind, until: Option<u64>) -> Hold {
    Hold {
        kind,
        until: until.map(at),
        reason: "maintenance".into(),
        by: "ann".into(),
    }
}

pub fn changes(transition: &Transition) -> (Phase, Phase, &'static str) {
    (transition.from, transition.to, transition.reason.token())
}

/// Writes down all that it hears.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Transition>>);

impl Recorder {
    pub fn heard(&self) -> Vec<Transition> {
        self.0.lock().unwrap().clone()
    }
}

impl Listener for Recorder {
    fn transition(&self, _: &Breaker, transition: &Transition) {
        self.0.lock().unwrap().push(transition.clone());
    }
}

pub fn recorded(settings: Settings) -> (Breaker, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let builder = Breaker::builder("orders", settings).listener(recorder.clone());
    (builder.seed(7).build().unwrap(), recorder)
}
