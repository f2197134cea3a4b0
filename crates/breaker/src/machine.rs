//! The pure machine: states and events as tabled in `docs/machine.md`, with time and chance given from outside.
//!
//! It holds no lock, reads no clock and calls no other code. [`Breaker`](crate::Breaker) shares one between threads;
//! whatever form a shared breaker takes, this one stays its reference.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::call::Call;
use crate::cause::{ABANDONED, PANICKED};
use crate::chance::Source;
use crate::outcome::{Hold, HoldKind, Outcome, Phase, Rejection};
use crate::ramp::Ramping;
use crate::recorder::Recorder;
use crate::settings::{Mode, OnAbandoned, Settings, SettingsErrors};
use crate::snapshot::Totals;
use crate::time::Timestamp;
use crate::transition::{Reason, Transition};
use crate::window::Window;

mod explain;
mod fold;
mod grant;
mod headroom;
mod lead;
mod loss;
mod probing;
mod reload;
mod stamps;
mod steps;
mod stop_reason;
mod tally;
mod usual_duration;
mod view;

pub use crate::chance::Chance;
pub use crate::outcome::SettledAs;
pub use crate::transition::Transitions;
pub use explain::{Explanation, Gap, Next, RuleGap};
pub(crate) use fold::Folded;
pub(crate) use grant::GrantKind;
#[cfg(test)]
pub(crate) use grant::Slot;
pub use grant::{Admission, Checked, Grant, Settled};
pub(crate) use headroom::Headroom;
use lead::Lead;
pub use lead::{FleetOpening, ProbeLease};
pub(crate) use loss::Loss;
use probing::Probing;
pub use reload::{Reconfigured, WindowFate};
pub(crate) use stamps::{Latest, is_far};
use tally::Counting;
pub use tally::FleetTally;
use usual_duration::UsualDuration;

/// The highest generation that a restore takes over. Counting never reaches it; a damaged record may claim more.
const MAX_RESTORED_GENERATION: u64 = 1 << 55;

/// The advance of a restored generation: the record may lag behind the process that wrote it, and no generation
/// that this process gave out after it may come again.
const RESTORE_MARGIN: u64 = 1_000;

/// A trip without a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForcedTrip {
    /// The origin: an operator, or the breaker elsewhere whose verdict this is.
    pub by: Arc<str>,
    /// The reason in words.
    pub reason: Arc<str>,
    /// The length of the open period, without cap or jitter; `None`: as long as after a trip by a rule.
    pub cooldown: Option<Duration>,
}

impl ForcedTrip {
    /// A trip for that reason, by that operator or breaker, for as long as after a trip by a rule.
    pub fn new(reason: impl Into<Arc<str>>, by: impl Into<Arc<str>>) -> Self {
        ForcedTrip {
            by: by.into(),
            reason: reason.into(),
            cooldown: None,
        }
    }

    /// The same trip with a cooldown of its own, taken as it is, without cap or jitter.
    #[must_use]
    pub fn cooldown(self, cooldown: Duration) -> Self {
        ForcedTrip {
            cooldown: Some(cooldown),
            ..self
        }
    }
}

/// A breaker without sharing: every event is a method that takes the time and returns the result.
///
/// `now` may lag between callers; the machine clamps it to the latest it has seen. A stamp more than a year ahead of
/// the latest is refused, and counted in [`Totals::far_stamps`]: its event changes nothing, and an operator's command
/// is carried out at the latest time instead. The first stamp after a [reset](Machine::reset) starts again.
#[derive(Clone, Debug)]
pub struct Machine {
    settings: Arc<Settings>,
    state: State,
    hold: Option<Hold>,
    generation: u64,
    attempts: u32,
    /// The time at which `state` began.
    since: Timestamp,
    latest: Latest,
    /// The windows, one for each rule in the order of the settings.
    windows: Vec<Window>,
    totals: Totals,
    recent: VecDeque<Transition>,
    outcomes: Recorder,
    usual: UsualDuration,
    /// Number of calls ever counted as in flight, which is the number of the last.
    flown: u64,
    random: Source,
    lead: Lead,
    counting: Counting,
}

#[derive(Clone, Debug)]
enum State {
    Closed { ramp: Option<Ramping> },
    Open { until: Timestamp },
    HalfOpen(Probing),
}

