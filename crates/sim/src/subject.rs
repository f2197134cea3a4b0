//! What a scenario is run against: the pure machine, and the breaker that is shared between threads.

use std::sync::{Arc, Mutex, PoisonError};

use fusebox_breaker::{
    Breaker, Call, Hold, HoldKind, Listener, OwnedPermit, Rejection, Settings, SettingsErrors,
    Snapshot, Timestamp, Transition,
    machine::{ForcedTrip, Grant, Machine, Transitions},
};

/// The seed of both forms. No scenario's cooldown has jitter, so nothing is drawn from it.
const SEED: u64 = 1;

const SOUND: &str = "a scenario's settings were taken once, and another mode makes them no worse";

/// One form of a breaker.
pub trait Subject {
    /// Leave for one call.
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
    /// Everything that happened, in order.
    fn transitions(&self) -> Vec<Transition>;
}

/// The hold that stands for a state that only an operator leaves.
pub fn held_open() -> Hold {
    Hold {
        kind: HoldKind::Open,
        until: None,
        reason: "as the scenario says".into(),
        by: "the scenario".into(),
    }
}

/// The trip that stands for a forced open state, which ends by itself.
pub fn forced() -> ForcedTrip {
    ForcedTrip {
        by: "the scenario".into(),
        reason: "as the scenario says".into(),
        cooldown: None,
    }
}

/// The machine itself.
pub struct Pure {
    machine: Machine,
    seen: Vec<Transition>,
}

impl Pure {
    pub fn new(settings: Settings) -> Result<Self, SettingsErrors> {
        Ok(Pure {
            machine: Machine::new(settings, SEED)?,
            seen: Vec::new(),
        })
    }

    fn note(&mut self, transitions: &Transitions) {
        self.seen.extend(transitions.iter().cloned());
    }
}

impl Subject for Pure {
    type Permit = Grant;

    fn admit(&mut self, now: Timestamp) -> Result<Grant, Rejection> {
        let admission = self.machine.admit(now);
        self.note(&admission.transitions);
        admission.result
    }

    fn record(&mut self, permit: Grant, call: Call, now: Timestamp) {
        let settled = self.machine.record(permit, call, now);
        self.note(&settled.transitions);
    }

    fn give_back(&mut self, permit: Grant) {
        let settled = self.machine.drop_grant(permit);
        self.note(&settled.transitions);
    }

    fn hold(&mut self, hold: Hold, now: Timestamp) {
        let transitions = self.machine.hold(hold, now);
        self.note(&transitions);
    }

    fn release(&mut self, now: Timestamp) {
        let transitions = self.machine.release(now);
        self.note(&transitions);
    }

    fn trip(&mut self, trip: ForcedTrip, now: Timestamp) {
        let transitions = self.machine.trip(trip, now);
        self.note(&transitions);
    }

    fn reset(&mut self, now: Timestamp) {
        let transitions = self.machine.reset(now);
        self.note(&transitions);
    }

    fn tick(&mut self, now: Timestamp) {
        let transitions = self.machine.tick(now);
        self.note(&transitions);
    }

    fn reconfigure(&mut self, settings: Settings, now: Timestamp) {
        let reconfigured = self.machine.reconfigure(settings, now).expect(SOUND);
        self.note(&reconfigured.transitions);
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

/// The shared breaker, with a listener that notes what it hears.
pub struct Shared {
    breaker: Breaker,
    seen: Arc<Notes>,
}

#[derive(Default)]
struct Notes(Mutex<Vec<Transition>>);

impl Listener for Notes {
    fn transition(&self, _: &Breaker, transition: &Transition) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(transition.clone());
    }
}

impl Shared {
    pub fn new(settings: Settings) -> Result<Self, SettingsErrors> {
        let seen = Arc::new(Notes::default());
        let breaker = Breaker::builder("scenario", settings)
            .seed(SEED)
            .listener(seen.clone())
            .build()?;
        Ok(Shared { breaker, seen })
    }
}

impl Subject for Shared {
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
        self.breaker.reconfigure(settings, now).expect(SOUND);
    }

    fn generation(permit: &OwnedPermit) -> u64 {
        permit.generation()
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.breaker.snapshot(now)
    }

    fn transitions(&self) -> Vec<Transition> {
        let notes = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.clone()
    }
}
