//! The table of events, written down a second time in the plainest way, and every state that can be reached from a fresh
//! breaker within bounds: in each of them, each event must do to both forms of the breaker what the table says.
//!
//! The search goes breadth first over all events in all orders, however long: permits asked for, settled in every way in
//! time and late, forgotten; time, ticks, checks, reports, trips, holds with and without end, releases, resets,
//! restarts. Two states are the same when nobody can tell them apart: times count from now, generations by whether they
//! are over. So no bound on the length is needed, only on what can pile up: the permits that are out.
//!
//! What holds in every reachable state: an open breaker lets nobody pass before its time (I1), probes in flight are no
//! more than allowed (I2), trips are exact (I3), outcomes of an older generation change nothing (I4), a hold wins and ends
//! on time (I7). And from every one of them, with time, calls that succeed and an operator who lets go, the closed state
//! can be reached (I5): looked for backwards from the closed states, over those steps alone.
//!
//! With two permits out there are 233 states where a lost probe reopens, 273 where it is replaced, 459 with a longest period,
//! 704 where places are used up and 1,258 with two probes, each with about 20 events, those of another clock among them. With
//! `FUSEBOX_PROVE`, and all bounds wider, there are 1,610, 2,708, 4,053, 8,180 and 15,890. Each search tells its count.
//!
//! A library for such models knows no backward search, which is the half of it that matters most here.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use fusebox_breaker::{
    Call, CloseRule, Cooldown, Hold, HoldKind, OnProbeTimeout, Outcome, Phase, RejectReason,
    Rejection, Settings, Timestamp,
    machine::{ForcedTrip, SettledAs},
    settings::{OnPeriodTimeout, Places},
};

use crate::forms::{Form, Pure, Shared};
use crate::kit::{in_a_row, limited, ms};
use crate::ops::FAR;

/// The numbers of a model. Times are in whole steps.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Permits out at once, those of older generations among them.
    permits: usize,
    threshold: u32,
    probes: u32,
    successes: u32,
    failures: u32,
    cooldown: u64,
    probe_timeout: u64,
    on_probe_timeout: OnProbeTimeout,
    places: Places,
    period: Option<(u64, OnPeriodTimeout)>,
}

const fn bounds() -> Bounds {
    Bounds {
        permits: 2,
        threshold: 2,
        probes: 1,
        successes: 1,
        failures: 1,
        cooldown: 2,
        probe_timeout: 2,
        on_probe_timeout: OnProbeTimeout::Replace,
        places: Places::Freed,
        period: None,
    }
}

const STEP: Duration = ms(100);

fn steps(steps: u64) -> Duration {
    STEP * u32::try_from(steps).unwrap()
}

fn at(time: u64) -> Timestamp {
    Timestamp::ZERO + steps(time)
}

impl Bounds {
    fn settings(&self) -> Settings {
        let mut settings = in_a_row(self.threshold);
        settings.cooldown = Cooldown::fixed(steps(self.cooldown));
        let half_open = &mut settings.half_open;
        half_open.probes = limited(self.probes);
        half_open.close = CloseRule::Successes(self.successes);
        half_open.failures = self.failures;
        half_open.probe_timeout = steps(self.probe_timeout);
        half_open.on_probe_timeout = self.on_probe_timeout;
        half_open.places = self.places;
        if let Some((period, then)) = self.period {
            half_open.period_timeout = Some(steps(period));
            half_open.on_period_timeout = then;
        }
        settings
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Wait,
    Admit,
    Settle(usize, Outcome),
    /// The caller hangs for ever with its permit.
    Forget(usize),
    Check,
    Report(Outcome),
    Trip,
    /// For so many steps, or without end.
    Hold(HoldKind, Option<u64>),
    Release,
    Reset,
    Tick,
    Restart,
    /// A stamp of another clock: to ask whether a call may pass, to tell of a failure, and to let time decide.
    FarCheck,
    FarReport,
    FarTick,
}

impl Event {
    /// Whether it is time, a call that succeeds, or an operator who lets go.
    fn is_kind(self) -> bool {
        matches!(
            self,
            Event::Wait | Event::Admit | Event::Settle(_, Outcome::Success) | Event::Release
        )
    }
}

/// What an event answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Nothing,
    /// With the deadline of a probe.
    Permit(Option<Timestamp>),
    Refused(RejectReason, Option<Timestamp>),
    Free,
    Settled(SettledAs),
}