impl State {
    fn phase(&self) -> Phase {
        match self {
            State::Closed { .. } => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen(_) => Phase::HalfOpen,
        }
    }
}

/// Events for a breaker's listener beside transitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub demanded: bool,
    pub stirred: bool,
}

impl Machine {
    /// A closed machine at the start of time, drawing its jitter from `seed`.
    ///
    /// # Errors
    /// All faults of the settings, see [`Settings::validate`].
    pub fn new(settings: impl Into<Arc<Settings>>, seed: u64) -> Result<Self, SettingsErrors> {
        let settings = settings.into();
        settings.validate()?;
        Ok(Machine::blank(settings, seed))
    }

    /// Draws from another source than the seeded one from now on.
    pub fn draw_from(&mut self, chance: Arc<dyn Chance>) {
        self.random = Source::Given(chance);
    }

    /// Asks whether a call may pass.
    pub fn admit(&mut self, now: Timestamp) -> Admission {
        let told = now;
        let mut transitions = Transitions::default();
        let Some(now) = self.catch_up(now, &mut transitions) else {
            return self.admit_at_a_far_stamp(told);
        };
        if self.settings.mode == Mode::Disabled {
            return self.granted(GrantKind::Untracked, transitions);
        }
        self.move_with_time(now, &mut transitions);
        let decision = self.decide(now).map(|()| self.grant_kind(now, told));
        match decision {
            Ok(kind) => self.granted(kind, transitions),
            Err(rejection) if self.settings.mode == Mode::Monitor => {
                self.totals.would_reject += 1;
                self.granted(GrantKind::Shadow(rejection), transitions)
            }
            Err(rejection) => Admission {
                result: Err(rejection),
                transitions,
            },
        }
    }

    /// Asks whether a call would pass, without taking a place or giving a permit. As with [`Machine::admit`], the end
    /// of a cooldown is noticed, and a refusal by an adaptive rule is remembered.
    pub fn check(&mut self, now: Timestamp) -> Checked {
        self.check_by(now, Machine::decide)
    }

    /// As [`check`](Machine::check), without chance: it neither draws nor refuses.
    pub(crate) fn check_with_luck(&mut self, now: Timestamp) -> Checked {
        self.check_by(now, |machine, now| machine.decide_by_state(now))
    }

    fn check_by(
        &mut self,
        now: Timestamp,
        decide: impl FnOnce(&mut Machine, Timestamp) -> Result<(), Rejection>,
    ) -> Checked {
        let mut transitions = Transitions::default();
        let Some(now) = self.catch_up(now, &mut transitions) else {
            return self.check_at_a_far_stamp();
        };
        let result = if self.settings.mode == Mode::Disabled {
            Ok(())
        } else {
            self.move_with_time(now, &mut transitions);
            match self.settings.mode {
                Mode::Enforce => decide(self, now),
                Mode::Monitor | Mode::Disabled => Ok(()),
            }
        };
        Checked {
            result,
            transitions,
        }
    }

    /// Records the outcome of a granted call.
    pub fn record(&mut self, grant: Grant, call: impl Into<Call>, now: Timestamp) -> Settled {
        let mut call = call.into();
        // By the caller's own clock: others may have reported a later time meanwhile.
        call.duration = call.duration.or_else(|| grant.lasted(now));
        let mut transitions = Transitions::default();
        let Some(now) = self.catch_up(now, &mut transitions) else {
            return self.settle_at_a_far_stamp(&grant);
        };
        self.settle(grant, &call, now, transitions)
    }

    fn settle(
        &mut self,
        grant: Grant,
        call: &Call,
        now: Timestamp,
        mut transitions: Transitions,
    ) -> Settled {
        let generation = grant.generation;
        let counted = self.record_granted(grant, call, now, &mut transitions);
        self.settled(counted, generation, call, transitions)
    }

    /// Takes back a grant whose call ended without an outcome: ignored, its place freed.
    pub fn drop_grant(&mut self, grant: Grant) -> Settled {
        let now = self.time();
        let call = Call::of(Outcome::Ignored, grant.lasted(now));
        self.settle(grant, &call, now, Transitions::default())
    }

    /// Takes back a grant whose call panicked: a failure or nothing, as [`Settings::on_panic`] says.
    pub fn panicked(&mut self, grant: Grant, now: Timestamp) -> Settled {
        let call = Call::from(self.settings.on_panic.outcome());
        self.record(grant, call.because(PANICKED), now)
    }

