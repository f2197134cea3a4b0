//! The two implementations that a scenario runs against: the pure machine and the thread-safe breaker.

use std::sync::{Arc, Mutex, PoisonError};

use fusebox_breaker::{
    Breaker, Call, Hold, HoldKind, Listener, OwnedPermit, Rejection, Settings, SettingsErrors,
    Snapshot, Timestamp, Transition,
    machine::{ForcedTrip, Grant, Machine, Transitions},
};

/// The seed of both implementations. No scenario uses jitter, so it makes no difference.
const SEED: u64 = 1;

const VALID: &str =
    "the settings were accepted before, and the mode does not affect their validity";

/// One implementation of a breaker.
pub trait Subject {
    /// The permission for one call.
    type Permit;

    fn admit(&mut self, now: Timestamp) -> Result<Self::Permit, Rejection>;
    fn record(&mut self, permit: Self::Permit, call: Call, now: Timestamp);
    fn give_back(&mut self, permit: Self::Permit);
    fn hold(&mut self, hold: Hold, now: Timestamp);
    fn release(&mut self, now: Timestamp);
    fn trip(&mut self, trip: ForcedTrip, now: Timestamp);
    fn reset(&mut self, now: Timestamp);
    fn tick(&mut self, now: Timestamp);
    fn reconfigure(&mut self, settings: Settings, now: Timestamp);
    fn generation(permit: &Self::Permit) -> u64;
    fn snapshot(&self, now: Timestamp) -> Snapshot;
    /// All transitions so far, in order.
    fn transitions(&self) -> Vec<Transition>;
}

/// The hold that represents a state that only an operator ends.
pub fn held_open() -> Hold {
    Hold {
        kind: HoldKind::Open,
        until: None,
        reason: "as the scenario says".into(),
        by: "the scenario".into(),
    }
}

/// The trip that represents a forced open state, which ends by itself.
pub fn forced() -> ForcedTrip {
    ForcedTrip {
        by: "the scenario".into(),
        reason: "as the scenario says".into(),
        cooldown: None,
    }
}

pub struct PureMachine {
    machine: Machine,
    seen: Vec<Transition>,
}

impl PureMachine {
    pub fn new(settings: Settings) -> Result<Self, SettingsErrors> {
        Ok(PureMachine {
            machine: Machine::new(settings, SEED)?,
            seen: Vec::new(),
        })
    }

    /// Has the machine do something, and notes the transitions.
    fn log(&mut self, step: impl FnOnce(&mut Machine) -> Transitions) {
        self.seen.extend(step(&mut self.machine).iter().cloned());
    }
}

impl Subject for PureMachine {
    type Permit = Grant;

    fn admit(&mut self, now: Timestamp) -> Result<Grant, Rejection> {
        let admission = self.machine.admit(now);
        self.log(|_| admission.transitions);
        admission.result
    }

    fn record(&mut self, permit: Grant, call: Call, now: Timestamp) {
        self.log(|machine| machine.record(permit, call, now).transitions);
    }

    fn give_back(&mut self, permit: Grant) {
        self.log(|machine| machine.drop_grant(permit).transitions);
    }

    fn hold(&mut self, hold: Hold, now: Timestamp) {
        self.log(|machine| machine.hold(hold, now));
    }

    fn release(&mut self, now: Timestamp) {
        self.log(|machine| machine.release(now));
    }

    fn trip(&mut self, trip: ForcedTrip, now: Timestamp) {
        self.log(|machine| machine.trip(trip, now));
    }

    fn reset(&mut self, now: Timestamp) {
        self.log(|machine| machine.reset(now));
    }

    fn tick(&mut self, now: Timestamp) {
        self.log(|machine| machine.tick(now));
    }

    fn reconfigure(&mut self, settings: Settings, now: Timestamp) {
        self.log(|machine| {
            let reconfigured = machine.reconfigure(settings, now);
            reconfigured.expect(VALID).transitions
        });
    }

    fn generation(permit: &Grant) -> u64 {
        permit.generation()
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.machine.snapshot(now)
    }

    fn transitions(&self) -> Vec<Transition> {
        self.seen.clone()
    }
}

/// The thread-safe breaker, with a listener that records its transitions.
pub struct SharedBreaker {
    breaker: Breaker,
    seen: Arc<TransitionLog>,
}

#[derive(Default)]
struct TransitionLog(Mutex<Vec<Transition>>);

impl Listener for TransitionLog {
    fn transition(&self, _: &Breaker, transition: &Transition) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(transition.clone());
    }
}

impl SharedBreaker {
    pub fn new(settings: Settings) -> Result<Self, SettingsErrors> {
        let seen = Arc::new(TransitionLog::default());
        let breaker = Breaker::builder("scenario", settings)
            .seed(SEED)
            .listener(seen.clone())
            .build()?;
        Ok(SharedBreaker { breaker, seen })
    }
}

impl Subject for SharedBreaker {
    type Permit = OwnedPermit;

    fn admit(&mut self, now: Timestamp) -> Result<OwnedPermit, Rejection> {
        self.breaker.admit_owned(now)
    }

    fn record(&mut self, permit: OwnedPermit, call: Call, now: Timestamp) {
        permit.record(call, now);
    }

    fn give_back(&mut self, permit: OwnedPermit) {
        drop(permit);
    }

    fn hold(&mut self, hold: Hold, now: Timestamp) {
        self.breaker.hold(hold, now);
    }

    fn release(&mut self, now: Timestamp) {
        self.breaker.release(now);
    }

    fn trip(&mut self, trip: ForcedTrip, now: Timestamp) {
        self.breaker.trip(trip, now);
    }

    fn reset(&mut self, now: Timestamp) {
        self.breaker.reset(now);
    }

    fn tick(&mut self, now: Timestamp) {
        self.breaker.tick(now);
    }

    fn reconfigure(&mut self, settings: Settings, now: Timestamp) {
        self.breaker.reconfigure(settings, now).expect(VALID);
    }

    fn generation(permit: &OwnedPermit) -> u64 {
        permit.generation()
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.breaker.snapshot(now)
    }

    fn transitions(&self) -> Vec<Transition> {
        let log = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
    }
}
