//! The steps that events are made of: what time brings about, what a call may do, what an outcome decides, and the
//! three ways into another state.

use super::grant::{Admission, Grant, GrantKind, Settled, SettledAs};
use super::{Machine, Probing, State};
use crate::outcome::{Hold, HoldKind, Outcome, Phase, RejectReason, Rejection};
use crate::settings::{CloseRule, History, JudgeOn, Mode, OnProbeTimeout, Probes};
use crate::snapshot::RECENT;
use crate::time::Timestamp;
use crate::transition::{Reason, Transition, Transitions};
use crate::window::Window;

impl Machine {
    /// The time to go by, and an ended hold taken away: both come before any other part of an event.
    pub(super) fn catch_up(&mut self, now: Timestamp, transitions: &mut Transitions) -> Timestamp {
        self.latest = self.latest.max(now);
        let ended = |hold: &Hold| hold.until.is_some_and(|until| self.latest >= until);
        if let Some(hold) = self.hold.take_if(|hold| ended(hold)) {
            let reason = Reason::HoldEnded {
                by: hold.by.clone(),
            };
            self.unfreeze(hold.kind, reason, self.latest, transitions);
        }
        self.latest
    }

    /// The cooldown's end and the probes' deadlines. While held, time moves nothing.
    pub(super) fn move_with_time(&mut self, now: Timestamp, transitions: &mut Transitions) {
        if self.hold.is_none() {
            self.half_open_when_due(now, transitions);
            self.reclaim(now, transitions);
        }
    }

    pub(super) fn half_open_when_due(&mut self, now: Timestamp, transitions: &mut Transitions) {
        if let State::Open { until } = self.state
            && now >= until
        {
            self.half_open(Reason::CooldownEnded, now, transitions);
        }
    }

    /// Frees the places of probes that missed their deadline; reopens where that counts as a failure.
    pub(super) fn reclaim(&mut self, now: Timestamp, transitions: &mut Transitions) {
        if let State::HalfOpen(probing) = &mut self.state
            && probing.reclaim(now)
            && self.settings.half_open.on_probe_timeout == OnProbeTimeout::Fail
        {
            self.trip(Reason::ProbeTimeout, now, transitions);
        }
    }

    /// Whether a call may pass in the state as it is.
    pub(super) fn decide(&self, now: Timestamp) -> Result<(), Rejection> {
        let reject = |reason, retry_at| {
            Err(Rejection {
                reason,
                phase: self.state.phase(),
                retry_at,
            })
        };
        match (&self.hold, &self.state) {
            (Some(hold), _) => match hold.kind {
                HoldKind::Open => reject(RejectReason::HeldOpen, hold.until),
                HoldKind::Closed => Ok(()),
            },
            (None, State::Closed) => Ok(()),
            (None, State::Open { until }) => {
                debug_assert!(now < *until, "a cooldown that has ended is noticed before");
                reject(RejectReason::BreakerOpen, Some(*until))
            }
            (None, State::HalfOpen(probing)) => match self.settings.half_open.probes {
                Probes::Limited(limit) if probing.in_flight() >= limit.get() => {
                    reject(RejectReason::BreakerProbing, probing.earliest_deadline(now))
                }
                Probes::Limited(_) | Probes::Unlimited => Ok(()),
            },
        }
    }

