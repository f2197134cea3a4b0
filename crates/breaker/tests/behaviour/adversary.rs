//! Whatever callers, operators and time do, the invariants hold and the breaker can always come back: on both forms.
//!
//! How soon it comes back is bounded: once no operator holds it and the other side is well, a breaker closes within two
//! waits (for a cooldown, or for a probe or a half-open period that is lost) and eight successes more than its settings
//! ask for, and then lets calls pass after a ramp's time and as many successes as an adaptive rule remembers. Where history
//! is kept, what is kept may trip it again, until it has left the windows: with time, or with one success in each wait.

use std::collections::BTreeMap;

use fusebox_breaker::{
    Call, HoldKind, Mode, Outcome, Over, Phase, Probes, Reason, RejectReason, Rule, Settings,
    Timestamp, Totals, Transition,
    machine::SettledAs,
    settings::{History, Places},
    snapshot::RuleStatus,
};
use proptest::prelude::*;

use crate::forms::{Form, Pure, Shared};
use crate::kit::ms;
use crate::ops::{End, FAR, Far, LONGEST_WINDOW, Op, held, ops, settings, since};

pub struct Adversary<F: Form> {
    form: F,
    now: Timestamp,
    /// With numbers: no two have the same.
    in_hand: Vec<(u64, F::Permit)>,
    given: u64,
    /// The deadlines of the probes of the current generation that have not been told of.
    in_flight: BTreeMap<u64, Timestamp>,
    /// The latest time that the breaker was told.
    latest: Timestamp,
    generation: u64,
    held: bool,
    /// What must have been counted at least, and what may have been counted besides.
    counted: Totals,
    /// Outcomes without an answer, each ignored, late or not tracked.
    dropped: u64,
}

/// Counts an outcome as what it was said to be.
fn count(totals: &mut Totals, counted: SettledAs) {
    match counted {
        SettledAs::Success => totals.successes += 1,
        SettledAs::Failure => totals.failures += 1,
        SettledAs::Ignored => totals.ignored += 1,
        SettledAs::Late => totals.late += 1,
        SettledAs::Untracked => {}
    }
}

impl<F: Form> Adversary<F> {
    pub fn new(settings: Settings, seed: u64) -> Self {
        Adversary {
            form: F::new(settings, seed),
            now: Timestamp::ZERO,
            in_hand: Vec::new(),
            given: 0,
            in_flight: BTreeMap::new(),
            latest: Timestamp::ZERO,
            generation: 0,
            held: false,
            counted: Totals::default(),
            dropped: 0,
        }
    }

    pub fn play(&mut self, op: Op) -> Result<(), TestCaseError> {
        let now = self.now;
        if !matches!(op, Op::Wait(_) | Op::Back(_)) {
            self.latest = self.latest.max(now);
        }
        match op {
            Op::Wait(time) => self.now = now + time,
            Op::Back(time) => {
                let back = u64::try_from(time.as_nanos()).unwrap();
                self.now = Timestamp::from_nanos(now.as_nanos().saturating_sub(back));
            }
            Op::Admit => self.admit()?,
            Op::Guarded { asynchronous, end } => self.guarded(asynchronous, end)?,
            Op::Extend { which, by } => {
                if let Some((number, mut permit)) = self.take(which) {
                    let before = F::deadline(&permit);
                    self.form.extend(&mut permit, now + by);
                    let after = F::deadline(&permit);
                    prop_assert!(after >= before, "a deadline moved earlier");
                    if let (Some(deadline), Some(after)) = (self.in_flight.get_mut(&number), after)
                    {
                        *deadline = after;
                    }
                    self.in_hand.push((number, permit));
                }
            }
            Op::Answered { which } => {
                if let Some((number, permit)) = self.take(which) {
                    self.form.answered(&permit);
                    self.in_hand.push((number, permit));
                }
            }
            Op::Waits { which, ago } => {
                if let Some((number, mut permit)) = self.take(which) {
                    self.form.waits_since(&mut permit, since(ago, now));
                    self.in_hand.push((number, permit));
                }
            }
            Op::Trip(trip) => self.form.trip(trip, now),
            Op::Record { which, call } => self.record(which, call)?,
            Op::Drop { which } => {
                if let Some((number, permit)) = self.take(which) {
                    self.form.give_back(permit);
                    self.dropped += 1;
                    self.in_flight.remove(&number);
                }
            }
            Op::Abandon { which, lasted } => {
                if let Some((number, permit)) = self.take(which) {
                    let counted = self.form.abandon(permit, lasted, now);
                    count(&mut self.counted, counted);
                    self.in_flight.remove(&number);
                }
            }
            Op::Forget { which } => {
                if let Some((_, permit)) = self.take(which) {
                    std::mem::forget(permit);
                }
            }
            Op::Check => {
                let checked = self.form.check(now);
                self.is_fair(checked.err())?;
            }
            Op::Report(call) => {
                let counted = self.form.report(call, now);
                count(&mut self.counted, counted);
            }
            Op::Hold(kind, length) => self.form.hold(held(kind, length, now), now),
            Op::Release => self.form.release(now),
            Op::Reset => {
                self.form.reset(now);
                prop_assert_eq!(self.form.snapshot(now).phase, Phase::Closed);
                self.latest = Timestamp::ZERO;
            }
            Op::Tick => self.form.tick(now),
            Op::Reconfigure(settings) => self.form.reconfigure(*settings, now),
            Op::Restart => {
                let saved = self.form.saved(now);
                self.held = saved.hold.is_some();
                self.form.restore(&saved, now);
                let generation = self.form.snapshot(now).generation;
                prop_assert!(generation > saved.generation);
                self.generation = generation - 1;
            }
            Op::Far(far) => self.stray(far)?,
        }
        self.went_through()
    }

