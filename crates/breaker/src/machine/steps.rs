//! The steps of events: changes by time alone, the answer to a call, the effect of an outcome, and the three ways into
//! another state.

use std::time::Duration;

use super::grant::{Admission, Grant, GrantKind, Settled};
use super::{Machine, Probing, State};
use crate::call::Call;
use crate::cause::Causes;
use crate::outcome::SettledAs;
use crate::outcome::{Hold, HoldKind, Outcome, Phase, RejectReason, Rejection};
use crate::ramp::Ramping;
use crate::ratio::Ratio;
use crate::recorder::Flown;
use crate::settings::{
    CloseRule, History, JudgeOn, Mode, OnPeriodTimeout, OnProbeTimeout, RetryAfter, Settings,
    Watches,
};
use crate::snapshot::RECENT;
use crate::time::Timestamp;
use crate::transition::{Reason, Transition, Transitions};
use crate::window::{Flight, Flights, Window};

/// The time to return for a call refused by chance, or one that waits for a fleet's permission to probe.
pub(super) const CHANCE_RETRY: Duration = Duration::from_secs(1);

impl Machine {
    /// Takes the stamp and ends an expired hold: both come before any other part of an event. `None`: the stamp is
    /// refused, and nothing may happen.
    pub(super) fn catch_up(
        &mut self,
        now: Timestamp,
        transitions: &mut Transitions,
    ) -> Option<Timestamp> {
        let now = self.accept(now)?;
        self.end_hold(now, transitions);
        Some(now)
    }

    /// The same for a command, which is carried out whatever its stamp: if that is refused, at the latest time.
    pub(super) fn catch_up_anyhow(
        &mut self,
        now: Timestamp,
        transitions: &mut Transitions,
    ) -> Timestamp {
        let caught_up = self.catch_up(now, transitions);
        caught_up.unwrap_or(self.time())
    }

    fn end_hold(&mut self, now: Timestamp, transitions: &mut Transitions) {
        let ended = |hold: &mut Hold| hold.until.is_some_and(|until| now >= until);
        if let Some(hold) = self.hold.take_if(ended) {
            let reason = Reason::HoldEnded { by: hold.by };
            self.unfreeze(hold.kind, reason, now, transitions);
        }
    }

    /// Applies the cooldown's end and the probes' deadlines. While held, time changes nothing.
    pub(super) fn move_with_time(&mut self, now: Timestamp, transitions: &mut Transitions) {
        if self.hold.is_none() {
            self.half_open_when_due(now, transitions);
            self.end_probing(now, transitions);
            self.judge_flights(now, transitions);
            self.end_ramp(now);
        }
    }

    /// Trips when enough of the calls in flight have stalled.
    fn judge_flights(&mut self, now: Timestamp, transitions: &mut Transitions) {
        if !matches!(self.state, State::Closed { .. }) {
            return;
        }
        let compare = self.settings.compare;
        let rules = self.settings.trip.iter().zip(&mut self.windows);
        let met = rules
            .filter_map(|(rule, window)| Some((rule, window.flights()?)))
            .find_map(|(rule, flights)| {
                flights.age(now);
                rule.judge(flights.tally(now), compare)
            });
        if let Some(reason) = met {
            self.open(reason, None, now, transitions);
        }
    }

    fn end_ramp(&mut self, now: Timestamp) {
        if let State::Closed { ramp } = &mut self.state
            && ramp.is_some_and(|ramp| ramp.share(now) >= 1.0)
        {
            *ramp = None;
        }
    }

    pub(super) fn half_open_when_due(&mut self, now: Timestamp, transitions: &mut Transitions) {
        if let State::Open { until } = self.state
            && now >= until
            && self.lead.lets_probe(now)
        {
            self.half_open(Reason::CooldownEnded, now, transitions);
        }
    }

