//! Every interleaving of a few calls on the shared machine, against the pure machine.
//!
//! Three threads make two events each, in a model of memory that tries all orders (up to a number of preemptions). What
//! the threads were told and how the machine stands at the end must be what the pure machine tells in one of the orders
//! in which the six events could have come one after another.
//!
//! `LOOM_MAX_PREEMPTIONS` widens the search; 2 unless it is set.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::{Cell, Core, Kept, Lock, Memory};
use crate::leave::Leave;
use crate::machine::{Grant, Machine, Settled, SettledAs};
use crate::outcome::{Hold, HoldKind, Outcome, Phase};
use crate::ratio::Ratio;
use crate::settings::{Over, Rule, Settings};
use crate::snapshot::Totals;
use crate::time::Timestamp;

struct Model;

impl Memory for Model {
    type Cell = AtomicU64;
    type Lock = Mutex<Kept>;
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

impl Lock for Mutex<Kept> {
    fn new(kept: Kept) -> Self {
        Mutex::new(kept)
    }

    fn with<R>(&self, event: impl FnOnce(&mut Kept) -> R) -> R {
        event(&mut self.lock().unwrap())
    }
}

/// What a thread does: one call with its outcome, or an operator's word and its end.
#[derive(Clone, Copy)]
enum Deed {
    Call(Outcome, Timestamp),
    HoldOpen,
}

/// What a thread was told by one event.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Admitted { generation: u64, probe: bool },
    Refused,
    Counted(SettledAs, Option<Phase>),
    Changed(u64),
    Nothing,
}

/// How the machine stands at the end.
type End = (Phase, u64, u32, Totals);

/// Something that events can happen to: the core, or the pure machine.
trait Stage {
    type Grant;
    fn admit(&mut self, now: Timestamp) -> Option<Self::Grant>;
    fn told(grant: &Self::Grant) -> Told;
    fn record(&mut self, grant: Self::Grant, outcome: Outcome, now: Timestamp) -> Told;
    fn hold(&mut self) -> Told;
    fn release(&mut self) -> Told;
}

fn hold() -> Hold {
    Hold {
        kind: HoldKind::Open,
        until: None,
        reason: "a drill".into(),
        by: "ann".into(),
    }
}

fn counted(settled: Settled) -> Told {
    let phase = settled.transitions.last().map(|last| last.to);
    Told::Counted(settled.counted, phase)
}

impl Stage for Machine {
    type Grant = Grant;

    fn admit(&mut self, now: Timestamp) -> Option<Grant> {
        Machine::admit(self, now).result.ok()
    }

    fn told(grant: &Grant) -> Told {
        Told::Admitted {
            generation: grant.generation,
            probe: grant.is_probe(),
        }
    }

    fn record(&mut self, grant: Grant, outcome: Outcome, now: Timestamp) -> Told {
        counted(Machine::record(self, grant, outcome, now))
    }

    fn hold(&mut self) -> Told {
        Machine::hold(self, hold(), Timestamp::ZERO);
        Told::Changed(self.generation())
    }

    fn release(&mut self) -> Told {
        Machine::release(self, Timestamp::ZERO);
        Told::Changed(self.generation())
    }
}

impl Stage for Arc<Core<Model>> {
    type Grant = Leave;

    fn admit(&mut self, now: Timestamp) -> Option<Leave> {
        let answer = self.answer(now);
        let asked = || self.with(|machine| machine.admit(now).result.map(Leave::of));
        answer.unwrap_or_else(asked).ok()
    }

    fn told(leave: &Leave) -> Told {
        Told::Admitted {
            generation: leave.generation(),
            probe: leave.boxed().is_some_and(Grant::is_probe),
        }
    }

    fn record(&mut self, leave: Leave, outcome: Outcome, now: Timestamp) -> Told {
        if let Some(plain) = leave.plain()
            && (self.ignores(plain.word, outcome) || self.takes(plain, outcome, None, now))
        {
            return Told::Counted(outcome.into(), None);
        }
        let grant = leave.into_grant().unwrap();
        counted(self.with(|machine| machine.record(grant, outcome, now)))
    }

    fn hold(&mut self) -> Told {
        self.with(Stage::hold)
    }

    fn release(&mut self) -> Told {
        self.with(Stage::release)
    }
}

/// One thread's deed in its two steps.
enum Progress<G> {
    Begun(G),
    Refused,
}

fn first<S: Stage>(stage: &mut S, deed: Deed) -> (Told, Progress<Option<S::Grant>>) {
    match deed {
        Deed::HoldOpen => (stage.hold(), Progress::Begun(None)),
        Deed::Call(_, now) => match stage.admit(now) {
            Some(grant) => (S::told(&grant), Progress::Begun(Some(grant))),
            None => (Told::Refused, Progress::Refused),
        },
    }
}