    /// An event of another clock: nothing moves but a place that comes back.
    fn stray(&mut self, far: Far) -> Result<(), TestCaseError> {
        self.form.tick(self.now);
        self.went_through()?;
        let stamp = self.latest.max(self.now) + FAR;
        let before = self.form.snapshot(self.now);
        match far {
            Far::Admit => {
                if let Ok(permit) = self.form.admit(stamp) {
                    let shut = before.phase != Phase::Closed && before.hold.is_none();
                    prop_assert!(!shut || before.mode != Mode::Enforce, "passed");
                    prop_assert_eq!(F::deadline(&permit), None);
                    self.given += 1;
                    self.in_hand.push((self.given, permit));
                }
            }
            Far::Check => drop(self.form.check(stamp)),
            Far::Tick => self.form.tick(stamp),
            Far::Report(call) => {
                let counted = self.form.report(call, stamp);
                count(&mut self.counted, counted);
            }
            Far::Record { which, call } => {
                if let Some((number, permit)) = self.take(which) {
                    let counted = self.form.settle(permit, call, stamp);
                    count(&mut self.counted, counted);
                    self.in_flight.remove(&number);
                }
            }
            Far::Abandon { which } => {
                if let Some((number, permit)) = self.take(which) {
                    let counted = self.form.abandon(permit, FAR, stamp);
                    prop_assert_eq!(counted, SettledAs::Untracked);
                    self.in_flight.remove(&number);
                }
            }
        }
        prop_assert!(self.form.happened().is_empty(), "moved by another clock");
        let after = self.form.snapshot(self.now);
        prop_assert_eq!(after.generation, before.generation);
        prop_assert_eq!((after.phase, after.since), (before.phase, before.since));
        prop_assert_eq!(after.at, before.at, "the time has moved");
        let failures = |rules: &[RuleStatus]| rules.iter().map(|rule| rule.failures).max();
        prop_assert!(failures(&after.rules) <= failures(&before.rules));
        Ok(())
    }

    fn admit(&mut self) -> Result<(), TestCaseError> {
        let now = self.now;
        let before = self.form.snapshot(now);
        match self.form.admit(now) {
            Ok(permit) => {
                if before.mode == Mode::Enforce {
                    let held = before.hold.map(|hold| hold.kind);
                    prop_assert!(held != Some(HoldKind::Open), "passed a hold");
                    prop_assert!(
                        held.is_some() || before.phase != Phase::Open,
                        "passed before the cooldown's end"
                    );
                    prop_assert!(!F::would_reject(&permit));
                }
                self.went_through()?;
                prop_assert!(F::generation(&permit) == self.generation);
                self.given += 1;
                self.probe_sent(F::deadline(&permit))?;
                self.in_hand.push((self.given, permit));
                Ok(())
            }
            Err(rejection) => self.is_fair(Some(rejection)),
        }
    }