    /// Applies time alone to a half-open breaker: missed deadlines, and the end of the period.
    pub(super) fn end_probing(&mut self, now: Timestamp, transitions: &mut Transitions) {
        self.reclaim(now, transitions);
        if matches!(self.state, State::HalfOpen(_))
            && self.period_ends().is_some_and(|end| now >= end)
        {
            match self.settings.half_open.on_period_timeout {
                OnPeriodTimeout::Open => self.open(Reason::PeriodTimeout, None, now, transitions),
                OnPeriodTimeout::Close => self.close_well(Reason::PeriodTimeout, now, transitions),
            }
        }
    }

    /// The end of a half-open period that began with the present state.
    pub(super) fn period_ends(&self) -> Option<Timestamp> {
        let longest = self.settings.half_open.period_timeout?;
        Some(self.since + longest)
    }

    /// Frees the places of probes that missed their deadline; reopens if that counts as a failure.
    fn reclaim(&mut self, now: Timestamp, transitions: &mut Transitions) {
        if let State::HalfOpen(probing) = &mut self.state
            && probing.reclaim(now)
            && self.settings.half_open.on_probe_timeout == OnProbeTimeout::Fail
        {
            self.open(Reason::ProbeTimeout, None, now, transitions);
        }
    }

    /// Decides whether a call may pass in the present state, chance included.
    pub(super) fn decide(&mut self, now: Timestamp) -> Result<(), Rejection> {
        self.decide_by_state(now)?;
        match self.refused_by_chance(now) {
            Some(reason) => {
                let phase = self.state.phase();
                Err(Rejection::at(reason, phase, Some(now + CHANCE_RETRY)))
            }
            None => Ok(()),
        }
    }

    /// Decides whether a call may pass in the present state, without chance.
    pub(super) fn decide_by_state(&mut self, now: Timestamp) -> Result<(), Rejection> {
        let phase = self.state.phase();
        let reject = |reason, retry_at| Err(Rejection::at(reason, phase, retry_at));
        match (&self.hold, &self.state) {
            (Some(hold), _) => match hold.kind {
                HoldKind::Open => reject(RejectReason::HeldOpen, hold.until),
                HoldKind::Closed => Ok(()),
            },
            (None, State::Closed { .. }) => Ok(()),
            (None, State::Open { until }) if now < *until => {
                reject(RejectReason::BreakerOpen, Some(*until))
            }
            (None, State::Open { .. } | State::HalfOpen(_)) if !self.lead.lets_probe(now) => {
                self.lead.demand(now);
                Err(Rejection::at(
                    RejectReason::BreakerProbing,
                    Phase::HalfOpen,
                    Some(now + CHANCE_RETRY),
                ))
            }
            (None, State::Open { until }) => {
                debug_assert!(false, "a cooldown that has ended is noticed before");
                reject(RejectReason::BreakerOpen, Some(*until))
            }
            (None, State::HalfOpen(probing)) => {
                if probing.is_full(probing.in_flight(), &self.settings.half_open) {
                    let retry_by = self.next_place(probing, now);
                    Err(Rejection {
                        reason: RejectReason::BreakerProbing,
                        phase,
                        retry_at: retry_by.map(|by| self.come_again(by, now)),
                        retry_by,
                    })
                } else {
                    Ok(())
                }
            }
        }
    }

    /// The time to return for a caller that found all places taken, one of which is free at `by` at the latest. Most
    /// probes answer long before their deadline.
    pub(super) fn come_again(&self, by: Timestamp, now: Timestamp) -> Timestamp {
        by.min(self.usual.after(now))
    }

    /// The time at which the next place is free by itself, or the period is over.
    pub(super) fn next_place(&self, probing: &Probing, now: Timestamp) -> Option<Timestamp> {
        let deadline = probing.earliest_deadline(now);
        deadline.into_iter().chain(self.period_ends()).min()
    }