    /// Takes back a grant whose caller gave the call up after `lasted`: a failure or nothing, as
    /// [`Settings::on_abandoned`] says. Calls in flight are judged first, this one among them, so that callers who come
    /// one after the other and leave one after the other do not hide that the other side hangs.
    pub fn abandoned(&mut self, grant: Grant, lasted: Duration, now: Timestamp) -> Settled {
        let mut transitions = Transitions::default();
        let Some(now) = self.catch_up(now, &mut transitions) else {
            return self.settle_at_a_far_stamp(&grant);
        };
        if self.settings.mode != Mode::Disabled {
            self.move_with_time(now, &mut transitions);
        }
        let outcome = match self.settings.on_abandoned {
            OnAbandoned::FailureAfter(after) if lasted >= after => Outcome::Failure,
            OnAbandoned::FailureAfter(_) | OnAbandoned::Ignore => Outcome::Ignored,
        };
        let call = Call::of(outcome, Some(lasted)).because(ABANDONED);
        self.settle(grant, &call, now, transitions)
    }

    /// Notes that the other side has begun to answer: the call is not in flight any more for [`Rule::Stalled`]. Its
    /// outcome is still to be recorded.
    ///
    /// [`Rule::Stalled`]: crate::Rule::Stalled
    pub fn answered(&mut self, grant: &Grant) {
        if grant.generation == self.generation
            && let GrantKind::Flight(flight) = grant.kind
        {
            self.flights().for_each(|flights| flights.land(flight));
        }
    }

    /// Notes that the other side has had all that it needs to answer since `start`, and only since then: from there on
    /// the call is in flight for [`Rule::Stalled`], and has its duration, unless another one is given.
    /// [`Timestamp::MAX`]: it has not yet.
    ///
    /// For callers that connect first, or whose request comes piece by piece from a client: the time before was not the
    /// other side's. A call that has been [answered](Machine::answered) stays so.
    ///
    /// [`Rule::Stalled`]: crate::Rule::Stalled
    pub fn waits_since(&mut self, grant: &mut Grant, start: Timestamp) {
        let current = grant.generation == self.generation;
        match (&mut grant.kind, &mut self.state) {
            (GrantKind::Timed(began), _) => *began = start,
            (GrantKind::Flight(flight), _) => {
                if current {
                    let flights = self.windows.iter_mut().filter_map(Window::flights);
                    flights.for_each(|flights| flights.restart(*flight, start));
                }
                flight.start = start;
            }
            (GrantKind::Probe(slot), State::HalfOpen(probing)) if current => {
                *slot = probing.restart(*slot, start);
            }
            (GrantKind::Probe(slot), _) => slot.start = start,
            (
                GrantKind::Call | GrantKind::Held | GrantKind::Shadow(_) | GrantKind::Untracked,
                _,
            ) => {}
        }
    }

    /// Moves the deadline of a probe's place later; never earlier, not once it has passed, and not to a time more than a
    /// year ahead, which is counted as a stamp of another clock.
    ///
    /// For callers that learn the limit of a call only during it, as when part of it waits for another party than the
    /// one that is probed.
    pub fn extend(&mut self, grant: &mut Grant, deadline: Timestamp) {
        if grant.generation == self.generation
            && let GrantKind::Probe(slot) = &mut grant.kind
            && slot.deadline > self.time()
            && let State::HalfOpen(probing) = &mut self.state
        {
            if is_far(deadline, slot.deadline) {
                self.totals.far_stamps += 1;
                return;
            }
            let deadline = deadline.min(self.lead.latest_deadline());
            *slot = probing.extend(*slot, deadline);
        }
    }

    /// Records an outcome from a caller without a permit.
    ///
    /// It counts in the state in which it arrives; while open it is too late. After the cooldown it counts as a probe's.
    pub fn report(&mut self, call: impl Into<Call>, now: Timestamp) -> Settled {
        let call = call.into();
        let outcome = call.outcome;
        let mut transitions = Transitions::default();
        let Some(now) = self.catch_up(now, &mut transitions) else {
            return stamps::uncounted();
        };
        let counted = if self.settings.mode == Mode::Disabled {
            SettledAs::Untracked
        } else if self.hold.is_some() {
            outcome.into()
        } else {
            self.move_with_time(now, &mut transitions);
            match self.state {
                State::Open { .. } => SettledAs::Late,
                State::Closed { .. } => {
                    self.book(&call, now, &mut transitions);
                    outcome.into()
                }
                State::HalfOpen(_) => {
                    self.answer(&call, now, &mut transitions);
                    outcome.into()
                }
            }
        };
        self.settled(counted, self.generation, &call, transitions)
    }

