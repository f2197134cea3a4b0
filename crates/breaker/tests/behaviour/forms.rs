//! The two forms of a breaker, asked in the same words: the pure machine, and the breaker that threads share.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use fusebox_breaker::{
    Breaker, Call, Clock, Guard, Hold, Listener, Outcome, OwnedPermit, Rejection, Saved, Settings,
    Snapshot, Timestamp, Transition,
    machine::{ForcedTrip, Grant, Machine, SettledAs, Transitions},
};

use crate::ops::End;

pub trait Form: Sized {
    type Permit;

    fn new(settings: Settings, seed: u64) -> Self;
    fn admit(&mut self, now: Timestamp) -> Result<Self::Permit, Rejection>;
    fn settle(&mut self, permit: Self::Permit, call: Call, now: Timestamp) -> SettledAs;
    fn give_back(&mut self, permit: Self::Permit);
    fn abandon(&mut self, permit: Self::Permit, lasted: Duration, now: Timestamp) -> SettledAs;
    fn answered(&mut self, permit: &Self::Permit);
    fn waits_since(&mut self, permit: &mut Self::Permit, start: Timestamp);
    fn extend(&mut self, permit: &mut Self::Permit, deadline: Timestamp);
    fn guarded(&mut self, asynchronous: bool, end: End, now: Timestamp) -> Result<(), Rejection>;
    fn check(&mut self, now: Timestamp) -> Result<(), Rejection>;
    fn report(&mut self, call: Call, now: Timestamp) -> SettledAs;
    fn trip(&mut self, trip: ForcedTrip, now: Timestamp);
    fn hold(&mut self, hold: Hold, now: Timestamp);
    fn release(&mut self, now: Timestamp);
    fn reset(&mut self, now: Timestamp);
    fn tick(&mut self, now: Timestamp);
    fn reconfigure(&mut self, settings: Settings, now: Timestamp);
    fn saved(&self, now: Timestamp) -> Saved;
    fn restore(&mut self, saved: &Saved, now: Timestamp);
    fn snapshot(&self, now: Timestamp) -> Snapshot;
    fn settings(&self) -> Arc<Settings>;
    /// What has happened since this was last asked, in order.
    fn happened(&mut self) -> Vec<Transition>;

    fn generation(permit: &Self::Permit) -> u64;
    fn deadline(permit: &Self::Permit) -> Option<Timestamp>;
    fn would_reject(permit: &Self::Permit) -> bool;
}

pub struct Pure {
    machine: Machine,
    happened: Vec<Transition>,
}

impl Pure {
    fn note<T>(&mut self, (answer, transitions): (T, Transitions)) -> T {
        self.happened.extend(transitions.iter().cloned());
        answer
    }
}

impl Form for Pure {
    type Permit = Grant;

    fn new(settings: Settings, seed: u64) -> Self {
        Pure {
            machine: Machine::new(settings, seed).unwrap(),
            happened: Vec::new(),
        }
    }

    fn admit(&mut self, now: Timestamp) -> Result<Grant, Rejection> {
        let admission = self.machine.admit(now);
        self.note((admission.result, admission.transitions))
    }

    fn settle(&mut self, permit: Grant, call: Call, now: Timestamp) -> SettledAs {
        let settled = self.machine.record(permit, call, now);
        self.note((settled.counted, settled.transitions))
    }

    fn give_back(&mut self, permit: Grant) {
        let settled = self.machine.drop_grant(permit);
        self.note(((), settled.transitions));
    }

    fn abandon(&mut self, permit: Grant, lasted: Duration, now: Timestamp) -> SettledAs {
        let settled = self.machine.abandoned(permit, lasted, now);
        self.note((settled.counted, settled.transitions))
    }

    fn answered(&mut self, permit: &Grant) {
        self.machine.answered(permit);
    }

    fn waits_since(&mut self, permit: &mut Grant, start: Timestamp) {
        self.machine.waits_since(permit, start);
    }