    /// Lets a ramp and the adaptive rules draw, while closed and not held; a refusal of the latter is remembered.
    fn refused_by_chance(&mut self, now: Timestamp) -> Option<RejectReason> {
        let State::Closed { ramp } = &self.state else {
            return None;
        };
        if self.hold.is_some() {
            return None;
        }
        if let Some(ramp) = ramp {
            let share = ramp.share(now);
            if share < 1.0 && self.random.draw() >= share {
                return Some(RejectReason::BreakerRamp);
            }
        }
        for window in &mut self.windows {
            if let Some(probability) = window.refuses_with(now)
                && probability > 0.0
                && self.random.draw() < probability
            {
                window.refuse(now);
                return Some(RejectReason::BreakerAdaptive);
            }
        }
        None
    }

    /// The grant for a call that may pass. A call is timed by its own clock, which `now` may be ahead of.
    pub(super) fn grant_kind(&mut self, now: Timestamp, told: Timestamp) -> GrantKind {
        if self.hold.is_some() {
            return GrantKind::Held;
        }
        match &mut self.state {
            State::HalfOpen(probing) => {
                let deadline = now + self.settings.half_open.probe_timeout;
                GrantKind::Probe(probing.take(told, deadline.min(self.lead.latest_deadline())))
            }
            State::Closed { .. } | State::Open { .. } => self.closed_grant_kind(now, told),
        }
    }

    fn closed_grant_kind(&mut self, now: Timestamp, told: Timestamp) -> GrantKind {
        match self.settings.watches() {
            Watches::Outcomes if self.settings.wants_starts() => GrantKind::Timed(told),
            Watches::Outcomes => GrantKind::Call,
            Watches::Durations => GrantKind::Timed(told),
            Watches::Flights => {
                self.flown += 1;
                let flight = Flight {
                    start: now,
                    number: self.flown,
                };
                self.flights().for_each(|flights| flights.take_off(flight));
                GrantKind::Flight(flight)
            }
        }
    }

    pub(super) fn granted(&self, kind: GrantKind, transitions: Transitions) -> Admission {
        Admission {
            result: Ok(Grant {
                generation: self.generation,
                kind,
            }),
            transitions,
        }
    }

    pub(super) fn record_granted(
        &mut self,
        grant: Grant,
        call: &Call,
        now: Timestamp,
        transitions: &mut Transitions,
    ) -> SettledAs {
        let current = grant.generation == self.generation;
        self.answered(&grant);
        match grant.kind {
            GrantKind::Untracked => return SettledAs::Untracked,
            _ if self.settings.mode == Mode::Disabled => return SettledAs::Untracked,
            // Its call would have been refused, so it belongs to no generation and counts in metrics only.
            GrantKind::Shadow(_) => {}
            // A straggler from before the last transition must not decide anything after it.
            GrantKind::Call
            | GrantKind::Timed(_)
            | GrantKind::Flight(_)
            | GrantKind::Held
            | GrantKind::Probe(_)
                if !current =>
            {
                return SettledAs::Late;
            }
            GrantKind::Held => {}
            GrantKind::Call | GrantKind::Timed(_) | GrantKind::Flight(_) => {
                self.book(call, now, transitions);
            }
            GrantKind::Probe(slot) => {
                self.end_probing(now, transitions);
                let State::HalfOpen(probing) = &mut self.state else {
                    return SettledAs::Late;
                };
                if !probing.free(slot) {
                    return SettledAs::Late;
                }
                self.answer(call, now, transitions);
            }
        }
        call.outcome.into()
    }

    pub(super) fn settled(
        &mut self,
        counted: SettledAs,
        generation: u64,
        call: &Call,
        transitions: Transitions,
    ) -> Settled {
        match counted {
            SettledAs::Success => {
                self.totals.successes += 1;
                self.usual.learn(call.duration);
            }
            SettledAs::Failure => self.totals.failures += 1,
            SettledAs::Ignored => self.totals.ignored += 1,
            SettledAs::Late => self.totals.late += 1,
            SettledAs::Untracked => {}
        }
        if counted != SettledAs::Untracked {
            self.outcomes.write(Flown {
                at: self.time(),
                generation,
                counted,
                duration: call.duration,
            });
        }
        Settled {
            counted,
            transitions,
        }
    }

