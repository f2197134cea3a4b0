//! Whatever callers, operators and time do, the invariants hold and the breaker can always come back.

use fusebox_breaker::{
    Grant, HoldKind, Machine, Mode, Outcome, Phase, Probes, RejectReason, Settings, SettledAs,
    Timestamp, Transitions,
};
use proptest::prelude::*;

use crate::ops::{Op, held, ops, settings};

pub struct Adversary {
    machine: Machine,
    now: Timestamp,
    in_hand: Vec<Grant>,
    /// Deadlines of the probes of the current generation that have not been told of.
    in_flight: Vec<Timestamp>,
    generation: u64,
    counted: u64,
}

impl Adversary {
    pub fn new(settings: Settings) -> Self {
        Adversary {
            machine: Machine::new(settings, 3).unwrap(),
            now: Timestamp::ZERO,
            in_hand: Vec::new(),
            in_flight: Vec::new(),
            generation: 0,
            counted: 0,
        }
    }

    pub fn play(&mut self, op: Op) -> Result<(), TestCaseError> {
        let now = self.now;
        let before = self.machine.snapshot(now);
        match op {
            Op::Wait(time) => self.now = now + time,
            Op::Admit => {
                let admission = self.machine.admit(now);
                self.went_through(&admission.transitions)?;
                match admission.result {
                    Ok(grant) => {
                        let enforced = before.mode == Mode::Enforce && before.hold.is_none();
                        prop_assert!(
                            !enforced || before.phase != Phase::Open,
                            "passed before the cooldown's end"
                        );
                        let held_open = before.hold.is_some_and(|hold| hold.kind == HoldKind::Open);
                        prop_assert!(!held_open || before.mode != Mode::Enforce, "passed a hold");
                        self.probe_sent(&grant)?;
                        self.in_hand.push(grant);
                    }
                    Err(rejection) => {
                        prop_assert_eq!(before.mode, Mode::Enforce);
                        prop_assert!(rejection.retry_at.is_none_or(|at| at > now));
                        if rejection.reason != RejectReason::HeldOpen {
                            prop_assert!(rejection.retry_at.is_some());
                        }
                    }
                }
            }
            Op::Answered { which } => {
                if let Some(grant) = self.take(which) {
                    self.machine.answered(&grant);
                    self.in_hand.push(grant);
                }
            }
            Op::Trip(trip) => {
                let transitions = self.machine.trip(trip, now);
                self.went_through(&transitions)?;
            }
            Op::Record { which, call } => {
                if let Some(grant) = self.take(which) {
                    let (deadline, generation) = (grant.deadline(), grant.generation());
                    let settled = self.machine.record(grant, call, now);
                    self.settled(settled.counted, deadline);
                    if generation != before.generation && settled.counted == SettledAs::Late {
                        prop_assert!(settled.transitions.iter().all(by_time_alone));
                    }
                    self.went_through(&settled.transitions)?;
                }
            }
            Op::Drop { which } => {
                if let Some(grant) = self.take(which) {
                    let deadline = grant.deadline();
                    let settled = self.machine.drop_grant(grant);
                    self.settled(settled.counted, deadline);
                    self.went_through(&settled.transitions)?;
                }
            }
            Op::Forget { which } => drop(self.take(which)),
            Op::Check => {
                let checked = self.machine.check(now);
                self.went_through(&checked.transitions)?;
            }
            Op::Report(call) => {
                let settled = self.machine.report(call, now);
                self.settled(settled.counted, None);
                self.went_through(&settled.transitions)?;
            }
            Op::Hold(kind, length) => {
                let transitions = self.machine.hold(held(kind, length, now), now);
                self.went_through(&transitions)?;
            }
            Op::Release => {
                let transitions = self.machine.release(now);
                self.went_through(&transitions)?;
            }
            Op::Reset => {
                let transitions = self.machine.reset(now);
                self.went_through(&transitions)?;
                prop_assert_eq!(self.machine.phase(now), Phase::Closed);
            }
            Op::Tick => {
                let transitions = self.machine.tick(now);
                self.went_through(&transitions)?;
            }
            Op::Reconfigure(settings) => {
                let reconfigured = self.machine.reconfigure(*settings, now).unwrap();
                self.went_through(&reconfigured.transitions)?;
            }
            Op::Restart => {
                let saved = self.machine.saved(now);
                let transitions = self.machine.restore(&saved, now);
                prop_assert!(self.machine.generation() > saved.generation);
                self.generation = self.machine.generation() - 1;
                self.went_through(&transitions)?;
            }
        }
        let totals = self.machine.totals();
        let sum = totals.successes + totals.failures + totals.ignored + totals.late;
        prop_assert_eq!(sum, self.counted, "every outcome counted exactly once");
        Ok(())
    }