    fn extend(&mut self, permit: &mut Grant, deadline: Timestamp) {
        self.machine.extend(permit, deadline);
    }

    fn guarded(&mut self, asynchronous: bool, end: End, now: Timestamp) -> Result<(), Rejection> {
        let permit = self.admit(now)?;
        let at_once = |outcome| Call::from(outcome).lasting(std::time::Duration::ZERO);
        match end {
            End::Dropped if asynchronous => {
                let settled = self.machine.abandoned(permit, Duration::ZERO, now);
                self.note(((), settled.transitions));
            }
            End::Well | End::Dropped => {
                self.settle(permit, at_once(Outcome::Success), now);
            }
            End::Badly => {
                self.settle(permit, at_once(Outcome::Failure), now);
            }
            End::Panic => {
                let settled = self.machine.panicked(permit, now);
                self.note(((), settled.transitions));
            }
        }
        Ok(())
    }

    fn check(&mut self, now: Timestamp) -> Result<(), Rejection> {
        let checked = self.machine.check(now);
        self.note((checked.result, checked.transitions))
    }

    fn report(&mut self, call: Call, now: Timestamp) -> SettledAs {
        let settled = self.machine.report(call, now);
        self.note((settled.counted, settled.transitions))
    }

    fn trip(&mut self, trip: ForcedTrip, now: Timestamp) {
        let transitions = self.machine.trip(trip, now);
        self.note(((), transitions));
    }

    fn hold(&mut self, hold: Hold, now: Timestamp) {
        let transitions = self.machine.hold(hold, now);
        self.note(((), transitions));
    }

    fn release(&mut self, now: Timestamp) {
        let transitions = self.machine.release(now);
        self.note(((), transitions));
    }

    fn reset(&mut self, now: Timestamp) {
        let transitions = self.machine.reset(now);
        self.note(((), transitions));
    }

    fn tick(&mut self, now: Timestamp) {
        let transitions = self.machine.tick(now);
        self.note(((), transitions));
    }

    fn reconfigure(&mut self, settings: Settings, now: Timestamp) {
        let reconfigured = self.machine.reconfigure(settings, now).unwrap();
        self.note(((), reconfigured.transitions));
    }

    fn saved(&self, now: Timestamp) -> Saved {
        self.machine.saved(now)
    }

    fn restore(&mut self, saved: &Saved, now: Timestamp) {
        let transitions = self.machine.restore(saved, now);
        self.note(((), transitions));
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.machine.snapshot(now)
    }

    fn settings(&self) -> Arc<Settings> {
        self.machine.settings().clone()
    }

    fn happened(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.happened)
    }

    fn generation(permit: &Grant) -> u64 {
        permit.generation()
    }

    fn deadline(permit: &Grant) -> Option<Timestamp> {
        permit.deadline()
    }

    fn would_reject(permit: &Grant) -> bool {
        permit.would_reject().is_some()
    }
}

/// The shared breaker, with a listener that now and then looks at it from within and throws.
pub struct Shared {
    breaker: Breaker,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard(Mutex<Vec<Transition>>);

impl Listener for Heard {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.0.lock().unwrap().push(transition.clone());
        // Not at each: unwinding costs more than all else here.
        if transition.generation % 4 == 1 {
            let _ = breaker.snapshot(transition.at);
            let _ = breaker.saved(transition.at);
            throw();
        }
    }
}