    /// What a call that may pass is granted.
    pub(super) fn grant_kind(&mut self, now: Timestamp) -> GrantKind {
        if self.hold.is_some() {
            return GrantKind::Held;
        }
        match &mut self.state {
            State::HalfOpen(probing) => {
                GrantKind::Probe(probing.take(now + self.settings.half_open.probe_timeout))
            }
            State::Closed | State::Open { .. } => GrantKind::Call,
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
        outcome: Outcome,
        now: Timestamp,
        transitions: &mut Transitions,
    ) -> SettledAs {
        let current = grant.generation == self.generation;
        match grant.kind {
            GrantKind::Untracked => return SettledAs::Untracked,
            _ if self.settings.mode == Mode::Disabled => return SettledAs::Untracked,
            // Its call would have been refused, so it belongs to no generation and tells metrics only.
            GrantKind::Shadow(_) => {}
            // A straggler from before the last transition must not decide anything after it.
            GrantKind::Call | GrantKind::Held | GrantKind::Probe(_) if !current => {
                return SettledAs::Late;
            }
            GrantKind::Held => {}
            GrantKind::Call => self.book(outcome, now, transitions),
            GrantKind::Probe(slot) => {
                self.reclaim(now, transitions);
                let State::HalfOpen(probing) = &mut self.state else {
                    return SettledAs::Late;
                };
                if !probing.free(slot) {
                    return SettledAs::Late;
                }
                self.answer(outcome, now, transitions);
            }
        }
        outcome.into()
    }

    pub(super) fn settled(&mut self, counted: SettledAs, transitions: Transitions) -> Settled {
        match counted {
            SettledAs::Success => self.totals.successes += 1,
            SettledAs::Failure => self.totals.failures += 1,
            SettledAs::Ignored => self.totals.ignored += 1,
            SettledAs::Late => self.totals.late += 1,
            SettledAs::Untracked => {}
        }
        Settled {
            counted,
            transitions,
        }
    }

    /// Books an outcome in the closed state and judges it.
    pub(super) fn book(&mut self, outcome: Outcome, now: Timestamp, transitions: &mut Transitions) {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            Outcome::Ignored => return,
        };
        self.fill_windows(failed, now);
        if failed || self.settings.judge_on == JudgeOn::EveryOutcome {
            let met = self
                .settings
                .trip
                .iter()
                .zip(&self.windows)
                .filter(|(rule, _)| failed || rule.met_by_success())
                .find_map(|(rule, window)| rule.judge(window.tally(now), self.settings.compare));
            if let Some(reason) = met {
                self.trip(reason, now, transitions);
            }
        }
    }

    pub(super) fn fill_windows(&mut self, failed: bool, now: Timestamp) {
        for window in &mut self.windows {
            window.record(failed, now);
        }
    }

    /// Takes a probe's answer in the half-open state and decides where it can.
    pub(super) fn answer(
        &mut self,
        outcome: Outcome,
        now: Timestamp,
        transitions: &mut Transitions,
    ) {
        let State::HalfOpen(probing) = &mut self.state else {
            return;
        };
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            Outcome::Ignored => return,
        };
        probing.answer(failed);
        let (successes, failures) = (probing.successes(), probing.failures());
        let answers = successes.saturating_add(failures);
        // Also where the history is to be cleared at the close: the setting may change before that.
        self.fill_windows(failed, now);
        let reopens = match self.settings.half_open.close {
            CloseRule::Successes(_) if failed => Some(true),
            CloseRule::Successes(needed) => (successes >= needed).then_some(false),
            CloseRule::FailureRate { rate, over } => (answers >= over)
                .then(|| rate.is_met(failures.into(), answers.into(), self.settings.compare)),
        };
        match reopens {
            Some(true) => {
                let reason = Reason::ProbeFailed { failures, answers };
                self.trip(reason, now, transitions);
            }
            Some(false) => {
                let reason = Reason::ProbesSucceeded { successes, answers };
                if self.settings.history == History::Clear {
                    self.clear_windows();
                }
                self.close(reason, now, transitions);
            }
            None => {}
        }
    }

    /// Goes on after a hold.
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
                self.clear_windows();
                self.close(reason, now, transitions);
            }
        }
    }

    pub(super) fn trip(&mut self, reason: Reason, now: Timestamp, transitions: &mut Transitions) {
        self.attempts = self.attempts.saturating_add(1);
        let until = now + self.settings.cooldown.draw(self.attempts, &mut self.random);
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

    pub(super) fn close(&mut self, reason: Reason, now: Timestamp, transitions: &mut Transitions) {
        self.attempts = 0;
        self.enter(State::Closed, reason, None, now, transitions);
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
        self.state = state;
        self.since = now;
        self.announce(from, reason, retry_at, now, transitions);
    }

    /// Begins a new generation and tells why.
    pub(super) fn announce(
        &mut self,
        from: Phase,
        reason: Reason,
        retry_at: Option<Timestamp>,
        at: Timestamp,
        transitions: &mut Transitions,
    ) {
        self.generation += 1;
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

    pub(super) fn clear_windows(&mut self) {
        self.windows.iter_mut().for_each(Window::clear);
    }
}