impl From<Rejection> for Answer {
    fn from(rejection: Rejection) -> Self {
        Answer::Refused(rejection.reason, rejection.retry_at)
    }
}

#[derive(Clone, Debug)]
enum State {
    Closed {
        row: u32,
    },
    Open {
        until: u64,
    },
    HalfOpen {
        began: u64,
        slots: Vec<Slot>,
        successes: u32,
        failures: u32,
    },
}

/// A probe's place; numbers tell two of one deadline apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slot {
    deadline: u64,
    number: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Call,
    Held,
    Probe(Slot),
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    kind: Kind,
    generation: u64,
}

/// The table of events.
#[derive(Clone, Debug)]
struct Table {
    bounds: Bounds,
    state: State,
    hold: Option<(HoldKind, Option<u64>)>,
    generation: u64,
    now: u64,
    /// Whether any event has told the time, since the last reset.
    begun: bool,
    /// Of the last slot.
    number: u64,
    tickets: Vec<Ticket>,
}

/// A state as far as anybody can tell: times from now, tickets in no order.
type Key = (
    (u8, bool),
    [u64; 3],
    Vec<u64>,
    Option<(bool, Option<u64>)>,
    Vec<(u8, u64)>,
);

impl Table {
    fn new(bounds: Bounds) -> Self {
        Table {
            bounds,
            state: State::Closed { row: 0 },
            hold: None,
            generation: 0,
            now: 0,
            begun: false,
            number: 0,
            tickets: Vec::new(),
        }
    }

    fn ahead(&self, time: u64) -> u64 {
        time.saturating_sub(self.now)
    }

    fn ticket_key(&self, ticket: &Ticket) -> (u8, u64) {
        match (ticket.kind, &self.state) {
            _ if ticket.generation != self.generation => (0, 0),
            (Kind::Call, _) => (1, 0),
            (Kind::Held, _) => (2, 0),
            (Kind::Probe(slot), State::HalfOpen { slots, .. }) if slots.contains(&slot) => {
                (3, self.ahead(slot.deadline))
            }
            (Kind::Probe(_), _) => (4, 0),
        }
    }

    fn key(&self) -> Key {
        let mut places = Vec::new();
        let (phase, numbers) = match &self.state {
            State::Closed { row } => (0, [u64::from(*row), 0, 0]),
            State::Open { until } => (1, [self.ahead(*until), 0, 0]),
            State::HalfOpen {
                began,
                slots,
                successes,
                failures,
            } => {
                places.extend(slots.iter().map(|slot| self.ahead(slot.deadline)));
                places.sort_unstable();
                let left = self
                    .bounds
                    .period
                    .map_or(0, |(period, _)| self.ahead(began + period));
                (2, [u64::from(*successes), u64::from(*failures), left])
            }
        };
        let hold = self
            .hold
            .map(|(kind, until)| (kind == HoldKind::Open, until.map(|until| self.ahead(until))));
        let mut tickets: Vec<_> = self
            .tickets
            .iter()
            .map(|one| self.ticket_key(one))
            .collect();
        tickets.sort_unstable();
        ((phase, self.begun), numbers, places, hold, tickets)
    }

