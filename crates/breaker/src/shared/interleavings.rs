//! Every interleaving of a few calls on the shared machine, against the pure machine.
//!
//! Three threads make two events each, in a model of memory that tries all orders (up to a number of preemptions). The
//! results of the threads and the machine's state at the end must be those of the pure machine in one of the orders in
//! which the six events could have come one after another.
//!
//! `LOOM_MAX_PREEMPTIONS` widens the search; 2, or 1 where events take the lock, unless it is set.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::{Cell, Core, Foldable, Lock, Memory};
use crate::machine::{Grant, Machine, Settled, SettledAs};
use crate::outcome::{Hold, HoldKind, Outcome, Phase};
use crate::ramp::Ramp;
use crate::ratio::Ratio;
use crate::settings::{CloseRule, OnProbeTimeout, Over, Probes, Rule, Settings, WindowKind};
use crate::snapshot::Totals;
use crate::time::Timestamp;
use crate::token::Token;

struct Model;

impl Memory for Model {
    type Cell = AtomicU64;
    type Lock = Mutex<Foldable>;
}

impl Cell for AtomicU64 {
    fn new(value: u64) -> Self {
        AtomicU64::new(value)
    }

    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    fn swap(&self, value: u64) -> u64 {
        self.swap(value, Ordering::AcqRel)
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

impl Lock for Mutex<Foldable> {
    fn new(foldable: Foldable) -> Self {
        Mutex::new(foldable)
    }

    fn with<R>(&self, event: impl FnOnce(&mut Foldable) -> R) -> R {
        event(&mut self.lock().unwrap())
    }
}

/// A thread's two events.
#[derive(Clone)]
enum Steps {
    /// An admission, and its outcome.
    Call {
        outcome: Outcome,
        asks: Timestamp,
        tells: Timestamp,
    },
    /// A hold and its release.
    HoldOpen,
    /// A reset, twice.
    Reset,
    /// Other settings, and the old ones again.
    Reconfigure(Box<[Settings; 2]>),
}

/// A thread's result of one event.
#[derive(Clone, Debug, PartialEq)]
enum Observed {
    Admitted { generation: u64, probe: bool },
    Refused,
    Counted(SettledAs, Option<Phase>),
    Changed(u64),
    Nothing,
}

/// The state of the machine at the end: phase, generation, attempts, totals, and the tally of each rule.
type End = (Phase, u64, u32, Totals, Vec<(u64, u64)>);

/// A form that takes events: the core, or the pure machine.
trait Stage {
    type Grant;
    fn admit(&mut self, now: Timestamp) -> Option<Self::Grant>;
    fn observed(grant: &Self::Grant) -> Observed;
    fn record(&mut self, grant: Self::Grant, outcome: Outcome, now: Timestamp) -> Observed;
    fn change<R>(&mut self, command: impl FnOnce(&mut Machine) -> R) -> Observed;
}

fn hold() -> Hold {
    Hold {
        kind: HoldKind::Open,
        until: None,
        reason: "a drill".into(),
        by: "ann".into(),
    }
}

fn counted(settled: Settled) -> Observed {
    let phase = settled.transitions.last().map(|last| last.to);
    Observed::Counted(settled.counted, phase)
}

impl Stage for Machine {
    type Grant = Grant;

    fn admit(&mut self, now: Timestamp) -> Option<Grant> {
        Machine::admit(self, now).result.ok()
    }

    fn observed(grant: &Grant) -> Observed {
        Observed::Admitted {
            generation: grant.generation,
            probe: grant.is_probe(),
        }
    }

    fn record(&mut self, grant: Grant, outcome: Outcome, now: Timestamp) -> Observed {
        counted(Machine::record(self, grant, outcome, now))
    }

    fn change<R>(&mut self, command: impl FnOnce(&mut Machine) -> R) -> Observed {
        command(self);
        Observed::Changed(self.generation())
    }
}

impl Stage for Arc<Core<Model>> {
    type Grant = Token;

    fn admit(&mut self, now: Timestamp) -> Option<Token> {
        let answer = self.first_answer(now);
        let asked = || self.with(|machine| machine.admit(now).result.map(Token::of));
        answer.unwrap_or_else(asked).ok()
    }

    fn observed(token: &Token) -> Observed {
        Observed::Admitted {
            generation: token.generation(),
            probe: token.boxed().is_some_and(Grant::is_probe),
        }
    }

    fn record(&mut self, token: Token, outcome: Outcome, now: Timestamp) -> Observed {
        if let Some(plain) = token.plain()
            && (self.ignores(plain.word, outcome)
                || self.takes_undated(plain, outcome)
                || self.takes(plain, outcome, None, now))
        {
            return Observed::Counted(outcome.into(), None);
        }
        let grant = token.into_grant().unwrap();
        counted(self.with(|machine| machine.record(grant, outcome, now)))
    }

    fn change<R>(&mut self, command: impl FnOnce(&mut Machine) -> R) -> Observed {
        self.with(|machine| machine.change(command))
    }
}

/// The first event's result, and the grant if it gave one.
fn first<S: Stage>(stage: &mut S, steps: &Steps) -> (Observed, Option<S::Grant>) {
    let observed = match steps {
        Steps::HoldOpen => stage.change(|machine| machine.hold(hold(), Timestamp::ZERO)),
        Steps::Reset => stage.change(|machine| machine.reset(Timestamp::ZERO)),
        Steps::Reconfigure(settings) => reconfigure(stage, &settings[0]),
        Steps::Call { asks, .. } => match stage.admit(*asks) {
            Some(grant) => return (S::observed(&grant), Some(grant)),
            None => Observed::Refused,
        },
    };
    (observed, None)
}

fn second<S: Stage>(stage: &mut S, steps: &Steps, grant: Option<S::Grant>) -> Observed {
    match steps {
        Steps::HoldOpen => stage.change(|machine| machine.release(Timestamp::ZERO)),
        Steps::Reset => stage.change(|machine| machine.reset(Timestamp::ZERO)),
        Steps::Reconfigure(settings) => reconfigure(stage, &settings[1]),
        Steps::Call { outcome, tells, .. } => match grant {
            Some(grant) => stage.record(grant, *outcome, *tells),
            None => Observed::Nothing,
        },
    }
}

fn reconfigure(stage: &mut impl Stage, settings: &Settings) -> Observed {
    let settings = settings.clone();
    stage.change(|machine| machine.reconfigure(settings, Timestamp::ZERO).unwrap())
}

/// Later than all that happens.
const END: Timestamp = Timestamp::from_millis(95_000);

fn end_of(machine: &Machine) -> End {
    // A success that changes nothing leaves no trace in the shared form.
    let totals = Totals {
        successes: 0,
        ..machine.totals()
    };
    let rules = machine.snapshot(END).rules;
    (
        machine.phase(END),
        machine.generation(),
        machine.attempts(),
        totals,
        rules
            .iter()
            .map(|rule| (rule.calls, rule.failures))
            .collect(),
    )
}

/// All orders of three times two events.
fn orders() -> Vec<Vec<usize>> {
    fn extend(order: &mut Vec<usize>, left: [u8; 3], all: &mut Vec<Vec<usize>>) {
        if left == [0; 3] {
            all.push(order.clone());
        }
        for thread in 0..3 {
            if left[thread] > 0 {
                let mut left = left;
                left[thread] -= 1;
                order.push(thread);
                extend(order, left, all);
                order.pop();
            }
        }
    }
    let mut all = Vec::new();
    extend(&mut Vec::new(), [2; 3], &mut all);
    all
}

/// The pure machine's results in that order.
fn in_order(
    mut machine: Machine,
    steps: &[Steps; 3],
    order: &[usize],
) -> ([[Observed; 2]; 3], End) {
    let mut observed = [const { [Observed::Nothing, Observed::Nothing] }; 3];
    let mut progress = [const { None }; 3];
    for &thread in order {
        let steps = &steps[thread];
        match progress[thread].take() {
            None => {
                let (first, begun) = first(&mut machine, steps);
                observed[thread][0] = first;
                progress[thread] = Some(begun);
            }
            Some(begun) => observed[thread][1] = second(&mut machine, steps, begun),
        }
    }
    (observed, end_of(&machine))
}

/// Tries all orders of three threads on a machine of that rule, after calls of these outcomes.
fn explore(rule: Rule, before: &[Outcome], steps: [Steps; 3]) {
    explore_all(by(rule), before, steps);
}

fn by(rule: Rule) -> Settings {
    Settings {
        trip: vec![rule],
        ..Settings::default()
    }
}

fn explore_all(settings: Settings, before: &[Outcome], steps: [Steps; 3]) {
    explore_from(begun(settings, before), steps, 2);
}

/// With fewer preemptions, for events that take the lock, so that there are many orders as it is.
fn explore_locked(settings: Settings, before: &[Outcome], steps: [Steps; 3]) {
    explore_from(begun(settings, before), steps, 1);
}

fn begun(settings: Settings, before: &[Outcome]) -> Machine {
    let mut start = Machine::new(settings, 1).unwrap();
    start.tick(Timestamp::ZERO);
    for outcome in before {
        start.report(*outcome, Timestamp::ZERO);
    }
    start
}

/// Tries all orders of three threads on a machine in that state, up to a number of preemptions.
fn explore_from(start: Machine, steps: [Steps; 3], preemptions: usize) {
    let allowed: Vec<_> = orders()
        .iter()
        .map(|order| in_order(start.clone(), &steps, order))
        .collect();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(model.preemption_bound.unwrap_or(preemptions));
    model.check(move || {
        let core = Arc::new(Core::<Model>::new(start.clone()));
        let run = |mut stage: Arc<Core<Model>>, steps: &Steps| {
            let (observed, progress) = first(&mut stage, steps);
            [observed, second(&mut stage, steps, progress)]
        };
        let [one, two, three] = steps.clone();
        let others = [two, three].map(|steps| {
            let core = core.clone();
            thread::spawn(move || run(core, &steps))
        });
        let mine = run(core.clone(), &one);
        let [two, three] = others.map(|other| other.join().unwrap());
        let end = core.with(|machine| end_of(machine));
        let seen = ([mine, two, three], end);
        assert!(allowed.contains(&seen), "in no order: {seen:?}");
    });
}

const S: Outcome = Outcome::Success;
const F: Outcome = Outcome::Failure;

fn call(outcome: Outcome) -> Steps {
    lasting(outcome, 0, 0)
}

/// A call that asks and reports at these times, in nanoseconds.
fn lasting(outcome: Outcome, asks: u64, tells: u64) -> Steps {
    Steps::Call {
        outcome,
        asks: Timestamp::from_nanos(asks),
        tells: Timestamp::from_nanos(tells),
    }
}

fn row(threshold: u32) -> Rule {
    Rule::ConsecutiveFailures {
        threshold,
        within: None,
    }
}

fn rate(over: Over) -> Rule {
    Rule::FailureRate {
        rate: Ratio::percent(60),
        over,
        min_calls: 3,
    }
}

fn two_of(over: Over) -> Rule {
    Rule::Failures {
        threshold: 2,
        over,
        full: false,
    }
}

/// 64 buckets of one nanosecond each.
const SHORT: Duration = Duration::from_nanos(64);

/// The end of the cooldown of a breaker that tripped at the start.
const COOLED: u64 = 30_000_000_000;

#[test]
fn failures_in_a_row_trip_at_exactly_the_threshold() {
    explore(row(2), &[], [call(F), call(F), call(F)]);
    explore(row(3), &[], [call(F), call(F), call(F)]);
}

#[test]
fn the_first_calls_of_all_are_judged_as_any_others() {
    // Each of them takes the lock, so there are many ways already.
    let fresh = Machine::new(by(row(2)), 1).unwrap();
    explore_from(fresh, [call(F), call(S), call(F)], 1);
}

#[test]
fn a_stamp_of_another_clock_opens_nothing_whatever_comes_beside_it() {
    let year = 366 * 24 * 3_600 * 1_000_000_000;
    let stray = lasting(F, 0, year);
    explore(row(1), &[], [stray.clone(), call(S), call(S)]);
    explore(row(2), &[F], [stray, call(S), call(F)]);
}

#[test]
fn a_success_among_failures_in_a_row_is_where_it_was() {
    explore(row(2), &[], [call(F), call(S), call(F)]);
    explore(row(3), &[F], [call(F), call(S), call(F)]);
}

#[test]
fn failures_in_a_row_within_a_time_trip_at_exactly_the_threshold() {
    let rule = Rule::ConsecutiveFailures {
        threshold: 2,
        within: Some(SHORT),
    };
    explore(rule, &[], [call(F), call(S), call(F)]);
    explore(rule, &[F], [call(S), lasting(F, 0, 64), lasting(F, 64, 65)]);
}

#[test]
fn failures_within_a_time_trip_at_exactly_the_threshold() {
    let rule = two_of(Over::Time(SHORT));
    explore(rule, &[], [call(F), call(S), call(F)]);
    explore(rule, &[F], [call(S), lasting(F, 0, 64), lasting(F, 64, 65)]);
}

#[test]
fn a_window_of_calls_is_judged_in_the_order_of_the_calls() {
    explore(rate(Over::Calls(3)), &[S], [call(F), call(F), call(S)]);
    explore_locked(
        by(rate(Over::Calls(3))),
        &[F, S],
        [call(F), call(S), call(F)],
    );
    explore(two_of(Over::Calls(3)), &[S], [call(F), call(S), call(F)]);
}

#[test]
fn a_window_that_tumbles_is_judged_in_the_order_of_the_calls() {
    for rule in [two_of(Over::Calls(2)), two_of(Over::Time(SHORT))] {
        let settings = Settings {
            window: WindowKind::Tumbling,
            ..by(rule)
        };
        explore_all(settings, &[F], [call(S), call(F), call(F)]);
    }
}

#[test]
fn a_window_of_time_is_judged_at_its_buckets_edge() {
    let window = rate(Over::Time(SHORT));
    explore_locked(by(window), &[F, S], [call(F), call(F), call(S)]);
    let late = |outcome| lasting(outcome, 3, 3);
    explore_locked(by(window), &[F, S], [call(F), late(F), late(S)]);
}

#[test]
fn slow_calls_trip_at_exactly_their_share() {
    let slow = |over| Rule::SlowRate {
        rate: Ratio::percent(60),
        slower_than: Duration::from_nanos(5),
        over,
        min_calls: 2,
    };
    let calls = [lasting(S, 0, 6), lasting(F, 0, 5), lasting(S, 0, 7)];
    explore(slow(Over::Calls(3)), &[], calls.clone());
    explore(slow(Over::Time(SHORT)), &[], calls);
}

#[test]
fn whoever_finds_enough_stalled_calls_trips() {
    let rule = Rule::Stalled {
        calls: 1,
        longer_than: Duration::from_nanos(5),
    };
    explore(rule, &[], [lasting(S, 0, 9), lasting(S, 6, 7), call(F)]);
}

#[test]
fn chance_is_drawn_in_the_order_of_the_calls() {
    let adaptive = Rule::Adaptive { memory: 2 };
    let steps = [lasting(F, 1, 2), lasting(S, 2, 3), lasting(F, 3, 4)];
    explore(adaptive, &[F, F], steps);
}

#[test]
fn a_ramp_lets_pass_and_steps_back_in_the_order_of_the_calls() {
    let settings = Settings {
        ramp: Some(Ramp::linear(Duration::from_secs(40))),
        ..by(row(1))
    };
    let after = COOLED + 30_000_000_000;
    let steps = [
        lasting(S, COOLED, COOLED),
        lasting(S, after, after),
        lasting(F, after, after),
    ];
    explore_locked(settings, &[F], steps);
}

#[test]
fn a_probes_place_is_given_once() {
    let probe = |outcome| lasting(outcome, COOLED, COOLED);
    explore_locked(by(row(1)), &[F], [probe(S), probe(S), probe(F)]);
    let mut settings = by(row(1));
    settings.half_open.probes = Probes::Limited(NonZeroU32::new(2).unwrap());
    settings.half_open.close = CloseRule::Successes(2);
    explore_locked(settings, &[F], [probe(S), probe(S), probe(F)]);
}

#[test]
fn a_probe_that_misses_its_deadline_decides_nothing_after_it() {
    let deadline = COOLED + 60_000_000_000;
    for on_probe_timeout in [OnProbeTimeout::Replace, OnProbeTimeout::Fail] {
        let mut settings = by(row(1));
        settings.half_open.on_probe_timeout = on_probe_timeout;
        let steps = [
            lasting(S, COOLED, deadline),
            lasting(F, deadline, deadline),
            lasting(S, COOLED, COOLED),
        ];
        explore_locked(settings, &[F], steps);
    }
}

#[test]
fn a_trip_wins_against_every_call_that_asks_after_it() {
    explore_locked(by(row(1)), &[], [call(F), call(S), lasting(S, 1, 1)]);
}

#[test]
fn an_operators_hold_wins_against_every_racing_outcome() {
    explore_locked(by(row(2)), &[F], [call(F), Steps::HoldOpen, call(S)]);
}

#[test]
fn an_outcome_counts_in_no_generation_but_its_own() {
    explore_locked(by(row(4)), &[], [call(F), Steps::Reset, call(F)]);
}

#[test]
fn an_outcome_is_judged_by_the_settings_of_its_moment() {
    let stricter = Steps::Reconfigure(Box::new([by(row(2)), by(row(3))]));
    explore(row(3), &[F], [call(F), stricter, call(F)]);
}

#[test]
fn an_outcome_counts_in_the_window_of_its_moment() {
    let window = |calls| by(two_of(Over::Calls(calls)));
    let resized = Steps::Reconfigure(Box::new([window(2), window(3)]));
    explore_all(window(3), &[S], [call(F), resized, call(F)]);
}
