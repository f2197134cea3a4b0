//! The shared breaker does what the pure machine does, event by event, over random timelines.

use std::time::Duration;

use fusebox_breaker::{
    Breaker, Call, Outcome, OwnedPermit, Rejection, Settings, Timestamp,
    machine::{Grant, Machine, SettledAs},
};
use proptest::prelude::*;

use crate::forms::guarded;
use crate::ops::{End, FAR, Far, Op, held, ops, settings, since};

/// A refusal without the time that hangs on the usual duration of a success: the shared form learns it from fewer of them.
fn exact(mut rejection: Rejection) -> Rejection {
    rejection.retry_at = rejection.retry_at.filter(|_| rejection.retry_by.is_none());
    rejection
}

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
                prop_assert_eq!(
                    shared.err().map(exact),
                    self.guarded(asynchronous, end).err().map(exact)
                );
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
                    prop_assert_eq!(
                        permit.would_reject().copied().map(exact),
                        grant.would_reject().copied().map(exact)
                    );
                    self.in_hand.push((permit, grant));
                }
                (shared, pure) => prop_assert_eq!(shared.err().map(exact), pure.err().map(exact)),
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
            Op::Check => prop_assert_eq!(
                breaker.check(now).map_err(exact),
                machine.check(now).result.map_err(exact)
            ),
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
            Op::Far(far) => self.stray(far)?,
        }
        Ok(())
    }

    /// An event of another clock. Where nothing looks at its stamp, the shared form may count a success.
    fn stray(&mut self, far: Far) -> Result<(), TestCaseError> {
        let stamp = self.now + FAR;
        prop_assert_eq!(
            self.breaker.tick(self.now),
            self.machine.tick(self.now).into_last()
        );
        let (shared, pure) = match far {
            Far::Admit => {
                match (
                    self.breaker.admit_owned(stamp),
                    self.machine.admit(stamp).result,
                ) {
                    (Ok(permit), Ok(grant)) => {
                        prop_assert_eq!(
                            permit.would_reject().copied().map(exact),
                            grant.would_reject().copied().map(exact)
                        );
                        self.in_hand.push((permit, grant));
                    }
                    (shared, pure) => {
                        prop_assert_eq!(shared.err().map(exact), pure.err().map(exact))
                    }
                }
                return Ok(());
            }
            Far::Check => {
                let pure = self.machine.check(stamp).result;
                prop_assert_eq!(self.breaker.check(stamp), pure);
                return Ok(());
            }
            Far::Tick => {
                prop_assert_eq!(self.breaker.tick(stamp), None);
                self.machine.tick(stamp);
                return Ok(());
            }
            Far::Report(call) => {
                let pure = self.machine.report(call, stamp);
                (self.breaker.report_settled(call, stamp), pure)
            }
            Far::Record { which, call } => match self.take(which) {
                Some((permit, grant)) => {
                    let pure = self.machine.record(grant, call, stamp);
                    (permit.settle(call, stamp), pure)
                }
                None => return Ok(()),
            },
            Far::Abandon { which } => match self.take(which) {
                Some((permit, grant)) => {
                    let pure = self.machine.abandoned(grant, FAR, stamp);
                    (permit.abandoned(FAR, stamp), pure)
                }
                None => return Ok(()),
            },
        };
        prop_assert_eq!(pure.counted, SettledAs::Untracked);
        let unseen = shared.counted == SettledAs::Success;
        prop_assert!(unseen || shared.counted == SettledAs::Untracked);
        prop_assert_eq!(shared.transitions, pure.transitions);
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

    /// Equal but for the successes that the shared form does not write down, the stamps of another clock that it does not
    /// look at, and the refusals that it alone counts.
    pub fn look(&self) -> Result<(), TestCaseError> {
        let mut shared = self.breaker.snapshot(self.now);
        let pure = self.machine.snapshot(self.now);
        if pure.retry_by.is_some() {
            prop_assert!(shared.retry_at.is_some_and(|at| Some(at) <= pure.retry_by));
            shared.retry_at = pure.retry_at;
        }
        prop_assert!(shared.totals.successes <= pure.totals.successes);
        prop_assert!(shared.totals.far_stamps <= pure.totals.far_stamps);
        shared.totals.successes = pure.totals.successes;
        shared.totals.far_stamps = pure.totals.far_stamps;
        shared.totals.refused = 0;
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