    /// All that can happen; of permits that nobody can tell apart, to one of them.
    fn events(&self) -> Vec<Event> {
        let mut events = vec![
            Event::Wait,
            Event::Check,
            Event::Report(Outcome::Success),
            Event::Report(Outcome::Failure),
            Event::Trip,
            Event::Release,
            Event::Reset,
            Event::Tick,
            Event::Restart,
        ];
        for kind in [HoldKind::Open, HoldKind::Closed] {
            events.extend([Event::Hold(kind, None), Event::Hold(kind, Some(1))]);
        }
        if self.begun {
            events.extend([Event::FarCheck, Event::FarReport, Event::FarTick]);
        }
        if self.tickets.len() < self.bounds.permits {
            events.push(Event::Admit);
        }
        let keys: Vec<_> = self
            .tickets
            .iter()
            .map(|one| self.ticket_key(one))
            .collect();
        for which in (0..keys.len()).filter(|which| !keys[..*which].contains(&keys[*which])) {
            let outcomes = [Outcome::Success, Outcome::Failure, Outcome::Ignored];
            events.extend(outcomes.map(|outcome| Event::Settle(which, outcome)));
            events.push(Event::Forget(which));
        }
        events
    }

    /// What the table says.
    fn apply(&mut self, event: Event) -> Answer {
        self.begun = match event {
            Event::Wait | Event::Forget(_) => self.begun,
            Event::Reset => false,
            _ => true,
        };
        match event {
            Event::Wait => self.now += 1,
            Event::FarCheck => return self.refusal_as_it_stands(),
            Event::FarReport => return Answer::Settled(SettledAs::Untracked),
            Event::FarTick => {}
            Event::Admit => return self.admit(),
            Event::Check => {
                self.move_with_time();
                return self.refusal().unwrap_or(Answer::Free);
            }
            Event::Settle(which, outcome) => {
                let ticket = self.tickets.remove(which);
                return Answer::Settled(self.settle(ticket, outcome));
            }
            Event::Forget(which) => {
                self.tickets.remove(which);
            }
            Event::Report(outcome) => return Answer::Settled(self.report(outcome)),
            Event::Trip => {
                self.end_hold();
                if self.hold.is_none() {
                    self.end_cooldown();
                    if !matches!(self.state, State::Open { .. }) {
                        self.open();
                    }
                }
            }
            Event::Hold(kind, length) => {
                if !self.end_hold() && self.hold.is_none() {
                    self.end_cooldown();
                }
                self.hold = Some((kind, length.map(|length| self.now + length)));
                self.generation += 1;
            }
            Event::Release => {
                if !self.end_hold()
                    && let Some((kind, _)) = self.hold.take()
                {
                    self.unfreeze(kind);
                }
            }
            Event::Reset => {
                self.hold = None;
                self.enter(State::Closed { row: 0 });
            }
            Event::Tick => self.move_with_time(),
            Event::Restart => self.restart(),
        }
        Answer::Nothing
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    fn open(&mut self) {
        let until = self.now + self.bounds.cooldown;
        self.enter(State::Open { until });
    }

    fn half_open(&mut self) {
        self.enter(State::HalfOpen {
            began: self.now,
            slots: Vec::new(),
            successes: 0,
            failures: 0,
        });
    }

    fn unfreeze(&mut self, kind: HoldKind) {
        match kind {
            HoldKind::Open => self.half_open(),
            HoldKind::Closed => self.enter(State::Closed { row: 0 }),
        }
    }

    fn end_hold(&mut self) -> bool {
        let ended = self
            .hold
            .take_if(|(_, until)| until.is_some_and(|until| self.now >= until));
        if let Some((kind, _)) = ended {
            self.unfreeze(kind);
        }
        ended.is_some()
    }

    fn end_cooldown(&mut self) {
        if let State::Open { until } = self.state
            && self.now >= until
        {
            self.half_open();
        }
    }

    /// Missed deadlines, then the period's end.
    fn end_probing(&mut self) {
        let (now, bounds) = (self.now, self.bounds);
        if let State::HalfOpen { slots, .. } = &mut self.state {
            let before = slots.len();
            slots.retain(|slot| slot.deadline > now);
            if slots.len() < before && bounds.on_probe_timeout == OnProbeTimeout::Fail {
                self.open();
            }
        }
        if let (State::HalfOpen { began, .. }, Some((period, then))) = (&self.state, bounds.period)
            && now >= began + period
        {
            match then {
                OnPeriodTimeout::Open => self.open(),
                OnPeriodTimeout::Close => self.enter(State::Closed { row: 0 }),
            }
        }
    }

    fn move_with_time(&mut self) {
        self.end_hold();
        if self.hold.is_none() {
            self.end_cooldown();
            self.end_probing();
        }
    }

    /// What is true before time has decided anything.
    fn refusal_as_it_stands(&self) -> Answer {
        let reason = match (self.hold, &self.state) {
            (Some((HoldKind::Open, _)), _) => RejectReason::HeldOpen,
            (Some((HoldKind::Closed, _)), _) | (None, State::Closed { .. }) => return Answer::Free,
            (None, State::Open { .. }) => RejectReason::BreakerOpen,
            (None, State::HalfOpen { .. }) => RejectReason::BreakerProbing,
        };
        Answer::Refused(reason, None)
    }

    fn refusal(&self) -> Option<Answer> {
        if let Some((kind, until)) = self.hold {
            let refused = Answer::Refused(RejectReason::HeldOpen, until.map(at));
            return (kind == HoldKind::Open).then_some(refused);
        }
        match &self.state {
            State::Closed { .. } => None,
            State::Open { until } => {
                Some(Answer::Refused(RejectReason::BreakerOpen, Some(at(*until))))
            }
            State::HalfOpen {
                began,
                slots,
                successes,
                failures,
            } => {
                let in_flight = slots.len() as u32;
                let spent = match self.bounds.places {
                    Places::Spent if in_flight > 0 => successes + failures,
                    Places::Spent | Places::Freed => 0,
                };
                let end = self.bounds.period.map(|(period, _)| began + period);
                let free = slots.iter().map(|slot| slot.deadline).chain(end).min();
                let refused = Answer::Refused(RejectReason::BreakerProbing, free.map(at));
                (in_flight + spent >= self.bounds.probes).then_some(refused)
            }
        }
    }

    fn admit(&mut self) -> Answer {
        self.move_with_time();
        if let Some(refused) = self.refusal() {
            return refused;
        }
        let kind = match &mut self.state {
            _ if self.hold.is_some() => Kind::Held,
            State::HalfOpen { slots, .. } => {
                self.number += 1;
                let slot = Slot {
                    deadline: self.now + self.bounds.probe_timeout,
                    number: self.number,
                };
                slots.push(slot);
                Kind::Probe(slot)
            }
            State::Closed { .. } | State::Open { .. } => Kind::Call,
        };
        self.tickets.push(Ticket {
            kind,
            generation: self.generation,
        });
        Answer::Permit(match kind {
            Kind::Probe(slot) => Some(at(slot.deadline)),
            Kind::Call | Kind::Held => None,
        })
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome) -> SettledAs {
        self.end_hold();
        if ticket.generation != self.generation {
            return SettledAs::Late;
        }
        match ticket.kind {
            Kind::Held => {}
            Kind::Call => self.book(outcome),
            Kind::Probe(slot) => {
                self.end_probing();
                let State::HalfOpen { slots, .. } = &mut self.state else {
                    return SettledAs::Late;
                };
                let Some(place) = slots.iter().position(|one| *one == slot) else {
                    return SettledAs::Late;
                };
                slots.remove(place);
                self.answer(outcome);
            }
        }
        outcome.into()
    }

    fn report(&mut self, outcome: Outcome) -> SettledAs {
        self.move_with_time();
        match &self.state {
            _ if self.hold.is_some() => {}
            State::Open { .. } => return SettledAs::Late,
            State::Closed { .. } => self.book(outcome),
            State::HalfOpen { .. } => self.answer(outcome),
        }
        outcome.into()
    }

    /// While closed.
    fn book(&mut self, outcome: Outcome) {
        let State::Closed { row } = &mut self.state else {
            unreachable!("no permit of this generation was given in another state");
        };
        match outcome {
            Outcome::Success => *row = 0,
            Outcome::Failure => *row += 1,
            Outcome::Ignored => {}
        }
        if *row >= self.bounds.threshold {
            self.open();
        }
    }

    /// While half-open.
    fn answer(&mut self, outcome: Outcome) {
        let State::HalfOpen {
            successes,
            failures,
            ..
        } = &mut self.state
        else {
            unreachable!("asked while half-open");
        };
        match outcome {
            Outcome::Success => *successes += 1,
            Outcome::Failure => *failures += 1,
            Outcome::Ignored => {}
        }
        if *failures >= self.bounds.failures {
            self.open();
        } else if *successes >= self.bounds.successes {
            self.enter(State::Closed { row: 0 });
        }
    }

    /// What a process leaves behind, and the next one takes up.
    fn restart(&mut self) {
        let held = self
            .hold
            .filter(|(_, until)| until.is_none_or(|until| self.now < until));
        self.state = match (self.phase(), &self.state) {
            (Phase::Closed, _) => State::Closed { row: 0 },
            (Phase::Open, State::Open { until }) => State::Open {
                until: self.now.max(*until),
            },
            _ => State::Open { until: self.now },
        };
        self.hold = held;
        self.generation += 1_001;
    }

    /// As it is shown: what time has decided is shown before it is carried out.
    fn phase(&self) -> Phase {
        let ended = |until: Option<u64>| until.is_some_and(|until| self.now >= until);
        match (self.hold, &self.state) {
            (Some((HoldKind::Open, until)), _) if ended(until) => Phase::HalfOpen,
            (Some((HoldKind::Closed, until)), _) if ended(until) => Phase::Closed,
            (None, State::Open { until }) if self.now >= *until => Phase::HalfOpen,
            (_, State::Closed { .. }) => Phase::Closed,
            (_, State::Open { .. }) => Phase::Open,
            (_, State::HalfOpen { .. }) => Phase::HalfOpen,
        }
    }

    fn is_held(&self, kind: HoldKind) -> bool {
        self.hold
            .is_some_and(|(held, until)| held == kind && until.is_none_or(|until| self.now < until))
    }

    /// The invariants, of what an event found and what it answered.
    fn assert_sound(&self, answer: Answer) {
        if let Answer::Permit(_) | Answer::Free = answer {
            assert!(!self.is_held(HoldKind::Open), "I7: passed a hold");
            let early = self.phase() == Phase::Open && !self.is_held(HoldKind::Closed);
            assert!(!early, "I1: passed before the cooldown's end");
        }
        if let State::HalfOpen { slots, .. } = &self.state {
            assert!(
                slots.len() as u32 <= self.bounds.probes,
                "I2: too many probes"
            );
        }
    }
}

/// A form of the breaker that is driven beside the table.
struct Driven<F: Form> {
    form: F,
    now: u64,
    permits: Vec<F::Permit>,
}

impl<F: Form> Driven<F> {
    /// Permits cannot be copied, so a breaker is brought into a state by the way that leads there.
    fn along(bounds: &Bounds, way: &[Event]) -> Self {
        let mut driven = Driven {
            form: F::new(bounds.settings(), 1),
            now: 0,
            permits: Vec::new(),
        };
        for event in way {
            driven.apply(*event);
        }
        driven
    }