    /// Holds the breaker open or closed; the state is frozen beneath until the hold ends. Replaces an earlier hold.
    pub fn hold(&mut self, mut hold: Hold, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        let told = now;
        let now = self.catch_up_anyhow(now, &mut transitions);
        if told > now {
            // By another clock, and so is its end: the hold lasts as long as it was meant to.
            hold.until = hold.until.map(|until| now + until.saturating_since(told));
        }
        if self.hold.is_none() && transitions.is_empty() {
            self.half_open_when_due(now, &mut transitions);
        }
        let (by, reason) = (hold.by.clone(), hold.reason.clone());
        let (reason, retry_at) = match hold.kind {
            HoldKind::Open => (Reason::HeldOpen { by, reason }, hold.until),
            HoldKind::Closed => (Reason::HeldClosed { by, reason }, None),
        };
        self.hold = Some(hold);
        let phase = self.state.phase();
        self.announce(phase, reason, retry_at, now, &mut transitions);
        transitions
    }

    /// Ends the operator's hold: a breaker held open continues half-open, one held closed continues closed with empty
    /// windows. Without a hold nothing happens.
    pub fn release(&mut self, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        let now = self.catch_up_anyhow(now, &mut transitions);
        if let Some(hold) = self.hold.take() {
            let reason = Reason::Released {
                by: hold.by.clone(),
            };
            self.unfreeze(hold.kind, reason, now, &mut transitions);
        }
        transitions
    }

    /// Trips the breaker as a rule would: it opens for a cooldown and comes back by itself.
    ///
    /// While it is open already, or held, nothing happens.
    pub fn trip(&mut self, trip: ForcedTrip, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        let now = self.catch_up_anyhow(now, &mut transitions);
        if self.hold.is_some() {
            return transitions;
        }
        self.half_open_when_due(now, &mut transitions);
        if !matches!(self.state, State::Open { .. }) {
            let ForcedTrip {
                by,
                reason,
                cooldown,
            } = trip;
            let reason = Reason::Forced { by, reason };
            self.open_for(reason, cooldown, now, &mut transitions);
        }
        transitions
    }

    /// Starts the ramp of the settings again, if the machine is closed and has one: for a caller that restores a
    /// machine that was in its ramp.
    pub fn begin_ramp(&mut self, now: Timestamp) {
        let now = self.accept(now).unwrap_or(self.time());
        let begun = self.settings.ramp.map(|ramp| Ramping::begin(ramp, now));
        if let State::Closed { ramp } = &mut self.state {
            *ramp = begun;
        }
    }

    /// Starts again: closed, windows empty, attempts 0, no hold. The clock starts again too: the next stamp is taken as
    /// the first one, even if it is earlier than all before.
    pub fn reset(&mut self, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        self.restart_clock();
        self.hold = None;
        self.begin_windows(now);
        self.close(Reason::Reset, None, now, &mut transitions);
        transitions
    }

    /// Carries out decisions of time alone: an ended hold, an ended cooldown, a probe's missed deadline.
    ///
    /// Every event does so by itself; this is for a caller that wants the transitions even without calls.
    pub fn tick(&mut self, now: Timestamp) -> Transitions {
        let mut transitions = Transitions::default();
        if let Some(now) = self.catch_up(now, &mut transitions)
            && self.settings.mode != Mode::Disabled
        {
            self.move_with_time(now, &mut transitions);
        }
        transitions
    }
}

impl Machine {
    /// The events for a listener beside transitions, each returned once.
    pub(crate) fn take_calls(&mut self) -> Calls {
        Calls {
            demanded: self.lead.take_demand(),
            stirred: self.counting.take_stirred(),
        }
    }
}

fn windows_of(settings: &Settings) -> Vec<Window> {
    settings
        .trip
        .iter()
        .map(|rule| Window::of(rule, settings.window))
        .collect()
}