fn second<S: Stage>(stage: &mut S, deed: Deed, progress: Progress<Option<S::Grant>>) -> Told {
    match (deed, progress) {
        (Deed::HoldOpen, _) => stage.release(),
        (Deed::Call(outcome, now), Progress::Begun(Some(grant))) => {
            stage.record(grant, outcome, now)
        }
        (Deed::Call(..), _) => Told::Nothing,
    }
}

fn end_of(machine: &Machine, now: Timestamp) -> End {
    // A success that changes nothing leaves no trace in the shared form.
    let totals = Totals {
        successes: 0,
        ..machine.totals()
    };
    (
        machine.phase(now),
        machine.generation(),
        machine.attempts(),
        totals,
    )
}

/// All orders in which three times two steps can come.
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

/// What the pure machine tells in that order.
fn in_order(mut machine: Machine, deeds: [Deed; 3], order: &[usize]) -> ([[Told; 2]; 3], End) {
    let mut told = [const { [Told::Nothing, Told::Nothing] }; 3];
    let mut progress = [const { None }; 3];
    for &thread in order {
        let deed = deeds[thread];
        match progress[thread].take() {
            None => {
                let (first, begun) = first(&mut machine, deed);
                told[thread][0] = first;
                progress[thread] = Some(begun);
            }
            Some(begun) => told[thread][1] = second(&mut machine, deed, begun),
        }
    }
    let end = end_of(&machine, Timestamp::from_nanos(100));
    (told, end)
}

fn explore(rule: Rule, before: &[Outcome], deeds: [Deed; 3]) {
    let settings = Settings {
        trip: vec![rule],
        ..Settings::default()
    };
    let mut start = Machine::new(settings, 1).unwrap();
    for outcome in before {
        start.report(*outcome, Timestamp::ZERO);
    }
    let allowed: Vec<_> = orders()
        .iter()
        .map(|order| in_order(start.clone(), deeds, order))
        .collect();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(model.preemption_bound.unwrap_or(2));
    model.check(move || {
        let core = Arc::new(Core::<Model>::new(start.clone()));
        let run = |mut stage: Arc<Core<Model>>, deed| {
            let (told, progress) = first(&mut stage, deed);
            [told, second(&mut stage, deed, progress)]
        };
        let [one, two, three] = deeds;
        let others = [two, three].map(|deed| {
            let core = core.clone();
            thread::spawn(move || run(core, deed))
        });
        let mine = run(core.clone(), one);
        let [two, three] = others.map(|other| other.join().unwrap());
        let end = core.with(|machine| end_of(machine, Timestamp::from_nanos(100)));
        let seen = ([mine, two, three], end);
        assert!(allowed.contains(&seen), "in no order: {seen:?}");
    });
}

const S: Outcome = Outcome::Success;
const F: Outcome = Outcome::Failure;

fn call(outcome: Outcome) -> Deed {
    Deed::Call(outcome, Timestamp::ZERO)
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

#[test]
fn failures_in_a_row_trip_at_exactly_the_threshold() {
    explore(row(2), &[], [call(F), call(F), call(F)]);
    explore(row(3), &[], [call(F), call(F), call(F)]);
}

#[test]
fn a_success_among_failures_in_a_row_is_where_it_was() {
    explore(row(2), &[], [call(F), call(S), call(F)]);
    explore(row(3), &[F], [call(F), call(S), call(F)]);
}

#[test]
fn a_window_of_calls_is_judged_in_the_order_of_the_calls() {
    explore(rate(Over::Calls(3)), &[S], [call(F), call(F), call(S)]);
    explore(rate(Over::Calls(3)), &[F, S], [call(F), call(S), call(F)]);
    let two_of_three = Rule::Failures {
        threshold: 2,
        over: Over::Calls(3),
        full: false,
    };
    explore(two_of_three, &[S], [call(F), call(S), call(F)]);
}

#[test]
fn a_window_of_time_is_judged_at_its_buckets_edge() {
    // 64 buckets of one nanosecond each: the later calls lie past the edge.
    let window = rate(Over::Time(std::time::Duration::from_nanos(64)));
    explore(window, &[F, S], [call(F), call(F), call(S)]);
    let late = |outcome| Deed::Call(outcome, Timestamp::from_nanos(3));
    explore(window, &[F, S], [call(F), late(F), late(S)]);
}

#[test]
fn an_operators_hold_wins_against_every_racing_outcome() {
    explore(row(2), &[F], [call(F), Deed::HoldOpen, call(S)]);
}