    fn apply(&mut self, event: Event) -> Answer {
        let now = at(self.now);
        let form = &mut self.form;
        match event {
            Event::Wait => self.now += 1,
            Event::FarCheck => {
                return match form.check(now + FAR) {
                    Ok(()) => Answer::Free,
                    Err(rejection) => Answer::Refused(rejection.reason, None),
                };
            }
            Event::FarReport => {
                return Answer::Settled(form.report(Outcome::Failure.into(), now + FAR));
            }
            Event::FarTick => form.tick(now + FAR),
            Event::Admit => match form.admit(now) {
                Ok(permit) => {
                    let deadline = F::deadline(&permit);
                    self.permits.push(permit);
                    return Answer::Permit(deadline);
                }
                Err(rejection) => return rejection.into(),
            },
            Event::Check => {
                return form.check(now).map_or_else(Answer::from, |()| Answer::Free);
            }
            Event::Settle(which, outcome) => {
                let permit = self.permits.remove(which);
                return Answer::Settled(form.settle(permit, outcome.into(), now));
            }
            Event::Forget(which) => std::mem::forget(self.permits.remove(which)),
            Event::Report(outcome) => {
                return Answer::Settled(form.report(Call::from(outcome), now));
            }
            Event::Trip => form.trip(
                ForcedTrip {
                    by: "bea".into(),
                    reason: "a drill".into(),
                    cooldown: None,
                },
                now,
            ),
            Event::Hold(kind, length) => form.hold(
                Hold {
                    kind,
                    until: length.map(|length| at(self.now + length)),
                    reason: "a drill".into(),
                    by: "bea".into(),
                },
                now,
            ),
            Event::Release => form.release(now),
            Event::Reset => form.reset(now),
            Event::Tick => form.tick(now),
            Event::Restart => {
                let saved = form.saved(now);
                form.restore(&saved, now);
            }
        }
        Answer::Nothing
    }