    /// Books an outcome in the closed state and judges it.
    pub(super) fn book(&mut self, call: &Call, now: Timestamp, transitions: &mut Transitions) {
        if call.outcome == Outcome::Ignored {
            return;
        }
        self.counting.outcome(call.outcome == Outcome::Failure);
        self.outcomes.causes.see(call.outcome, call.cause);
        self.fill_windows(call, now);
        let judges_all = self.settings.judge_on == JudgeOn::EveryOutcome;
        let slow = self.settings.slow_compare;
        let rules = self.settings.trip.iter().zip(&self.windows);
        let met = rules
            .filter(|(rule, _)| {
                let hit = rule.hit(call, slow);
                hit.is_some_and(|hit| hit || (judges_all && rule.met_by_success()))
            })
            .find_map(|(rule, window)| rule.judge(window.tally(now), self.settings.compare));
        if let Some(reason) = met.or_else(|| self.asked_to_return(call)) {
            self.open(reason, call.retry_after, now, transitions);
        } else if call.outcome == Outcome::Failure
            && let State::Closed { ramp: Some(ramp) } = &mut self.state
        {
            ramp.step_back(now);
        }
    }

    /// The reason to trip because of the other side's wish for the next call, if the settings see one there.
    fn asked_to_return(&self, call: &Call) -> Option<Reason> {
        let after = call.retry_after.filter(|after| !after.is_zero())?;
        (self.settings.retry_after == RetryAfter::Trip).then_some(Reason::RetryAfter { after })
    }

    pub(super) fn fill_windows(&mut self, call: &Call, now: Timestamp) {
        let slow = self.settings.slow_compare;
        for (rule, window) in self.settings.trip.iter().zip(&mut self.windows) {
            if let Some(hit) = rule.hit(call, slow) {
                window.record(hit, now);
            }
        }
    }

