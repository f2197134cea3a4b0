//! The shared breaker does what the pure machine does, event by event, over random timelines.

use std::time::Duration;

use fusebox_breaker::{
    Breaker, Call, Grant, Machine, Outcome, OwnedPermit, Rejection, Settings, Timestamp, Totals,
};
use proptest::prelude::*;

use crate::forms::guarded;
use crate::ops::{End, Op, held, ops, settings, since};

pub struct Pair {
    breaker: Breaker,
    machine: Machine,
    now: Timestamp,
    in_hand: Vec<(OwnedPermit, Grant)>,
}

impl Pair {
    pub fn new(settings: Settings) -> Self {
        let builder = Breaker::builder("pair", settings.clone()).seed(11);
        Pair {
            breaker: builder.build().unwrap(),
            machine: Machine::new(settings, 11).unwrap(),
            now: Timestamp::ZERO,
            in_hand: Vec::new(),
        }
    }

    fn take(&mut self, which: usize) -> Option<(OwnedPermit, Grant)> {
        let count = self.in_hand.len();
        (count > 0).then(|| self.in_hand.swap_remove(which % count))
    }

    pub fn play(&mut self, op: Op) -> Result<(), TestCaseError> {
        let now = self.now;
        let (breaker, machine) = (&self.breaker, &mut self.machine);
        match op {
            Op::Wait(time) => self.now = now + time,
            // Which time is the latest is known to the two at different moments; see `adversary` for what holds then.
            Op::Back(_) => {}
            Op::Guarded { asynchronous, end } => {
                let shared = guarded(breaker, asynchronous, end, now);
                prop_assert_eq!(shared.err(), self.guarded(asynchronous, end).err());
            }
            Op::Extend { which, by } => {
                if let Some((mut permit, mut grant)) = self.take(which) {
                    permit.extend(now + by);
                    self.machine.extend(&mut grant, now + by);
                    prop_assert_eq!(permit.deadline(), grant.deadline());
                    self.in_hand.push((permit, grant));
                }
            }
            Op::Admit => match (breaker.admit_owned(now), machine.admit(now).result) {
                (Ok(permit), Ok(grant)) => {
                    prop_assert_eq!(permit.generation(), grant.generation());
                    prop_assert_eq!(permit.deadline(), grant.deadline());
                    prop_assert_eq!(permit.is_probe(), grant.is_probe());
                    prop_assert_eq!(permit.would_reject(), grant.would_reject());
                    self.in_hand.push((permit, grant));
                }
                (shared, pure) => prop_assert_eq!(shared.err(), pure.err()),
            },
            Op::Answered { which } => {
                if let Some((permit, grant)) = self.take(which) {
                    permit.answered();
                    self.machine.answered(&grant);
                    self.in_hand.push((permit, grant));
                }
            }
            Op::Waits { which, ago } => {
                if let Some((mut permit, mut grant)) = self.take(which) {
                    permit.waits_since(since(ago, now));
                    self.machine.waits_since(&mut grant, since(ago, now));
                    self.in_hand.push((permit, grant));
                }
            }
            Op::Trip(trip) => {
                let shared = breaker.trip(trip.clone(), now);
                prop_assert_eq!(shared, machine.trip(trip, now).into_last());
            }
            Op::Record { which, call } => {
                if let Some((permit, grant)) = self.take(which) {
                    let pure = self.machine.record(grant, call, now);
                    prop_assert_eq!(permit.settle(call, now), pure);
                }
            }
            Op::Drop { which } => {
                if let Some((permit, grant)) = self.take(which) {
                    drop(permit);
                    self.machine.drop_grant(grant);
                }
            }
            Op::Abandon { which, lasted } => {
                if let Some((permit, grant)) = self.take(which) {
                    let pure = self.machine.abandoned(grant, lasted, now);
                    prop_assert_eq!(permit.abandoned(lasted, now), pure);
                }
            }
            Op::Forget { which } => {
                if let Some((permit, _)) = self.take(which) {
                    std::mem::forget(permit);
                }
            }
            Op::Check => prop_assert_eq!(breaker.check(now), machine.check(now).result),
            Op::Report(call) => {
                let pure = machine.report(call, now);
                prop_assert_eq!(breaker.report_settled(call, now), pure);
            }
            Op::Hold(kind, length) => {
                let hold = held(kind, length, now);
                let shared = breaker.hold(hold.clone(), now);
                prop_assert_eq!(Some(shared), machine.hold(hold, now).into_last());
            }
            Op::Release => {
                prop_assert_eq!(breaker.release(now), machine.release(now).into_last());
            }
            Op::Reset => {
                let shared = breaker.reset(now);
                prop_assert_eq!(Some(shared), machine.reset(now).into_last());
            }
            Op::Tick => prop_assert_eq!(breaker.tick(now), machine.tick(now).into_last()),
            Op::Reconfigure(settings) => {
                let foretold = breaker.would_reconfigure(*settings.clone(), now);
                let shared = breaker.reconfigure(*settings.clone(), now);
                prop_assert_eq!(&shared, &foretold);
                prop_assert_eq!(shared, machine.reconfigure(*settings, now));
            }
            Op::Restart => {
                let saved = breaker.saved(now);
                prop_assert_eq!(&saved, &machine.saved(now));
                let shared = breaker.restore(&saved, now);
                prop_assert_eq!(Some(shared), machine.restore(&saved, now).into_last());
            }
        }
        Ok(())
    }

    /// What a guard does, on the machine.
    fn guarded(&mut self, asynchronous: bool, end: End) -> Result<(), Rejection> {
        let (machine, now) = (&mut self.machine, self.now);
        let grant = machine.admit(now).result?;
        let ended = |outcome| Call::from(outcome).lasting(Duration::ZERO);
        match end {
            End::Dropped if asynchronous => machine.abandoned(grant, Duration::ZERO, now),
            End::Well | End::Dropped => machine.record(grant, ended(Outcome::Success), now),
            End::Badly => machine.record(grant, ended(Outcome::Failure), now),
            End::Panic => machine.panicked(grant, now),
        };
        Ok(())
    }

    /// Equal but for the successes that the shared form does not write down, and the refusals that it alone counts.
    pub fn look(&self) -> Result<(), TestCaseError> {
        let mut shared = self.breaker.snapshot(self.now);
        let pure = self.machine.snapshot(self.now);
        prop_assert!(shared.totals.successes <= pure.totals.successes);
        shared.totals = Totals {
            successes: pure.totals.successes,
            refused: 0,
            ..shared.totals
        };
        shared.outcomes.clone_from(&pure.outcomes);
        prop_assert_eq!(shared, pure);
        prop_assert_eq!(
            self.breaker.explain(self.now).to_string(),
            self.machine.explain(self.now).to_string()
        );
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_shared_breaker_does_what_the_pure_machine_does(
        settings in settings(), ops in ops(200), pause in 1..60usize,
    ) {
        let mut pair = Pair::new(settings);
        for (number, op) in ops.into_iter().enumerate() {
            pair.play(op)?;
            // To look is to book what was noted; seldom, so that much can wait.
            if number % pause == 0 {
                pair.look()?;
                pair.breaker.rest(pair.now);
                pair.look()?;
            }
        }
        pair.look()?;
    }
}