/// A panic that no hook prints: there are many.
pub fn throw() -> ! {
    resume_unwind(Box::new("thrown by the adversary"))
}

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A call through a guard that ends in that way.
pub fn guarded(
    breaker: &Breaker,
    asynchronous: bool,
    end: End,
    now: Timestamp,
) -> Result<(), Rejection> {
    let guard = Guard::of(breaker.clone()).clock(At(now));
    let work = move || match end {
        End::Well | End::Dropped => Ok(()),
        End::Badly => Err(()),
        End::Panic => throw(),
    };
    let called = if asynchronous {
        let mut context = Context::from_waker(Waker::noop());
        let call = guard.call_async(|| async move {
            if matches!(end, End::Dropped) {
                std::future::pending::<()>().await;
            }
            work()
        });
        let mut call = Box::pin(call);
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context))) {
            Ok(std::task::Poll::Ready(result)) => Some(result),
            Ok(std::task::Poll::Pending) | Err(_) => None,
        }
    } else {
        catch_unwind(AssertUnwindSafe(|| guard.call(work))).ok()
    };
    match called {
        Some(Err(fusebox_breaker::CallError::Rejected(refused))) => Err(refused.rejection()),
        _ => Ok(()),
    }
}

impl Form for Shared {
    type Permit = OwnedPermit;

    fn new(settings: Settings, seed: u64) -> Self {
        let heard = Arc::new(Heard::default());
        let builder = Breaker::builder("form", settings).listener(heard.clone());
        Shared {
            breaker: builder.seed(seed).build().unwrap(),
            heard,
        }
    }

    fn admit(&mut self, now: Timestamp) -> Result<OwnedPermit, Rejection> {
        self.breaker.admit_owned(now)
    }

    fn settle(&mut self, permit: OwnedPermit, call: Call, now: Timestamp) -> SettledAs {
        permit.settle(call, now).counted
    }

    fn give_back(&mut self, permit: OwnedPermit) {
        drop(permit);
    }

    fn abandon(&mut self, permit: OwnedPermit, lasted: Duration, now: Timestamp) -> SettledAs {
        permit.abandoned(lasted, now).counted
    }

    fn answered(&mut self, permit: &OwnedPermit) {
        permit.answered();
    }

    fn waits_since(&mut self, permit: &mut OwnedPermit, start: Timestamp) {
        permit.waits_since(start);
    }

    fn extend(&mut self, permit: &mut OwnedPermit, deadline: Timestamp) {
        permit.extend(deadline);
    }

    fn guarded(&mut self, asynchronous: bool, end: End, now: Timestamp) -> Result<(), Rejection> {
        guarded(&self.breaker, asynchronous, end, now)
    }

    fn check(&mut self, now: Timestamp) -> Result<(), Rejection> {
        self.breaker.check(now)
    }

    fn report(&mut self, call: Call, now: Timestamp) -> SettledAs {
        self.breaker.report_settled(call, now).counted
    }

    fn trip(&mut self, trip: ForcedTrip, now: Timestamp) {
        self.breaker.trip(trip, now);
    }

    fn hold(&mut self, hold: Hold, now: Timestamp) {
        self.breaker.hold(hold, now);
    }

    fn release(&mut self, now: Timestamp) {
        self.breaker.release(now);
    }

    fn reset(&mut self, now: Timestamp) {
        self.breaker.reset(now);
    }

    fn tick(&mut self, now: Timestamp) {
        self.breaker.tick(now);
    }

    fn reconfigure(&mut self, settings: Settings, now: Timestamp) {
        self.breaker.reconfigure(settings, now).unwrap();
    }

    fn saved(&self, now: Timestamp) -> Saved {
        self.breaker.saved(now)
    }

    fn restore(&mut self, saved: &Saved, now: Timestamp) {
        self.breaker.restore(saved, now);
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.breaker.snapshot(now)
    }

    fn settings(&self) -> Arc<Settings> {
        self.breaker.settings()
    }

    fn happened(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.heard.0.lock().unwrap())
    }

    fn generation(permit: &OwnedPermit) -> u64 {
        permit.generation()
    }

    fn deadline(permit: &OwnedPermit) -> Option<Timestamp> {
        permit.deadline()
    }

    fn would_reject(permit: &OwnedPermit) -> bool {
        permit.would_reject().is_some()
    }
}