    /// Takes a probe's answer in the half-open state and decides if it can.
    pub(super) fn answer(&mut self, call: &Call, now: Timestamp, transitions: &mut Transitions) {
        let State::HalfOpen(probing) = &mut self.state else {
            return;
        };
        let failed = match call.outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            Outcome::Ignored => return,
        };
        self.outcomes.causes.see(call.outcome, call.cause);
        let slower_than = self.settings.half_open.slow.map(|slow| slow.slower_than);
        let slow = self.settings.slow_compare;
        probing.answer(
            failed,
            slower_than.is_some_and(|than| call.is_slow(than, slow) == Some(true)),
        );
        let verdict = verdict(probing, failed, &self.settings);
        // Also if the history is to be cleared at the close: the setting may change before that.
        self.fill_windows(call, now);
        if let Some(reason) = self.asked_to_return(call) {
            self.open(reason, call.retry_after, now, transitions);
            return;
        }
        match verdict {
            Some(reason @ Reason::ProbesSucceeded { .. }) => {
                self.close_well(reason, now, transitions);
            }
            Some(reason) => self.open(reason, call.retry_after, now, transitions),
            None => {}
        }
    }

    /// Closes, since the other side is assumed to be well again.
    pub(super) fn close_well(
        &mut self,
        reason: Reason,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        if self.settings.history == History::Clear {
            self.begin_windows(now);
        }
        let ramp = self.settings.ramp;
        let ramp = ramp.map(|ramp| Ramping::begin(ramp, now));
        self.close(reason, ramp, now, transitions);
    }

    /// Resumes after a hold.
    pub(super) fn unfreeze(
        &mut self,
        kind: HoldKind,
        reason: Reason,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        match kind {
            HoldKind::Open => self.half_open(reason, now, transitions),
            HoldKind::Closed => {
                self.begin_windows(now);
                self.close(reason, None, now, transitions);
            }
        }
    }

    /// Trips. `asked` is the other side's own wish for the next call.
    pub(super) fn open(
        &mut self,
        reason: Reason,
        asked: Option<Duration>,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        let attempts = self.attempts.saturating_add(1);
        let heeded = self.settings.retry_after != RetryAfter::Ignore;
        let asked = asked.filter(|asked| heeded && !asked.is_zero());
        let cooldown = &self.settings.cooldown;
        let drawn = cooldown.draw(attempts, asked, &mut self.random);
        self.open_for(reason, Some(drawn), now, transitions);
    }

    /// Trips for exactly that time, or for as long as after a trip by a rule.
    pub(super) fn open_for(
        &mut self,
        reason: Reason,
        cooldown: Option<Duration>,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        let Some(cooldown) = cooldown else {
            return self.open(reason, None, now, transitions);
        };
        self.attempts = self.attempts.saturating_add(1);
        let until = now + cooldown;
        let reason = reason.with_causes(&self.outcomes);
        self.enter_open(until, reason, now, transitions);
    }

    pub(super) fn enter_open(
        &mut self,
        until: Timestamp,
        reason: Reason,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        self.enter(State::Open { until }, reason, Some(until), now, transitions);
    }

    pub(super) fn half_open(
        &mut self,
        reason: Reason,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        let state = State::HalfOpen(Probing::default());
        self.enter(state, reason, None, now, transitions);
    }

    pub(super) fn close(
        &mut self,
        reason: Reason,
        ramp: Option<Ramping>,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        self.attempts = 0;
        self.enter(State::Closed { ramp }, reason, None, now, transitions);
    }

    pub(super) fn enter(
        &mut self,
        state: State,
        reason: Reason,
        retry_at: Option<Timestamp>,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        let from = self.state.phase();
        if !matches!(state, State::HalfOpen(_)) {
            self.lead.end_lease();
        }
        self.counting.clear();
        self.state = state;
        self.since = now;
        self.announce(from, reason, retry_at, now, transitions);
    }

    /// The windows of calls in flight.
    pub(super) fn flights(&mut self) -> impl Iterator<Item = &mut Flights> {
        self.windows.iter_mut().filter_map(Window::flights)
    }

    /// Begins a new generation and records the reason.
    pub(super) fn announce(
        &mut self,
        from: Phase,
        reason: Reason,
        retry_at: Option<Timestamp>,
        at: Timestamp,
        transitions: &mut Transitions,
    ) {
        self.generation += 1;
        // Outcomes of the calls in flight will not count, so they are not waited for.
        self.flights().for_each(Flights::clear);
        let transition = Transition {
            from,
            to: self.state.phase(),
            reason,
            at,
            generation: self.generation,
            attempts: self.attempts,
            retry_at,
        };
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(transition.clone());
        transitions.push(transition);
    }

    pub(super) fn begin_windows(&mut self, now: Timestamp) {
        self.windows.iter_mut().for_each(|window| window.begin(now));
        self.outcomes.causes.clear();
    }
}

/// The verdict on the answers of the probes, the last of them a failure or not: the reason to close or to open, or
/// `None` for now.
fn verdict(probing: &Probing, failed: bool, settings: &Settings) -> Option<Reason> {
    let half_open = &settings.half_open;
    let (successes, failures) = (probing.successes, probing.failures);
    let (answers, slow) = (probing.answers(), probing.slow);
    let well = Reason::ProbesSucceeded { successes, answers };
    let ill = Reason::ProbeFailed {
        failures,
        answers,
        causes: Causes::default(),
    };
    let meets = |rate: Ratio, part: u32| rate.is_met(part.into(), answers.into(), settings.compare);
    match half_open.close {
        CloseRule::Successes(_) if failed => (failures >= half_open.failures).then_some(ill),
        CloseRule::Successes(needed) => {
            let counted = if half_open.in_a_row {
                probing.row
            } else {
                successes
            };
            (counted >= needed).then_some(well)
        }
        CloseRule::FailureRate { over, .. } if answers < over => None,
        CloseRule::FailureRate { rate, .. } if meets(rate, failures) => Some(ill),
        CloseRule::FailureRate { .. } => match half_open.slow {
            Some(limit) if meets(limit.rate, slow) => Some(Reason::ProbesSlow { slow, answers }),
            _ => Some(well),
        },
    }
}