    /// Shows what the table says, where it says it.
    fn assert_like(&self, table: &Table) {
        let shown = self.form.snapshot(at(self.now));
        assert_eq!(shown.generation, table.generation);
        assert_eq!(shown.phase, table.phase());
        assert_eq!(
            shown.hold.map(|hold| hold.kind),
            [HoldKind::Open, HoldKind::Closed]
                .into_iter()
                .find(|kind| table.is_held(*kind)),
        );
        match &table.state {
            State::Closed { row } if shown.phase == Phase::Closed && table.hold.is_none() => {
                assert_eq!(shown.rules[0].failures, u64::from(*row));
            }
            State::HalfOpen {
                slots,
                successes,
                failures,
                ..
            } if table.hold.is_none() => {
                let probes = shown.probes.unwrap();
                let alive = slots
                    .iter()
                    .filter(|slot| slot.deadline > table.now)
                    .count();
                assert_eq!(
                    (probes.in_flight as usize, probes.successes, probes.failures),
                    (alive, *successes, *failures),
                );
            }
            _ => {}
        }
    }
}

/// A state that was reached, and how.
struct Reached {
    table: Table,
    from: usize,
    event: Event,
}

fn way_to(reached: &[Reached], mut state: usize) -> Vec<Event> {
    let mut way = Vec::new();
    while state > 0 {
        way.push(reached[state].event);
        state = reached[state].from;
    }
    way.reverse();
    way
}

/// Reaches every state, compares in each what each event does, and looks for the way back. Returns the number of states.
fn search<F: Form>(bounds: Bounds) -> usize {
    let mut reached = vec![Reached {
        table: Table::new(bounds),
        from: 0,
        event: Event::Wait,
    }];
    let mut known = HashMap::from([(reached[0].table.key(), 0)]);
    // Where kind events lead to, and from where.
    let mut back: Vec<Vec<usize>> = vec![Vec::new()];
    let mut state = 0;
    while state < reached.len() {
        let way = way_to(&reached, state);
        for event in reached[state].table.events() {
            let before = &reached[state].table;
            let mut table = before.clone();
            let said = table.apply(event);
            let mut driven = Driven::<F>::along(&bounds, &way);
            let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                assert_eq!(driven.apply(event), said);
                driven.assert_like(&table);
                before.assert_sound(said);
                table.assert_sound(Answer::Nothing);
            }));
            if let Err(broken) = compared {
                eprintln!(
                    "with {bounds:?}\nafter {way:?}\nat {event:?}, from {before:?}\nto {table:?}"
                );
                std::panic::resume_unwind(broken);
            }
            let next = *known.entry(table.key()).or_insert_with(|| {
                reached.push(Reached {
                    table,
                    from: state,
                    event,
                });
                back.push(Vec::new());
                reached.len() - 1
            });
            if event.is_kind() {
                back[next].push(state);
            }
        }
        state += 1;
    }
    all_come_back(&reached, &back);
    reached.len()
}