    fn take(&mut self, which: usize) -> Option<Grant> {
        let count = self.in_hand.len();
        (count > 0).then(|| self.in_hand.swap_remove(which % count))
    }

    fn probe_sent(&mut self, grant: &Grant) -> Result<(), TestCaseError> {
        if let Some(deadline) = grant.deadline() {
            let now = self.now;
            self.in_flight.retain(|deadline| *deadline > now);
            self.in_flight.push(deadline);
            if let Probes::Limited(limit) = self.machine.settings().half_open.probes {
                prop_assert!(self.in_flight.len() <= limit.get() as usize);
            }
        }
        Ok(())
    }

    fn settled(&mut self, counted: SettledAs, deadline: Option<Timestamp>) {
        self.counted += u64::from(counted != SettledAs::Untracked);
        if let Some(deadline) = deadline
            && let Some(index) = self.in_flight.iter().position(|held| *held == deadline)
            && !matches!(counted, SettledAs::Late | SettledAs::Untracked)
        {
            self.in_flight.swap_remove(index);
        }
    }

    /// Generations grow one by one, and states change only as the table allows.
    fn went_through(&mut self, transitions: &Transitions) -> Result<(), TestCaseError> {
        for transition in transitions.iter() {
            prop_assert_eq!(transition.generation, self.generation + 1);
            self.generation = transition.generation;
            let (from, to) = (transition.from, transition.to);
            let token = transition.reason.token();
            let allowed = match token {
                "consecutive_failures" | "failures" | "failure_rate" | "slow_rate" | "stalled" => {
                    (from, to) == (Phase::Closed, Phase::Open)
                }
                "retry_after" | "forced" => from != Phase::Open && to == Phase::Open,
                "probe_failed" | "probe_timeout" | "probe_slow" => {
                    (from, to) == (Phase::HalfOpen, Phase::Open)
                }
                "period_timeout" => from == Phase::HalfOpen && to != Phase::HalfOpen,
                "probe_ok" => (from, to) == (Phase::HalfOpen, Phase::Closed),
                "cooldown_ended" => (from, to) == (Phase::Open, Phase::HalfOpen),
                "held_open" | "held_closed" => from == to,
                "released" | "hold_ended" => to != Phase::Open,
                "reset" | "reconfigured" => to == Phase::Closed,
                "restored" => to != Phase::HalfOpen,
                _ => false,
            };
            prop_assert!(allowed, "{from} -> {to}: {token}");
            self.in_flight.clear();
        }
        Ok(())
    }

    /// The upstream is well again and the operator lets go: how many probes does it take to close?
    pub fn comes_back(&mut self) -> Result<(), TestCaseError> {
        let settings = Settings {
            mode: Mode::Enforce,
            ..(**self.machine.settings()).clone()
        };
        let step = settings
            .cooldown
            .longest()
            .max(settings.half_open.probe_timeout);
        self.machine.reconfigure(settings, self.now).unwrap();
        self.machine.release(self.now);
        for _ in 0..8 {
            if self.machine.phase(self.now) == Phase::Closed {
                return Ok(());
            }
            // An open period begun under older settings keeps its own end.
            let retry_at = self.machine.snapshot(self.now).retry_at;
            self.now = (self.now + step).max(retry_at.unwrap_or(self.now));
            // So many that any rule over the probes decides, all at once: a period may be short.
            for _ in 0..8 {
                if let Ok(grant) = self.machine.admit(self.now).result {
                    self.machine.record(grant, Outcome::Success, self.now);
                }
            }
        }
        Err(TestCaseError::fail(format!(
            "stuck: {:?}",
            self.machine.snapshot(self.now)
        )))
    }
}

/// Whether a transition is due to the clock and not to the event that found it.
fn by_time_alone(transition: &fusebox_breaker::Transition) -> bool {
    matches!(
        transition.reason.token(),
        "hold_ended" | "probe_timeout" | "period_timeout"
    )
}

proptest! {
    #[test]
    fn nothing_that_callers_or_operators_do_breaks_the_rules_or_leaves_it_stuck(
        settings in settings(), ops in ops(200),
    ) {
        let mut adversary = Adversary::new(settings);
        for op in ops {
            adversary.play(op)?;
        }
        adversary.comes_back()?;
    }
}