    /// A refusal is for those alone who are to be refused, and says when to return.
    fn is_fair(&self, rejection: Option<fusebox_breaker::Rejection>) -> Result<(), TestCaseError> {
        let Some(rejection) = rejection else {
            return Ok(());
        };
        let snapshot = self.form.snapshot(self.now);
        prop_assert_eq!(snapshot.mode, Mode::Enforce);
        prop_assert!(rejection.retry_at.is_none_or(|at| at > self.now));
        if let Some(by) = rejection.retry_by {
            prop_assert_eq!(rejection.reason, RejectReason::BreakerProbing);
            let soonest = by.min(self.now + ms(1_000));
            prop_assert!((soonest..=by).contains(&rejection.retry_at.unwrap()));
        }
        // Who is behind the time may be told what was true at its own.
        if self.now < self.latest {
            return Ok(());
        }
        if rejection.reason == RejectReason::HeldOpen {
            let kind = snapshot.hold.map(|hold| hold.kind);
            prop_assert_eq!(kind, Some(HoldKind::Open));
        } else {
            prop_assert!(snapshot.hold.is_none(), "held, and refused by itself");
            prop_assert!(rejection.retry_at.is_some());
        }
        Ok(())
    }

    /// Like an admission and a record in one; the form does both.
    fn guarded(&mut self, asynchronous: bool, end: End) -> Result<(), TestCaseError> {
        let before = self.form.snapshot(self.now);
        let open = before.phase == Phase::Open && before.hold.is_none();
        match self.form.guarded(asynchronous, end, self.now) {
            Ok(()) => {
                prop_assert!(before.mode != Mode::Enforce || !open, "called while open");
                self.dropped += 1;
            }
            Err(rejection) => self.is_fair(Some(rejection))?,
        }
        Ok(())
    }

    fn record(&mut self, which: usize, call: Call) -> Result<(), TestCaseError> {
        let Some((number, permit)) = self.take(which) else {
            return Ok(());
        };
        let generation = F::generation(&permit);
        let shadow = F::would_reject(&permit);
        let counted = self.form.settle(permit, call, self.now);
        count(&mut self.counted, counted);
        self.in_flight.remove(&number);
        if generation != self.generation && !shadow {
            let discarded = matches!(counted, SettledAs::Late | SettledAs::Untracked);
            prop_assert!(discarded, "an older generation's outcome counted");
        }
        if counted == SettledAs::Late {
            let happened = self.form.happened();
            prop_assert!(happened.iter().all(by_time_alone));
            self.all_allowed(&happened)?;
        }
        Ok(())
    }

    fn take(&mut self, which: usize) -> Option<(u64, F::Permit)> {
        let count = self.in_hand.len();
        (count > 0).then(|| self.in_hand.swap_remove(which % count))
    }

    /// Never more probes than places; those that missed their deadline have none any more.
    fn probe_sent(&mut self, deadline: Option<Timestamp>) -> Result<(), TestCaseError> {
        let Some(deadline) = deadline else {
            return Ok(());
        };
        let latest = self.latest;
        self.in_flight.retain(|_, deadline| *deadline > latest);
        self.in_flight.insert(self.given, deadline);
        let half_open = self.form.settings().half_open;
        if let Probes::Limited(limit) = half_open.probes {
            let in_flight = self.in_flight.len() as u64;
            prop_assert!(in_flight <= u64::from(limit.get()));
            let probes = self.form.snapshot(self.now).probes.unwrap();
            let answers = u64::from(probes.successes + probes.failures);
            if half_open.places == Places::Spent && in_flight > 1 {
                prop_assert!(in_flight + answers <= u64::from(limit.get()));
            }
        }
        Ok(())
    }

    /// Looks at what has happened, and at the accounts.
    fn went_through(&mut self) -> Result<(), TestCaseError> {
        let happened = self.form.happened();
        self.all_allowed(&happened)?;
        let totals = self.form.snapshot(self.now).totals;
        let (seen, told) = (totals, self.counted);
        prop_assert!(seen.failures >= told.failures);
        prop_assert!(seen.ignored >= told.ignored && seen.late >= told.late);
        let sum = |totals: Totals| totals.failures + totals.ignored + totals.late;
        // A success that changes nothing is not written down by the shared form.
        let more = (sum(seen) + seen.successes).saturating_sub(sum(told) + told.successes);
        prop_assert!(more <= self.dropped, "an outcome was counted twice");
        Ok(())
    }

    /// Generations grow one by one, and states change only as the table allows.
    fn all_allowed(&mut self, happened: &[Transition]) -> Result<(), TestCaseError> {
        for transition in happened {
            prop_assert_eq!(transition.generation, self.generation + 1);
            self.generation = transition.generation;
            prop_assert!(is_allowed(transition), "{}", transition);
            let frozen = self.held && !is_an_operators(transition);
            prop_assert!(!frozen, "moved beneath a hold: {}", transition);
            self.held = holds(transition).unwrap_or(self.held);
            self.in_flight.clear();
        }
        Ok(())
    }