/// Searches backwards from the closed states that nobody holds.
fn all_come_back(reached: &[Reached], back: &[Vec<usize>]) {
    let is_home =
        |table: &Table| table.hold.is_none() && matches!(table.state, State::Closed { .. });
    let mut comes: Vec<_> = reached.iter().map(|one| is_home(&one.table)).collect();
    let mut next: Vec<_> = (0..reached.len()).filter(|state| comes[*state]).collect();
    while let Some(state) = next.pop() {
        for from in &back[state] {
            if !std::mem::replace(&mut comes[*from], true) {
                next.push(*from);
            }
        }
    }
    if let Some(stuck) = comes.iter().position(|comes| !comes) {
        panic!(
            "I5: no way back after {:?}: {:?}",
            way_to(reached, stuck),
            reached[stuck].table
        );
    }
}

/// The bounds, or with `FUSEBOX_PROVE` wider ones.
fn as_wide_as_asked(bounds: Bounds) -> Bounds {
    if std::env::var_os("FUSEBOX_PROVE").is_none() {
        return bounds;
    }
    Bounds {
        permits: 4,
        threshold: bounds.threshold + 1,
        probes: bounds.probes + 1,
        successes: bounds.successes + 1,
        cooldown: bounds.cooldown + 1,
        probe_timeout: bounds.probe_timeout + 1,
        ..bounds
    }
}

/// Searches with both forms, and tells the number of states.
fn holds(name: &str, bounds: Bounds) {
    let bounds = as_wide_as_asked(bounds);
    let (pure, shared) = (search::<Pure>(bounds), search::<Shared>(bounds));
    assert_eq!(pure, shared);
    eprintln!("{name}: {pure} states");
}

#[test]
fn every_reachable_state_with_one_probe_is_as_the_table_says_and_comes_back() {
    holds("one probe, replaced", bounds());
}

#[test]
fn every_reachable_state_in_which_a_lost_probe_reopens_is_as_the_table_says_and_comes_back() {
    holds(
        "one probe, reopening",
        Bounds {
            on_probe_timeout: OnProbeTimeout::Fail,
            probe_timeout: 1,
            ..bounds()
        },
    );
}

#[test]
fn every_reachable_state_with_two_probes_and_two_answers_is_as_the_table_says_and_comes_back() {
    holds(
        "two probes",
        Bounds {
            probes: 2,
            successes: 2,
            failures: 2,
            ..bounds()
        },
    );
}

#[test]
fn every_reachable_state_in_which_places_are_used_up_is_as_the_table_says_and_comes_back() {
    holds(
        "used-up places",
        Bounds {
            probes: 2,
            successes: 2,
            places: Places::Spent,
            ..bounds()
        },
    );
}

#[test]
fn every_reachable_state_with_a_longest_period_is_as_the_table_says_and_comes_back() {
    for then in [OnPeriodTimeout::Open, OnPeriodTimeout::Close] {
        holds(
            "a longest period",
            Bounds {
                threshold: 1,
                period: Some((3, then)),
                ..bounds()
            },
        );
    }
}