    /// The upstream is well again and the operator lets go: the next calls bring it back, within the stated bound.
    pub fn comes_back(mut self) -> Result<(), TestCaseError> {
        let settings = Settings {
            mode: Mode::Enforce,
            ..(*self.form.settings()).clone()
        };
        self.now = self.now.max(self.latest);
        self.form.reconfigure(settings.clone(), self.now);
        self.form.release(self.now);
        // Calls that hang for ever may trip a rule for stalled calls once more, and probes that do hold the places.
        for _ in 0..4 + kept_calls(&settings) {
            self.probes_succeed(&settings);
            let seen = self.form.snapshot(self.now);
            if seen.phase == Phase::Closed {
                // Later than `over`, where a failure has made the share step back.
                self.now = seen.ramp.map_or(self.now, |ramp| ramp.ends);
                for _ in 0..settings.trip.iter().map(memory).max().unwrap_or(0) {
                    self.form.report(Outcome::Success.into(), self.now);
                }
                if self.form.admit(self.now).is_ok() {
                    return Ok(());
                }
            }
            self.waits();
        }
        Err(TestCaseError::fail(format!(
            "stuck: {:?}",
            self.form.snapshot(self.now)
        )))
    }

    /// Until the breaker has decided, and at most as many as its settings ask for and eight more.
    fn probes_succeed(&mut self, settings: &Settings) {
        let needed = self.form.snapshot(self.now).probes;
        for _ in 0..needed.map_or(0, |probes| probes.needed) + 8 {
            if self.form.snapshot(self.now).phase == Phase::Closed {
                return;
            }
            if let Ok(permit) = self.form.admit(self.now) {
                let call = Call::from(Outcome::Success).lasting(std::time::Duration::ZERO);
                self.form.settle(permit, call, self.now);
            } else if settings.half_open.places == Places::Freed {
                return;
            }
        }
    }

    /// For as long as the breaker says, or for all that may be lost.
    fn waits(&mut self) {
        let settings = self.form.settings();
        let (cooldown, half_open) = (settings.cooldown.longest(), settings.half_open);
        let snapshot = self.form.snapshot(self.now);
        let retry_at = snapshot.retry_by.or(snapshot.retry_at);
        self.now = retry_at.unwrap_or_else(|| self.now + cooldown.max(half_open.probe_timeout));
        if settings.history == History::Keep {
            self.now = self.now + LONGEST_WINDOW;
        }
    }
}

/// The calls that a window may keep over an open period.
fn kept_calls(settings: &Settings) -> u32 {
    let calls = settings.trip.iter().map(|rule| match rule.over() {
        Some(Over::Calls(calls)) => calls,
        _ => 0,
    });
    match settings.history {
        History::Keep => calls.max().unwrap_or(0),
        History::Clear => 0,
    }
}

fn memory(rule: &Rule) -> u32 {
    match rule {
        Rule::Adaptive { memory } => *memory,
        _ => 0,
    }
}

/// Whether a transition is due to the clock and not to the event that found it.
fn by_time_alone(transition: &Transition) -> bool {
    matches!(
        transition.reason.token(),
        "hold_ended" | "probe_timeout" | "period_timeout" | "cooldown_ended"
    )
}

/// Whether a transition may come about while an operator holds the breaker.
pub fn is_an_operators(transition: &Transition) -> bool {
    matches!(
        transition.reason.token(),
        "held_open" | "held_closed" | "released" | "hold_ended" | "reset" | "restored"
    ) || matches!(transition.reason, Reason::Reconfigured)
}

/// Whether the breaker is held after a transition; none where it is as before.
pub fn holds(transition: &Transition) -> Option<bool> {
    match transition.reason.token() {
        "held_open" | "held_closed" => Some(true),
        "released" | "hold_ended" | "reset" => Some(false),
        _ => None,
    }
}

/// Whether the table of events has it.
pub fn is_allowed(transition: &Transition) -> bool {
    let (from, to) = (transition.from, transition.to);
    match transition.reason.token() {
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
    }
}

fn withstands<F: Form>(settings: Settings, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut adversary = Adversary::<F>::new(settings, 3);
    for op in ops {
        adversary.play(op)?;
    }
    adversary.comes_back()
}

proptest! {
    #[test]
    fn nothing_that_callers_or_operators_do_breaks_the_machines_rules_or_leaves_it_stuck(
        settings in settings(), ops in ops(200),
    ) {
        withstands::<Pure>(settings, ops)?;
    }

    #[test]
    fn nothing_that_callers_or_operators_do_breaks_the_shared_breakers_rules_or_leaves_it_stuck(
        settings in settings(), ops in ops(200),
    ) {
        withstands::<Shared>(settings, ops)?;
    }
}
